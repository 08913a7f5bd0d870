"""Makes vectors of documents: here, or by asking an OpenAI-compatible endpoint that the operator names.

https://platform.openai.com/docs/api-reference/embeddings/create
"""

import asyncio
import hashlib
import math
from collections.abc import Sequence
from typing import Protocol, TypeAlias

import httpx
import msgspec

from approvals_svc import lexical
from approvals_svc.calls import CallFailed, call
from approvals_svc.document import Document
from approvals_svc.lexical import DIMENSIONS

Vector: TypeAlias = tuple[float, ...]


class EmbeddingFailed(Exception):
    """The endpoint gave no usable vectors; the text says why, and holds nothing that was sent."""


class Embedder(Protocol):
    """`name` is stored with each vector: those of different names are never compared."""

    @property
    def name(self) -> str: ...

    @property
    def is_local(self) -> bool: ...

    async def embed(self, documents: Sequence[Document]) -> list[Vector]:
        """One for each, of length 1, with DIMENSIONS numbers. Raises EmbeddingFailed."""
        ...


class Endpoint(msgspec.Struct, frozen=True, kw_only=True):
    """`url` without `/embeddings`; `timeout_s` is for a whole answer."""

    url: str
    model: str
    api_key: str
    timeout_s: float


class Lexical:
    name = lexical.NAME
    is_local = True

    async def embed(self, documents: Sequence[Document]) -> list[Vector]:
        return [lexical.vector(document) for document in documents]


class OpenAi:
    """Asks one configured URL, follows nothing, and reads no more than is allowed."""

    is_local = False

    def __init__(self, endpoint: Endpoint, client: httpx.AsyncClient) -> None:
        self._endpoint = endpoint
        self._client = client
        self._shortens = False

    @property
    def name(self) -> str:
        """The endpoint's part is a hash: two servers may give one name to two models."""
        where = hashlib.sha256(self._endpoint.url.encode()).hexdigest()[:8]
        return f"openai:{self._endpoint.model}:{where}"

    async def embed(self, documents: Sequence[Document]) -> list[Vector]:
        """A model whose vectors are longer is asked for shorter ones from then on, which only some can give."""
        texts = [document.words for document in documents]
        vectors = await self._ask(texts)
        if not self._shortens and any(len(each) > DIMENSIONS for each in vectors):
            self._shortens = True
            vectors = await self._ask(texts)
        if len(vectors) != len(texts) or any(len(each) != DIMENSIONS for each in vectors):
            raise EmbeddingFailed(f"{self._endpoint.model} gives no vectors of {DIMENSIONS} numbers")
        return [_unit(each) for each in vectors]

    async def _ask(self, texts: Sequence[str]) -> list[Vector]:
        body: dict[str, object] = {"model": self._endpoint.model, "input": texts, "encoding_format": "float"}
        if self._shortens:
            body["dimensions"] = DIMENSIONS
        key = self._endpoint.api_key
        headers = {"Content-Type": "application/json", **({"Authorization": f"Bearer {key}"} if key else {})}
        url = f"{self._endpoint.url.rstrip('/')}/embeddings"
        try:
            async with asyncio.timeout(self._endpoint.timeout_s):
                answer = await call(self._client, "POST", url, headers=headers, body=msgspec.json.encode(body))
        except (CallFailed, TimeoutError) as error:
            reason = error.outcome.reason if isinstance(error, CallFailed) else "no answer: TimeoutError"
            raise EmbeddingFailed(reason) from None
        return _read(answer.body)


class _Embedding(msgspec.Struct):
    index: int
    embedding: Vector


class _Answer(msgspec.Struct):
    data: list[_Embedding]


def _read(body: bytes) -> list[Vector]:
    """In the order of the question, which the answer need not have."""
    try:
        found = msgspec.json.decode(body, type=_Answer).data
    except (msgspec.DecodeError, RecursionError):
        raise EmbeddingFailed("the endpoint's answer is no list of embeddings") from None
    return [each.embedding for each in sorted(found, key=lambda each: each.index)]


def _unit(vector: Vector) -> Vector:
    length = math.sqrt(math.fsum(value * value for value in vector))
    if not math.isfinite(length) or length == 0:
        raise EmbeddingFailed("the endpoint gave a vector without a direction")
    return tuple(value / length for value in vector)
