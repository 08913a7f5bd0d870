"""What a platform's own reference means to us. Pure: facts keep the reference, derived rows what the catalog said."""

import re
from collections.abc import Collection, Mapping
from datetime import UTC, date, datetime
from functools import cached_property
from typing import Annotated

import msgspec

from shared.catalog import paths

INCIDENT_WINDOW_H = 24.0
DEFAULT_PRODUCTION = r"^(prod|production|live)([-_/].*)?$"
# Their tickets live in a repository, which is the project.
REPOSITORY_TRACKERS = frozenset({"bitbucket", "gitea", "github", "gitlab"})


class Team(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`timezone`: of its mornings (IANA), where it is not everybody's."""

    name: str
    slack_channel: str = ""
    members: tuple[str, ...] = ()
    timezone: str = ""


class Person(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One human; each platform identity is a list, because people have several."""

    name: str
    github: tuple[str, ...] = ()
    gitlab: tuple[str, ...] = ()
    gitea: tuple[str, ...] = ()
    bitbucket: tuple[str, ...] = ()
    azure_devops: tuple[str, ...] = ()
    slack: tuple[str, ...] = ()
    pagerduty: tuple[str, ...] = ()
    email: tuple[str, ...] = ()

    def identities(self, platform: str) -> tuple[str, ...]:
        return getattr(self, platform, ())


class Tenure(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A team had a service until the beginning of this day in UTC."""

    team: str
    until: date


class Service(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`deployments`: per platform, what it calls the service (an Argo CD application, an ECS service, a Heroku app).

    `authoritative`: the one platform whose deployments count, where several report the same rollout. `alerts`: per
    platform, patterns of rules whose alerts count as incidents of the service; none do without it. An incident may
    have been caused by a deployment in the `incident_window_h` hours before it. `ticket_projects` and
    `quality_projects`: per tracker, or tool that checks code, the keys of its projects. `regions`: environments that
    are copies of one, by the name that this one has here. `paths`: where in its repositories it lives, which it shares
    with others; everywhere without. `earlier_teams` had it before, oldest first. `visible_to`: teams whose people,
    beside its own, see what is asked and found of it; everybody without.
    """

    name: str
    team: str = ""
    earlier_teams: tuple[Tenure, ...] = ()
    repositories: tuple[str, ...] = ()
    paths: tuple[str, ...] = ()
    deployments: Mapping[str, tuple[str, ...]] = {}
    authoritative: str = ""
    incident_services: Mapping[str, tuple[str, ...]] = {}
    alerts: Mapping[str, tuple[str, ...]] = {}
    ticket_projects: Mapping[str, tuple[str, ...]] = {}
    quality_projects: Mapping[str, tuple[str, ...]] = {}
    incident_window_h: Annotated[float, msgspec.Meta(gt=0, le=168)] = INCIDENT_WINDOW_H
    slack_channel: str = ""
    production: tuple[str, ...] = (DEFAULT_PRODUCTION,)
    regions: Mapping[str, tuple[str, ...]] = {}
    visible_to: tuple[str, ...] = ()


class Label(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Of changes and approvals: what bears it is seen by people of the teams `visible_to` alone, whatever service it is
    of."""

    name: Annotated[str, msgspec.Meta(min_length=1)]
    visible_to: Annotated[tuple[str, ...], msgspec.Meta(min_length=1)]

    @property
    def mark(self) -> str:
        """Beside names of services, where both hide something."""
        return label_mark(self.name)


def label_mark(label: str) -> str:
    return f"label:{label}"


class Thresholds(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """When a change in progress needs attention: hours without anybody's touch, hours without a first review; and how
    many of a service may be in progress at once."""

    stale_change_h: Annotated[float, msgspec.Meta(gt=0)] = 48
    unreviewed_h: Annotated[float, msgspec.Meta(gt=0)] = 12
    wip_limit: Annotated[int, msgspec.Meta(gt=0)] | None = None


class Catalog(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, dict=True):
    version: int = 1
    teams: tuple[Team, ...] = ()
    people: tuple[Person, ...] = ()
    services: tuple[Service, ...] = ()
    labels: tuple[Label, ...] = ()
    bots: tuple[str, ...] = ()
    ai_agents: tuple[str, ...] = ()
    thresholds: Thresholds = Thresholds()

    def service_of_repository(self, repository: str) -> str:
        """Name of the service that a repository holds, the first of several; without an entry, its short name."""
        return self.services_of_repository(repository)[0]

    def services_of_repository(self, repository: str) -> tuple[str, ...]:
        """All that a repository holds, in the order of the file."""
        found = self._by_repository.get(repository.lower(), ())
        return tuple(service.name for service in found) or (repository.rsplit("/", 1)[-1],)

    def services_of_change(self, repository: str, files: Collection[str] | None) -> tuple[str, ...]:
        """Those that live where these files are; all of the repository where nobody knows the files."""
        found = self._by_repository.get(repository.lower(), ())
        if len(found) < 2 or files is None:
            return self.services_of_repository(repository)
        return tuple(service.name for service in found if paths.touched(service.paths, files))

    def service_of_deployment(self, platform: str, repository: str, service_name: str, environment: str = "") -> str:
        """By the platform's name for it, its repository, its own name; without any of these, what the platform says.

        Of several in one repository the one of that name, else the first whose production the environment is.
        """
        held = self._by_repository.get(repository.lower(), ())
        named = self._by_lower_name.get(service_name.lower())
        found = self._by_deployment.get((platform, service_name)) or (
            (named if named in held else None)
            or next((each for each in held if self.is_production(each.name, environment)), None)
            or next(iter(held), None)
            or named
        )
        return found.name if found else service_name or self.service_of_repository(repository)

    def repository_of(self, service: str, repository: str) -> str:
        """Whose changes a deployment of the service carries: its own repository, else the only one of the service."""
        found = self._by_name.get(service)
        listed = found.repositories if found else ()
        if repository.lower() in {each.lower() for each in listed}:
            return repository
        return listed[0] if len(listed) == 1 else ""

    def repositories_of(self, service: str) -> tuple[str, ...]:
        found = self._by_name.get(service)
        return found.repositories if found else ()

    def authoritative(self, service: str) -> str:
        found = self._by_name.get(service)
        return found.authoritative if found else ""

    def service_of_incident(self, platform: str, service_id: str, service_name: str) -> str | None:
        """Service that an on-call platform's service stands for; None where nothing says so: never guessed."""
        found = self._by_incident_service.get((platform, service_id))
        if found:
            return found.name
        return self._named_like(service_name)

    def service_of_alert(self, platform: str, rule: str) -> str | None:
        """The service that counts alerts of this rule as its incidents."""
        return next((name for name, pattern in self._alert_rules.get(platform, ()) if pattern.fullmatch(rule)), None)

    def service_of_ticket(self, tracker: str, project: str) -> str | None:
        """Service whose tickets a project holds; None where nothing says so: never guessed."""
        if found := self._by_ticket_project.get((tracker, project.lower())):
            return found.name
        return self.service_of_repository(project) if tracker in REPOSITORY_TRACKERS else self._named_like(project)

    def ticket_keys(self, service: str) -> frozenset[str]:
        """Keys of the projects that hold a service's tickets, in lower case; none where the catalog names none."""
        found = self._by_name.get(service)
        projects = found.ticket_projects if found else {}
        return frozenset(key.lower() for keys in projects.values() for key in keys)

    def service_of_quality(self, tool: str, project: str) -> str | None:
        """Service whose code is a tool's project, where the tool names no repository; never guessed."""
        found = self._by_quality_project.get((tool, project.lower()))
        return found.name if found else self._named_like(project)

    def incident_window_h(self, service: str | None) -> float:
        found = self._by_name.get(service or "")
        return found.incident_window_h if found else INCIDENT_WINDOW_H

    def is_production(self, service: str, environment: str) -> bool:
        """A region is what the environment is that it is a copy of."""
        name = self.environment_of(service, environment)
        return any(pattern.search(name) for pattern in self._production(service))

    def environment_of(self, service: str, environment: str) -> str:
        """The one that it is a region of, else itself."""
        return next((name for name, copies in self._regions(service).items() if environment in copies), environment)

    def regions_of(self, service: str, environment: str) -> tuple[str, ...]:
        """All copies of the one that this is a copy of; none where it stands alone."""
        return next((copies for copies in self._regions(service).values() if environment in copies), ())

    def paths_of(self, service: str) -> tuple[str, ...]:
        found = self._by_name.get(service)
        return found.paths if found else ()

    def team_of(self, service: str) -> str:
        found = self._by_name.get(service)
        return found.team if found else ""

    def hidden_from(self, person: str) -> frozenset[str]:
        """Services, and marks of labels, that somebody doesn't see; whoever is no person of the catalog is in no
        team."""
        teams = {team.name for team in self.teams if person in team.members}
        services = frozenset(
            service.name
            for service in self.services
            if service.visible_to and not teams & {service.team, *service.visible_to}
        )
        return services | {label.mark for label in self.labels if teams.isdisjoint(label.visible_to)}

    def teams_of(self, service: str) -> list[tuple[str, datetime | None, datetime | None]]:
        """Every team that has had a service, the oldest first, from when until when; None has no end."""
        found = self._by_name.get(service)
        earlier = found.earlier_teams if found else ()
        ends = [datetime(t.until.year, t.until.month, t.until.day, tzinfo=UTC) for t in earlier]
        names = [*(tenure.team for tenure in earlier), self.team_of(service)]
        return list(zip(names, [None, *ends], [*ends, None], strict=True))

    def tenures(self, team: str, service: str) -> list[tuple[datetime | None, datetime | None]]:
        """From when until when a team has had a service."""
        return [(start, end) for name, start, end in self.teams_of(service) if name == team]

    def channel_of(self, service: str) -> str:
        """Slack channel of a service: its own, else its team's, else none."""
        found = self._by_name.get(service)
        if found is None:
            return ""
        return found.slack_channel or self.channel_of_team(found.team)

    def channel_of_team(self, team: str) -> str:
        return next((each.slack_channel for each in self.teams if each.name == team), "")

    def person(self, platform: str, identity: str) -> Person | None:
        return self._by_identity.get((platform, identity.lower()))

    def is_member(self, slack_user: str) -> bool:
        """Whether it is somebody's Slack account; where the catalog knows none it can tell nobody from anybody."""
        return self.person("slack", slack_user) is not None or not any(person.slack for person in self.people)

    def members_of(self, team: str) -> list[Person]:
        """Those that the file says more of than a name."""
        names = {name for each in self.teams if each.name == team for name in each.members}
        return [person for person in self.people if person.name in names]

    def person_named(self, name: str) -> Person | None:
        return next((person for person in self.people if person.name == name), None)

    def people_called(self, name: str) -> list[Person]:
        """Whose name, account or address on any platform this is."""
        lower = name.lower()
        return [
            person
            for person in self.people
            if name == person.name
            or any(lower == identity.lower() for listed in msgspec.structs.astuple(person)[1:] for identity in listed)
        ]

    def _named_like(self, name: str) -> str | None:
        """Without a single service in the catalog, what a platform says is taken for one."""
        found = self._by_lower_name.get(name.lower())
        if found:
            return found.name
        return None if self.services else (name or None)

    def _production(self, service: str) -> tuple[re.Pattern[str], ...]:
        found = self._by_name.get(service)
        patterns = found.production if found else (DEFAULT_PRODUCTION,)
        return tuple(re.compile(pattern, re.IGNORECASE) for pattern in patterns)

    def _regions(self, service: str) -> Mapping[str, tuple[str, ...]]:
        found = self._by_name.get(service)
        return found.regions if found else {}

    @cached_property
    def _by_name(self) -> dict[str, Service]:
        return {service.name: service for service in self.services}

    @cached_property
    def _by_lower_name(self) -> dict[str, Service]:
        return {service.name.lower(): service for service in reversed(self.services)}

    @cached_property
    def _by_deployment(self) -> dict[tuple[str, str], Service]:
        return {
            (platform, name): service
            for service in self.services
            for platform, names in service.deployments.items()
            for name in names
        }

    @cached_property
    def _alert_rules(self) -> dict[str, list[tuple[str, re.Pattern[str]]]]:
        found: dict[str, list[tuple[str, re.Pattern[str]]]] = {}
        for service in self.services:
            for platform, patterns in service.alerts.items():
                found.setdefault(platform, []).extend((service.name, re.compile(each)) for each in patterns)
        return found

    @cached_property
    def _by_repository(self) -> dict[str, tuple[Service, ...]]:
        found: dict[str, tuple[Service, ...]] = {}
        for service in self.services:
            for repository in {each.lower() for each in service.repositories}:
                found[repository] = (*found.get(repository, ()), service)
        return found

    @cached_property
    def _by_incident_service(self) -> dict[tuple[str, str], Service]:
        return {
            (platform, service_id): service
            for service in self.services
            for platform, ids in service.incident_services.items()
            for service_id in ids
        }

    @cached_property
    def _by_ticket_project(self) -> dict[tuple[str, str], Service]:
        return {
            (tracker, key.lower()): service
            for service in self.services
            for tracker, keys in service.ticket_projects.items()
            for key in keys
        }

    @cached_property
    def _by_quality_project(self) -> dict[tuple[str, str], Service]:
        return {
            (tool, key.lower()): service
            for service in self.services
            for tool, keys in service.quality_projects.items()
            for key in keys
        }

    @cached_property
    def _by_identity(self) -> dict[tuple[str, str], Person]:
        return {
            (platform, identity.lower()): person
            for person in self.people
            for platform in Person.__struct_fields__[1:]
            for identity in person.identities(platform)
        }
