"""Which numbers of a service exist, what keeps the others away, and the line of catalog.yaml that would help. Pure."""

from collections.abc import Mapping, Sequence

import msgspec

from metrics_svc import dora
from metrics_svc.dora import Metric


class Count(msgspec.Struct, frozen=True, kw_only=True):
    """`part` of `whole`, by what the platform calls it: an environment, an on-call service, a rule."""

    source: str = ""
    name: str = ""
    part: int
    whole: int


class Observed(msgspec.Struct, frozen=True, kw_only=True):
    """What the facts of a window hold of a service."""

    unknown_environments: Sequence[Count] = ()
    without_sha: Count = Count(part=0, whole=0)
    linked_by_time: Count = Count(part=0, whole=0)
    never_deployed: Count = Count(part=0, whole=0)
    without_first_commit: Count = Count(part=0, whole=0)
    skewed: Count = Count(part=0, whole=0)
    incidents: int = 0
    in_catalog: bool = True


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """`share` from 0 to 1. `fix` is what to write or to do."""

    finding: str
    detail: str
    count: int
    share: float
    fix: str


class Existing(msgspec.Struct, frozen=True, kw_only=True):
    metric: str
    exists: bool
    n: int
    why_not: str = ""


class ServiceHealth(msgspec.Struct, frozen=True, kw_only=True):
    service: str
    team: str
    metrics: Sequence[Existing]
    findings: Sequence[Finding]


def of_service(service: str, team: str, measured: Mapping[str, Metric], seen: Observed) -> ServiceHealth:
    return ServiceHealth(
        service=service,
        team=team,
        metrics=[
            Existing(
                metric=name,
                exists=measured[name].value is not None,
                n=measured[name].n,
                why_not="" if measured[name].value is not None else _why_not(name, measured, seen),
            )
            for name in dora.METRICS
        ],
        findings=_findings(service, seen),
    )


def unowned(counts: Sequence[Count]) -> list[Finding]:
    """On-call services whose incidents nobody's catalog entry names."""
    return [
        Finding(
            finding="incidents_without_service",
            detail=f"{count.source}: {count.name or 'no service named'}",
            count=count.part,
            share=_share(count),
            fix=f"incident_services: {{{count.source}: [{count.name}]}}  # at the service that it stands for"
            if count.name
            else "let the platform name a service with its incidents",
        )
        for count in counts
    ]


def _why_not(metric: str, measured: Mapping[str, Metric], seen: Observed) -> str:
    if not measured[dora.FREQUENCY].n:
        return "no successful production deployment" + (
            ": its environments are not called production" if seen.unknown_environments else ""
        )
    if metric == dora.LEAD_TIME:
        return (
            "no deployed change has a first commit that is known" if seen.never_deployed.whole else "no merged change"
        )
    return "no failed deployment has recovered" if seen.incidents else "no incident, rollback, revert or hotfix"


def _findings(service: str, seen: Observed) -> list[Finding]:
    found = [
        _finding(
            "unknown_environment",
            count,
            count.name,
            f'production: ["^{count.name}$"]  # at {service}, if {count.name} is production',
        )
        for count in seen.unknown_environments
    ]
    found += [
        _finding("deployments_without_sha", seen.without_sha, "", "let the deployment report its commit"),
        _finding("linked_by_time", seen.linked_by_time, "", "send pushes of the default branch (events: push)"),
        _finding("changes_never_deployed", seen.never_deployed, "", f"repositories: […]  # those that {service} holds"),
        _finding("no_first_commit", seen.without_first_commit, "", "send pushes of branches (events: push)"),
        _finding("clock_skew", seen.skewed, "", "set the clocks of those who commit (NTP)"),
    ]
    if not seen.in_catalog:
        found.append(
            Finding(
                finding="not_in_catalog",
                detail="",
                count=1,
                share=1.0,
                fix=f"services: [{{name: {service}, team: …, repositories: […]}}]",
            )
        )
    return [finding for finding in found if finding.count]


def _finding(name: str, count: Count, detail: str, fix: str) -> Finding:
    return Finding(finding=name, detail=detail, count=count.part, share=_share(count), fix=fix)


def _share(count: Count) -> float:
    return round(count.part / count.whole, 4) if count.whole else 0.0
