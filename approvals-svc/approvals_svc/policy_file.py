"""Reading policy.yaml as a whole: errors name the line and the field."""

import re
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Literal

import msgspec
import yaml

from approvals_svc.policy import DEFAULT_EXPIRY, Policy, Rule
from shared.catalog import Catalog
from shared.catalog.lines import line_of
from shared.settings import InvalidConfiguration

DURATION = re.compile(r"([1-9][0-9]{0,3})([mhd])")
UNITS = {"m": timedelta(minutes=1), "h": timedelta(hours=1), "d": timedelta(days=1)}
EXPIRY_MAX = timedelta(days=30)  # GitHub fails a run that waits longer

Name = Annotated[str, msgspec.Meta(min_length=1, max_length=100)]


class InvalidPolicy(InvalidConfiguration):
    """The file can't be used; the text says where and why."""


class _Strict(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True): ...


class _Group(_Strict, frozen=True, kw_only=True):
    people: Annotated[tuple[str, ...], msgspec.Meta(min_length=1)]


class _Conditions(_Strict, frozen=True, kw_only=True):
    action: str = ""
    environment: tuple[str, ...] | str = ()


class _Requires(_Strict, frozen=True, kw_only=True):
    group: str
    count: Annotated[int, msgspec.Meta(ge=1)] = 1


class _Expires(_Strict, frozen=True, kw_only=True):
    after: str
    on_expire: Literal["reject"] = "reject"


class _Rule(_Strict, frozen=True, kw_only=True):
    name: Name
    conditions: _Conditions = msgspec.field(name="if", default_factory=_Conditions)
    outcome: Literal["require"]
    requires: _Requires
    separation: Annotated[tuple[Literal["requester"], ...], msgspec.Meta(min_length=1)] = ("requester",)
    expires: _Expires | None = None


class _File(_Strict, frozen=True, kw_only=True):
    version: Annotated[int, msgspec.Meta(ge=1)]
    groups: Mapping[str, _Group] = {}
    rules: tuple[_Rule, ...] = ()


def load(path: Path | None, catalog: Catalog) -> Policy:
    """The policy in this file, or what holds without one for None. Raises InvalidPolicy."""
    if path is None:
        return Policy()
    try:
        return read(path.read_text(encoding="utf-8"), catalog)
    except OSError as error:
        raise InvalidPolicy(f"{path}: {error.strerror}") from None
    except ValueError as error:
        raise InvalidPolicy(f"{path}: {error}") from None


def read(text: str, catalog: Catalog) -> Policy:
    """Raises InvalidPolicy: `line 7, rules[0].requires.group: no group is called relese`."""
    try:
        file = msgspec.convert(yaml.safe_load(text) or {}, _File)
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise InvalidPolicy(f"line {line}: {error.problem}") from None
    except yaml.YAMLError as error:
        raise InvalidPolicy(f"not YAML: {error}") from None
    except msgspec.ValidationError as error:
        message, _, where = str(error).partition(" - at `$")
        raise _at(text, where.rstrip("`").lstrip("."), message) from None
    _check_groups(text, file, catalog)
    _check_names(text, file)
    return Policy(
        version=file.version,
        rules=tuple(_rule(text, index, rule, file) for index, rule in enumerate(file.rules)),
    )


def _check_groups(text: str, file: _File, catalog: Catalog) -> None:
    """Somebody who is not in the catalog could never vote: better said now than when a deployment waits."""
    for name, group in file.groups.items():
        for person in group.people:
            if catalog.person_named(person) is None:
                raise _at(text, f"groups.{name}.people", f"no person in the catalog is called {person}")


def _check_names(text: str, file: _File) -> None:
    names = [rule.name for rule in file.rules]
    for index, name in enumerate(names):
        if name in names[:index]:
            raise _at(text, f"rules[{index}].name", f"there is another rule called {name}")


def _rule(text: str, index: int, rule: _Rule, file: _File) -> Rule:
    where = f"rules[{index}]"
    group = file.groups.get(rule.requires.group)
    if group is None:
        raise _at(text, f"{where}.requires.group", f"no group is called {rule.requires.group}")
    people = tuple(dict.fromkeys(group.people))
    if rule.requires.count > len(people):
        raise _at(text, f"{where}.requires.count", f"{rule.requires.count} of a group of {len(people)} can never agree")
    environments = rule.conditions.environment
    return Rule(
        name=rule.name,
        group=rule.requires.group,
        people=people,
        count=rule.requires.count,
        expires_after=_duration(text, f"{where}.expires.after", rule.expires.after) if rule.expires else DEFAULT_EXPIRY,
        action=rule.conditions.action,
        environments=(environments,) if isinstance(environments, str) else environments,
    )


def _duration(text: str, where: str, written: str) -> timedelta:
    found = DURATION.fullmatch(written)
    if not found:
        raise _at(text, where, f"{written} is not a duration such as 30m, 4h or 2d")
    duration = int(found[1]) * UNITS[found[2]]
    if duration > EXPIRY_MAX:
        raise _at(text, where, f"{written} is longer than a gate waits (30d)")
    return duration


def _at(text: str, where: str, message: str) -> InvalidPolicy:
    return InvalidPolicy(f"line {line_of(text, where)}, {where or 'the file'}: {message}")
