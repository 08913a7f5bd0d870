"""What reports say in chat: sections of lines, which notifier shows. Pure."""

from collections.abc import Mapping, Sequence

from metrics_svc import standup
from metrics_svc.flow.signals import STALE, WIP_LIMIT, WITHOUT_REVIEW, WITHOUT_TICKET, Signal
from metrics_svc.sprint import TeamHealth
from metrics_svc.standup import TeamStandup
from metrics_svc.wording import amount, share, span
from shared.contracts.events import Compared, Item, MetricShifted, MetricSummarized, Section

# Of a section; what is more is counted.
LINES_MAX = 100
SECTIONS_OF_STANDUP: Mapping[str, str] = {
    "unreviewed": "Waiting for a review",
    "sent_back": "Sent back to the author",
    "stale": "Untouched for long",
    "incidents": "Incidents",
    "failed": "Failed deployments",
    "deployed": "Deployed",
    "merged": "Merged",
}
SIGNALS: Mapping[str, str] = {
    STALE: "Untouched for long",
    WITHOUT_REVIEW: "Waiting for a review",
    WIP_LIMIT: "Too much in progress",
    WITHOUT_TICKET: "Without a ticket",
}
# As the earlier em-agent called them.
EARLIER: Mapping[str, str] = {
    "stale_pr": STALE,
    "pr_without_review": WITHOUT_REVIEW,
    "no_ticket_link": WITHOUT_TICKET,
}
TRIAGED = (STALE, WITHOUT_REVIEW)


def of_standup(teams: Sequence[TeamStandup]) -> tuple[Section, ...]:
    """Of all teams together; what waits comes first, sections without anything are left out."""
    found = (
        _section(title, [_line(line) for team in teams for line in getattr(team, name)])
        for name, title in SECTIONS_OF_STANDUP.items()
    )
    return tuple(section for section in found if section.items)


def in_progress(teams: Sequence[TeamStandup]) -> int:
    return sum(team.wip for team in teams)


def of_signals(raised: Sequence[Signal], kinds: Sequence[str]) -> tuple[Section, ...]:
    """One for each kind, also where nothing is raised. A change of several services is told of once."""
    first = {(each.kind, each.subject): each for each in reversed(raised)}
    ordered = sorted(first.values(), key=lambda each: (each.since, each.subject))
    return tuple(
        _section(SIGNALS[kind], [_line_of_signal(each) for each in ordered if each.kind == kind]) for kind in kinds
    )


def of_sprint(teams: Sequence[TeamHealth]) -> tuple[Section, ...]:
    return tuple(Section(title=each.team or "Services without a team", items=_lines_of_health(each)) for each in teams)


def of_week(told: MetricSummarized, shifted: Sequence[MetricShifted]) -> tuple[Section, ...]:
    """How the week went beside the one before, why its lead time is another, and what has a new level."""
    found = (
        Section(title="Delivery", items=tuple(map(_line_of_numbers, told.numbers))),
        Section(
            title="Why lead time changed",
            items=tuple(
                Item(subject=_name(each.stage), detail=f"{span(each.before_s)} → {span(each.after_s)}")
                for each in told.because
            ),
        ),
        Section(
            title="Another level since",
            items=tuple(
                Item(
                    subject=f"{each.service}: {_name(each.metric)}",
                    detail=f"{amount(each.before, each.unit)} → {amount(each.after, each.unit)}, "
                    f"since the week of {each.since}",
                )
                for each in shifted
            ),
        ),
        Section(
            title="Services",
            items=tuple(
                Item(subject=each.service, detail=" · ".join(map(_in_short, each.numbers))) for each in told.services
            ),
        ),
    )
    return tuple(section for section in found if section.items)


def _section(title: str, lines: Sequence[Item]) -> Section:
    return Section(title=title, n=len(lines), items=tuple(lines[:LINES_MAX]))


def _line(line: standup.Line) -> Item:
    where = f"{line.service} to {line.subject}" if line.section in ("deployed", "failed") else line.subject
    return Item(subject=where, detail=line.detail, who=line.author, at=line.at, url=line.url)


def _line_of_signal(each: Signal) -> Item:
    return Item(subject=each.subject, detail=each.detail, who=each.author, at=each.since, url=each.url)


def _lines_of_health(each: TeamHealth) -> tuple[Item, ...]:
    limit = f", the limit of a service is {each.wip_limit}" if each.wip_limit else ""
    over = f"; over it: {', '.join(each.over_limit)}" if each.over_limit else ""
    per_day = f" ({each.deployments_per_day:.2f} a day)" if each.deployments_per_day is not None else ""
    return (
        Item(subject="Merged", detail=str(each.merged)),
        Item(subject="Deployments", detail=f"{each.deployments}{per_day}"),
        Item(subject="Lead time", detail=f"{span(each.lead_time_p50_s)} (n {each.lead_time_n})"),
        Item(subject="Change fail rate", detail=share(each.change_fail_rate)),
        Item(subject="Recovery", detail=f"{span(each.recovery_p50_s)} (n {each.recovery_n})"),
        Item(subject="In progress", detail=f"{each.wip} now, {each.wip_max} at most{limit}{over}"),
    )


def _line_of_numbers(each: Compared) -> Item:
    before = f" (before: {amount(each.before, each.unit)})" if each.before is not None else ""
    return Item(subject=_name(each.metric), detail=f"{amount(each.value, each.unit)}{before}")


def _in_short(each: Compared) -> str:
    return f"{_name(each.metric).lower()} {amount(each.value, each.unit)}"


def _name(metric: str) -> str:
    return metric.replace("_", " ").capitalize()
