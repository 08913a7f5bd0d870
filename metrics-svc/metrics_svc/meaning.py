"""What facts mean by a catalog: the one place that says which service, whether production, and whose report counts.

Pure.
"""

import re
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Sequence
from datetime import datetime, timedelta
from typing import Literal, Protocol

import msgspec

from shared.catalog import Catalog

Aside = Literal["", "not_authoritative", "other_regions"]

JOB = re.compile(r":job:[0-9]+$")
# Between the ends of two platforms' reports of one rollout (reference dora.md §3).
SAME_ROLLOUT = timedelta(minutes=15)


class Origin(Protocol):
    """What a platform says of what it deployed, and where to."""

    @property
    def source(self) -> str: ...
    @property
    def repository(self) -> str: ...
    @property
    def service_name(self) -> str: ...
    @property
    def environment(self) -> str: ...


class DeployedTo(Origin, Protocol):
    @property
    def outcome(self) -> str | None: ...


class Report(DeployedTo, Protocol):
    """One report of something that was rolled out."""

    @property
    def id(self) -> str: ...
    @property
    def sha(self) -> str: ...
    @property
    def finished_at(self) -> datetime | None: ...


class Suffered(Protocol):
    @property
    def source(self) -> str: ...
    @property
    def service_id(self) -> str: ...
    @property
    def service_name(self) -> str: ...
    @property
    def rule(self) -> str | None: ...


class Owned(msgspec.Struct, frozen=True, kw_only=True):
    """A row of `service`: who has it, who had it before, and until when, oldest first."""

    name: str
    team: str
    earlier_teams: Sequence[str]
    handed_over_at: Sequence[datetime]


class Standing(msgspec.Struct, frozen=True):
    """A deployment that succeeded in production: of which service, on which of its timelines, in which environment.

    `aside` says why it does not count: another platform's report of the same rollout does, or the rollout does when
    the last of its regions has finished.
    """

    service: str
    timeline: str
    environment: str
    regions: tuple[str, ...] = ()
    aside: Aside = ""

    @property
    def counts(self) -> bool:
        return not self.aside


def origin(source: str, repository: str, service_name: str) -> str:
    """What names a timeline: the repository, or who deployed what under which name."""
    return f"{source}:{service_name}@{repository}" if service_name else repository


def owned(service: str, catalog: Catalog) -> Owned:
    *earlier, (team, _, _) = catalog.teams_of(service)
    return Owned(
        name=service,
        team=team,
        earlier_teams=[name for name, _, _ in earlier],
        handed_over_at=[end for _, _, end in earlier if end],
    )


def services_of_origin(name: str, catalog: Catalog) -> tuple[str, ...]:
    """All that what goes by this name may be of: a repository may hold several."""
    platform, colon, rest = name.partition(":")
    if not colon:
        return catalog.services_of_repository(name)
    service_name, _, repository = rest.rpartition("@")
    found = catalog.service_of_deployment(platform, repository, service_name)
    held = catalog.services_of_repository(repository) if repository else ()
    return held if found in held else (found,)


def service_of_origin(name: str, catalog: Catalog) -> str:
    return services_of_origin(name, catalog)[0]


def service_of(deployment: Origin, catalog: Catalog) -> str:
    return catalog.service_of_deployment(
        deployment.source, deployment.repository, deployment.service_name, deployment.environment
    )


def standing_alone(deployment: DeployedTo, catalog: Catalog) -> Standing | None:
    """Whatever else was reported. None: it did not succeed (yet), or not in production."""
    service = service_of(deployment, catalog)
    if deployment.outcome != "succeeded" or not catalog.is_production(service, deployment.environment):
        return None
    authoritative = catalog.authoritative(service) in ("", deployment.source)
    return Standing(
        service,
        _timeline(deployment, service, catalog),
        catalog.environment_of(service, deployment.environment),
        catalog.regions_of(service, deployment.environment),
        "" if authoritative else "not_authoritative",
    )


def standings(reports: Sequence[Report], catalog: Catalog) -> dict[str, Standing | None]:
    """Of all reports of the rollouts in question, by id.

    One commit in all regions of an environment is one rollout: it counts as the region does that finished last.
    """
    found = reported(reports, catalog)
    groups: dict[tuple[str, str, str], list[tuple[Report, Standing]]] = defaultdict(list)
    for report in reports:
        standing = found[report.id]
        if standing and standing.counts and standing.regions and report.sha:
            groups[standing.service, standing.environment, report.sha].append((report, standing))
    for parts in groups.values():
        _, first = parts[0]
        for report in _not_last([report for report, _ in parts], first.regions):
            found[report.id] = msgspec.structs.replace(first, aside="other_regions")
    return found


def reported(reports: Iterable[Report], catalog: Catalog) -> dict[str, Standing | None]:
    """Each region apart.

    Reports of one commit in one environment of a service by several platforms are one rollout, if they end within
    `SAME_ROLLOUT` of the one that counts. That is the one of the platform that the catalog calls authoritative; where
    it names none, of one that knows the repository, then of the first by name.
    """
    found: dict[str, Standing | None] = {}
    groups: dict[tuple[str, str, str], list[tuple[Report, Standing]]] = defaultdict(list)
    for report in reports:
        standing = found[report.id] = standing_alone(report, catalog)
        if standing and standing.counts and report.sha:
            groups[standing.service, report.environment, report.sha].append((report, standing))
    for same in groups.values():
        counting = {report.id for report in _counting([report for report, _ in same])}
        for report, standing in same:
            if report.id not in counting:
                found[report.id] = msgspec.structs.replace(standing, aside="not_authoritative")
    return found


def service_of_incident(incident: Suffered, catalog: Catalog) -> str | None:
    """Of an alert (it has a rule) only where a service counts that rule."""
    if incident.rule is not None:
        return catalog.service_of_alert(incident.source, incident.rule)
    return catalog.service_of_incident(incident.source, incident.service_id, incident.service_name)


def _not_last(parts: Iterable[Report], regions: Collection[str]) -> Iterator[Report]:
    """Those after which a region was still missing; when none is, the next rollout of the commit begins."""
    missing = set(regions)
    for part in sorted(parts, key=lambda part: (part.finished_at, part.id)):
        missing.discard(part.environment)
        if missing:
            yield part
        else:
            missing = set(regions)


def _counting(reports: Iterable[Report]) -> list[Report]:
    """Each, in the order in which platforms are believed, but for those near another's that counts.

    What does not count hides nothing: a chain of reports, each near the next, is never one rollout.
    """
    counting: list[Report] = []
    for report in sorted(reports, key=lambda report: (not report.repository, _reporter(report))):
        others = (each for each in counting if _reporter(each) != _reporter(report))
        if not any(_near(report, other) for other in others):
            counting.append(report)
    return counting


def _near(one: Report, other: Report) -> bool:
    return bool(one.finished_at and other.finished_at and abs(one.finished_at - other.finished_at) <= SAME_ROLLOUT)


def _reporter(report: Report) -> str:
    """A job that deploys is told of as a job as well (GitLab): that counts where nothing else tells of it."""
    return f"{report.source} job" if JOB.search(report.id) else report.source


def _timeline(deployment: Origin, service: str, catalog: Catalog) -> str:
    """Where the service's own repository is known, its changes can be linked."""
    known = catalog.repository_of(service, deployment.repository)
    return known or origin(deployment.source, deployment.repository, deployment.service_name)
