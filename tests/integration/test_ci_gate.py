"""The generic gate: a run of any CI asks, people decide, and the run collects what they decided, once."""

import asyncio
from typing import Any

import aiohttp
import httpx
import pytest

from shared.contracts.events import ApprovalDecided, ApprovalExecuted, ApprovalRequested, ApprovalVoted
from shared.contracts.services import APPROVALS_SVC
from tests.office import Office
from tests.runs import SHA, build, github_run, gitlab_run, machine
from tests.waiting import until

OTHER_SHA = "beef" * 10


async def approve(office: Office, number: int, *people: str) -> None:
    for person in people or ("bo", "cy"):
        assert (await office.vote(number, person)).status_code == 200


# ---- from the question to the answer -------------------------------------------------------------------------------


async def test_run_asks_people_agree_and_it_collects_a_yes(office: Office) -> None:
    run = await github_run(office)
    asked = await run.ask({"callback": "ci", "url": "https://ci.acme.example/7"})
    number = asked.json()["id"]
    before = await run.wait(number)

    await approve(office, number)
    after = await run.wait(number)

    assert (asked.status_code, asked.headers["location"]) == (201, f"/v1/approvals/{number}/wait")
    assert {name: asked.json()[name] for name in ("status", "repository", "environment", "sha", "wait")} == {
        "status": "pending",
        "repository": "acme/checkout",
        "environment": "production",
        "sha": SHA,
        "wait": f"/v1/approvals/{number}/wait",
    }
    assert (before.status_code, before.json()["missing"]) == (202, 2)
    assert (after.status_code, after.json()["status"]) == (200, "executed")
    assert after.json()["said"] == f"#{number} is approved: by bo, cy"
    await office.settled()
    kinds = [type(event) for event in await office.said()]
    assert kinds == [ApprovalRequested, ApprovalVoted, ApprovalVoted, ApprovalDecided, ApprovalExecuted]


async def test_caller_is_the_actor_of_what_is_asked_and_carried_out(office: Office) -> None:
    run = await gitlab_run(office)
    number = await run.asked()

    await approve(office, number)
    await run.wait(number)

    shown = await office.show(number)
    by_run = [(e["verb"], e["person"], e["identity"], e["surface"]) for e in shown["audit"] if e["surface"] != "api"]
    assert by_run == [(verb, "ana", "ana.k", "ci:gitlab") for verb in ("requested", "claimed", "executed")]
    assert [(e["effect_kind"], e["state"], e["result"]) for e in shown["effects"]] == [("ci_gate", "done", "collected")]


async def test_decline_is_a_no_with_its_reason(office: Office) -> None:
    run = await github_run(office)
    number = await run.asked()
    url = office.line.url(APPROVALS_SVC, f"/v1/approvals/{number}/decision")
    declined = {"decision": "decline", "reason": "not before the sale"}
    await office.line.http.post(url, json=declined, headers=office.token("bo"))

    answer = await run.wait(number)

    assert (answer.status_code, answer.json()["type"]) == (403, "/problems/not-approved")
    assert answer.json()["detail"] == f"#{number} is rejected: by bo: not before the sale"
    assert answer.json()["approval_status"] == "rejected"


async def test_waiting_with_the_question_answers_like_the_wait(office: Office) -> None:
    run = await github_run(office)
    not_yet = await run.ask(wait_s=1)

    await approve(office, not_yet.json()["id"])
    go = await run.ask(wait_s=1)

    assert (not_yet.status_code, go.status_code) == (202, 200)
    assert go.json()["id"] == not_yet.json()["id"]


@pytest.mark.parametrize(("environment", "status"), [("preview", 200), ("elsewhere", 403)], ids=["auto", "deny"])
async def test_policy_may_answer_at_once(office: Office, environment: str, status: int) -> None:
    run = await github_run(office, environment=environment)

    answer = await run.ask(wait_s=1)

    assert answer.status_code == status


async def test_what_is_said_of_the_risk_is_the_policys_to_judge_and_shown_to_those_who_decide(office: Office) -> None:
    run = await github_run(office, environment="canary")
    asked = await run.ask({"risk": "low"})
    worse = await run.ask({"risk": "Reckless"}, wait_s=1)
    await office.settled()

    assert (asked.status_code, worse.status_code) == (201, 403)
    assert worse.json()["id"] != asked.json()["id"]
    assert [event.risk for event in await office.said() if isinstance(event, ApprovalRequested)] == ["low"]


# ---- the same question ---------------------------------------------------------------------------------------------


async def test_retry_of_a_run_is_the_same_approval_and_takes_no_number(office: Office, replicas: list[Office]) -> None:
    run = await github_run(office)

    answers = await asyncio.gather(*(run.at(replicas[n % 2]).ask() for n in range(20)))
    following = await (await github_run(office)).asked()

    assert len({answer.json()["id"] for answer in answers}) == 1
    assert {answer.status_code for answer in answers} == {201}
    again = [await run.ask() for _ in range(3)]
    assert {answer.json()["id"] for answer in again} == {answers[0].json()["id"]}
    assert await (await github_run(office)).asked() == following + 1


async def test_another_attempt_environment_or_key_is_another_approval(office: Office) -> None:
    first = await github_run(office)
    claims = {"run_id": "1", "environment": None}
    run = await github_run(office, **claims)
    attempt = await github_run(office, **claims, run_attempt="2")

    numbers = [
        await first.asked(),
        await run.asked(environment="production"),
        await run.asked(environment="staging"),
        await attempt.asked(environment="production"),
        int((await run.ask({"environment": "production"}, key="second")).json()["id"]),
    ]

    assert len(set(numbers)) == 5


async def test_same_build_with_another_commit_is_asked_anew_and_the_old_question_answers_so(office: Office) -> None:
    jenkins, said = machine(office), build()
    old = await jenkins.asked(**said)

    new = await jenkins.asked(**said | {"sha": OTHER_SHA})

    answer = await jenkins.wait(old)
    assert (answer.status_code, answer.json()["superseded_by"]) == (409, new)


async def test_yes_to_one_commit_is_none_to_another(office: Office) -> None:
    jenkins, said = machine(office), build()
    number = await jenkins.asked(**said)
    await approve(office, number)
    assert (await jenkins.wait(number)).status_code == 200

    answer = await jenkins.ask(said | {"sha": OTHER_SHA}, wait_s=1)

    assert (answer.status_code, answer.json()["type"]) == (409, "/problems/asked-otherwise")
    assert (await jenkins.ask(said, wait_s=1)).status_code == 200


# ---- who asks ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("field", ["repository", "environment", "requester", "sha", "ref", "run", "attempt"])
async def test_body_can_not_contradict_the_token(office: Office, field: str) -> None:
    run = await github_run(office)

    answer = await run.ask({field: OTHER_SHA})

    assert (answer.status_code, answer.json()["type"]) == (422, "/problems/contradicts-token")
    assert answer.json()["field"] == field
    assert await office.line.count("approvals.approval") == 0


@pytest.mark.parametrize("claim", ["sha", "actor", "run_id"])
async def test_run_has_nothing_but_its_environment_on_its_own_word(office: Office, claim: str) -> None:
    field = {"actor": "requester", "run_id": "run"}.get(claim, claim)
    run = await github_run(office, **{claim: None})

    assert (await run.ask()).json()["field"] == field
    assert (await run.ask({field: OTHER_SHA})).json()["type"] == "/problems/contradicts-token"


@pytest.mark.parametrize("login", ["ana-k", "bo-l"])
async def test_who_started_the_run_does_not_decide(office: Office, login: str) -> None:
    number = await (await github_run(office, actor=login)).asked()

    votes = {person: (await office.vote(number, person)).status_code for person in ("ana", "bo")}

    assert votes == {"ana": 403 if login == "ana-k" else 200, "bo": 403 if login == "bo-l" else 200}


@pytest.mark.parametrize(
    "claims",
    [
        {"repository": "evil/checkout"},
        {"aud": "somebody-else"},
        {"exp": 1_000_000_000},
        {"iss": "https://token.acme.example"},
    ],
    ids=["pattern", "audience", "expired", "issuer"],
)
async def test_S15_token_that_is_not_trusted_asks_nothing(office: Office, claims: dict[str, Any]) -> None:
    run = await github_run(office, **claims)

    assert (await run.ask()).status_code == 401
    assert await office.line.count("approvals.approval") == 0


async def test_other_repositories_do_not_see_it_and_other_runs_can_not_collect_it(office: Office) -> None:
    run = await github_run(office)
    number = await run.asked()
    await approve(office, number)
    others = {
        "repository": (await github_run(office, repository="acme/ledger"), 404),
        "platform": (await gitlab_run(office, project_path="acme/ledger"), 404),
        "machine": (machine(office), 404),
        "run": (await github_run(office), 403),
        "attempt": (
            await github_run(office, run_id=(await office.show(number))["payload"]["run_id"], run_attempt="2"),
            403,
        ),
        "sha": (await github_run(office, run_id=(await office.show(number))["payload"]["run_id"], sha=OTHER_SHA), 403),
    }

    answers = {name: (await other.wait(number)).status_code for name, (other, _) in others.items()}

    assert answers == {name: expected for name, (_, expected) in others.items()}
    assert (await office.show(number))["status"] == "approved"
    assert (await run.wait(number)).status_code == 200


async def test_gate_of_a_platform_is_not_collected_here(office: Office) -> None:
    number = await office.gate()

    assert (await (await github_run(office)).wait(number)).status_code == 404
    assert (await machine(office).wait(2**63)).status_code == 404


async def test_build_without_a_token_of_its_own_says_who_asks(office: Office) -> None:
    jenkins = machine(office)
    number = await jenkins.asked(**build(requester="ANA@acme.example"))

    by_ana = await office.vote(number, "ana")
    await approve(office, number)

    assert (by_ana.status_code, (await jenkins.wait(number)).status_code) == (403, 200)
    shown = await office.show(number)
    assert [(e["verb"], e["identity"], e["surface"]) for e in shown["audit"] if e["surface"] != "api"] == [
        (verb, "jenkins", "ci") for verb in ("requested", "claimed", "executed")
    ]
    assert (await machine(office, "another").wait(number)).status_code == 404


async def test_person_who_asks_with_their_own_token_does_not_decide(office: Office) -> None:
    number = await machine(office, "bo").asked(**build())

    assert [(await office.vote(number, person)).status_code for person in ("ana", "bo", "cy")] == [403, 403, 200]


async def test_bot_may_ask_and_excludes_nobody(office: Office) -> None:
    number = await machine(office).asked(**build(requester="argocd"))

    await approve(office, number, "ana", "bo")

    assert (await machine(office).wait(number)).status_code == 200


@pytest.mark.parametrize("field", ["repository", "environment", "sha", "requester", "run"])
async def test_build_has_to_name_everything(office: Office, field: str) -> None:
    said = {name: value for name, value in build().items() if name != field}

    answer = await machine(office).ask(said)

    assert (answer.status_code, answer.json()["field"]) == (422, field)


@pytest.mark.parametrize(
    ("changed", "field", "kind"),
    [
        ({"requester": "nobody"}, "requester", "unknown-requester"),
        ({"callback": "elsewhere"}, "callback", "unknown-callback"),
        ({"callback": "https://ci.acme.example/hooks"}, "callback", "unknown-callback"),
        ({"sha": "main"}, "sha", "invalid-request"),
        ({"environment": "pro\nduction"}, "environment", "invalid-request"),
        ({"repository": "x" * 256}, "repository", "invalid-request"),
        ({"url": "javascript:alert(1)"}, "url", "invalid-request"),
        ({"url": "https://ci.acme.example/\0"}, "url", "invalid-request"),
        ({"reason": "x" * 1001}, "reason", "invalid-request"),
        ({"risk": "x" * 41}, "risk", "invalid-request"),
    ],
)
async def test_what_is_wrong_is_named(office: Office, changed: dict[str, str], field: str, kind: str) -> None:
    answer = await machine(office).ask(build(**changed))

    told = answer.json()
    assert (answer.status_code, told["field"], told["type"]) == (422, field, f"/problems/{kind}")


@pytest.mark.parametrize(("role", "status"), [("viewer", 403), ("operator", 201), ("approver", 201)])
async def test_token_of_ours_needs_the_role_operator(office: Office, role: str, status: int) -> None:
    assert (await machine(office, role=role).ask(build())).status_code == status


@pytest.mark.parametrize(
    ("body", "status"), [(b"{", 422), (b"[]", 422), (b'{"enviroment":"x"}', 422), (b" " * 9000, 413), (b"\xff", 422)]
)
async def test_unreadable_body_is_refused(office: Office, body: bytes, status: int) -> None:
    url = office.line.url(APPROVALS_SVC, "/v1/approvals")

    answer = await office.line.http.post(url, content=body, headers=office.token("jenkins", "operator"))

    assert answer.status_code == status


# ---- collecting ----------------------------------------------------------------------------------------------------


async def test_yes_that_is_collected_at_once_everywhere_is_carried_out_once(
    office: Office, replicas: list[Office]
) -> None:
    run = await github_run(office)
    number = await run.asked()
    await approve(office, number)

    answers = await asyncio.gather(*(run.at(replicas[n % 2]).wait(number, 5) for n in range(40)))

    assert {answer.status_code for answer in answers} == {200}
    shown = await office.show(number)
    assert [entry["verb"] for entry in shown["audit"]].count("executed") == 1
    await office.settled()
    assert [type(event) for event in await office.said()].count(ApprovalExecuted) == 1


async def test_revoked_before_it_is_collected_the_run_hears_no(office: Office) -> None:
    run = await github_run(office)
    number = await run.asked()
    await approve(office, number)

    revoked = await end(office, number, "revoke")

    answer = await run.wait(number)
    assert (revoked.status_code, answer.status_code) == (200, 403)
    assert answer.json()["approval_status"] == "revoked"


async def test_revoked_after_it_is_collected_is_too_late(office: Office) -> None:
    run = await github_run(office)
    number = await run.asked()
    await approve(office, number)
    collected = await run.wait(number)

    revoked = await end(office, number, "revoke")

    assert (collected.status_code, revoked.status_code) == (200, 409)
    assert (await run.wait(number)).status_code == 200


async def test_revoke_against_collecting_has_one_winner(office: Office, replicas: list[Office]) -> None:
    for _ in range(10):
        run = await github_run(office)
        number = await run.asked()
        await approve(office, number)

        revoked, collected = await asyncio.gather(end(office, number, "revoke"), run.at(replicas[1]).wait(number))

        assert (revoked.status_code, collected.status_code) in [(200, 403), (409, 200)]


async def end(office: Office, number: int, verb: str) -> httpx.Response:
    url = office.line.url(APPROVALS_SVC, f"/v1/approvals/{number}/{verb}")
    return await office.line.http.post(url, json={"reason": "no"}, headers=office.token("bo"))


# ---- waiting -------------------------------------------------------------------------------------------------------


async def test_who_waits_is_woken_by_a_vote_on_another_replica(office: Office, replicas: list[Office]) -> None:
    run = (await github_run(office)).at(replicas[1])
    number = await run.asked()
    waiting = asyncio.create_task(run.wait(number, 50))
    await asyncio.sleep(0.5)

    await approve(office, number)

    async with asyncio.timeout(5):
        assert (await waiting).status_code == 200


async def test_thousand_who_wait_hold_no_connection_each(office: Office) -> None:
    run = await github_run(office)
    number = await run.asked()
    url = office.line.url(APPROVALS_SVC, f"/v1/approvals/{number}/wait?timeout_s=55")
    headers = {"Authorization": f"Bearer {run.given['token']}"}
    async with aiohttp.ClientSession(headers=headers, connector=aiohttp.TCPConnector(limit=0)) as http:

        async def waited() -> int:
            async with http.get(url) as answer:
                return answer.status

        waiting = [asyncio.create_task(waited()) for _ in range(1000)]
        await until(lambda: waits(office, 1000), timeout_s=30, what="not all of them wait")
        [row] = await office.line.fetch(
            "SELECT count(*) AS held FROM pg_stat_activity WHERE datname = current_database()"
        )

        await approve(office, number)
        answers = await asyncio.gather(*waiting)

    assert set(answers) == {200}
    assert row["held"] <= 30  # of two replicas
    assert [e["verb"] for e in (await office.show(number))["audit"]].count("executed") == 1


async def waits(office: Office, many: int) -> bool:
    return await office.metric("approvals_waiters") == many


@pytest.mark.parametrize("is_killed", [False, True], ids=["stopped", "killed"])
async def test_who_waits_outlives_our_restart_by_asking_again(office: Office, is_killed: bool) -> None:
    run = await github_run(office)
    asked = await run.asked()
    waiting = asyncio.create_task(run.wait(asked, 50))
    await until(lambda: waits(office, 1), timeout_s=5, what="nobody waits")
    server = office.line.servers[APPROVALS_SVC.name]

    await (server.kill() if is_killed else server.stop())
    [ended] = await asyncio.gather(waiting, return_exceptions=True)
    await office.line.start(APPROVALS_SVC)
    await approve(office, asked)

    assert isinstance(ended, httpx.HTTPError) if is_killed else getattr(ended, "status_code", 0) == 202
    assert (await run.wait(asked, 50)).status_code == 200


# ---- callbacks -----------------------------------------------------------------------------------------------------


async def callbacks(office: Office, number: int, many: int) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    public_id = (await office.show(number))["public_id"]

    async def are_there() -> bool:
        came = (await office.control.get("/ci/callbacks")).json()
        found[:] = [each for each in came if each["body"]["data"]["public_id"] == public_id]
        return len(found) >= many

    await until(are_there, timeout_s=10, what="the callback did not come")
    return found


async def test_registered_target_is_told_how_it_ended_under_a_signature(office: Office) -> None:
    number = await (await github_run(office)).asked(callback="ci")

    await approve(office, number)

    [callback] = await callbacks(office, number, 1)
    told = callback["body"]["data"]
    assert (callback["is_signed"], callback["body"]["type"]) == (True, "approval.decided")
    assert (told["status"], told["sha"], [vote["person"] for vote in told["votes"]]) == ("approved", SHA, ["bo", "cy"])
    assert (await office.show(number))["status"] == "approved"  # told, not carried out


async def test_target_is_told_anew_when_a_yes_is_revoked(office: Office) -> None:
    number = await (await github_run(office)).asked(callback="ci")
    await approve(office, number)
    [first] = await callbacks(office, number, 1)

    await end(office, number, "revoke")

    _, second = await callbacks(office, number, 2)
    assert second["body"]["data"]["status"] == "revoked"
    assert second["body"]["data"]["version"] > first["body"]["data"]["version"]
    assert second["id"] != first["id"]


async def test_question_that_waits_for_nothing_is_never_answered_like_a_yes(office: Office) -> None:
    run = await github_run(office)
    number = await run.asked()
    await approve(office, number)
    await run.wait(number)

    again = await run.ask()
    url = office.line.url(APPROVALS_SVC, "/v1/approvals?wait_s=0")
    at_once = await office.line.http.post(url, json={}, headers={"Authorization": f"Bearer {run.given['token']}"})

    assert (again.status_code, at_once.status_code) == (201, 422)
