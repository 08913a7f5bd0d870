"""How a team's last weeks went. Pure."""

from collections.abc import Mapping, Sequence
from datetime import datetime

import msgspec

from metrics_svc import dora
from metrics_svc.dora import Samples
from metrics_svc.flow.progress import ENDED, READY, moments_of, most_at_once, open_at
from metrics_svc.flow.samples import ChangeSamples, samples_of
from metrics_svc.question import Question
from shared.catalog import Catalog


class TeamHealth(msgspec.Struct, frozen=True, kw_only=True):
    """Of a team from `start` to `end`: over all samples of its services, null without any; times in seconds.

    `wip` is at the end, `wip_max` the most at once; `wip_limit` is that of each service, `over_limit` are those above.
    """

    team: str
    start: datetime
    end: datetime
    merged: int
    deployments: int
    deployments_per_day: float | None
    lead_time_n: int
    lead_time_p50_s: float | None
    change_fail_rate: float | None
    recovery_n: int
    recovery_p50_s: float | None
    wip: int
    wip_max: int
    wip_limit: int | None
    over_limit: Sequence[str]


class Found(msgspec.Struct, frozen=True, kw_only=True):
    """What a team had: samples by (service, piece), what was merged, and what was in progress."""

    samples: Mapping[tuple[str, int], Samples]
    merged: Sequence[ChangeSamples]
    progress: Sequence[ChangeSamples]


def sprint_health(team: str, own: Question, found: Found, catalog: Catalog, now: datetime) -> list[TeamHealth]:
    """Every piece of the window; `own` is of what the team had when."""
    return [_of_piece(team, own, number, found, catalog, now) for number in range(len(own.buckets))]


def _of_piece(team: str, own: Question, number: int, found: Found, catalog: Catalog, now: datetime) -> TeamHealth:
    window = own.buckets[number]
    numbers = dora.measure(dora.pool([found.samples.get((name, number), Samples()) for name in own.services]), window)
    mine = moments_of(found.progress)
    ready, ended = (samples_of(found.progress, which) for which in (READY, ENDED))
    at_end = min(window.end, now).timestamp()
    limit = catalog.thresholds.wip_limit
    return TeamHealth(
        team=team,
        start=window.start,
        end=window.end,
        merged=sum(each.n for each in found.merged if each.piece == number),
        deployments=numbers[dora.FREQUENCY].n,
        deployments_per_day=numbers[dora.FREQUENCY].value,
        lead_time_n=numbers[dora.LEAD_TIME].n,
        lead_time_p50_s=numbers[dora.LEAD_TIME].value,
        change_fail_rate=numbers[dora.FAIL_RATE].value,
        recovery_n=numbers[dora.RECOVERY_TIME].n,
        recovery_p50_s=numbers[dora.RECOVERY_TIME].value,
        wip=open_at(ready, ended, at_end),
        wip_max=most_at_once(ready, ended, window),
        wip_limit=limit,
        over_limit=[
            name
            for name, moments in sorted(mine.items())
            if limit and open_at(moments[READY], moments[ENDED], at_end) > limit
        ],
    )
