"""OPA by URL: its plain yes is enough where a rule says so, and everything else leaves the decision to people."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from typing import Any
from uuid import uuid4

import httpx
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa

from em.sandbox.server import Sandbox
from shared.contracts.events import ApprovalDecided, ApprovalRequested
from shared.contracts.services import APPROVALS_SVC
from tests.backends import own_database
from tests.line import open_line
from tests.office import Office, environment
from tests.opa import Opa, local_opa
from tests.provisioning import provisioned
from tests.waiting import until

RULES = """\
  - name: opa-decides
    if: {action: [deploy, label, nudge], service: [checkout, web]}
    outcome: require
    requires: {group: release}
    opa: true
"""
YES = {"allow": True}
LABEL = {"repository": "acme/checkout", "number": 7, "label": "stale"}


@pytest.fixture(scope="module")
async def opa() -> AsyncIterator[Opa]:
    async with local_opa() as running:
        yield running


@pytest.fixture(scope="module")
async def running(
    nats_url: str,
    postgres_url: str,
    counterparts: Sandbox,
    opa: Opa,
    app_key: rsa.RSAPrivateKey,
    tmp_path_factory: pytest.TempPathFactory,
) -> AsyncIterator[Office]:
    prefix = f"t{uuid4().hex[:10]}"
    await provisioned(nats_url, prefix)
    directory = tmp_path_factory.mktemp("opa")
    settings = {**environment(directory, counterparts, app_key), "OPA_URL": opa.url}
    policy = directory / "policy.yaml"
    policy.write_text(policy.read_text().replace("rules:\n", f"rules:\n{RULES}"))
    async with AsyncExitStack() as stack:
        line = await stack.enter_async_context(
            open_line(
                nats_url=nats_url,
                database_url=await stack.enter_async_context(own_database(postgres_url)),
                prefix=prefix,
                directory=directory,
                environment=settings,
            )
        )
        await line.start(APPROVALS_SVC)
        control = await stack.enter_async_context(httpx.AsyncClient(base_url=counterparts.control_url))
        yield Office(line, counterparts.github_url, control)


@pytest.fixture
async def office(running: Office, opa: Opa) -> Office:
    await running.forget()
    opa.inputs.clear()
    opa.says(YES)
    return running


async def advised(office: Office, number: int) -> dict[str, Any]:
    """Once OPA was asked, and what came of it is published."""

    async def is_advised() -> bool:
        return not await office.line.count("approvals.opa_question")

    await until(is_advised, timeout_s=10, what="OPA was not asked")
    await office.settled()
    return await office.show(number)


async def post(office: Office, path: str, body: dict[str, Any], **headers: str) -> dict[str, Any]:
    url = office.line.url(APPROVALS_SVC, path)
    answer = await office.line.http.post(url, json=body, headers={**office.token("ana"), **headers})
    assert answer.status_code in (200, 201), answer.text
    return dict(answer.json())


async def test_gate_that_opa_allows_is_let_through_and_nobody_is_asked(office: Office, opa: Opa) -> None:
    number = await office.gate(ref="refs/heads/main")
    await advised(office, number)

    assert (await office.callback())["state"] == "approved"
    shown = await office.show(number)
    assert (shown["status"], shown["decision"]) == ("executed", "auto_approved")
    assert shown["rule_trace"][-2:] == ["OPA: asked", "OPA: allowed it"]
    said = await office.said()
    assert [event.status for event in said if isinstance(event, ApprovalDecided)] == ["auto_approved"]
    assert not [event for event in said if isinstance(event, ApprovalRequested)]
    assert opa.inputs == [
        {
            "action": "deploy",
            "service": "checkout",
            "environment": "production",
            "team": "payments",
            "repository": "acme/checkout",
            "branch": "main",
            "labels_vary": False,
        }
    ]


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        ({"result": {"allow": False}}, "did not allow it"),
        ({"result": {"allow": True, "action": "label"}}, "allowed another action"),
        ({}, "no answer, it is not {result: {allow, action}}"),
        ({"result": True}, "no answer, it is not {result: {allow, action}}"),
        ({"result": {"allow": "true"}}, "no answer, it is not {result: {allow, action}}"),
        ({"result": {"allow": 1}}, "no answer, it is not {result: {allow, action}}"),
        ({"result": {"allow": True, "action": None}}, "no answer, it is not {result: {allow, action}}"),
        ({"result": {"action": "deploy"}}, "no answer, it is not {result: {allow, action}}"),
        ({"result": YES, "wait_s": 1.5}, "no answer, none within 500 ms"),
        ({"result": YES, "status": 500}, "no answer, answer 500"),
        ({"result": YES, "status": 307}, "no answer, answer 307"),
        ({"body": b'{"result": {"allow": tr'}, "no answer, it is not {result: {allow, action}}"),
        ({"body": b'{"result": {"allow": true, "action": "\xff"}}'}, "no answer, it is not {result: {allow, action}}"),
        ({"body": b'{"x": ' + b"[" * 100_000}, "no answer, it is not {result: {allow, action}}"),
        ({"body": b" " * (1024 * 1024 + 1)}, "no answer, the answer is larger than 1 MiB"),
    ],
    ids=[
        *("false", "another action", "undefined", "bare true", "text", "number", "null action", "no allow", "slow"),
        *("500", "redirect", "cut", "no utf-8", "deep", "large"),
    ],
)
async def test_law_7_whatever_is_no_plain_yes_leaves_it_to_people(
    office: Office, opa: Opa, answer: dict[str, Any], said: str
) -> None:
    opa.says(**answer)

    number = await office.gate()
    shown = await advised(office, number)

    assert (shown["status"], shown["rule_trace"][-1]) == ("pending", f"OPA: {said}")
    assert [entry["detail"]["said"] for entry in shown["audit"] if entry["verb"] == "advised"] == [said]
    assert [event.approval_id for event in await office.said() if isinstance(event, ApprovalRequested)] == [number]
    assert (await office.vote(number, "bo")).json()["status"] == "approved"


async def test_action_that_opa_allows_is_queued_in_the_same_answer(office: Office, opa: Opa) -> None:
    body = {"subject": "label it", "action": "label", "payload": LABEL}
    told = await post(office, "/v1/workflows/run", body)
    proposed = await post(office, "/v1/approvals/propose", body)
    opa.says({"allow": False})
    refused = await post(office, "/v1/workflows/run", body)

    assert (told["status"], proposed["status"], refused["status"]) == ("queued", "auto_approved", "awaiting_approval")
    assert told["id"]
    assert proposed["job_id"]


async def test_action_is_the_requests_else_opas_else_the_policys(office: Office, opa: Opa) -> None:
    async def action_of(**body: Any) -> str:
        told = await post(office, "/v1/workflows/run", {"subject": "s", "payload": {}, **body})
        return str((await office.show(told["action_id"]))["action"])

    opa.says({"allow": False, "action": "label"})
    asked = await action_of(action="nudge", rule="stale_pr")
    opas = await action_of(rule="stale_pr", payload=LABEL)
    opa.says({"allow": True, "action": "rm -rf"})
    unknown = await action_of(rule="wip_limit_exceeded")
    opa.says(YES, status=500)
    broken = await action_of()

    assert (asked, opas, unknown, broken) == ("nudge", "label", "nudge", "nudge")
    assert {"rule": "stale_pr"} in opa.inputs


async def test_same_key_is_the_same_workflow_whatever_opa_says_meanwhile(office: Office, opa: Opa) -> None:
    body = {"subject": "s", "rule": "stale_pr", "payload": LABEL}
    opa.says({"allow": False, "action": "label"})
    first = await post(office, "/v1/workflows/run", body, **{"Idempotency-Key": "k1"})
    opa.says({"allow": True, "action": "label"})
    again = await post(office, "/v1/workflows/run", body, **{"Idempotency-Key": "k1"})

    assert first == again
    assert first["status"] == "awaiting_approval"


async def test_what_only_its_requester_says_opa_is_not_asked_about(office: Office, opa: Opa) -> None:
    proposed = await post(office, "/v1/approvals/propose", {"subject": "all of it", "action": "deploy"})

    shown = await office.show(proposed["action_id"])
    assert (proposed["status"], opa.inputs) == ("pending", [])
    assert shown["rule_trace"][-1] == "OPA: not asked, service is not known"


async def test_every_answer_is_counted(office: Office, opa: Opa) -> None:
    async def counts() -> list[float]:
        name = "approvals_opa_answers_total"
        return [await office.metric(f'{name}{{result="{result}"}}') for result in ("allowed", "refused", "failed")]

    before = await counts()
    for answer in (YES, {"allow": False}, "nonsense"):
        opa.says(answer)
        await advised(office, await office.gate())

    assert [now - then for now, then in zip(await counts(), before, strict=True)] == [1, 1, 1]
