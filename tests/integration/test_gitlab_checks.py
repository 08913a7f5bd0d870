"""A merge request that waits for our external status check, from its event to the answer at GitLab's counterpart."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest

from shared.contracts.events import Change, ChangeClosed, ChangeMerged, Commit, CommitsPushed
from tests.gatehouse import SHA, Gatehouse, opened

pytestmark = pytest.mark.asyncio

NEWER = "d00d" * 10


@pytest.fixture
async def house(database_url: str, tmp_path: Path) -> AsyncIterator[Gatehouse]:
    async with opened(database_url, tmp_path) as running:
        yield running


async def status(house: Gatehouse) -> str:
    [only] = await house.look("/gitlab/merge-requests")
    return str(only["checks"][0]["status"])


async def answers(house: Gatehouse) -> list[tuple[str, str]]:
    return [(told["sha"], told["status"]) for told in await house.look("/gitlab/check-answers")]


def ended(kind: type[Change], number: int, at: datetime) -> Any:
    told: dict[str, Any] = {"source": "gitlab", "repository": "acme/shop/checkout", "title": "", "author": "ana"}
    return kind(number=number, state="closed", actor="ana", occurred_at=at, **told)


async def test_check_that_gitlab_gave_up_waiting_for_passes_with_the_quorum(house: Gatehouse) -> None:
    number = await house.ask_check(house.check_event(title="Retry the charge once"), age_s=121)
    assert await status(house) == "failed"

    await house.vote(number, "bo")
    assert await status(house) == "failed"
    await house.vote(number, "cy")
    approval = await house.ended(number)

    assert await status(house) == "passed"
    assert (approval.status, approval.subject.action, approval.reason) == ("executed", "merge", "Retry the charge once")
    assert (await house.effect(number, "gitlab_check"))["result"] == "the check has passed"


async def test_decline_and_a_deadline_fail_it(house: Gatehouse) -> None:
    declined = await house.ask_check(house.check_event())
    await house.vote(declined, "bo", verb="reject")
    assert (await house.ended(declined)).status == "rejected"

    late = await house.ask_check(house.check_event(head_sha=NEWER))
    await house.pool.execute("UPDATE approval SET expires_at = now() WHERE id = $1", late)
    await house.vote(late, "bo")
    assert (await house.ended(late)).status == "expired"

    assert await answers(house) == [(SHA, "failed"), (NEWER, "failed")]


async def test_who_wrote_or_asks_for_the_merge_does_not_decide(house: Gatehouse) -> None:
    pushed = CommitsPushed(
        occurred_at=datetime.now(UTC),
        id="push",
        source="gitlab",
        repository="acme/shop/checkout",
        ref="refs/heads/retry",
        branch="retry",
        before="0" * 40,
        after=SHA,
        default_branch="main",
        commits=(Commit(sha=SHA, authored_at=datetime.now(UTC), author="bo", message="Retry"),),
    )
    async with house.pool.acquire() as tx, tx.transaction():
        await house.handlers.on_commits_pushed([pushed], tx)
    number = await house.ask_check(house.check_event(actor="cy"))

    for person in ("ana", "bo", "cy"):
        assert (await house.vote(number, person)).result == "not_eligible", person

    assert await answers(house) == []


async def test_another_commit_takes_the_place_of_what_waits_and_has_no_votes(house: Gatehouse) -> None:
    event = house.check_event()
    first = await house.ask_check(event)
    await house.vote(first, "bo")

    later = {"occurred_at": event.occurred_at + timedelta(minutes=1), "head_sha": NEWER, "author": ""}
    second = await house.ask_check(msgspec.structs.replace(event, **later, actor="ana"), username="ana")

    superseded = await house.show(first)
    assert (superseded.status, superseded.superseded_by) == ("superseded", second)
    await house.vote(second, "cy")
    assert (await house.show(second)).status == "pending"
    await house.vote(second, "di")
    assert (await house.ended(second)).status == "executed"
    assert await answers(house) == [(NEWER, "passed")]


async def test_news_of_an_older_commit_that_comes_late_asks_nobody(house: Gatehouse) -> None:
    event = house.check_event()
    number = await house.ask_check(event)

    await house.receive_check(
        msgspec.structs.replace(event, id="old", head_sha=NEWER, occurred_at=event.occurred_at - timedelta(minutes=1))
    )

    assert await house.held() == ["a newer commit of it was asked about"]
    assert (await house.show(number)).status == "pending"


async def test_same_commit_asked_twice_or_back_again_keeps_its_answer(house: Gatehouse) -> None:
    event = house.check_event()
    number = await house.ask_check(event)
    await house.receive_check(msgspec.structs.replace(event, id="again", title="Another title"))
    await house.vote(number, "bo", "cy")
    await house.ended(number)
    at = event.occurred_at
    forth = msgspec.structs.replace(event, id="forth", head_sha=NEWER, occurred_at=at + timedelta(minutes=1))
    waiting = await house.ask_check(forth)

    await house.receive_check(msgspec.structs.replace(event, id="back", occurred_at=at + timedelta(minutes=2)))

    assert await house.pool.fetchval("SELECT count(*) FROM approval") == 2
    assert ((await house.show(number)).status, (await house.show(waiting)).status) == ("executed", "pending")


async def test_commit_that_was_pushed_meanwhile_is_not_let_through(house: Gatehouse) -> None:
    """Its own question may not have come yet."""
    event = house.check_event()
    number = await house.ask_check(event)
    pushed = {"project": event.repository, "number": event.number, "sha": NEWER}
    await house.tell("/gitlab/merge-requests", pushed)

    await house.vote(number, "bo", "cy")

    assert (await house.ended(number)).status == "dead"
    assert "another newest commit" in (await house.effect(number, "gitlab_check"))["result"]
    assert await answers(house) == []


async def test_commit_pushed_between_look_and_answer_is_refused_by_gitlab(house: Gatehouse) -> None:
    number = await house.ask_check(house.check_event())
    await house.fail("gitlab", "server_error", "POST */status_check_responses", nth=1, status=409)

    await house.vote(number, "bo", "cy")

    assert (await house.ended(number)).status == "dead"
    assert "another newest commit" in (await house.effect(number, "gitlab_check"))["result"]


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"username": "di"}, "by di, and nobody was told"),
        ({"target_branch": "release"}, "into release"),
        ({"state": "merged"}, "is merged"),
        ({"checks": [8]}, "answer 404"),
    ],
    ids=["author", "target", "state", "check"],
)
async def test_yes_is_bound_to_what_was_decided_about(house: Gatehouse, changed: dict[str, Any], reason: str) -> None:
    number = await house.ask_check(house.check_event(), **changed)

    await house.vote(number, "bo", "cy")

    assert (await house.ended(number)).status == "dead"
    assert reason in (await house.effect(number, "gitlab_check"))["result"]
    assert await answers(house) == []


@pytest.mark.parametrize("kind", [ChangeMerged, ChangeClosed])
async def test_merge_request_that_ends_elsewhere_ends_it_here(house: Gatehouse, kind: type[Change]) -> None:
    event = house.check_event()
    number = await house.ask_check(event)
    other = await house.ask_check(house.check_event())
    at = event.occurred_at + timedelta(minutes=1)

    await house.pass_by(ended(kind, event.number, at))
    await house.receive_check(msgspec.structs.replace(event, id="late", head_sha=NEWER))

    assert ((await house.show(number)).status, (await house.show(other)).status) == ("cancelled", "pending")
    assert await house.held() == ["it was merged or closed before it was asked here"]
    assert await answers(house) == []


@pytest.mark.parametrize("call", ["GET */merge_requests/*", "POST */status_check_responses"])
@pytest.mark.parametrize("kind", ["drop_after", "drop_before", "server_error", "rate_limited"])
async def test_ambiguous_answer_ends_with_the_check_passed(house: Gatehouse, call: str, kind: str) -> None:
    await house.fail("gitlab", kind, call, nth=1)
    number = await house.ask_check(house.check_event())

    await house.vote(number, "bo", "cy")

    assert (await house.ended(number)).status == "executed"
    assert await status(house) == "passed"
    assert (await house.look("/faults"))["never_bit"] == []


async def test_what_builds_no_url_or_names_nothing_to_decide_asks_nobody(house: Gatehouse) -> None:
    for changed in (
        {"repository": "acme/../admin"},
        {"check_id": "7/retry"},
        {"head_sha": ""},
        {"source": "github"},
        {"origin": "replay"},
        {"author": "", "actor": ""},
    ):
        await house.receive_check(house.check_event(**changed))

    assert await house.held() == [
        "the project's path is not group/project",
        "the check's id is not a number",
        "no commit or branch is named, so there is nothing to decide about",
        "checks of github are not answered",
        "origin replay does not act",
        "nobody is named as requester, so nobody can be excluded",
    ]
    assert not await house.pool.fetchval("SELECT count(*) FROM approval")
