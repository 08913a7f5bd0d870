"""How much is reviewed, and whether one person does it all. Names of people only where they are wanted. Pure."""

from collections import Counter
from collections.abc import Iterator, Sequence

import msgspec

from metrics_svc.flow.pieces import grid, of_part, ratio_row
from metrics_svc.flow.row import FlowRow, count_row
from metrics_svc.question import Question
from metrics_svc.window import Window

REVIEW_LOAD = "review_load"
BUSIEST = "busiest_share"


class Reviews(msgspec.Struct, frozen=True, kw_only=True):
    """How many a reviewer did of changes of a service in a piece of the window."""

    service: str
    piece: int
    reviewer: str
    done: int


def review_load(found: Sequence[Reviews], question: Question, *, people: bool) -> list[FlowRow]:
    """Reviews done; the busiest reviewer's share of them is of those whose reviewer is known."""
    return [
        row
        for service, window, reviews in grid(found, question)
        for row in _load(service, window, reviews, people=people)
    ]


def _load(service: str, window: Window, reviews: Sequence[Reviews], *, people: bool) -> Iterator[FlowRow]:
    whole = sum(each.done for each in reviews)
    yield count_row(service, REVIEW_LOAD, window, float(whole) if reviews else None, whole)
    done: Counter[str] = Counter()
    for each in reviews:
        done[each.reviewer] += each.done
    del done[""]
    yield ratio_row(service, REVIEW_LOAD, window, max(done.values(), default=0), done.total(), part=BUSIEST)
    for name, count in sorted(done.items()) if people else ():
        yield of_part(count_row(service, REVIEW_LOAD, window, float(count), count), name)
