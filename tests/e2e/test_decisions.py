"""From a waiting deployment to GitHub's answer; and what must never count as a decision."""

import time
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from em.demo.facts import Gate
from em.demo.story import policy
from em.sandbox.sender import slack_click, slack_request, slack_submission
from shared.contracts.envelope import encode_event, event_headers
from shared.contracts.events import ChatAction, SignedRequest
from shared.contracts.services import APPROVALS_SVC
from tests.e2e.conftest import Theatre
from tests.line import SLACK_SECRET
from tests.waiting import until


async def asked(theatre: Theatre) -> list[Gate]:
    """All five services up and the story's live part sent; returns gates whose cards stand in Slack."""
    await theatre.start_all()
    await theatre.send([d for d in theatre.story.live if d.expect != "handshake"])
    await until(lambda: _cards_stand(theatre), timeout_s=60, what="no approval cards in Slack")
    await theatre.let_wait(theatre.story.gates)
    return list(theatre.story.gates)


async def _cards_stand(theatre: Theatre) -> bool:
    """Everybody who may decide has one of each."""
    shown = str(await cards(theatre))
    return all(gate.deployment.sha[:7] in shown for gate in theatre.story.gates)


async def cards(theatre: Theatre) -> list[dict[str, Any]]:
    messages = await theatre.control("/slack/messages")
    assert isinstance(messages, list)
    return [m for m in messages if any(e.get("action_id") == "approve" for e in _elements(m))]


def _elements(message: dict[str, Any]) -> list[dict[str, Any]]:
    return [element for block in message["blocks"] for element in block.get("elements", [])]


async def card_of(theatre: Theatre, gate: Gate) -> dict[str, Any]:
    return next(card for card in await cards(theatre) if gate.deployment.sha[:7] in str(card))


async def approvals(theatre: Theatre) -> dict[str, dict[str, Any]]:
    """By sha."""
    answer = await theatre.line.http.get(theatre.line.url(APPROVALS_SVC, "/v1/approvals"))
    return {approval["sha"]: approval for approval in answer.json()["items"]}


async def click(theatre: Theatre, gate: Gate, user: str, action: str = "approve") -> None:
    card = await card_of(theatre, gate)
    body = slack_click(card, action, user=user, channel=card["channel"])
    answer = await theatre.line.send_slack(body)
    assert answer.status_code == 200
    await theatre.line.settled()


async def test_two_clicks_release_the_deployment_at_github_exactly_once(theatre: Theatre) -> None:
    gate = next(g for g in await asked(theatre) if g.outcome == "approved")
    requester = gate.deployment.creator.slack
    voters = [c.by.slack for c in gate.clicks if c.by.slack != requester]

    for user in [requester, *voters, *voters]:
        if gate.deployment.sha in await approvals(theatre) and await _is_pending(theatre, gate):
            await click(theatre, gate, user)

    await until(lambda: _is(theatre, gate, "executed"), timeout_s=30, what="the deployment was not released")
    decisions = await theatre.control("/github/decisions")
    assert isinstance(decisions, list)
    assert [d["state"] for d in decisions if d["run_id"] == gate.deployment.run_id] == ["approved"]
    votes = (await approvals(theatre))[gate.deployment.sha]["votes"]
    assert len({vote["person"] for vote in votes}) == 2
    assert gate.deployment.creator.key not in {vote["person"] for vote in votes}


async def _is_pending(theatre: Theatre, gate: Gate) -> bool:
    return await _is(theatre, gate, "pending")


async def _is(theatre: Theatre, gate: Gate, status: str) -> bool:
    return bool((await approvals(theatre))[gate.deployment.sha]["status"] == status)


async def test_requester_who_clicks_is_told_why_it_does_not_count(theatre: Theatre) -> None:
    gate = (await asked(theatre))[0]
    requester = gate.deployment.creator.slack

    await click(theatre, gate, requester)

    await until(lambda: _was_told(theatre, requester), timeout_s=20, what="the requester was told nothing")
    assert (await approvals(theatre))[gate.deployment.sha]["votes"] == []


async def _was_told(theatre: Theatre, user: str) -> bool:
    messages = await theatre.control("/slack/messages")
    assert isinstance(messages, list)
    return any(m["ephemeral_for"] == user for m in messages)


async def test_decline_that_needs_a_reason_is_asked_for_it_in_a_form_which_is_the_vote(theatre: Theatre) -> None:
    (theatre.line.directory / "policy.yaml").write_text(f"{policy().rstrip()}\n  reject: {{reason: required}}\n")
    gate = (await asked(theatre))[0]
    voter = next(c.by.slack for c in gate.clicks if c.by is not gate.deployment.creator)

    await click(theatre, gate, voter, "decline_with_reason")
    await until(lambda: _form_opened(theatre), timeout_s=10, what="no form was opened")
    [view] = await _views(theatre)
    submission = slack_submission(view, {"reason": "the smoke tests are red"}, user=voter)
    for _ in range(2):  # Slack may send it again; the view and its hash make it one
        assert (await theatre.line.send_slack(submission)).status_code == 200
    await until(lambda: _is(theatre, gate, "rejected"), timeout_s=20, what="the vote did not count")

    [vote] = (await approvals(theatre))[gate.deployment.sha]["votes"]
    assert (vote["verb"], vote["reason"]) == ("reject", "the smoke tests are red")
    card = await card_of_ended(theatre, gate)
    assert "the smoke tests are red" in card["text"]


async def card_of_ended(theatre: Theatre, gate: Gate) -> dict[str, Any]:
    """Its card once no button is on it."""
    found: list[dict[str, Any]] = []

    async def is_there() -> bool:
        messages = await theatre.control("/slack/messages")
        assert isinstance(messages, list)
        found[:] = [m for m in messages if gate.deployment.sha[:7] in m["text"] and "declined" in m["text"]]
        return bool(found)

    await until(is_there, timeout_s=20, what="the card does not say how it ended")
    return found[0]


async def _form_opened(theatre: Theatre) -> bool:
    return bool(await _views(theatre))


async def _views(theatre: Theatre) -> list[dict[str, Any]]:
    views = await theatre.control("/slack/views")
    assert isinstance(views, list)
    return views


async def test_form_that_comes_too_late_is_replaced_by_the_command_to_type(theatre: Theatre) -> None:
    (theatre.line.directory / "policy.yaml").write_text(f"{policy().rstrip()}\n  reject: {{reason: required}}\n")
    gate = (await asked(theatre))[0]
    voter = next(c.by.slack for c in gate.clicks if c.by is not gate.deployment.creator)
    card = await card_of(theatre, gate)
    old = time.time() - 5
    body = slack_click(card, "decline_with_reason", user=voter, channel=card["channel"], now=old)

    assert (await theatre.line.send_slack(body, now=old)).status_code == 200

    await until(lambda: _was_told(theatre, voter), timeout_s=20, what="the voter was told nothing")
    assert await _views(theatre) == []
    messages = await theatre.control("/slack/messages")
    assert isinstance(messages, list)
    [told] = [m["text"] for m in messages if m["ephemeral_for"] == voter]
    assert "`/em decline " in told


def forged(theatre: Theatre, card: dict[str, Any], user: str) -> Sequence[ChatAction]:
    """Clicks that whoever owns the bus could invent: without Slack's signature, or around somebody else's."""
    now = datetime.now(UTC)
    body = slack_click(card, "approve", user=user, channel=card["channel"])
    other = slack_click(card, "decline", user="U000NOBODY", channel=card["channel"])
    stamp = str(int(time.time()))
    ours = slack_request(SLACK_SECRET, other)
    stale = slack_request(SLACK_SECRET, body, time.time() - 600)
    guessed = slack_request("guessed-secret", body)
    signed = [
        SignedRequest(body=body, timestamp=stamp, signature=""),
        SignedRequest(body=body, timestamp=stamp, signature="v0=" + "0" * 64),
        SignedRequest(body=body, timestamp=stamp, signature=guessed["X-Slack-Signature"]),
        SignedRequest(body=body, timestamp=stamp, signature=ours["X-Slack-Signature"]),
        SignedRequest(body=body, timestamp=stale["X-Slack-Request-Timestamp"], signature=stale["X-Slack-Signature"]),
        SignedRequest(body=other, timestamp=ours["X-Slack-Request-Timestamp"], signature=ours["X-Slack-Signature"]),
    ]
    value = next(e["value"] for e in _elements(card) if e.get("action_id") == "approve")
    return [
        ChatAction(
            occurred_at=now,
            team="T1",
            user=user,
            channel=card["channel"],
            callback="approve",
            value=value,
            trigger_id=f"forged-{number}",
            signed=request,
        ).stamped(id=f"forged-{number}-{user}", source="slack", origin="live", received_at=now)
        for number, request in enumerate(signed)
    ]


async def test_forged_chat_action_published_straight_onto_the_bus_moves_no_decision(theatre: Theatre) -> None:
    gate = next(g for g in await asked(theatre) if g.outcome == "approved")
    card = await card_of(theatre, gate)
    voters = [c.by.slack for c in gate.clicks if c.by is not gate.deployment.creator]

    async with theatre.line.broker() as connection:
        for user in voters:
            for action in forged(theatre, card, user):
                await connection.jetstream().publish(
                    theatre.line.subjects.event(action.kind), encode_event(action), headers=event_headers(action)
                )
    await theatre.line.settled()

    found = (await approvals(theatre))[gate.deployment.sha]
    assert (found["status"], found["votes"]) == ("pending", [])
    assert await theatre.line.count("approvals.vote") == 0
    # The same people, really clicking, are heard: the forgeries failed for being forged.
    await click(theatre, gate, voters[-1])
    assert len((await approvals(theatre))[gate.deployment.sha]["votes"]) == 1
