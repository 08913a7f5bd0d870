"""What OpenAPI shows of answers: the day of docs/metrics.md, as the service answered (`examples.json`).

`tests/integration/test_examples.py` asks again and compares; with `RECORD=1` it writes the file anew.
"""

from collections.abc import Mapping
from importlib.resources import files
from typing import Any

import msgspec

from shared.http import problems


class Example(msgspec.Struct, frozen=True, kw_only=True):
    """`url` with its query, and what it answers; of long lists the beginning."""

    url: str
    answer: Any


EXAMPLES: Mapping[str, Example] = msgspec.json.decode(
    files(__package__).joinpath("examples.json").read_bytes(), type=dict[str, Example]
)
_REFUSED = msgspec.json.decode(problems.body(400, "invalid-parameter", "bucket: one of day, week, month"))


def shown(path: str) -> dict[int | str, dict[str, Any]]:
    """`responses` of a route with this path."""
    example = EXAMPLES.get(path, Example(url=path, answer=None))
    return {
        200: {
            "description": f"`{example.url}`",
            "content": {"application/json": {"example": example.answer}, "text/csv": {}},
        },
        304: {"description": "It is what the ETag of `If-None-Match` stands for"},
        400: {
            "description": "The parameter that is wrong, by name",
            "content": {problems.MEDIA_TYPE: {"example": {**_REFUSED, "parameter": "bucket"}}},
        },
    }
