"""What a platform's own reference means to us. Pure: facts keep the reference, derived rows what the catalog said."""

import re
from collections.abc import Mapping
from functools import cached_property

import msgspec

DEFAULT_PRODUCTION = r"^(prod|production|live)([-_/].*)?$"


class Team(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    name: str
    slack_channel: str = ""
    members: tuple[str, ...] = ()


class Person(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One human; each platform identity is a list, because people have several."""

    name: str
    github: tuple[str, ...] = ()
    slack: tuple[str, ...] = ()
    pagerduty: tuple[str, ...] = ()
    email: tuple[str, ...] = ()

    def identities(self, platform: str) -> tuple[str, ...]:
        return getattr(self, platform, ())


class Service(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    name: str
    team: str = ""
    repositories: tuple[str, ...] = ()
    incident_services: Mapping[str, tuple[str, ...]] = {}
    slack_channel: str = ""
    production: tuple[str, ...] = (DEFAULT_PRODUCTION,)


class Catalog(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, dict=True):
    version: int = 1
    teams: tuple[Team, ...] = ()
    people: tuple[Person, ...] = ()
    services: tuple[Service, ...] = ()
    bots: tuple[str, ...] = ()

    def service_of_repository(self, repository: str) -> str:
        """Name of the service that a repository holds; without an entry, the repository's short name."""
        found = self._by_repository.get(repository.lower())
        return found.name if found else repository.rsplit("/", 1)[-1]

    def service_of_incident(self, platform: str, service_id: str, service_name: str) -> str | None:
        """Service that an on-call platform's service stands for; None where nothing says so: never guessed."""
        found = self._by_incident_service.get((platform, service_id))
        if found:
            return found.name
        named = next((s.name for s in self.services if s.name.lower() == service_name.lower()), None)
        return named if self.services else (service_name or None)

    def is_production(self, service: str, environment: str) -> bool:
        return any(pattern.search(environment) for pattern in self._production(service))

    def team_of(self, service: str) -> str:
        found = self._by_name.get(service)
        return found.team if found else ""

    def channel_of(self, service: str) -> str:
        """Slack channel of a service: its own, else its team's, else none."""
        found = self._by_name.get(service)
        if found is None:
            return ""
        return found.slack_channel or next((t.slack_channel for t in self.teams if t.name == found.team), "")

    def person(self, platform: str, identity: str) -> Person | None:
        return self._by_identity.get((platform, identity.lower()))

    def person_named(self, name: str) -> Person | None:
        return next((person for person in self.people if person.name == name), None)

    def _production(self, service: str) -> tuple[re.Pattern[str], ...]:
        found = self._by_name.get(service)
        patterns = found.production if found else (DEFAULT_PRODUCTION,)
        return tuple(re.compile(pattern, re.IGNORECASE) for pattern in patterns)

    @cached_property
    def _by_name(self) -> dict[str, Service]:
        return {service.name: service for service in self.services}

    @cached_property
    def _by_repository(self) -> dict[str, Service]:
        return {repository.lower(): service for service in self.services for repository in service.repositories}

    @cached_property
    def _by_incident_service(self) -> dict[tuple[str, str], Service]:
        return {
            (platform, service_id): service
            for service in self.services
            for platform, ids in service.incident_services.items()
            for service_id in ids
        }

    @cached_property
    def _by_identity(self) -> dict[tuple[str, str], Person]:
        return {
            (platform, identity.lower()): person
            for person in self.people
            for platform in ("github", "slack", "pagerduty", "email")
            for identity in person.identities(platform)
        }
