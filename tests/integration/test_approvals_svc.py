"""approvals-svc as a process on a real broker, a real database and the GitHub counterpart: gate, click, callback."""

import asyncio
import hashlib
import json
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import asyncpg
import httpx
import msgspec
import pytest

from approvals_svc.wording import STRANGER
from shared.contracts.events import (
    ApprovalAnchored,
    ApprovalDecided,
    ApprovalExecuted,
    ApprovalExpired,
    ApprovalRequested,
    ApprovalVoted,
    ChatAction,
    ChatCommand,
    Event,
    Gate,
    SignedRequest,
)
from shared.contracts.services import APPROVALS_SVC
from tests.e2e.test_ledger import em, em_json
from tests.line import open_line
from tests.office import CATALOG, INSTALLATION, Office, click_body, click_fields
from tests.waiting import until


def kinds(events: Sequence[Event]) -> list[type[Event]]:
    return [type(event) for event in events]


async def test_gate_opens_after_two_clicks_and_everybody_is_told(office: Office) -> None:
    number = await office.gate()

    await office.clicks(number, "bo", "cy")
    callback = await office.callback()

    assert (callback["state"], callback["environment"]) == ("approved", "production")
    assert "approved by bo, cy" in callback["comment"] or "approved by cy, bo" in callback["comment"]
    assert (await office.show(number))["status"] == "executed"
    said = await office.said()
    assert kinds(said) == [ApprovalRequested, ApprovalVoted, ApprovalVoted, ApprovalDecided, ApprovalExecuted]
    snapshots = [event for event in said if isinstance(event, ApprovalRequested | ApprovalDecided | ApprovalExecuted)]
    assert [(each.version, each.status) for each in snapshots] == [(1, "pending"), (4, "approved"), (5, "executed")]
    assert snapshots[0].approvers == ("U0BO", "U0CY")
    assert (snapshots[0].required, snapshots[0].group, snapshots[0].service) == (2, "release", "checkout")


async def test_one_decline_keeps_the_gate_shut(office: Office) -> None:
    number = await office.gate()

    await office.clicks(number, "bo")
    await office.clicks(number, "cy", verb="decline")
    callback = await office.callback()

    assert callback["state"] == "rejected"
    shown = await office.show(number)
    assert (shown["status"], shown["decision"]) == ("rejected", "rejected")


async def test_who_may_not_decide_is_told_why_and_audited(office: Office) -> None:
    number = await office.gate()

    for person in ("ana", "di", "U0STRANGER"):
        await office.clicks(number, person)
    foreign = click_body(number, "U0BO", user={"id": "U0BO", "team_id": "T2"})
    await office.publish(office.click(number, "bo", body=foreign))
    await office.settled()

    shown = await office.show(number)
    assert (shown["status"], shown["missing"], shown["votes"]) == ("pending", 2, [])
    assert [entry["verb"] for entry in shown["audit"]] == ["requested", *["refused"] * 4]
    replies = await office.replies()
    assert "ana asked for it as ana-k, and who asks doesn't decide" in replies[0]
    assert "di is not in the group release" in replies[1]
    assert all("belongs to nobody in the catalog" in reply for reply in replies[2:])


async def test_same_person_twice_is_one_vote(office: Office) -> None:
    number = await office.gate()

    await office.clicks(number, "bo", "bo", "bo")

    shown = await office.show(number)
    assert (shown["status"], shown["missing"]) == ("pending", 1)


async def test_forged_click_moves_nothing(office: Office) -> None:
    number = await office.gate(environment="staging")
    now = datetime.now(UTC)
    other = await office.gate(environment="staging")
    good = office.click(other, "U0STRANGER")
    forgeries = [
        # It is what its bytes say: a click of a stranger on the other approval, whoever the event names.
        msgspec.structs.replace(good, user="U0BO", value=f"approve:{number}:1", id=str(uuid4())),
        msgspec.structs.replace(
            office.click(number, "bo"), id=str(uuid4()), signed=SignedRequest(body=b"", timestamp="", signature="")
        ),
        _resigned(office.click(number, "bo"), body=click_body(number, "U0BO")),
        office.click(number, "bo", received_at=now - timedelta(seconds=61)),
        msgspec.structs.replace(office.click(number, "bo", received_at=now - timedelta(seconds=301)), received_at=now),
        msgspec.structs.replace(office.click(number, "bo"), received_at=None),
        msgspec.structs.replace(office.click(number, "bo"), origin="replay"),
        office.click(number, "bo", body=click_body(number, "U0BO").replace(b"%22channel%22", b"%22canal%22")),
        ChatCommand(**{**click_fields(office.click(number, "bo")), "command": "/em", "text": f"approve {number}"}),
    ]

    await office.publish(*forgeries)
    await office.settled()

    for untouched in (number, other):
        shown = await office.show(untouched)
        assert (shown["status"], shown["votes"], shown["effects"]) == ("pending", [], [])
    assert await office.callbacks() == []
    assert sorted(await office.held()) == [
        "a button of ours without a number, a user or a channel",
        "it doesn't say when it arrived",
        "it is older than 60 s",
        "origin replay does not act",
        "signature refused: signature",
        "signature refused: stale",
        "signature refused: timestamp",
        "the field command comes 0 times",
    ]


async def test_click_that_was_here_before_is_refused(office: Office) -> None:
    number = await office.gate()
    click = office.click(number, "bo")
    await office.publish(click)
    await office.settled()

    await office.publish(msgspec.structs.replace(click, id=str(uuid4())))
    await office.publish(office.click(number, "cy", trigger_id=_trigger(click)))
    await office.settled()

    assert (await office.show(number))["missing"] == 1
    assert await office.held() == ["its trigger id was here before"] * 2


async def test_command_votes_and_lists(office: Office) -> None:
    number = await office.gate()

    for person, text in (
        ("cy", "approvals"),
        ("cy", f"approve {number} fine by me"),
        ("bo", f"decline #{number} not on a Friday"),
        ("cy", "approve 4242"),
        ("cy", "decline"),
    ):
        await office.publish(office.command(person, text))
        await office.settled()

    listed, counted, ended, unknown, misspelt = await office.replies()
    assert listed.startswith(f"#{number} checkout to production: 0 of 2 votes, until ")
    assert counted == f"Your vote counts: #{number} needs 1 more."
    assert ended == f"Your vote counts: #{number} is rejected."
    assert unknown == "Nothing happened: there is no approval #4242."
    assert misspelt == "Which one? Say: decline <number> [reason]"
    assert "not on a Friday" in (await office.callback())["comment"]


async def test_ask_is_answered_from_what_was_decided(office: Office) -> None:
    number = await office.gate()
    await office.clicks(number, "bo", verb="decline")

    async def is_found() -> bool:
        return await office.line.count("approvals.document") == 1

    await until(is_found, timeout_s=20, what="the decision became no document")
    await office.publish(office.command("cy", "ask who declined checkout?"), office.command("cy", "ask"))
    await office.settled()

    async def are_answered() -> bool:
        return len(await office.replies()) == 2

    await until(are_answered, timeout_s=20, what="ask was not answered")
    misspelt, answer = sorted(await office.replies(), key=lambda text: text.startswith("decision"))
    assert misspelt == "Which one? Say: ask <words>"
    assert answer.startswith(f"decision #{number} · acme/checkout ")


async def test_twenty_votes_at_once_on_two_replicas_decide_once(
    office: Office, replicas: list[Office], scale: int
) -> None:
    for _ in range(3 * scale):
        before = len(await office.callbacks())
        number = await office.gate()
        asked = [
            replica.vote(number, person, decision)
            for replica in replicas
            for person in ("bo", "cy")
            for decision in ("approve", "reject")
        ]
        clicked = [
            office.click(number, person, verb)
            for person in ("bo", "cy")
            for verb in ("approve", "decline", "approve")
            for _ in range(2)
        ]

        answers, _ = await asyncio.gather(asyncio.gather(*asked), office.publish(*clicked))
        callbacks = (await office.callbacks())[before:]

        assert {answer.status_code for answer in answers} <= {200, 409}
        shown = await office.show(number)
        assert [entry["verb"] for entry in shown["audit"]].count("decided") == 1
        assert [effect["state"] for effect in shown["effects"]] == ["done"]
        assert [callback["state"] for callback in callbacks] == [shown["decision"]]


async def test_drop_after_the_callback_leads_to_one_decision(office: Office) -> None:
    await office.break_github(kind="drop_after", method="POST */deployment_protection_rule", nth=1)
    number = await office.gate(environment="staging")

    await office.clicks(number, "bo")

    assert (await office.callback())["effective"]
    [effect] = (await office.show(number))["effects"]
    assert (effect["state"], effect["attempts"], effect["result"]) == ("done", 2, "found among the reviews of the run")


@pytest.mark.parametrize(
    "rule",
    [
        {"kind": "drop_before", "method": "POST */deployment_protection_rule"},
        {"kind": "server_error", "method": "POST */deployment_protection_rule"},
        {"kind": "rate_limited", "method": "POST */deployment_protection_rule"},
        {"kind": "server_error", "method": "POST */access_tokens"},
    ],
    ids=lambda rule: f"{rule['kind']} {rule['method']}",
)
async def test_callback_that_did_not_arrive_is_repeated(office: Office, rule: dict[str, Any]) -> None:
    await office.break_github(nth=1, **rule)
    number = await office.gate(environment="staging")

    await office.clicks(number, "bo")

    assert (await office.callback())["state"] == "approved"
    assert (await office.show(number))["status"] == "executed"


async def test_run_that_github_does_not_know_ends_dead_and_is_told(office: Office) -> None:
    await office.publish(office.gate_event(environment="staging"))
    await office.settled()

    await office.clicks(1, "bo")

    assert await office.callbacks() == []

    shown = await office.show(1)
    assert (shown["status"], shown["decision"]) == ("dead", "approved")
    last = (await office.said())[-1]
    assert isinstance(last, ApprovalExecuted)
    assert (last.status, last.failure) == ("dead", "answer 404")


async def test_undecided_gate_expires_and_is_rejected(office: Office) -> None:
    number = await office.gate(occurred_at=datetime.now(UTC) - timedelta(hours=4) + timedelta(seconds=2))
    await office.clicks(number, "bo")

    async def is_over() -> bool:
        return bool((await office.show(number))["status"] != "pending")

    await until(is_over, timeout_s=10, what="it did not expire")
    callback = await office.callback()

    assert callback["state"] == "rejected"
    assert "nobody decided in time" in callback["comment"]
    assert (await office.show(number))["status"] == "expired"
    assert ApprovalExpired in kinds(await office.said())
    late = await office.vote(number, "cy")
    assert (late.status_code, late.json()["approval_status"]) == (409, "expired")


HELD_GATES = [
    "origin replay does not act",
    "origin backfill does not act",
    "origin demo does not act",
    "its deadline passed before it reached us",
    "the callback has another scheme than the configured API's",
    "the callback has another path than the configured API's",
    "without an installation of the App there is no way to answer",
    "gates of gitlab are not answered without GITLAB_TOKEN",
    "the repository's name is not owner/name",
    "the environment's name can't be one of a platform's",
    "nobody is named as requester, so nobody can be excluded",
]


async def test_gate_that_must_not_or_cannot_be_answered_asks_nobody(office: Office) -> None:
    gate = office.gate_event().gate
    assert gate
    old = datetime.now(UTC) - timedelta(hours=5)
    elsewhere = msgspec.structs.replace(gate, callback_url="https://evil.example" + gate.callback_url[21:])
    other_run = msgspec.structs.replace(gate, run_id="2")
    await office.publish(
        office.gate_event(origin="replay"),
        office.gate_event(origin="backfill"),
        office.gate_event(origin="demo"),
        office.gate_event(occurred_at=old),
        office.gate_event(gate=elsewhere),
        office.gate_event(gate=other_run),
        office.gate_event(gate=msgspec.structs.replace(gate, installation_id="../1")),
        office.gate_event(source="gitlab"),
        office.gate_event(repository="acme/../evil"),
        office.gate_event(environment="prod\x00uction"),
        office.gate_event(creator="", actor=""),
        office.gate_event(gate=None),
    )
    await office.settled()

    assert sorted(await office.held()) == sorted(HELD_GATES)
    assert await office.line.count("approvals.approval") == 0


async def test_click_on_what_somebody_may_not_see_is_answered_as_if_there_were_none(office: Office) -> None:
    gate = Gate(run_id="77", callback_url="", installation_id=INSTALLATION)
    number = await office.gate(repository="acme/vault", gate=gate)

    await office.clicks(number, "eve")
    await office.clicks(number, "di")

    told = await office.replies()
    assert told[0] == f"Nothing happened: there is no approval #{number}."
    assert "is not in the group" in told[1]


async def test_delegation_from_slack_votes_as_one_of_any_other_door(office: Office) -> None:
    number = await office.gate()

    for person, text in (
        ("bo", "delegate <@U0DI|di> 3d"),
        ("bo", "delegate @di 31d"),
        ("bo", "delegate <@U0NOBODY> 1d"),
        ("U0STRANGER", "delegate @di 1d"),
    ):
        await office.publish(office.command(person, text))
        await office.settled()
    await office.clicks(number, "di", "cy")

    told = await office.replies()
    assert told[0].startswith("di votes for you until ") and told[0].endswith("em approvals undelegate 1")
    assert told[1:4] == [
        "Nothing happened: it may last 30 days at most.",
        "Nothing happened: who shall vote for you is no person in the catalog.",
        STRANGER,
    ]
    shown = await office.show(number)
    assert (shown["decision"], [vote["on_behalf_of"] for vote in shown["votes"]]) == ("approved", [["bo"], []])


async def test_same_gate_twice_is_one_approval(office: Office) -> None:
    first = office.gate_event()
    again = msgspec.structs.replace(first, id=str(uuid4()))
    rerun = msgspec.structs.replace(first, id=str(uuid4()), deployment_id="rerun")

    await office.publish(first, again, rerun, again)
    await office.settled()

    assert await office.line.count("approvals.approval") == 2


async def test_api_votes_once_per_key_and_says_how_it_ended(office: Office) -> None:
    number = await office.gate()

    first = await office.vote(number, "bo", **{"Idempotency-Key": "k1"})
    again = await office.vote(number, "bo", **{"Idempotency-Key": "k1"})
    other = await office.vote(number, "bo", "reject", **{"Idempotency-Key": "k1"})
    requester = await office.vote(number, "ana")
    nobody = await office.vote(number, "zoe")
    viewer = await office.line.http.post(
        office.line.url(APPROVALS_SVC, f"/v1/approvals/{number}/decision"),
        json={"decision": "approve"},
        headers=office.token("cy", "viewer"),
    )
    second = await office.vote(number, "cy")
    late = await office.vote(number, "cy")
    replayed = await office.vote(number, "bo", **{"Idempotency-Key": "k1"})

    assert (first.json()["replayed"], again.json()["replayed"], first.json()["missing"]) == (False, True, 1)
    assert (other.status_code, requester.status_code, nobody.status_code, viewer.status_code) == (422, 403, 403, 403)
    assert second.json()["status"] == "approved"
    assert (late.status_code, late.json()["decision"], late.json()["decided_by"]) == (409, "approved", ["bo", "cy"])
    assert replayed.json() == {**first.json(), "replayed": True}
    assert (await office.vote(4242, "bo")).status_code == 404


async def test_votes_on_several_are_decided_each_for_itself(office: Office) -> None:
    first, own, third = [await office.gate(environment=e) for e in ("staging", "staging", "production")]
    await office.vote(own, "cy")
    url = office.line.url(APPROVALS_SVC, "/v1/approvals/batch-decision")
    body = {"items": [{"approval": number, "decision": "approve"} for number in (first, own, 4242, third)]}
    headers = {**office.token("bo"), "Idempotency-Key": "monday"}

    answer = await office.line.http.post(url, json=body, headers=headers)
    again = await office.line.http.post(url, json=body, headers=headers)

    items = answer.json()["items"]
    found = [(item["approval"], item["status"]) for item in items]
    assert found == [(first, 200), (own, 409), (4242, 404), (third, 200)]
    assert [items[0]["answer"]["status"], items[3]["answer"]["status"]] == ["approved", "pending"]
    assert (items[1]["type"], items[1]["decision"]) == ("/problems/decided", "approved")
    assert [item["answer"]["replayed"] for item in again.json()["items"] if "answer" in item] == [True, True]
    assert [vote["person"] for vote in (await office.show(third))["votes"]] == ["bo"]
    too_many = {"items": [{"approval": first, "decision": "approve"}] * 101}
    assert (await office.line.http.post(url, json=too_many, headers=headers)).status_code == 422


async def test_without_configuration_nobody_votes_and_decisions_wait(
    nats_url: str, database_url: str, prefix: str, tmp_path: Path
) -> None:
    (tmp_path / "catalog.yaml").write_text(CATALOG)
    environment = {"CATALOG_PATH": str(tmp_path / "catalog.yaml")}
    async with (
        open_line(
            nats_url=nats_url, database_url=database_url, prefix=prefix, directory=tmp_path, environment=environment
        ) as line,
        httpx.AsyncClient() as unused,
    ):
        await line.start(APPROVALS_SVC)
        office = Office(line, "https://api.github.com", unused)
        await office.publish(office.gate_event(), office.gate_event())
        await office.settled()

        anonymous = await office.vote(1, "di")
        await office.clicks(1, "ana")
        await office.clicks(1, "di")
        health = (await line.http.get(line.url(APPROVALS_SVC, "/health"))).json()

        assert (anonymous.status_code, anonymous.json()["type"]) == (403, "/problems/anonymous")
        shown = await office.show(1)
        assert (shown["requirement"]["rule"], shown["status"]) == ("default", "approved")
        assert [(effect["state"], effect["attempts"]) for effect in shown["effects"]] == [("pending", 0)]
        assert health["integrations"]["github"].startswith("not configured: set GITHUB_APP_ID")


async def test_service_can_not_rewrite_the_audit(office: Office) -> None:
    await office.gate()

    for statement in ("UPDATE approvals.audit SET verb = 'x'", "DELETE FROM approvals.audit"):
        with pytest.raises(asyncpg.RaiseError, match="append-only"):
            await office.line.fetch(statement)


async def test_decision_is_counted_by_one_replica(office: Office, replicas: list[Office]) -> None:
    async def counted() -> float:
        return sum([await replica.metric('approvals_decisions_total{status="approved"}') for replica in replicas])

    before = await counted()
    number = await office.gate(environment="staging")
    await office.clicks(number, "bo", "cy")

    async def is_counted() -> bool:
        return await counted() > before

    await until(is_counted, timeout_s=5, what="the decision was not counted")
    await asyncio.sleep(1.2)  # the other replica looks once a second
    assert await counted() == before + 1


async def test_audit_is_read_in_pages_by_operators(office: Office) -> None:
    numbers = [await office.gate(environment="staging") for _ in range(2)]
    for number in numbers:
        await office.vote(number, "bo")
    await office.callbacks()

    async def read(role: str, **query: Any) -> httpx.Response:
        url = office.line.url(APPROVALS_SVC, "/v1/audit")
        return await office.line.http.get(url, params=query, headers=office.token("ana", role))

    pages, after = [], ""
    while page := (answer := (await read("operator", limit=3, after=after)).json())["items"]:
        pages.append(page)
        after = answer["next"]
    rows = [row for page in pages for row in page]
    one = (await read("admin", approval=numbers[1])).json()["items"]
    since = (await read("admin", since=rows[5]["at"])).json()["items"]

    assert [len(page) for page in pages] == [3, 3, 3, 1]
    assert [row["at"] for row in rows] == sorted(row["at"] for row in rows)
    assert [row["verb"] for row in one] == ["requested", "approve", "decided", "claimed", "executed"]
    assert since == [row for row in rows if row["at"] >= rows[5]["at"]]
    for row in rows:
        covered = {name: row[name] for name in row if name not in ("public_id", "prev_hash", "hash")}
        text = json.dumps(covered, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
        assert hashlib.sha256(bytes.fromhex(row["prev_hash"]) + text.encode()).hexdigest() == row["hash"]
    assert (await read("viewer")).status_code == 403
    assert {(await read("admin", after=bad)).status_code for bad in ("x", "2026-01-01T00:00:00Z_1_x", "a_b_c")} == {422}


async def test_operator_verifies_exports_and_looks_from_a_shell(office: Office) -> None:
    number = await office.gate(environment="staging")
    await office.clicks(number, "bo")
    await office.callback()
    await office.line.fetch("UPDATE approvals.approval SET created_at = created_at - interval '1 hour'")

    async def is_anchored() -> bool:
        return any(isinstance(event, ApprovalAnchored) for event in await office.said())

    await until(is_anchored, timeout_s=30, what="no replica set an anchor")
    url = office.line.url(APPROVALS_SVC, "/v1/audit/anchors")
    [anchor] = (await office.line.http.get(url, headers=office.token("ana", "viewer"))).json()["items"]

    whole = await em_json(office.line, "approvals", "verify")
    _, listed = await em(office.line, "approvals", "list", "--status", "executed")
    _, shown = await em(office.line, "approvals", "show", str(number))
    _, exported = await em(office.line, "approvals", "export", "--id", str(number))
    # No replica sets the next one at once, which would be a first one again.
    await office.line.fetch("UPDATE approvals.approval SET created_at = created_at + interval '1 hour'")
    await office.line.fetch("TRUNCATE approvals.anchor, approvals.anchored")
    code, text = await em(office.line, "approvals", "verify")
    offline, _ = await em(office.line, "approvals", "verify", "--offline")

    assert whole == {"rows": 5, "chains": 1, "anchors": 1, "problem": "", "whole": True}
    assert anchor["approvals"] == 1
    assert f"#{number}" in listed
    assert "approve" in shown
    assert [json.loads(line)["seq"] for line in exported.splitlines()] == [1, 2, 3, 4, 5]
    assert (code, offline) == (1, 0)
    assert "anchor 1 is gone: it was published" in text


def _resigned(click: ChatAction, *, body: bytes) -> ChatAction:
    """A good signature of one body put under another."""
    signed = msgspec.structs.replace(click.signed, body=body)
    return msgspec.structs.replace(click, signed=signed)


def _trigger(click: ChatAction) -> str:
    payload: dict[str, Any] = json.loads(httpx.QueryParams(click.signed.body.decode())["payload"])
    return str(payload["trigger_id"])
