"""Changes in progress at a moment: how many, how old, how long without anybody's touch. Pure."""

from bisect import bisect_left, bisect_right
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import TypeAlias

import msgspec
import numpy as np

from metrics_svc.flow.pieces import of_part
from metrics_svc.flow.row import FlowRow, count_row
from metrics_svc.flow.samples import ChangeSamples, samples_of
from metrics_svc.question import Question
from metrics_svc.window import Window

WIP = "wip"
AGE = "change_age"
IDLE_TIME = "change_idle_time"
MAX = "max"
READY, ENDED = "ready", "ended"

Moments: TypeAlias = Mapping[str, Sequence[float]]
_NOTHING: Moments = {READY: (), ENDED: ()}


def wip(found: Sequence[ChangeSamples], question: Question, now: datetime) -> list[FlowRow]:
    """At the end of each piece, and the most at once in it. None is a number here; what is to come has none.

    The samples are the moments, as seconds since 1970, at which changes were `READY` and `ENDED`.
    """
    mine = moments_of(found)
    return [
        row
        for service in question.services
        for window in question.buckets
        for row in _counted(service, window, mine.get(service, _NOTHING), now)
    ]


def held(found: Sequence[ChangeSamples], span: Window) -> list[ChangeSamples]:
    """Of whoever had the service in this span alone: ready when they got it, ended when they gave it away."""
    start, end = span.start.timestamp(), span.end.timestamp()
    return [msgspec.structs.replace(each, samples=_held(each.samples, start, end)) for each in found]


def moments_of(found: Sequence[ChangeSamples]) -> Mapping[str, Moments]:
    """By service."""
    mine: dict[str, list[ChangeSamples]] = defaultdict(list)
    for each in found:
        mine[each.service].append(each)
    return {name: {which: samples_of(parts, which) for which in (READY, ENDED)} for name, parts in mine.items()}


def most_at_once(ready: Sequence[float], ended: Sequence[float], window: Window) -> int:
    """In the window, of moments that ascend; one that ends when another is ready makes room for it."""
    start, end = window.start.timestamp(), window.end.timestamp()
    first, last = bisect_left(ready, start), bisect_left(ready, end)
    over = np.searchsorted(np.asarray(ended, np.float64), np.asarray(ready[first:last], np.float64), side="right")
    at_once = np.arange(first + 1, last + 1) - over
    return int(at_once.max(initial=first - bisect_right(ended, start)))


def open_at(ready: Sequence[float], ended: Sequence[float], moment: float) -> int:
    """Just before it."""
    return bisect_left(ready, moment) - bisect_left(ended, moment)


def _held(moments: Moments, start: float, end: float) -> Moments:
    ready = [max(moment, start) for moment in moments[READY]]
    ended = [min(moment, end) for moment in moments[ENDED]]
    return {READY: ready, ENDED: ended + [end] * (len(ready) - len(ended))}


def _counted(service: str, window: Window, moments: Moments, now: datetime) -> Iterator[FlowRow]:
    counted: dict[str, float | None] = {"": None, MAX: None}
    if window.start < now:
        ready, ended = moments[READY], moments[ENDED]
        at_end = open_at(ready, ended, min(window.end, now).timestamp())
        counted = {"": at_end, MAX: most_at_once(ready, ended, window)}
    for part, value in counted.items():
        yield of_part(count_row(service, WIP, window, value, int(value or 0)), part)
