"""What the demo asks the services and the stand-ins, over the HTTP APIs that anybody can use."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, TypeVar

import httpx
import msgspec

from em.demo.cases import Key
from em.errors import EmError

T = TypeVar("T")
Object = dict[str, Any]
Counts = dict[str, int]

TIMEOUT_S = 30.0
PAGE = 200
ROWS = 1_000
WAIT_S = 20  # less than the timeout
NOT_YET = 202


class Questions:
    """`urls` by service folder, and `sandbox-control`."""

    def __init__(self, urls: Mapping[str, str]) -> None:
        self._urls = urls
        self._client = httpx.AsyncClient(timeout=TIMEOUT_S, trust_env=False)

    async def close(self) -> None:
        await self._client.aclose()

    async def dispositions(self) -> dict[str, Any]:
        return await self._get(Object, "normalizer", "/v1/dispositions")

    async def dora(self, start: datetime, end: datetime, **filters: str) -> dict[str, Any]:
        window = {"from": start.isoformat(), "to": end.isoformat(), "environment": "production"}
        return await self._get(Object, "metrics-svc", "/v1/dora", **window, **filters)

    async def listed(self, what: str, start: datetime, end: datetime, **filters: str) -> dict[Key, dict[str, Any]]:
        """All rows of `/v1/deployments`, `/v1/changes` or `/v1/incidents`, by id and service."""
        query: dict[str, Any] = {"from": start.isoformat(), "to": end.isoformat(), "limit": ROWS, **filters}
        rows: dict[Key, dict[str, Any]] = {}
        while True:
            page = await self._get(Object, "metrics-svc", f"/v1/{what}", **query)
            rows |= {(row["id"], row["service"]): row for row in page["items"]}
            if not page["next"]:
                return rows
            query["cursor"] = page["next"]

    async def approvals(self) -> list[dict[str, Any]]:
        """Oldest first."""
        page = await self._get(Object, "approvals-svc", "/v1/approvals", limit=PAGE)
        return sorted(page["items"], key=lambda approval: approval["id"])

    async def held_back(self) -> dict[str, int]:
        """Acts that law 9 forbade, by reason."""
        page = await self._get(Object, "notifier", "/v1/notifications/held")
        return msgspec.convert(page["counts"], Counts)

    async def unsaid(self) -> int:
        """Messages that are not in Slack yet, or not as they should be: a workspace takes so many edits a minute."""
        page = await self._get(Object, "notifier", "/v1/notifications", limit=1)
        counts = msgspec.convert(page["counts"], Counts)
        return sum(counts.get(state, 0) for state in ("ready", "sending", "unknown"))

    async def transcript(self, channel: str = "") -> list[dict[str, Any]]:
        """Messages of a channel (`#name`), or of all, oldest first."""
        query = {"channel": channel} if channel else {}
        return await self._get(list[Object], "sandbox-control", "/slack/messages", **query)

    async def slack_counts(self) -> dict[str, int]:
        return await self._get(Counts, "sandbox-control", "/slack/counts")

    async def github_counts(self) -> dict[str, int]:
        return await self._get(Counts, "sandbox-control", "/github/counts")

    async def github_run(self, run: Mapping[str, Any]) -> None:
        """GitHub knows this run, which waits for an answer."""
        url = f"{self._urls['sandbox-control']}/github/runs"
        (await self._client.post(url, json=dict(run))).raise_for_status()

    async def ci_run(self, claims: Mapping[str, str]) -> dict[str, Any]:
        """What the CI gives a run with these claims."""
        url = f"{self._urls['sandbox-control']}/ci/runs"
        return dict((await self._client.post(url, json=dict(claims))).raise_for_status().json())

    async def ci_callbacks(self) -> list[dict[str, Any]]:
        return await self._get(list[Object], "sandbox-control", "/ci/callbacks")

    async def ask_for(self, body: Mapping[str, str], token: str) -> httpx.Response:
        """As a run's step asks, until there is an answer."""
        url = f"{self._urls['approvals-svc']}/v1/approvals"
        while True:
            headers = {"Authorization": f"Bearer {token}"}
            answer = await self._client.post(url, params={"wait_s": WAIT_S}, json=dict(body), headers=headers)
            if answer.status_code != NOT_YET:
                return answer

    async def _get(self, kind: type[T], service: str, path: str, **query: Any) -> T:
        """Raises EmError naming who did not answer as it should."""
        url = f"{self._urls[service].rstrip('/')}{path}"
        try:
            answer = await self._client.get(url, params=query)
        except httpx.HTTPError as error:
            raise EmError(f"{service} does not answer: {error!r}", hint=f"look at: em logs {service}") from error
        if answer.status_code != 200:
            hint = f"look at: em logs {service}"
            raise EmError(f"{service} answered {answer.status_code} to {path}", hint=hint, detail=answer.text[:500])
        return msgspec.json.decode(answer.content, type=kind)
