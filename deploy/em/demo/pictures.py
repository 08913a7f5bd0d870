"""The page's drawings as plain geometry: the line with its stations, weeks as bars, lead times as a histogram."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from em.demo.outcome import Board, Outcome
from em.demo.units import DAY_S, HOUR_S, thousands

FLOW_WIDTH_MAX, FLOW_WIDTH_MIN = 26.0, 2.5
SOURCES = (
    (("github", "argocd", "heroku", "report"), "Git and deploys"),
    (("pagerduty",), "PagerDuty"),
    (("slack",), "Slack"),
)

CHART_WIDTH, CHART_HEIGHT, CHART_BASE = 380.0, 150.0, 118.0
BARS_TOP = 18.0
LEAD_TIME_BINS = (
    (4 * HOUR_S, "4 h"),
    (8 * HOUR_S, "8 h"),
    (16 * HOUR_S, "16 h"),
    (DAY_S, "1 d"),
    (2 * DAY_S, "2 d"),
    (3 * DAY_S, "3 d"),
    (5 * DAY_S, "5 d"),
    (float("inf"), "more"),
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Station:
    """A box of the line around its centre; ``told`` stands under its name."""

    x: float
    y: float
    width: float
    name: str
    told: str
    kind: str = "ours"


@dataclass(frozen=True, kw_only=True, slots=True)
class Flow:
    """A curve between two stations, as thick as what goes through."""

    path: str
    width: float


@dataclass(frozen=True, kw_only=True, slots=True)
class LinePicture:
    width: float
    height: float
    stations: Sequence[Station]
    flows: Sequence[Flow]


@dataclass(frozen=True, kw_only=True, slots=True)
class Bar:
    """``parts`` from the bottom up: (class, y, height)."""

    x: float
    width: float
    parts: Sequence[tuple[str, float, float]]
    label: str
    count: int
    top: float
    title: str


@dataclass(frozen=True, slots=True)
class _Layout:
    """Positions along the line and across it; ``tall`` turns the line from sideways to downwards."""

    tall: bool

    def place(self, along: int, across: int) -> tuple[float, float]:
        if self.tall:
            return 65 + across * 125, 40 + along * 118
        return 82 + along * 256, 46 + across * 98

    @property
    def box_width(self) -> float:
        return 119 if self.tall else 156

    @property
    def size(self) -> tuple[float, float]:
        return (380, 552) if self.tall else (1188, 290)

    def curve(self, start: tuple[float, float], end: tuple[float, float]) -> str:
        (x1, y1), (x2, y2) = start, end
        if self.tall:
            middle = (y1 + y2) / 2
            return f"M{x1:.0f} {y1:.0f}C{x1:.0f} {middle:.0f} {x2:.0f} {middle:.0f} {x2:.0f} {y2:.0f}"
        middle = (x1 + x2) / 2
        return f"M{x1:.0f} {y1:.0f}C{middle:.0f} {y1:.0f} {middle:.0f} {y2:.0f} {x2:.0f} {y2:.0f}"


def line_picture(outcome: Outcome, *, tall: bool) -> LinePicture:
    """Sources, ingest, normalizer, the three services and what leaves them again."""
    layout = _Layout(tall)
    deliveries, dispositions = outcome.deliveries(), outcome.dispositions
    by_source = {title: sum(d.source in names for d in outcome.story.deliveries) for names, title in SOURCES}
    approvals, slack = outcome.approvals, outcome.slack
    most = max(deliveries["sent"], 1)
    counts = {title: f"{thousands(count)} webhooks" for title, count in by_source.items()}
    boxes = [(0, row, title, told, "outside") for row, (title, told) in enumerate(counts.items())]
    boxes += [
        (1, 1, "ingest", f"{thousands(deliveries['accepted'])} accepted", "ours"),
        (2, 1, "normalizer", f"{thousands(dispositions['events'])} to events", "ours"),
        (3, 0, "metrics-svc", "5 DORA metrics", "ours"),
        (3, 1, "approvals-svc", f"{approvals['requested']} asked", "ours"),
        (3, 2, "notifier", f"{thousands(slack['posts'] + slack['updates'])} written", "ours"),
        (4, 0, "API", f"{len(outcome.dora)} services", "outside"),
        (4, 1, "GitHub", f"{approvals['callbacks']} callbacks", "outside"),
        (4, 2, "Slack", f"{slack['posts']} posts", "outside"),
    ]
    stations = [_station(layout, *box) for box in boxes]
    events = dispositions["events"]
    ends = [((0, row), (1, 1), count) for row, count in enumerate(by_source.values())]
    ends += [
        ((1, 1), (2, 1), deliveries["accepted"]),
        ((2, 1), (3, 0), events),
        ((2, 1), (3, 1), approvals["requested"]),
        ((2, 1), (3, 2), slack["posts"]),
        ((3, 0), (4, 0), 1),
        ((3, 1), (4, 1), approvals["callbacks"]),
        ((3, 2), (4, 2), slack["posts"] + slack["updates"]),
    ]
    flows = [
        Flow(path=layout.curve(layout.place(*a), layout.place(*b)), width=_thickness(amount, most))
        for a, b, amount in ends
    ]
    width, height = layout.size
    return LinePicture(width=width, height=height, stations=stations, flows=flows)


def _station(layout: _Layout, along: int, across: int, name: str, told: str, kind: str) -> Station:
    x, y = layout.place(along, across)
    return Station(x=x, y=y, width=layout.box_width, name=name, told=told, kind=kind)


def _thickness(amount: int, most: int) -> float:
    return round(FLOW_WIDTH_MIN + (FLOW_WIDTH_MAX - FLOW_WIDTH_MIN) * math.sqrt(amount / most), 1)


def week_bars(board: Board) -> list[Bar]:
    most = max((week.total for week in board.weeks), default=1) or 1
    step = CHART_WIDTH / max(len(board.weeks), 1)
    bars = []
    for n, week in enumerate(board.weeks):
        amounts = (("sound", week.sound), ("rework", week.rework), ("failed", week.failed))
        title = f"Week of {week.starts:%d %b}: {week.total} deployments, {week.failed} failed, {week.rework} rework"
        bars.append(_bar(n, step, amounts, most, f"{week.starts:%d %b}", title))
    return bars


def lead_time_bars(board: Board) -> list[Bar]:
    counts, low = [], 0.0
    for high, _ in LEAD_TIME_BINS:
        counts.append(sum(low <= seconds < high for seconds in board.lead_times))
        low = high
    most, step = max(counts) or 1, CHART_WIDTH / len(counts)
    bars = []
    for n, (count, (_, label)) in enumerate(zip(counts, LEAD_TIME_BINS, strict=True)):
        said = f"over {LEAD_TIME_BINS[-2][1]}" if label == "more" else f"< {label}"
        bars.append(_bar(n, step, (("lead", count),), most, said, f"{said}: {count} changes"))
    return bars


def _bar(n: int, step: float, amounts: Sequence[tuple[str, int]], most: int, label: str, title: str) -> Bar:
    y, parts = CHART_BASE, []
    for name, amount in amounts:
        height = (CHART_BASE - BARS_TOP) * amount / most
        y -= height
        if amount:
            parts.append((name, round(y, 1), round(height, 1)))
    total = sum(amount for _, amount in amounts)
    return Bar(
        x=round(n * step + step * 0.14, 1),
        width=round(step * 0.72, 1),
        parts=parts,
        label=label,
        count=total,
        top=round(y, 1),
        title=title,
    )
