"""A model behind an OpenAI-compatible endpoint: https://platform.openai.com/docs/api-reference/chat/create."""

import asyncio
from typing import Any

import msgspec

ANSWER_MAX_BYTES = 64 * 1024
TOKENS_MAX = 300


class ModelFailed(Exception):
    """No usable answer; the text says why, and holds nothing that was sent or received."""


class Model(msgspec.Struct, frozen=True, kw_only=True):
    """`url` without `/chat/completions`; `timeout_s` is for a whole answer."""

    url: str
    name: str
    api_key: str
    timeout_s: float

    async def answer(self, *, ask: str, of: str) -> str:
        """Raises ModelFailed."""
        from aiohttp import ClientError, ClientSession

        try:
            async with asyncio.timeout(self.timeout_s), ClientSession() as session:
                return await self._ask(session, ask, of)
        except TimeoutError:
            raise ModelFailed(f"no answer within {self.timeout_s:g} s") from None
        except ClientError as error:
            raise ModelFailed(type(error).__name__) from None

    async def _ask(self, session: Any, ask: str, of: str) -> str:
        body = {
            "model": self.name,
            "messages": [{"role": "system", "content": ask}, {"role": "user", "content": of}],
            "max_tokens": TOKENS_MAX,
        }
        headers = {"Authorization": f"Bearer {self.api_key}"}
        url = f"{self.url.rstrip('/')}/chat/completions"
        async with session.post(url, json=body, headers=headers, allow_redirects=False) as response:
            if response.status != 200:
                raise ModelFailed(f"status {response.status}")
            raw = await response.content.read(ANSWER_MAX_BYTES + 1)
            while len(raw) <= ANSWER_MAX_BYTES and (more := await response.content.read(ANSWER_MAX_BYTES)):
                raw += more
        return _said(raw)


class _Message(msgspec.Struct):
    content: str


class _Choice(msgspec.Struct):
    message: _Message


class _Completion(msgspec.Struct):
    choices: list[_Choice]


def _said(raw: bytes) -> str:
    if len(raw) > ANSWER_MAX_BYTES:
        raise ModelFailed("the answer is too long")
    try:
        [first, *_] = msgspec.json.decode(raw, type=_Completion).choices
    except (msgspec.DecodeError, UnicodeDecodeError, ValueError):
        raise ModelFailed("the answer is no completion") from None
    return first.message.content
