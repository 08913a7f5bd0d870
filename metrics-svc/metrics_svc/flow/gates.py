"""Quality gates: the share of time that they were red, and where they stand. Pure."""

import math
from collections import defaultdict
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta

import msgspec

from metrics_svc.flow.pieces import of_part, piece_of
from metrics_svc.flow.quality import Report, branches
from metrics_svc.flow.row import FlowRow, count_row
from metrics_svc.question import Question
from metrics_svc.window import Window

RED_SHARE = "quality_gate"
LATEST = "quality_gate_latest"
RED = "failed"
GATES = ("passed", "warning", RED)
NO_GATE = "none"
# A branch that nobody checks any more is not red for ever.
HOLDS = timedelta(days=30)


class Held(msgspec.Struct, frozen=True, kw_only=True):
    """How long a gate of a branch stood at what was reported last."""

    service: str
    part: str
    gate: str
    start: datetime
    end: datetime

    def within(self, window: Window) -> float:
        """Seconds."""
        return max((min(self.end, window.end) - max(self.start, window.start)).total_seconds(), 0.0)


def held(found: Sequence[Report], question: Question, now: datetime) -> list[Held]:
    """In the span of the question: a gate stands until the next report."""
    gates = [report for report in found if report.gate]
    return [
        span
        for _, _, reports in branches(gates, question)
        for report, end in zip(reports, [*(each.occurred_at for each in reports), now][1:], strict=True)
        if (span := _cut(report, end, question.span, now)) is not None
    ]


def red_share(found: Sequence[Held], question: Question) -> list[FlowRow]:
    """Time red ÷ time with a gate, of each branch; without a part, of all branches of the service together."""
    mine: dict[str, dict[str, list[Held]]] = defaultdict(lambda: defaultdict(list))
    for span in found:
        mine[span.service][span.part].append(span)
    rows: list[FlowRow] = []
    for service in question.services:
        parts = sorted(mine[service].items())
        rows += _red(service, "", [span for _, spans in parts for span in spans], question)
        rows += [row for part, spans in parts for row in _red(service, part, spans, question)]
    return rows


def latest(found: Sequence[Held], question: Question, now: datetime) -> list[FlowRow]:
    """How many branches stood at each status at the end of a piece; `n` are all of the service's."""
    pieces = question.buckets
    standing: dict[tuple[str, int], list[str]] = defaultdict(list)
    for number, span in _overlaps(found, pieces):
        if min(pieces[number].end, now) <= span.end:
            standing[span.service, number].append(span.gate)
    return [
        of_part(count_row(service, LATEST, window, gates.count(gate) if gates else None, len(gates)), gate)
        for service in question.services
        for number, window in enumerate(pieces)
        for gates in [standing[service, number]]
        for gate in (*GATES, NO_GATE)
    ]


def _red(service: str, part: str, spans: Sequence[Held], question: Question) -> Iterator[FlowRow]:
    pieces = question.buckets
    held: dict[int, list[tuple[str, float]]] = defaultdict(list)
    for number, span in _overlaps(spans, pieces):
        if span.gate in GATES:
            held[number].append((span.gate, span.within(pieces[number])))
    for number, window in enumerate(pieces):
        whole = math.fsum(seconds for _, seconds in held[number])
        red = math.fsum(seconds for gate, seconds in held[number] if gate == RED)
        value = red / whole if whole else None
        yield of_part(count_row(service, RED_SHARE, window, value, len(held[number]), "ratio"), part)


def _overlaps(spans: Sequence[Held], pieces: Sequence[Window]) -> Iterator[tuple[int, Held]]:
    """Each span with the number of every piece that it has a part in."""
    for span in spans:
        for number in range(max(piece_of(span.start, pieces), 0), len(pieces)):
            if pieces[number].start >= span.end:
                break
            if span.within(pieces[number]):
                yield number, span


def _cut(report: Report, end: datetime, within: Window, now: datetime) -> Held | None:
    start, end = max(report.occurred_at, within.start), min(end, report.occurred_at + HOLDS, within.end, now)
    if start >= end:
        return None
    return Held(service=report.service, part=report.part, gate=report.gate, start=start, end=end)
