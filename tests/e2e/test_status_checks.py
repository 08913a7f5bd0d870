"""A merge request's external status check on the whole way: GitLab's signed request, votes over REST, its answer."""

from pathlib import Path
from typing import Any

import msgspec

from em.sandbox.blocked import GitlabSettings
from em.sandbox.server import sandbox
from em.sandbox.signing import sign
from ingest.schemes import HmacHex
from shared.contracts.services import APPROVALS_SVC, INGEST, NORMALIZER
from tests.gatehouse import CATALOG, GITLAB_TOKEN, POLICY
from tests.line import Line, open_line
from tests.office import TOKEN_KEY, bearer
from tests.translations import fixtures
from tests.waiting import until

SECRET = "shared with the check"


async def test_signed_check_is_asked_about_and_passes_at_gitlab_once_two_agree(
    nats_url: str, database_url: str, prefix: str, tmp_path: Path
) -> None:
    sent = fixtures("gitlab")["status_check.open"]
    attributes = msgspec.json.decode(sent.content)["object_attributes"]
    (tmp_path / "catalog.yaml").write_text(CATALOG)
    (tmp_path / "policy.yaml").write_text(POLICY)
    async with (
        sandbox(gitlab_settings=GitlabSettings(token=GITLAB_TOKEN)) as counterparts,
        open_line(
            nats_url=nats_url,
            database_url=database_url,
            prefix=prefix,
            directory=tmp_path,
            environment={
                "CATALOG_PATH": str(tmp_path / "catalog.yaml"),
                "POLICY_PATH": str(tmp_path / "policy.yaml"),
                "GITLAB_WEBHOOK_SECRET": f"the hook's token,{SECRET}",
                "GITLAB_API_URL": counterparts.gitlab_url,
                "GITLAB_TOKEN": GITLAB_TOKEN,
                "AUTH_ENABLED": "true",
                "JWT_ALGORITHM": "HS256",
                "JWT_SECRET_KEY": TOKEN_KEY,
            },
        ) as line,
    ):
        waiting = {"project": "acme/shop/checkout", "number": attributes["iid"], "age_s": 300}
        merge_requests = f"{counterparts.control_url}/gitlab/merge-requests"
        await line.http.post(merge_requests, json=waiting | {"sha": attributes["last_commit"]["id"]})
        await line.start(INGEST, NORMALIZER, APPROVALS_SVC)

        body = sent.content
        forged = await line.post("gitlab", body, {"x-gitlab-signature": "0" * 64})
        accepted = await line.post("gitlab", body, sign(HmacHex(header="x-gitlab-signature"), body, SECRET))
        await line.settled()
        [asked] = await listed(line)
        for person in ("ana", "bo", "cy"):
            await line.http.post(
                line.url(APPROVALS_SVC, f"/v1/approvals/{asked['id']}/decision"),
                json={"decision": "approve"},
                headers=bearer(person, "approver"),
            )

        async def is_executed() -> bool:
            return [each["status"] for each in await listed(line)] == ["executed"]

        await until(is_executed, timeout_s=30, what="the check was not answered")
        [found] = (await line.http.get(merge_requests)).json()

    assert (forged.status_code, accepted.status_code) == (401, 202)
    assert (asked["action"], asked["requested_by"]) == ("merge", "ana")
    assert [check["status"] for check in found["checks"]] == ["passed"]
    assert len(found["answers"]) == 1


async def listed(line: Line) -> list[dict[str, Any]]:
    answer = await line.http.get(line.url(APPROVALS_SVC, "/v1/approvals"), headers=bearer("ana", "viewer"))
    return list(answer.json()["items"])
