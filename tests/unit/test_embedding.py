"""The OpenAI-compatible embedder against an endpoint that answers well, oddly, or not at all."""

import asyncio
import json
import math
from typing import Any

import httpx
import pytest

from approvals_svc.calls import BODY_MAX_BYTES
from approvals_svc.document import Document
from approvals_svc.embedding import EmbeddingFailed, Endpoint, OpenAi
from approvals_svc.lexical import DIMENSIONS

ENDPOINT = Endpoint(url="https://models.example/v1/", model="m", api_key="sk-test", timeout_s=0.2)
DOCUMENTS = [Document(title="one", service="checkout"), Document(title="two")]


def embeddings(*vectors: list[float]) -> httpx.Response:
    """In another order than they were asked for."""
    data = [{"index": index, "embedding": vector} for index, vector in enumerate(vectors)]
    return httpx.Response(200, json={"data": data[::-1]})


class Asked(list[httpx.Request]):
    """An embedder whose endpoint gives these answers, and what that was asked."""

    def embedder(self, *answers: httpx.Response | Exception) -> OpenAi:
        waiting = iter(answers)

        def answer(request: httpx.Request) -> httpx.Response:
            self.append(request)
            found = next(waiting)
            if isinstance(found, Exception):
                raise found
            return found

        return OpenAi(ENDPOINT, httpx.AsyncClient(transport=httpx.MockTransport(answer)))

    @property
    def bodies(self) -> list[dict[str, Any]]:
        return [json.loads(request.content) for request in self]


async def test_vectors_come_in_the_order_of_the_question_with_length_one() -> None:
    asked = Asked()

    one, two = await asked.embedder(embeddings([3.0] * DIMENSIONS, [-3.0] * DIMENSIONS)).embed(DOCUMENTS)

    assert one[0] > 0 > two[0]
    assert math.isclose(math.fsum(value * value for value in one), 1)
    assert str(asked[0].url) == "https://models.example/v1/embeddings"
    assert asked[0].headers["Authorization"] == "Bearer sk-test"
    assert asked.bodies == [
        {"model": "m", "input": ["one\nservice checkout", "two"], "encoding_format": "float"},
    ]


async def test_model_with_longer_vectors_is_asked_for_shorter_ones_from_then_on() -> None:
    asked = Asked()
    right = [embeddings([1.0] * DIMENSIONS) for _ in range(2)]
    embedder = asked.embedder(embeddings([1.0] * 1536), *right)

    for _ in range(2):
        assert len((await embedder.embed(DOCUMENTS[:1]))[0]) == DIMENSIONS

    assert [body.get("dimensions") for body in asked.bodies] == [None, DIMENSIONS, DIMENSIONS]


@pytest.mark.parametrize(
    ("answers", "why"),
    [
        ([httpx.Response(500)], "answer 500"),
        ([httpx.Response(302, headers={"Location": "http://169.254.169.254/"})], "answer 302"),
        ([httpx.ConnectError("no")], "ConnectError"),
        ([httpx.Response(200, content=b"[" * 5000)], "no list of embeddings"),
        ([httpx.Response(200, content=b" " * (BODY_MAX_BYTES + 1))], "larger than 1 MiB"),
        ([embeddings([1.0] * 3)], "no vectors of 384"),
        ([embeddings([1.0] * 768), embeddings([1.0] * 768)], "no vectors of 384"),
        ([embeddings()], "no vectors of 384"),
        ([embeddings([0.0] * DIMENSIONS)], "without a direction"),
    ],
    ids=["error", "redirect", "away", "garbage", "flood", "short", "long", "none", "zero"],
)
async def test_whatever_is_no_vector_fails_with_its_reason(answers: list[Any], why: str) -> None:
    asked = Asked()

    with pytest.raises(EmbeddingFailed, match=why):
        await asked.embedder(*answers).embed(DOCUMENTS[:1])

    assert {request.url.host for request in asked} == {"models.example"}


async def test_endpoint_that_takes_too_long_is_given_up() -> None:
    async def slow(_: httpx.Request) -> httpx.Response:
        await asyncio.sleep(30)
        return embeddings()

    embedder = OpenAi(ENDPOINT, httpx.AsyncClient(transport=httpx.MockTransport(slow)))

    with pytest.raises(EmbeddingFailed, match="TimeoutError"):
        await embedder.embed(DOCUMENTS)
