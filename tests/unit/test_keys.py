"""Keys that ingest fetches: bounded, once at a time, and not again at once when it failed."""

import asyncio

import httpx
import pytest

from shared.http.keys import Keys, KeyUnavailable
from shared.identity.issuers import KeyNeeded
from shared.settings import ServiceSettings

URL = "https://issuer.acme.example/keys"


class Issuer(httpx.AsyncBaseTransport):
    def __init__(self, *, status: int = 200, body: bytes = b"a key", headers: dict[str, str] | None = None) -> None:
        self.asked = 0
        self._answer = (status, body, headers or {})

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        self.asked += 1
        await asyncio.sleep(0.01)
        status, body, headers = self._answer
        return httpx.Response(status, stream=httpx.ByteStream(body), headers=headers)


async def test_key_is_fetched_once_for_all_who_wait_for_it() -> None:
    issuer, learnt = Issuer(), list[bytes]()
    keys = Keys(ServiceSettings(), issuer)

    await asyncio.gather(*(keys.learn(KeyNeeded(URL, learnt.append)) for _ in range(5)))

    assert issuer.asked == 1
    assert learnt == [b"a key"] * 5


@pytest.mark.parametrize(
    "issuer",
    [
        Issuer(status=500),
        Issuer(status=302, headers={"Location": "http://127.0.0.1/inside"}),
        Issuer(body=b"x" * 70_000),
    ],
    ids=["error", "redirect", "large"],
)
async def test_what_is_no_key_is_not_asked_for_again_at_once(issuer: Issuer) -> None:
    keys = Keys(ServiceSettings(), issuer)
    for _ in range(3):
        with pytest.raises(KeyUnavailable):
            await keys.learn(KeyNeeded(URL, lambda _: None))

    assert issuer.asked == 1
