"""What the demo asks the services and the stand-ins, over the HTTP APIs that anybody can use."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, TypeVar

import httpx
import msgspec

from em.errors import EmError

T = TypeVar("T")
Object = dict[str, Any]
Counts = dict[str, int]

TIMEOUT_S = 30.0
PAGE = 200


class Questions:
    """`urls` by service folder, and `sandbox-control`."""

    def __init__(self, urls: Mapping[str, str]) -> None:
        self._urls = urls
        self._client = httpx.AsyncClient(timeout=TIMEOUT_S, trust_env=False)

    async def close(self) -> None:
        await self._client.aclose()

    async def dispositions(self) -> dict[str, Any]:
        return await self._get(Object, "normalizer", "/v1/dispositions")

    async def dora(self, start: datetime, end: datetime) -> dict[str, Any]:
        window = {"from": start.isoformat(), "to": end.isoformat(), "environment": "production"}
        return await self._get(Object, "metrics-svc", "/v1/dora", **window)

    async def approvals(self) -> list[dict[str, Any]]:
        """Oldest first."""
        page = await self._get(Object, "approvals-svc", "/v1/approvals", limit=PAGE)
        return sorted(page["items"], key=lambda approval: approval["id"])

    async def held_back(self) -> dict[str, int]:
        """Acts that law 9 forbade, by reason."""
        page = await self._get(Object, "notifier", "/v1/notifications/held")
        return msgspec.convert(page["counts"], Counts)

    async def transcript(self, channel: str = "") -> list[dict[str, Any]]:
        """Messages of a channel (`#name`), or of all, oldest first."""
        query = {"channel": channel} if channel else {}
        return await self._get(list[Object], "sandbox-control", "/slack/messages", **query)

    async def slack_counts(self) -> dict[str, int]:
        return await self._get(Counts, "sandbox-control", "/slack/counts")

    async def github_counts(self) -> dict[str, int]:
        return await self._get(Counts, "sandbox-control", "/github/counts")

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
