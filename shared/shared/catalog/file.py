"""Reading catalog.yaml: errors name the line and the field."""

import re
from collections.abc import Collection
from pathlib import Path
from zoneinfo import available_timezones

import msgspec
import yaml

from shared.catalog.lines import line_of
from shared.catalog.model import Catalog, Service
from shared.settings import InvalidConfiguration


class InvalidCatalog(InvalidConfiguration):
    """The file can't be used; the text says where and why."""


def load(path: Path | None) -> Catalog:
    """The catalog in this file, or the empty one for None. Raises InvalidCatalog."""
    if path is None:
        return Catalog()
    try:
        return read(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise InvalidCatalog(f"{path}: {error.strerror}") from None
    except InvalidCatalog as error:
        raise InvalidCatalog(f"{path}: {error}") from None


def read(text: str) -> Catalog:
    """Raises InvalidCatalog: `line 12, services[1].team: no team is called paymnts`."""
    try:
        catalog = msgspec.convert(yaml.safe_load(text) or {}, Catalog)
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise InvalidCatalog(f"line {line}: {error.problem}") from None
    except msgspec.ValidationError as error:
        message, _, where = str(error).partition(" - at `$")
        raise _at(text, where.rstrip("`").lstrip("."), message) from None
    _check(catalog, text)
    return catalog


def _check(catalog: Catalog, text: str) -> None:
    _check_projects(catalog, text, "ticket_projects")
    _check_projects(catalog, text, "quality_projects")
    teams = {team.name for team in catalog.teams}
    people = {person.name for person in catalog.people}
    for index, team in enumerate(catalog.teams):
        if team.timezone and team.timezone not in available_timezones():
            raise _at(text, f"teams[{index}].timezone", f"no time zone is called {team.timezone}")
    for index, label in enumerate(catalog.labels):
        if unknown := set(label.visible_to) - teams:
            raise _at(text, f"labels[{index}].visible_to", f"no team is called {min(unknown)}")
    for index, service in enumerate(catalog.services):
        if service.team and service.team not in teams:
            raise _at(text, f"services[{index}].team", f"no team is called {service.team}")
        for name in service.visible_to:
            if name not in teams:
                raise _at(text, f"services[{index}].visible_to", f"no team is called {name}")
        _check_tenures(service, teams, text, f"services[{index}].earlier_teams")
        for pattern in service.production:
            _check_pattern(text, f"services[{index}].production", pattern)
        for platform, patterns in service.alerts.items():
            for pattern in patterns:
                _check_pattern(text, f"services[{index}].alerts.{platform}", pattern)
        _check_regions(service, text, f"services[{index}].regions")
    for index, each in enumerate(catalog.teams):
        for member in each.members:
            if member not in people:
                raise _at(text, f"teams[{index}].members", f"no person is called {member}")


def _check_projects(catalog: Catalog, text: str, field: str) -> None:
    """A project is one service's: with two, which of them counts would depend on their order in the file."""
    owners: dict[tuple[str, str], str] = {}
    for index, service in enumerate(catalog.services):
        for platform, keys in getattr(service, field).items():
            for key in keys:
                where = f"services[{index}].{field}.{platform}"
                if not key.strip():
                    raise _at(text, where, "a project without a key")
                owner = owners.setdefault((platform, key.lower()), service.name)
                if owner != service.name:
                    raise _at(text, where, f"{key} is a project of {owner} already")


def _check_tenures(service: Service, teams: Collection[str], text: str, where: str) -> None:
    for n, tenure in enumerate(service.earlier_teams):
        if tenure.team not in teams:
            raise _at(text, f"{where}[{n}].team", f"no team is called {tenure.team}")
        if n and tenure.until <= service.earlier_teams[n - 1].until:
            raise _at(text, f"{where}[{n}].until", "is not after the one before: the oldest comes first")


def _check_regions(service: Service, text: str, where: str) -> None:
    owners: dict[str, str] = {}
    for name, copies in service.regions.items():
        if not copies:
            raise _at(text, f"{where}.{name}", "no environment is a region of it")
        for copy in copies:
            if owners.setdefault(copy, name) != name:
                raise _at(text, f"{where}.{name}", f"{copy} is a region of {owners[copy]} already")


def _check_pattern(text: str, where: str, pattern: str) -> None:
    try:
        re.compile(pattern)
    except re.error as error:
        raise _at(text, where, f"not a pattern: {error}") from None


def _at(text: str, where: str, message: str) -> InvalidCatalog:
    return InvalidCatalog(f"line {line_of(text, where)}, {where or 'the file'}: {message}")
