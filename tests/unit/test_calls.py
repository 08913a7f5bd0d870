"""What an answer means for an effect: given up only where trying again can't help."""

import time

import httpx
import pytest

from approvals_svc.calls import meaning
from approvals_svc.tasks import GivenUp, Unknown


def meaning_of(status: int, **headers: str) -> Unknown | GivenUp | None:
    return meaning(status, httpx.Headers({name.replace("_", "-"): value for name, value in headers.items()}))


@pytest.mark.parametrize("status", [200, 201, 204])
def test_success_is_no_problem(status: int) -> None:
    assert meaning_of(status) is None


@pytest.mark.parametrize("status", [403, 404, 422, 400, 410])
def test_refusal_is_given_up(status: int) -> None:
    assert isinstance(meaning_of(status), GivenUp)


@pytest.mark.parametrize("status", [500, 502, 503, 504, 408, 401])
def test_trouble_of_theirs_or_of_a_token_is_tried_again(status: int) -> None:
    assert isinstance(meaning_of(status), Unknown)


def test_primary_rate_limit_is_waited_out_until_its_reset() -> None:
    reset = str(int(time.time()) + 120)

    problem = meaning_of(403, x_ratelimit_remaining="0", x_ratelimit_reset=reset)

    assert isinstance(problem, Unknown)
    assert problem.after_s == pytest.approx(120, abs=3)


@pytest.mark.parametrize("status", [403, 429])
def test_secondary_rate_limit_is_waited_out_as_told(status: int) -> None:
    problem = meaning_of(status, retry_after="30")

    assert isinstance(problem, Unknown)
    assert problem.after_s == 30


@pytest.mark.parametrize("told", ["", "soon", "-1", "1e9", "9" * 40, "１"])
def test_unreadable_wait_is_left_to_the_backoff(told: str) -> None:
    problem = meaning_of(429, retry_after=told) if told.isascii() else meaning_of(429)

    assert isinstance(problem, Unknown)
    assert problem.after_s is None
