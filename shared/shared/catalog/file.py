"""Reading catalog.yaml: errors name the line and the field."""

import re
from pathlib import Path

import msgspec
import yaml

from shared.catalog.lines import line_of
from shared.catalog.model import Catalog
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
    teams = {team.name for team in catalog.teams}
    people = {person.name for person in catalog.people}
    for index, service in enumerate(catalog.services):
        if service.team and service.team not in teams:
            raise _at(text, f"services[{index}].team", f"no team is called {service.team}")
        for pattern in service.production:
            _check_pattern(text, f"services[{index}].production", pattern)
    for index, team in enumerate(catalog.teams):
        for member in team.members:
            if member not in people:
                raise _at(text, f"teams[{index}].members", f"no person is called {member}")


def _check_pattern(text: str, where: str, pattern: str) -> None:
    try:
        re.compile(pattern)
    except re.error as error:
        raise _at(text, where, f"not a pattern: {error}") from None


def _at(text: str, where: str, message: str) -> InvalidCatalog:
    return InvalidCatalog(f"line {line_of(text, where)}, {where or 'the file'}: {message}")
