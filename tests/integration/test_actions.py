"""Actions: proposed over HTTP, let through or voted on, and carried out at GitHub's counterpart exactly once."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from uuid import uuid4

import asyncpg
import httpx
import pytest

from approvals_svc.actions import KINDS
from shared.contracts.services import APPROVALS_SVC
from tests.office import Office
from tests.waiting import until

REPOSITORY = "acme/web"
ENDED = ("done", "dead", "withdrawn")


class Actions:
    """Proposals of ana's, about one pull request at GitHub; others vote."""

    def __init__(self, office: Office, number: int) -> None:
        self.office = office
        self.number = number

    async def propose(
        self, action: str, person: str = "ana", *, role: str = "approver", key: str = "", **payload: Any
    ) -> httpx.Response:
        body = {"subject": "web", "action": action, "reason": "it is time", "payload": self.payload(action, **payload)}
        return await self.post("/v1/approvals/propose", body, person, role=role, key=key)

    async def post(
        self, path: str, body: Any, person: str = "ana", *, role: str = "approver", key: str = ""
    ) -> httpx.Response:
        headers = {**self.office.token(person, role), **({"Idempotency-Key": key} if key else {})}
        return await self.office.line.http.post(self.office.line.url(APPROVALS_SVC, path), json=body, headers=headers)

    async def get(self, path: str, person: str = "ana", **query: Any) -> Any:
        url = self.office.line.url(APPROVALS_SVC, path)
        answer = await self.office.line.http.get(url, params=query, headers=self.office.token(person, "viewer"))
        assert answer.status_code == 200, answer.text
        return answer.json()

    def payload(self, action: str, **changed: Any) -> dict[str, Any]:
        on_change = {"repository": REPOSITORY, "number": self.number}
        fitting: dict[str, dict[str, Any]] = {
            "comment_summary": {**on_change, "text": "Ready?\n\nIt waits."},
            "label": {**on_change, "label": "stale"},
            "assign_reviewer": {**on_change, "reviewer": "bo-l"},
            "issue_create": {"repository": REPOSITORY, "title": "Too much at once", "text": "Six of five."},
        }
        return {**fitting.get(action, {}), **changed}

    async def agreed(self, action: str, **payload: Any) -> int:
        """Proposed by ana, agreed to by bo; the approval's number."""
        answer = await self.propose(action, **payload)
        assert answer.status_code == 201, answer.text
        number = int(answer.json()["action_id"])
        assert (await self.office.vote(number, "bo")).status_code == 200
        return number

    async def ended(self, number: int, *, timeout_s: float = 30) -> str:
        """The approval's status once nothing is left to do for it."""

        async def has_ended() -> bool:
            rows = await self.office.line.fetch("SELECT state FROM approvals.effect WHERE approval_id = $1", number)
            return all(row["state"] in ENDED for row in rows)

        await until(has_ended, timeout_s=timeout_s, what=f"#{number} is not carried out")
        return str((await self.office.show(number))["status"])

    async def threads(self) -> list[dict[str, Any]]:
        return list((await self.office.control.get("/github/threads")).json())

    async def thread(self) -> dict[str, Any]:
        known = await self.threads()
        return next(each for each in known if (each["repository"], each["number"]) == (REPOSITORY, self.number))

    async def done(self, action: str) -> list[str]:
        """What stands at GitHub because of it, every time that it was done."""
        thread = await self.thread()
        match action:
            case "comment_summary":
                return [comment["body"] for comment in thread["comments"]]
            case "label":
                return list(thread["labels"])
            case "assign_reviewer":
                return list(thread["asked"])
            case _:
                return [each["title"] for each in await self.threads() if each["by_bot"]]


@pytest.fixture
async def actions(office: Office) -> Actions:
    await office.control.post("/reset")
    thread = (await office.control.post("/github/threads", json={"repository": REPOSITORY})).json()
    return Actions(office, thread["number"])


AT_GITHUB = [kind for kind in KINDS if kind in ("comment_summary", "label", "assign_reviewer", "issue_create")]


@pytest.mark.parametrize("action", AT_GITHUB)
async def test_what_people_agree_to_is_carried_out_once_and_told(actions: Actions, action: str) -> None:
    number = await actions.agreed(action)

    assert await actions.ended(number) == "executed"
    assert len(await actions.done(action)) == 1
    shown = await actions.office.show(number)
    assert shown["payload"] == actions.payload(action)
    assert (shown["requested_by"], shown["reason"]) == ("ana", "it is time")
    assert [entry["verb"] for entry in shown["audit"]] == ["requested", "approve", "decided", "claimed", "executed"]
    assert (shown["audit"][0]["person"], shown["audit"][0]["surface"]) == ("ana", "api")


@pytest.mark.parametrize("action", AT_GITHUB)
async def test_what_is_declined_does_nothing(actions: Actions, action: str) -> None:
    number = (await actions.propose(action)).json()["action_id"]

    answer = await actions.office.vote(number, "bo", "decline")

    assert (answer.json()["status"], answer.json().get("job_id")) == ("rejected", None)
    assert await actions.ended(number) == "rejected"
    assert await actions.done(action) == []


async def test_rule_lets_through_and_another_denies(actions: Actions) -> None:
    await actions.office.control.post("/github/threads", json={"repository": "acme/checkout"})

    let = (await actions.propose("label", repository="acme/checkout", number=1)).json()
    denied = (await actions.propose("issue_create", repository="acme/vault")).json()

    assert (let["status"], denied["status"], denied["job_id"]) == ("auto_approved", "rejected", None)
    assert await actions.ended(let["action_id"]) == "executed"
    job = await actions.get(f"/v1/workflows/jobs/{let['job_id']}")
    assert (job["status"], job["action"], job["result"]) == ("done", "label", "labelled")
    assert not [each for each in await actions.threads() if each["by_bot"]]


async def test_who_proposes_does_not_decide_and_viewers_do_not_propose(actions: Actions) -> None:
    number = (await actions.propose("label")).json()["action_id"]

    refused = await actions.office.vote(number, "ana")
    viewer = await actions.propose("label", role="viewer")
    stranger = await actions.propose("label", "nobody")

    assert (refused.status_code, refused.json()["type"]) == (403, "/problems/not-eligible")
    assert (viewer.status_code, viewer.json()["type"]) == (403, "/problems/forbidden")
    assert (stranger.status_code, stranger.json()["type"]) == (403, "/problems/not-a-person")


@pytest.mark.parametrize(
    ("action", "payload", "fields"),
    [
        ("label", {"repository": "acme/web/../vault"}, {"payload.repository"}),
        ("label", {"repository": "acme/.."}, {"payload.repository"}),
        ("label", {"repository": "https://evil.example/acme/web"}, {"payload.repository"}),
        ("label", {"number": "1/../2", "label": ""}, {"payload.number", "payload.label"}),
        ("label", {"number": True}, {"payload.number"}),
        ("label", {"number": 0, "colour": "red"}, {"payload.number", "payload.colour"}),
        ("assign_reviewer", {"reviewer": "bo-l/../x"}, {"payload.reviewer"}),
        ("comment_summary", {"text": "\x00\x07"}, {"payload.text"}),
        ("comment_summary", {"text": "a" * 4001}, {"payload.text"}),
        ("issue_create", {"title": "a" * 257}, {"payload.title"}),
        ("free", {"text": "a\x00b"}, {"payload"}),
        ("free", {"text": "a" * 20_000}, {"payload"}),
    ],
)
async def test_payload_that_does_not_fit_is_refused_with_its_fields(
    actions: Actions, action: str, payload: dict[str, Any], fields: set[str]
) -> None:
    answer = await actions.propose(action, **payload)

    assert (answer.status_code, answer.json()["type"]) == (422, "/problems/invalid-request")
    assert {each["field"] for each in answer.json()["fields"]} == fields
    assert not await actions.office.line.count("approvals.approval")


async def test_repository_that_no_installation_sees_is_refused(actions: Actions) -> None:
    await actions.office.control.post("/github/settings", json={"installations": {"99": ["acme/checkout"]}})

    answer = await actions.propose("label", repository="acme/elsewhere")

    assert answer.status_code == 422
    assert answer.json()["fields"] == [
        {"field": "payload.repository", "problem": "the App is not installed on acme/elsewhere"}
    ]


async def test_same_key_is_the_same_proposal_and_nothing_else(actions: Actions, replicas: list[Office]) -> None:
    key = str(uuid4())
    elsewhere = Actions(replicas[1], actions.number)

    first = await asyncio.gather(*(each.propose("label", key=key) for each in (actions, elsewhere) * 5))
    other = await actions.propose("label", key=key, label="other")
    of_somebody_else = await actions.propose("label", "bo", key=key)

    assert {answer.status_code for answer in first} == {201}
    assert len({answer.json()["action_id"] for answer in first}) == 1
    assert sum(not answer.json()["replayed"] for answer in first) == 1
    assert (other.status_code, other.json()["type"]) == (422, "/problems/idempotency-key-reused")
    assert of_somebody_else.json()["action_id"] != first[0].json()["action_id"]


async def test_action_that_is_not_ours_is_put_to_people_and_left_to_others(actions: Actions) -> None:
    """Though a rule lets tidying through: nothing but the proposal's word says that it is that."""
    asked = (await actions.propose("tidy", repository="acme/checkout", what=["anything", {"of": 1.5}])).json()

    await actions.office.vote(asked["action_id"], "bo")

    shown = await actions.office.show(asked["action_id"])
    assert (shown["status"], shown["effects"]) == ("approved", [])
    assert shown["payload"] == {"repository": "acme/checkout", "what": ["anything", {"of": 1.5}]}


async def test_a_proposal_may_say_how_risky_it_is(actions: Actions) -> None:
    body = {"subject": "web", "action": "gamble", "risk": "reckless"}

    denied = await actions.post("/v1/approvals/propose", body)
    asked = await actions.post("/v1/approvals/propose", {**body, "risk": "low"})

    assert (denied.json()["status"], asked.json()["status"]) == ("rejected", "pending")


NOTHING_BEGINS = (
    "ALTER TABLE approvals.effect ALTER COLUMN next_at SET DEFAULT 'infinity'",
    "ALTER TABLE approvals.effect ALTER COLUMN next_at SET DEFAULT now()",
)


async def test_revoked_before_it_began_nothing_happens(actions: Actions) -> None:
    number = (await actions.propose("label")).json()["action_id"]
    async with _altered(actions.office, *NOTHING_BEGINS):
        await actions.office.vote(number, "bo")
        answer = await actions.post(f"/v1/approvals/{number}/revoke", {}, "bo")

    assert (answer.status_code, answer.json()["status"]) == (200, "revoked")
    await actions.office.line.fetch("UPDATE approvals.effect SET next_at = now()")
    assert await actions.ended(number) == "revoked"
    assert await actions.done("label") == []
    [job] = (await actions.get("/v1/workflows/jobs"))["items"]
    assert (job["status"], job["result"]) == ("cancelled", "revoked")


FAULTS: dict[str, dict[str, Any]] = {
    "drop_before": {},
    "drop_after": {},
    "late": {"after_s": 3},  # it takes effect when nobody waits for the answer any more
    "server_error": {"status": 502},
    "rate_limited": {"retry_after": "1"},
}


async def test_every_fault_of_github_leaves_everything_done_once(actions: Actions) -> None:
    """Each kind of action under each fault, all at once."""
    asked = [(action, fault, number) for number, fault in enumerate(FAULTS, start=2) for action in AT_GITHUB]
    for fault in FAULTS:
        thread = (await actions.office.control.post("/github/threads", json={"repository": REPOSITORY})).json()
        for path in (f"issues/{thread['number']}/*", f"pulls/{thread['number']}/*"):
            await actions.office.break_github(kind=fault, method=f"POST /repos/acme/web/{path}", nth=1, **FAULTS[fault])
        await actions.office.break_github(kind=fault, method=f"POST /repos/acme/{fault}/issues", nth=1, **FAULTS[fault])

    numbers = [
        await Actions(actions.office, number).agreed(
            action, **({"repository": f"acme/{fault}"} if action == "issue_create" else {})
        )
        for action, fault, number in asked
    ]

    ends = [await actions.ended(number, timeout_s=60) for number in numbers]
    assert ends == ["executed"] * len(asked)
    for action, fault, number in asked:
        if action != "issue_create":
            assert len(await Actions(actions.office, number).done(action)) == 1, (action, fault)
    opened = [thread["repository"] for thread in await actions.threads() if thread["by_bot"]]
    assert sorted(opened) == sorted(f"acme/{fault}" for fault in FAULTS)
    assert (await actions.office.control.get("/faults")).json()["never_bit"] == []


async def test_pull_request_that_is_not_there_ends_dead_and_is_told(actions: Actions) -> None:
    number = await actions.agreed("comment_summary", number=4711)

    assert await actions.ended(number) == "dead"
    [job] = (await actions.get("/v1/workflows/jobs"))["items"]
    assert (job["status"], job["result"], job["attempts"]) == ("failed", "answer 404", 1)


async def test_what_is_there_already_is_not_done_again(actions: Actions) -> None:
    """Who reviewed after being asked is not among the asked any more: a repeated try must not ask again."""
    first = await actions.agreed("label")
    await actions.ended(first)
    again = await actions.agreed("label", label="STALE")
    await actions.office.break_github(kind="drop_after", method="POST */requested_reviewers", nth=1)
    asked = await actions.agreed("assign_reviewer")
    review = {"repository": REPOSITORY, "number": actions.number, "reviewer": "bo-l"}
    await until(lambda: _is_asked(actions), timeout_s=10, what="nobody was asked")
    await actions.office.control.post("/github/reviews", json=review)

    assert [await actions.ended(number) for number in (again, asked)] == ["executed"] * 2
    assert (await actions.thread())["labels"] == ["stale"]
    assert (await actions.thread())["asked"] == ["bo-l"]


async def _is_asked(actions: Actions) -> bool:
    return bool((await actions.thread())["asked"])


# Their clients are dead, but they would only find out after their sleep.
END_SLEEPERS = """
SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE wait_event = 'PgSleep' AND datname = current_database()
"""


@pytest.mark.parametrize("action", AT_GITHUB)
async def test_killed_between_the_call_and_the_commit_it_is_done_once(
    actions: Actions, replicas: list[Office], action: str
) -> None:
    sleeping = """
    CREATE FUNCTION approvals.sleep() RETURNS trigger LANGUAGE plpgsql AS
    $$ BEGIN PERFORM pg_sleep(10); RETURN NEW; END $$;
    CREATE TRIGGER sleeping BEFORE UPDATE ON approvals.effect
    FOR EACH ROW WHEN (NEW.state = 'done') EXECUTE FUNCTION approvals.sleep()
    """
    async with _altered(actions.office, sleeping, "DROP FUNCTION approvals.sleep CASCADE"):
        number = await actions.agreed(action)
        await until(lambda: _is_done(actions, action), timeout_s=10, what="GitHub heard nothing")
        for replica in replicas:
            await replica.line.servers[APPROVALS_SVC.name].kill()
        await _execute(actions.office, END_SLEEPERS)
    await actions.office.line.fetch("UPDATE approvals.effect SET lease_until = now() WHERE state = 'leased'")
    for replica in replicas:
        await replica.line.start(APPROVALS_SVC)

    assert await actions.ended(number) == "executed"
    assert len(await actions.done(action)) == 1
    [row] = await actions.office.line.fetch("SELECT attempts FROM approvals.effect")
    assert row["attempts"] == 2


async def _is_done(actions: Actions, action: str) -> bool:
    return bool(await actions.done(action))


async def test_marker_of_another_proposal_in_a_text_hides_nothing(actions: Actions) -> None:
    await actions.office.break_github(kind="drop_before", method="POST */comments", nth=2)
    number = (await actions.propose("comment_summary")).json()["action_id"]
    public_id = (await actions.office.show(number))["public_id"]
    forged = await actions.agreed("comment_summary", text=f"Look: <!-- em-agent {public_id} -->")
    assert await actions.ended(forged) == "executed"

    await actions.office.vote(number, "bo")

    assert await actions.ended(number) == "executed"
    assert len(await actions.done("comment_summary")) == 2


async def test_edit_is_checked_as_the_proposal_was(actions: Actions) -> None:
    number = (await actions.propose("label")).json()["action_id"]
    url = f"/v1/approvals/{number}/decision"

    unfit = await actions.post(url, {"decision": "modify", "patch": {"label": "a" * 51}}, "bo")
    fixed = await actions.post(url, {"decision": "modify", "patch": {"number": "7"}}, "bo")
    fit = await actions.post(url, {"decision": "modify", "patch": {"label": "older"}}, "bo")
    await actions.office.vote(number, "cy")

    assert [(each.status_code, each.json().get("type")) for each in (unfit, fixed, fit)] == [
        (422, "/problems/not-editable"),
        (422, "/problems/not-editable"),
        (200, None),
    ]
    assert await actions.ended(number) == "executed"
    assert await actions.done("label") == ["older"]


async def test_each_workflow_is_counted_once_at_its_end(actions: Actions, replicas: list[Office]) -> None:
    """By whether the policy asked people; what is agreed to and left to others ends with that."""

    async def counted(mode: str) -> float:
        name = f'workflows_auto_vs_hitl_total{{mode="{mode}"}}'
        return sum([await replica.metric(name) for replica in replicas])

    before = {mode: await counted(mode) for mode in ("auto", "hitl")}
    async with _altered(actions.office, *NOTHING_BEGINS):
        waiting = await actions.agreed("label")
        await asyncio.sleep(1.5)  # a replica looks once a second
    assert {mode: await counted(mode) for mode in before} == before
    await actions.office.line.fetch("UPDATE approvals.effect SET next_at = now()")
    await actions.office.control.post("/github/threads", json={"repository": "acme/checkout"})
    let = (await actions.propose("label", repository="acme/checkout", number=1)).json()["action_id"]
    denied = (await actions.propose("issue_create", repository="acme/vault")).json()["action_id"]
    done, dead = await actions.agreed("label"), await actions.agreed("comment_summary", number=4711)
    declined = (await actions.propose("label")).json()["action_id"]
    await actions.office.vote(declined, "bo", "decline")
    free = (await actions.propose("tidy")).json()["action_id"]
    await actions.office.vote(free, "bo")
    await actions.post(f"/v1/approvals/{free}/revoke", {}, "bo")
    await actions.propose("label")  # which waits still
    statuses = [await actions.ended(number) for number in (waiting, let, denied, done, dead, declined, free)]

    async def is_counted() -> bool:
        return await counted("auto") + await counted("hitl") >= sum(before.values()) + 7

    await until(is_counted, timeout_s=10, what="not all are counted")
    await asyncio.sleep(1.5)
    assert statuses == ["executed", "executed", "rejected", "executed", "dead", "rejected", "revoked"]
    assert {mode: await counted(mode) - before[mode] for mode in before} == {"auto": 2, "hitl": 5}


async def test_list_is_filtered_and_paged(actions: Actions) -> None:
    ours = [(await actions.propose("label", label=f"l{n}")).json()["action_id"] for n in range(3)]
    other = (await actions.propose("issue_create", "bo")).json()["action_id"]
    await actions.office.vote(ours[0], "bo")
    await actions.ended(ours[0])

    async def found(person: str = "ana", **query: Any) -> list[int]:
        listed = await actions.get("/v1/approvals", person, **query)
        return [item["id"] for item in listed["items"]]

    assert await found(action="label") == ours[::-1]
    assert await found(requested_by="bo") == [other]
    assert await found(service="web", status="pending", subject="web") == [other, *ours[:0:-1]]
    assert await found(service="nothing") == await found(label="risky") == []
    assert await found(after=ours[1]) == [other, ours[2]]
    assert await found("bo", can_approve="me") == ours[:0:-1]
    assert await found("ana", can_approve="me") == [other]
    page = await actions.get("/v1/approvals", "bo", can_approve="me", limit=1)
    assert [item["id"] for item in page["items"]] == [ours[2]]
    assert await found("bo", can_approve="me", limit=1, before=page["next"]) == [ours[1]]
    legacy = await actions.get("/v1/approvals", action="label", format="legacy")
    assert set(legacy[0]) == {"id", "subject", "action", "status", "reason", "created_at", "decided_at"}
    assert [each["status"] for each in legacy] == ["pending", "pending", "executed"]


@asynccontextmanager
async def _altered(office: Office, before: str, after: str) -> AsyncIterator[None]:
    await _execute(office, before)
    try:
        yield
    finally:
        await _execute(office, after)


async def _execute(office: Office, script: str) -> None:
    connection = await asyncpg.connect(office.line.database_url)
    try:
        await connection.execute(script)
    finally:
        await connection.close()
