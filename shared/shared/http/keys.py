"""Fetches the public keys that somebody's proof needs. Who asks has checked the URL; here it is only bounded."""

import asyncio
import time
from typing import TYPE_CHECKING

from shared.identity.issuers import KeyNeeded, Unproven
from shared.settings import ServiceSettings

if TYPE_CHECKING:
    import httpx

TIMEOUT_S = 3.0
BYTES_MAX = 64 * 1024
FAILED_FOR_S = 10.0
FAILURES_MAX = 64


class KeyUnavailable(Exception):
    """It could not be fetched now; the sender may try again."""


class Keys:
    """One request per URL at a time; one that failed is not asked for again at once. No redirect is followed.

    The HTTP client is made for a fetch and closed after it: few stacks need one, and its memory is a tenth of ingest's.
    """

    def __init__(self, settings: ServiceSettings, transport: "httpx.AsyncBaseTransport | None" = None) -> None:
        self._settings = settings
        self._transport = transport
        self._under_way: dict[str, asyncio.Task[bytes]] = {}
        self._failed: dict[str, float] = {}

    async def learn(self, needed: KeyNeeded) -> None:
        """Raises KeyUnavailable unless known keys do for now, or the Rejection of a scheme that can't use what came."""
        try:
            await self._learn(needed)
        except KeyUnavailable:
            if needed.put_off is None:
                raise
            needed.put_off()

    async def _learn(self, needed: KeyNeeded) -> None:
        if time.monotonic() - self._failed.get(needed.url, -FAILED_FOR_S) < FAILED_FOR_S:
            raise KeyUnavailable(needed.url)
        task = self._under_way.get(needed.url)
        if task is None:
            task = self._under_way[needed.url] = asyncio.create_task(self._fetch(needed.url))
            task.add_done_callback(lambda _: self._under_way.pop(needed.url, None))
        document = await asyncio.shield(task)
        try:
            needed.learn(document)
        except Unproven as error:
            raise self._failure(needed.url, f"unusable {error}") from None

    async def _fetch(self, url: str) -> bytes:
        import httpx

        try:
            async with (
                asyncio.timeout(TIMEOUT_S),
                httpx.AsyncClient(timeout=TIMEOUT_S, trust_env=False, transport=self._opened()) as client,
                # Undecoded: what is small on the wire may be large unpacked.
                client.stream("GET", url, headers={"Accept-Encoding": "identity"}) as response,
            ):
                response.raise_for_status()
                received = b""
                async for chunk in response.aiter_raw():
                    received += chunk
                    if len(received) > BYTES_MAX:
                        raise KeyUnavailable(f"more than {BYTES_MAX} bytes")
                return received
        except (httpx.HTTPError, TimeoutError, KeyUnavailable) as error:
            raise self._failure(url, str(error) or type(error).__name__) from None

    def _failure(self, url: str, reason: str) -> KeyUnavailable:
        if len(self._failed) >= FAILURES_MAX:
            self._failed.clear()
        self._failed[url] = time.monotonic()
        return KeyUnavailable(f"{url}: {reason}")

    def _opened(self) -> "httpx.AsyncBaseTransport":
        from shared.http.outbound import PublicTransport

        if self._transport is not None:
            return self._transport
        return PublicTransport(
            self._settings.oidc_private_hosts, setting="OIDC_PRIVATE_HOSTS", ca_file=self._settings.oidc_ca_file
        )
