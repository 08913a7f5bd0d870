"""The end of the demo on one terminal screen."""

from collections import Counter
from collections.abc import Iterator, Mapping
from itertools import zip_longest

from rich.columns import Columns
from rich.console import Console, Group, RenderableType
from rich.markup import escape
from rich.padding import Padding
from rich.rule import Rule
from rich.table import Table
from rich.text import Text

from em.demo.cases import Case
from em.demo.mrkdwn import as_text
from em.demo.outcome import METRICS, ChatMessage, Conversation, Outcome, reasons, summary
from em.demo.units import TITLES, said, thousands

__all__ = ["reasons", "render", "summary"]

TRANSCRIPT_MESSAGES = 8
MESSAGE_WIDTH = 104
GOOD, BAD = "green", "bold red"


def render(outcome: Outcome, console: Console) -> None:
    """Ledger, metrics, edge cases, approvals, one channel, addresses; then the reasons if it failed."""
    console.print()
    console.print(Rule("[bold]What the line did[/]", align="left", style="dim"))
    console.print(_ledger(outcome))
    console.print(_metrics(outcome))
    if outcome.cases:
        console.print(_cases(outcome))
    console.print(Columns([_approvals(outcome), _slack(outcome)], padding=(0, 6)))
    for seen in outcome.conversations:
        console.print(Rule(f"[bold]{escape(seen.name)}[/] in Slack, as it stands now", align="left", style="dim"))
        console.print(Group(*_transcript(seen)))
    console.print(_urls(outcome))
    for reason in reasons(outcome):
        console.print(Text("✗ ", style=BAD) + Text(reason))


def _ledger(outcome: Outcome) -> RenderableType:
    deliveries, dispositions = outcome.deliveries(), outcome.dispositions
    sums = Table.grid(padding=(0, 1))
    sums.add_row("deliveries", *_sum(deliveries["sent"], "sent", deliveries, ("accepted", "duplicate", "rejected")))
    sums.add_row(
        "accepted",
        *_sum(deliveries["accepted"], "accepted", dispositions, ("events", "ignored", "dead")),
        _verdict(outcome.adds_up(), "adds up", "does not add up"),
    )
    note = f"{outcome.sent.handshakes} handshakes answered on the spot, {_rate(outcome)} deliveries per second"
    return Padding(Group(sums, Text(note, style="dim")), (1, 0))


def _sum(total: int, name: str, parts: Mapping[str, int], names: tuple[str, ...]) -> Iterator[RenderableType]:
    words = [f"[bold]{thousands(parts[part])}[/] {part}" for part in names]
    yield Text.from_markup(f"[bold]{thousands(total)}[/] {name}")
    yield "="
    yield Text.from_markup(" + ".join(words))


def _rate(outcome: Outcome) -> str:
    return thousands(round(outcome.sent.sent / outcome.sent.seconds)) if outcome.sent.seconds else "–"


def _metrics(outcome: Outcome) -> RenderableType:
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim", pad_edge=False)
    table.add_column("60 days")
    for metric in METRICS:
        table.add_column(TITLES[metric], justify="right")
    table.add_column("")
    for service in outcome.expected_dora:
        agree = all(outcome.agrees(service, metric) for metric in METRICS)
        cells = [_metric(outcome, service, metric) for metric in METRICS]
        table.add_row(service, *cells, _verdict(agree, "as the story", "not so"))
    return Padding(table, (0, 0, 1, 0))


def _cases(outcome: Outcome) -> RenderableType:
    """Which edge case stands where, the first of each."""
    table = Table(box=None, padding=(0, 2, 0, 0), show_header=False, pad_edge=False)
    cells = [_case(case) for case in outcome.cases]
    half = (len(cells) + 1) // 2
    for left, right in zip_longest(cells[:half], cells[half:], fillvalue=Text()):
        table.add_row(left, right)
    good = sum(not case.differs for case in outcome.cases)
    title = f"[bold]{good} of {len(cells)} edge cases[/] are as the story has them; the first of each"
    return Padding(Group(Rule(title, align="left", style="dim"), table), (0, 0, 1, 0))


def _case(case: Case) -> Text:
    mark = Text("✗ ", style=BAD) if case.differs else Text("✓ ", style=GOOD)
    times = f" ×{case.times}" if case.times > 1 else ""
    return mark + Text(case.name) + Text(f"{times} {case.service} {case.at:%d %b}", style="dim")


def _metric(outcome: Outcome, service: str, metric: str) -> Text:
    ours = outcome.dora.get(service, {}).get(metric)
    if ours is None:
        return Text("missing", style=BAD)
    number, unit = said(metric, ours["value"])
    style = "bold" if outcome.agrees(service, metric) else BAD
    return Text(f"{number} {unit}".strip(), style=style) + Text(f"  n={ours['n']:<3}", style="dim")


def _approvals(outcome: Outcome) -> RenderableType:
    counts = outcome.approvals
    table = Table.grid(padding=(0, 1))
    runs = Counter(run.goes_on for run in outcome.runs)
    signed = sum(run.callbacks for run in outcome.runs)
    table.add_row(
        Text("approvals", style="dim"),
        Text.from_markup(
            f"[bold]{counts['requested']}[/] asked, [bold]{counts['approved']}[/] approved, "
            f"[bold]{counts['rejected']}[/] rejected, [bold]{counts['callbacks']}[/] callbacks to GitHub"
        ),
    )
    table.add_row(
        Text("CI runs", style="dim"),
        Text.from_markup(
            f"[bold]{runs[True]}[/] went on, [bold]{runs[False]}[/] stopped, [bold]{signed}[/] signed callbacks"
        ),
    )
    return table


def _slack(outcome: Outcome) -> RenderableType:
    counts, held = outcome.slack, sum(outcome.held_back.values())
    style = BAD if counts["duplicates"] else "bold"
    said_so = Text.from_markup(
        f"[bold]{counts['posts']}[/] posts, [bold]{counts['updates']}[/] updates, "
        f"[{style}]{counts['duplicates']}[/] twice, [bold]{thousands(held)}[/] acts on old facts held back"
    )
    table = Table.grid(padding=(0, 1))
    table.add_row(Text("Slack", style="dim"), said_so)
    return table


def _transcript(seen: Conversation) -> Iterator[RenderableType]:
    shown = list(seen.messages)[-TRANSCRIPT_MESSAGES:]
    for message in shown:
        yield _message(message)
    hidden = len(seen.messages) - len(shown)
    if hidden:
        yield Text(f"and {hidden} before these, on the page", style="dim")


def _message(message: ChatMessage) -> RenderableType:
    words = " · ".join(as_text(line) for line in message.lines if line.strip())
    line = Text(f"{message.at:%H:%M}  {'↳ ' if message.in_thread else ''}", style="dim")
    line.append(words if len(words) <= MESSAGE_WIDTH else words[: MESSAGE_WIDTH - 1] + "…")
    for label, _ in message.buttons:
        line.append(f"  [{label}]", style="cyan")
    if message.edits:
        line.append(f"  edited {message.edits}×", style="dim")
    return line


def _urls(outcome: Outcome) -> RenderableType:
    table = Table.grid(padding=(0, 2))
    for name, url in outcome.urls.items():
        table.add_row(Text(name, style="dim"), Text(url))
    return Padding(table, (1, 0, 0, 0))


def _verdict(good: bool, yes: str, no: str) -> Text:
    return Text(f"✓ {yes}", style=GOOD) if good else Text(f"✗ {no}", style=BAD)
