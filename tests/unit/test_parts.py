"""Batches are cut by size: bodies may lie elsewhere, and all of them together must fit in memory."""

from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import pytest

from shared.bus.consumer import PART_MAX_BYTES, in_parts

MIB = 1024 * 1024


def message(size: int) -> Any:
    """As a consumer sees one whose body lies elsewhere."""
    return SimpleNamespace(headers={"Em-Size": str(size)}, body=b"", stored_at=datetime.now(UTC))


@pytest.mark.parametrize(
    ("sizes", "parts"),
    [
        ([], []),
        ([0], [[0]]),
        ([0, 0, 5], [[0, 0, 5]]),
        ([10 * MIB, 5 * MIB, 5 * MIB], [[10 * MIB, 5 * MIB], [5 * MIB]]),
        ([25 * MIB, 1], [[25 * MIB], [1]]),
        ([1, 25 * MIB, 1], [[1], [25 * MIB], [1]]),
    ],
)
def test_parts_keep_the_order_and_their_bound(sizes: list[int], parts: list[list[int]]) -> None:
    cut = in_parts([message(size) for size in sizes])

    told = [[int(each.headers["Em-Size"]) for each in part] for part in cut]
    assert told == parts
    assert all(sum(part) <= PART_MAX_BYTES or len(part) == 1 for part in told)
