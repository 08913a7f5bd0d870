"""Pages of lists: every row has a moment `at`, an `id` and a `service`, and they are in the order of these."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import datetime
from itertools import chain
from typing import Any

import msgspec

from metrics_svc.question import Question

Row = Mapping[str, Any]


class Place(msgspec.Struct, frozen=True):
    """Where a page goes on: after this time, and the id and service of its last row."""

    at: datetime
    id: str


class Wanted(msgspec.Struct, frozen=True, kw_only=True):
    """A page of a list: at most `limit` rows after `after`; None is all."""

    after: Place | None = None
    limit: int | None = None

    @property
    def parameters(self) -> tuple[object, ...]:
        return (self.after.at if self.after else None, self.after.id if self.after else None, self.limit)


ALL = Wanted()


def page_of(at: str, name: str, first: int) -> str:
    """The end of a WHERE, with what follows it: SQL of `at` and of id and service; `Wanted.parameters` from $`first`.

    Names are compared as Python does, which puts parts of a page together.
    """
    order = f"""{at}, ({name}) COLLATE "C" """
    return f"""
        (${first}::timestamptz IS NULL OR ({order}) > (${first}, ${first + 1}::text))
        ORDER BY {order} LIMIT ${first + 2}::int
    """


def place_of(row: Row) -> Place:
    return Place(row["at"], f"{row['id']} {row['service']}")


def cut(rows: Sequence[Row], wanted: Wanted) -> Sequence[Row]:
    """The page of rows in any order, each once."""
    after = (wanted.after.at, wanted.after.id) if wanted.after else None
    placed = {(place.at, place.id): row for row in rows for place in [place_of(row)]}
    return [placed[key] for key in sorted(placed) if after is None or key > after][: wanted.limit]


async def in_parts(
    question: Question, wanted: Wanted, read: Callable[[Question], Awaitable[Sequence[Row]]]
) -> Sequence[Row]:
    """The page of what a team had of each service when; `read` gives the page of a part."""
    parts = [await read(part) for part in question.parts()]
    return parts[0] if len(parts) == 1 else cut([*chain.from_iterable(parts)], wanted)
