"""Runs of a CI that ask for a gate, each by the token that its CI mints for it."""

from collections.abc import Mapping
from itertools import count
from types import MappingProxyType
from typing import Any

import httpx

from shared.contracts.services import APPROVALS_SVC
from tests.office import Office

SHA = "c0ffee" * 6 + "beef"
NUMBERS = count(7000)
EMPTY: Mapping[str, str] = MappingProxyType({})


class Run:
    """What the CI gave it, and what it says to us. Claims are those of GitHub Actions, unless changed; None: absent."""

    def __init__(self, office: Office, given: dict[str, Any]) -> None:
        self.given = given
        self._office = office

    async def ask(self, body: Mapping[str, str] = EMPTY, *, key: str = "", wait_s: int = 0) -> httpx.Response:
        headers = {"Idempotency-Key": key} if key else {}
        path = f"/v1/approvals?wait_s={wait_s}" if wait_s else "/v1/approvals"
        return await self._send("POST", path, json=dict(body), headers=headers)

    async def asked(self, **body: str) -> int:
        """The number of what it asked for."""
        answer = await self.ask(body)
        assert answer.status_code == 201, answer.text
        return int(answer.json()["id"])

    async def wait(self, number: int, timeout_s: float = 0) -> httpx.Response:
        return await self._send("GET", f"/v1/approvals/{number}/wait?timeout_s={timeout_s}")

    async def _send(self, method: str, path: str, **more: Any) -> httpx.Response:
        headers = {"Authorization": f"Bearer {self.given['token']}", **more.pop("headers", {})}
        line = self._office.line
        return await line.http.request(method, line.url(APPROVALS_SVC, path), headers=headers, **more)

    def at(self, office: Office) -> "Run":
        """The same run, speaking to another replica."""
        return Run(office, self.given)


async def github_run(office: Office, **changed: Any) -> Run:
    claims = {
        "sub": "repo:acme/checkout:environment:production",
        "repository": "acme/checkout",
        "environment": "production",
        "actor": "ana-k",
        "sha": SHA,
        "ref": "refs/heads/main",
        "run_id": str(next(NUMBERS)),
        "run_attempt": "1",
    }
    return await run(office, claims | changed)


async def gitlab_run(office: Office, **changed: Any) -> Run:
    claims = {
        "sub": "project_path:acme/checkout:ref_type:branch:ref:main",
        "project_path": "acme/checkout",
        "environment": "production",
        "user_login": "ana.k",
        "sha": SHA,
        "ref": "main",
        "pipeline_id": str(next(NUMBERS)),
        "job_id": "31",
    }
    return await run(office, claims | changed)


async def run(office: Office, claims: dict[str, Any]) -> Run:
    told = {name: value for name, value in claims.items() if value is not None}
    return Run(office, (await office.control.post("/ci/runs", json=told)).json())


def machine(office: Office, subject: str = "jenkins", role: str = "operator") -> Run:
    """Whoever has a token of ours, in the place of a run's."""
    return Run(office, {"token": office.token(subject, role)["Authorization"].removeprefix("Bearer ")})


def build(**changed: Any) -> dict[str, Any]:
    """What a build without a token of its own says of itself."""
    said = {"repository": "acme/checkout", "environment": "production", "sha": SHA, "requester": "ana"}
    return {**said, "run": f"checkout-{next(NUMBERS)}", **changed}
