"""The corpus' signature vectors through the declared sources."""

import json
from datetime import UTC, datetime
from pathlib import Path

from ingest.headers import Headers
from ingest.schemes import Rejection
from ingest.source import declared


def test_every_vector_of_a_declared_source_is_judged_as_published(corpus: Path) -> None:
    vectors = [v for v in json.loads((corpus / "vectors.json").read_text()) if v["source"] in declared()]

    wrong = [vector["name"] for vector in vectors if _accepted(vector) != vector["valid"]]

    assert len(vectors) >= 12
    assert wrong == []


def _accepted(vector: dict[str, object]) -> bool:
    scheme = declared()[str(vector["source"])].scheme
    clock = vector.get("clock")
    now = datetime.fromtimestamp(float(str(clock)), UTC) if clock else datetime.now(UTC)
    given = vector["headers"]
    assert isinstance(given, dict)
    headers = Headers((name.encode(), str(value).encode()) for name, value in given.items())
    try:
        scheme.verify(headers, str(vector["body"]).encode(), [str(vector["secret"]).encode()], now)
    except Rejection:
        return False
    return True
