"""What a team looks at in the morning: what happened since the day before, and what waits. Pure."""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

import msgspec

from metrics_svc.flow.signals import STALE, OpenChange, Signal
from shared.catalog import Catalog

Row = Mapping[str, Any]
HAPPENED = ("merged", "deployed", "failed", "incidents")
WAITING = ("unreviewed", "sent_back", "stale")


class Line(msgspec.Struct, frozen=True, kw_only=True):
    """`subject` is `owner/repo#n`, an environment or an incident; `at` is when it happened, or since when it waits."""

    team: str
    section: str
    service: str
    subject: str
    detail: str
    author: str
    at: datetime
    url: str


class Happened(msgspec.Struct, frozen=True, kw_only=True):
    """In the window of the standup, while the team had these services; rows of `store.flow` and `store.work_items`."""

    services: Sequence[str]
    merged: Sequence[Row]
    deployed: Sequence[Row]
    failed: Sequence[Row]
    incidents: Sequence[Row]


class TeamStandup(msgspec.Struct, frozen=True, kw_only=True):
    """`wip` is how many changes are in progress. Each section is in the order of time: what waits longest is first.

    `unreviewed` have no first review, `sent_back` wait for their authors, `stale` nobody touched for long.
    """

    team: str
    services: Sequence[str]
    wip: int
    merged: Sequence[Line] = ()
    deployed: Sequence[Line] = ()
    failed: Sequence[Line] = ()
    incidents: Sequence[Line] = ()
    unreviewed: Sequence[Line] = ()
    sent_back: Sequence[Line] = ()
    stale: Sequence[Line] = ()


def standup(
    happened: Mapping[str, Happened], open_now: Sequence[OpenChange], raised: Sequence[Signal], catalog: Catalog
) -> list[TeamStandup]:
    """`happened` by team. What waits is of who has the service now; `raised` are the signals of `open_now`."""
    sections: dict[tuple[str, str], list[Line]] = defaultdict(list)
    lines = [*_waiting(open_now, raised, catalog)]
    for team, found in happened.items():
        lines += _happened(team, found)
    for line in sorted(lines, key=lambda each: (each.at, each.subject)):
        sections[line.team, line.section].append(line)
    return [
        TeamStandup(
            team=team,
            services=found.services,
            wip=sum(catalog.team_of(change.service) == team for change in open_now),
            **{section: sections[team, section] for section in (*HAPPENED, *WAITING)},
        )
        for team, found in happened.items()
    ]


def _happened(team: str, found: Happened) -> Iterator[Line]:
    for row in found.merged:
        yield _line(team, "merged", row, f"{row['repository']}#{row['number']}", row["title"])
    for section, rows in (("deployed", found.deployed), ("failed", found.failed)):
        for row in rows:
            yield _line(team, section, row, row["environment"], row["kind"] or "")
    for row in found.incidents:
        yield _line(team, "incidents", row, row["id"], row["title"])


def _line(team: str, section: str, row: Row, subject: str, detail: str) -> Line:
    return Line(
        team=team,
        section=section,
        service=row["service"],
        subject=subject,
        detail=detail,
        author="",
        at=row["at"],
        url=row["url"],
    )


def _waiting(open_now: Sequence[OpenChange], raised: Sequence[Signal], catalog: Catalog) -> Iterator[Line]:
    stale = {signal.subject: signal.since for signal in raised if signal.kind == STALE}
    for change in open_now:
        if change.first_review_at is None:
            yield _of_change("unreviewed", change, change.ready_at, catalog)
        if change.sent_back:
            yield _of_change("sent_back", change, change.last_activity_at or change.ready_at, catalog)
        if change.subject in stale:
            yield _of_change("stale", change, stale[change.subject], catalog)


def _of_change(section: str, change: OpenChange, at: datetime, catalog: Catalog) -> Line:
    return Line(
        team=catalog.team_of(change.service),
        section=section,
        service=change.service,
        subject=change.subject,
        detail=change.title,
        author=change.author,
        at=at,
        url=change.url,
    )
