"""What GitHub's answers mean for an effect: given up only where trying again can't help."""

import time

import httpx
import pytest

from approvals_svc.github import GivenUp, Unknown, _problem, _Response


def answer(status: int, **headers: str) -> _Response:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return _Response(status, httpx.Headers(named), b"")


@pytest.mark.parametrize("status", [200, 201, 204])
def test_success_is_no_problem(status: int) -> None:
    assert _problem(answer(status)) is None


@pytest.mark.parametrize("status", [403, 404, 422, 400, 410])
def test_refusal_is_given_up(status: int) -> None:
    assert isinstance(_problem(answer(status)), GivenUp)


@pytest.mark.parametrize("status", [500, 502, 503, 504, 408, 401])
def test_trouble_of_theirs_or_of_a_token_is_tried_again(status: int) -> None:
    assert isinstance(_problem(answer(status)), Unknown)


def test_primary_rate_limit_is_waited_out_until_its_reset() -> None:
    reset = str(int(time.time()) + 120)

    problem = _problem(answer(403, x_ratelimit_remaining="0", x_ratelimit_reset=reset))

    assert isinstance(problem, Unknown)
    assert problem.after_s == pytest.approx(120, abs=3)


@pytest.mark.parametrize("status", [403, 429])
def test_secondary_rate_limit_is_waited_out_as_told(status: int) -> None:
    problem = _problem(answer(status, retry_after="30"))

    assert isinstance(problem, Unknown)
    assert problem.after_s == 30


@pytest.mark.parametrize("told", ["", "soon", "-1", "1e9", "9" * 40, "１"])
def test_unreadable_wait_is_left_to_the_backoff(told: str) -> None:
    problem = _problem(answer(429, retry_after=told)) if told.isascii() else _problem(answer(429))

    assert isinstance(problem, Unknown)
    assert problem.after_s is None
