"""The rows of the API's answers, made from what was read. Pure."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from zoneinfo import ZoneInfo

import msgspec

from metrics_svc import bands, dora
from metrics_svc.dora import Metric, Samples
from metrics_svc.question import Question
from metrics_svc.window import Window

BAND_YEAR = 2023


class DoraRow(msgspec.Struct, frozen=True, kw_only=True):
    """One number of a service (or, `service` empty, of a team: over all samples of its services).

    `value` is null with `n` 0 where there is nothing to measure. `low` and `high` bound it with 90 % confidence. `band`
    goes by `band_year`, and is null under five.
    """

    service: str
    team: str
    metric: str
    start: datetime
    end: datetime
    value: float | None
    unit: str
    n: int
    p50: float | None = None
    p75: float | None = None
    p90: float | None = None
    p95: float | None = None
    mean: float | None = None
    low: float | None = None
    high: float | None = None
    band: str | None = None
    band_year: int | None = None


class Excluded(msgspec.Struct, frozen=True, kw_only=True):
    """What counts in no number of a service, or not in lead time, and why.

    Changes: carried by the seed, after a gap of 60 days, without a known first commit, with a first commit from the
    future (`skewed`), deployed before it (`negative`), linked with too little confidence, merged in the window and not
    deployed. Incidents opened in the window without a cause. Deployments of the same sha again, those to an environment
    that the catalog doesn't call production, reports of a rollout that counts as another platform reports it, or when
    its last region has finished (if ever).
    """

    service: str
    seed: int = 0
    long_gap: int = 0
    no_first_commit: int = 0
    skewed: int = 0
    negative: int = 0
    low_confidence: int = 0
    unlinked_changes: int = 0
    unlinked_incidents: int = 0
    redeploys: int = 0
    unknown_environment: int = 0
    not_authoritative: int = 0
    other_regions: int = 0


class DoraAnswer(msgspec.Struct, frozen=True, kw_only=True, rename={"start": "from", "end": "to"}):
    """`incidents_without_service`: opened in the window, and nothing says which service they mean."""

    definition: str
    start: datetime
    end: datetime
    bucket: str | None
    tz: str
    agg: str
    as_of: datetime | None
    rules: Mapping[str, str]
    rows: Sequence[DoraRow]
    excluded: Sequence[Excluded]
    incidents_without_service: int


class AliasAnswer(msgspec.Struct, frozen=True, kw_only=True, rename={"start": "from", "end": "to"}):
    """One metric under its old name. `note` says where the name promises something else."""

    metric: str
    note: str
    definition: str
    days: int
    start: datetime
    end: datetime
    services: Sequence[Mapping[str, object]]


Measured = Mapping[str, Metric]


def rows(
    question: Question,
    measured: Mapping[tuple[str, int], Measured],
    teams: Mapping[str, str],
    metrics: Sequence[str],
    team: str | None,
) -> list[DoraRow]:
    """Every service, then the team that was asked about, each with all pieces, also the empty ones."""
    scopes = [(name, teams.get(name, "")) for name in question.services] + ([("", team)] if team else [])
    return [
        _row(service, of, metric, piece, found, question.agg)
        for metric in metrics
        for service, of in scopes
        for number, piece in enumerate(question.buckets)
        if (found := measured.get((service, number), {}).get(metric))
    ]


def measure(
    question: Question,
    found: Mapping[tuple[str, int], Samples],
    team: str | None,
    metrics: Sequence[str] = dora.ALL,
) -> dict[tuple[str, int], Measured]:
    """By (service, piece); the team's under the service ''."""
    zone = ZoneInfo(question.zone)
    whole = dict(found)
    if team:
        for number in range(len(question.buckets)):
            whole["", number] = dora.pool([found.get((service, number), Samples()) for service in question.services])
    return {
        (service, number): dora.measure(whole.get((service, number), Samples()), piece, zone, metrics)
        for service in (*question.services, *([""] if team else []))
        for number, piece in enumerate(question.buckets)
    }


def _row(service: str, team: str, metric: str, piece: Window, found: Metric, agg: str) -> DoraRow:
    fields = msgspec.to_builtins(found)
    if "p50" in fields:
        fields["value"] = fields[agg]
    if agg != "p50" and "p50" in fields:  # the interval is the median's
        fields["low"] = fields["high"] = None
    of = bands.band(metric, found, BAND_YEAR)
    return DoraRow(
        service=service,
        team=team,
        metric=metric,
        start=piece.start,
        end=piece.end,
        band=of.name if of else None,
        band_year=of.year if of else None,
        **fields,
    )
