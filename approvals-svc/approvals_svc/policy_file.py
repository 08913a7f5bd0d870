"""Reading policy.yaml as a whole: errors name the line and the field."""

import re
from collections.abc import Iterator, Mapping
from datetime import datetime, time, timedelta
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import msgspec

from approvals_svc import github_team
from approvals_svc.actions import KINDS, InvalidPayload, checked
from approvals_svc.freeze import Freeze, Listed, Period, Weekly, Window
from approvals_svc.policy import (
    CLAIMS,
    DEFAULT_EXPIRY,
    ROLES,
    Conditions,
    Emergency,
    GuardedFreeze,
    OnExpire,
    Outcome,
    Policy,
    Role,
    Rule,
    SignalRule,
    Size,
    Terms,
)
from approvals_svc.quorum import All, Either, Requires, Seats, count_alternatives, listed, of_catalog
from approvals_svc.signalled import SIGNALS, example, payload
from approvals_svc.tasks import NudgeTask
from shared.catalog import Catalog, calendars, inlining, strict_yaml
from shared.catalog.calendars import InvalidCalendar
from shared.catalog.lines import line_of
from shared.settings import InvalidConfiguration

DURATION = re.compile(r"([1-9][0-9]{0,3})([mhd])")
UNITS = {"m": timedelta(minutes=1), "h": timedelta(hours=1), "d": timedelta(days=1)}
EXPIRY_MAX = timedelta(days=30)  # GitHub fails a run that waits longer
PERCENT = re.compile(r"([1-9][0-9]?)%")
DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
WEEKTIME = re.compile(rf"({'|'.join(DAYS)}) ([01][0-9]|2[0-3]):([0-5][0-9])")
ALTERNATIVES_MAX = 64
NESTED_MAX = 5
NAMED_MAX = 20

Name = Annotated[str, msgspec.Meta(min_length=1, max_length=100)]
Glob = Annotated[str, msgspec.Meta(min_length=1, max_length=200)]
Globs = Glob | Annotated[tuple[Glob, ...], msgspec.Meta(min_length=1, max_length=100)]
Count = Annotated[int, msgspec.Meta(ge=1, le=100)]


class InvalidPolicy(InvalidConfiguration):
    """The file can't be used; the text says where and why."""


S = TypeVar("S", bound="_Strict")


class _Strict(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True): ...


class _Group(_Strict, frozen=True, kw_only=True):
    people: tuple[str, ...] = ()
    teams: tuple[str, ...] = ()
    github_team: str = ""


class _Conditions(_Strict, frozen=True, kw_only=True):
    """The fields of `policy.Conditions`; one glob may stand without brackets."""

    action: Globs | None = None
    service: Globs | None = None
    environment: Globs | None = None
    team: Globs | None = None
    repository: Globs | None = None
    branch: Globs | None = None
    risk: Globs | None = None
    author_class: Globs | None = None
    labels: Globs | None = None
    size: Size | None = None
    paths: Globs | None = None
    paths_only: Globs | None = None


class _Requires(_Strict, frozen=True, kw_only=True):
    """Exactly one of group, person, and, or."""

    group: str = ""
    count: Count | None = None
    person: str = ""
    all: Annotated[tuple["_Requires", ...], msgspec.Meta(max_length=10)] = msgspec.field(name="and", default=())
    any: Annotated[tuple["_Requires", ...], msgspec.Meta(max_length=10)] = msgspec.field(name="or", default=())


class _Reject(_Strict, frozen=True, kw_only=True):
    count: Count = 1
    reason: Literal["required", "optional"] = "optional"


class _Expires(_Strict, frozen=True, kw_only=True):
    after: str
    on_expire: OnExpire = "reject"


class _Escalate(_Strict, frozen=True, kw_only=True):
    at: str
    to: str


class _Ladder(_Strict, frozen=True, kw_only=True):
    remind: str = ""
    escalate: _Escalate | None = None


class _Freeze(_Strict, frozen=True, kw_only=True):
    """`from` and `to` name weekdays (fri 16:00) or are moments (2026-12-20 00:00); or `ics` lists them: a file beside
    the policy, or its text."""

    zone: str
    start: str = msgspec.field(name="from", default="")
    end: str = msgspec.field(name="to", default="")
    ics: str = ""
    exceptions: tuple[_Conditions, ...] = msgspec.field(name="except", default=())


class _Rule(_Strict, frozen=True, kw_only=True):
    name: Name
    outcome: Outcome
    conditions: _Conditions = msgspec.field(name="if", default_factory=_Conditions)
    requires: _Requires | None = None
    distinct_groups: bool = False
    separation: Annotated[tuple[Role, ...], msgspec.Meta(min_length=1)] | None = None
    reject: _Reject | None = None
    expires: _Expires | None = None
    ladder: _Ladder | None = None
    freeze: Annotated[tuple[str, ...], msgspec.Meta(max_length=NAMED_MAX)] = ()
    opa: bool | None = None


class _BreakGlass(_Strict, frozen=True, kw_only=True):
    """Groups: who may let something through alone, and who reviews it."""

    group: str
    review: str
    within: str = "24h"


class _Signal(_Strict, frozen=True, kw_only=True):
    """`with`: what the payload needs that the signal doesn't know."""

    action: Name = NudgeTask.kind
    cooldown: str = "24h"
    payload: Mapping[str, str] = msgspec.field(name="with", default={})


class _File(_Strict, frozen=True, kw_only=True):
    version: Annotated[int, msgspec.Meta(ge=1)]
    groups: Mapping[str, Any] = {}  # _Group and _Freeze: read one by one, for an error has to name which
    freezes: Mapping[str, Any] = {}
    signals: Mapping[str, Any] = {}
    rules: tuple[_Rule, ...] = ()
    default_group: str = ""
    allow_approve_on_expire: bool = False
    break_glass: _BreakGlass | None = None


# Fields of a rule that say something only where people are asked.
ASKING = ("requires", "separation", "reject", "expires", "ladder", "opa")


def load(path: Path | None, catalog: Catalog) -> Policy:
    """The policy in this file, or what holds without one for None. Raises InvalidPolicy."""
    if path is None:
        return Policy()
    try:
        text = inlined(path.read_text(encoding="utf-8"), path.parent)
        policy = read(text)
        check(text, policy, catalog)
    except OSError as error:
        raise InvalidPolicy(f"{path}: {error.strerror}") from None
    except ValueError as error:
        raise InvalidPolicy(f"{path}: {error}") from None
    return policy


def inlined(text: str, directory: Path) -> str:
    """With the calendars that it names in their place: another calendar is another version. Raises InvalidPolicy."""
    try:
        return inlining.inlined(text, directory)
    except inlining.NotInlined as error:
        raise _at(text, error.where, str(error)) from None


def read(text: str) -> Policy:
    """Raises InvalidPolicy: `line 7, rules[0].requires.group: no group is called relese`. Nothing: no file."""
    if not text:
        return Policy()
    try:
        written = strict_yaml.load(text)
    except strict_yaml.NotRead as error:
        raise InvalidPolicy(str(error)) from None
    file = _converted(text, "", written, _File)
    return _Reading(text, file).policy()


def check(text: str, policy: Policy, catalog: Catalog) -> None:
    """Somebody who is not in the catalog could never vote: better said now than when a deployment waits. Raises
    InvalidPolicy."""
    people = {person.name for person in catalog.people}
    teams = {team.name for team in catalog.teams}
    members = of_catalog(catalog)
    for name, group in policy.groups.items():
        if unknown := set(group.people or ()) - people:
            raise _at(text, f"groups.{name}.people", f"no person in the catalog is called {min(unknown)}")
        if unknown := {team for team in group.teams if not github_team.is_marked(team)} - teams:
            raise _at(text, f"groups.{name}.teams", f"no team in the catalog is called {min(unknown)}")
    for index, rule in enumerate(policy.rules):
        for seats in listed(rule.terms.requires) if rule.outcome == "require" else ():
            if github_team.named(seats.teams):
                continue  # GitHub says who is in it, later
            if seats.count > (size := len(members(seats))):
                message = f"{seats.count} of {seats.group} can never agree: the catalog has {size} of them"
                raise _at(text, f"rules[{index}].requires", message)


class _Reading:
    """One file on its way to a policy; `where` is the path of a field, as in the errors."""

    def __init__(self, text: str, file: _File) -> None:
        self._text = text
        self._file = file
        self._groups = {name: self._group(name, group) for name, group in self._each("groups", file.groups, _Group)}
        self._freezes = {name: self._freeze(name, each) for name, each in self._each("freezes", file.freezes, _Freeze)}

    def policy(self) -> Policy:
        self._check_names()
        default = self._file.default_group
        return Policy(
            rules=tuple(self._rule(f"rules[{index}]", rule) for index, rule in enumerate(self._file.rules)),
            default=Terms(requires=self._group_named("default_group", default)) if default else None,
            groups=self._groups,
            signals={
                name: self._signal(name, each) for name, each in self._each("signals", self._file.signals, _Signal)
            },
            emergency=self._emergency(self._file.break_glass) if self._file.break_glass else None,
        )

    def _emergency(self, written: _BreakGlass) -> Emergency:
        within = self._duration("break_glass.within", written.within)
        return Emergency(
            breakers=self._group_named("break_glass.group", written.group),
            reviewers=self._group_named("break_glass.review", written.review),
            review_within_s=round(within.total_seconds()),
        )

    def _each(self, where: str, written: Mapping[str, Any], as_type: type[S]) -> Iterator[tuple[str, S]]:
        for name, value in written.items():
            yield name, _converted(self._text, f"{where}.{name}", value, as_type)

    def _check_names(self) -> None:
        names = [rule.name for rule in self._file.rules]
        for index, name in enumerate(names):
            if name in names[:index]:
                raise self._at(f"rules[{index}].name", f"there is another rule called {name}")

    def _group(self, name: str, group: _Group) -> Seats:
        if not group.people and not group.teams and not group.github_team:
            raise self._at(f"groups.{name}", "a group needs people, teams or a github_team")
        if group.github_team and not github_team.NAME.fullmatch(group.github_team):
            raise self._at(f"groups.{name}.github_team", "a team of GitHub is written organization/team")
        marks = (github_team.marked(group.github_team),) if group.github_team else ()
        return Seats(group=name, people=tuple(dict.fromkeys(group.people)), teams=(*group.teams, *marks))

    def _group_named(self, where: str, name: str) -> Seats:
        if name not in self._groups:
            raise self._at(where, f"no group is called {name}")
        return self._groups[name]

    def _signal(self, name: str, written: _Signal) -> SignalRule:
        """Tried on an example: a rule that can never propose is better told of now."""
        where = f"signals.{name}"
        if name not in SIGNALS:
            raise self._at(where, f"no rule of signals is called {name}: {', '.join(sorted(SIGNALS))} are")
        cooldown = self._duration(f"{where}.cooldown", written.cooldown)
        rule = SignalRule(
            action=written.action, cooldown_s=round(cooldown.total_seconds()), payload=dict(written.payload)
        )
        if rule.action not in KINDS:
            raise self._at(f"{where}.action", f"{rule.action} is none of {', '.join(sorted(KINDS))}")
        try:
            checked(rule.action, payload(example(name), name, rule))
        except InvalidPayload as error:
            raise self._at(f"{where}.with", f"a {rule.action} of this signal lacks or mistakes {error}") from None
        return rule

    def _freeze(self, name: str, written: _Freeze) -> GuardedFreeze:
        where = f"freezes.{name}"
        try:
            ZoneInfo(written.zone)
        except (ZoneInfoNotFoundError, ValueError, OSError):
            raise self._at(f"{where}.zone", f"no time zone is called {written.zone}, e.g. Europe/Berlin") from None
        return GuardedFreeze(
            freeze=Freeze(name=name, zone=written.zone, window=self._window(where, written)),
            exceptions=tuple(
                self._conditions(f"{where}.except[{index}]", each, outcome="auto")
                for index, each in enumerate(written.exceptions)
            ),
        )

    def _window(self, where: str, written: _Freeze) -> Window:
        if bool(written.ics) == bool(written.start or written.end):
            raise self._at(where, "needs either from and to, or ics")
        if written.ics:
            return self._listed(f"{where}.ics", written)
        start, end = WEEKTIME.fullmatch(written.start), WEEKTIME.fullmatch(written.end)
        if start and end:
            return Weekly(
                start_day=DAYS.index(start[1]),
                start=time(int(start[2]), int(start[3])),
                end_day=DAYS.index(end[1]),
                end=time(int(end[2]), int(end[3])),
            )
        period = Period(start=self._wall(f"{where}.from", written.start), end=self._wall(f"{where}.to", written.end))
        if period.end <= period.start:
            raise self._at(f"{where}.to", "it ends before it begins")
        return period

    def _listed(self, where: str, written: _Freeze) -> Listed:
        if not written.ics.startswith(calendars.BEGINNING):
            raise self._at(where, f"neither a file beside the policy nor text that begins {calendars.BEGINNING}")
        try:
            return Listed(moments=calendars.read(written.ics, ZoneInfo(written.zone)))
        except InvalidCalendar as error:
            raise self._at(where, str(error)) from None

    def _wall(self, where: str, written: str) -> datetime:
        try:
            wall = datetime.fromisoformat(written)
        except ValueError:
            wall = None
        if wall is None or wall.tzinfo:
            raise self._at(where, f"{written} is neither a moment such as 2026-12-20 00:00 nor, as both, fri 16:00")
        return wall

    def _rule(self, where: str, rule: _Rule) -> Rule:
        if rule.outcome != "require":
            for field in ASKING:
                if getattr(rule, field) is not None:
                    raise self._at(f"{where}.{field}", f"outcome {rule.outcome} asks nobody")
        elif rule.requires is None:
            raise self._at(where, "outcome require needs requires: who has to agree")
        if rule.outcome == "deny" and rule.freeze:
            raise self._at(f"{where}.freeze", "what is denied needs no freeze")
        return Rule(
            name=rule.name,
            outcome=rule.outcome,
            conditions=self._conditions(f"{where}.if", rule.conditions, outcome="auto" if rule.opa else rule.outcome),
            opa=bool(rule.opa),
            terms=self._terms(where, rule, rule.requires) if rule.requires else Terms(),
            freezes=tuple(self._freeze_named(f"{where}.freeze", name) for name in rule.freeze),
        )

    def _conditions(self, where: str, written: _Conditions, *, outcome: Outcome) -> Conditions:
        fields: dict[str, Any] = {
            name: (value,) if isinstance(value, str) else value
            for name in written.__struct_fields__
            if (value := getattr(written, name)) is not None
        }
        found = Conditions(**fields)
        if outcome == "auto" and not set(found.named) - CLAIMS:
            claims = ", ".join(sorted(CLAIMS))
            raise self._at(where, f"an exception needs a condition beside what its requester writes ({claims})")
        return found

    def _freeze_named(self, where: str, name: str) -> GuardedFreeze:
        if name not in self._freezes:
            raise self._at(where, f"no freeze is called {name}")
        return self._freezes[name]

    def _terms(self, where: str, rule: _Rule, requires: _Requires) -> Terms:
        reject, expires, ladder = rule.reject or _Reject(), rule.expires, rule.ladder or _Ladder()
        on_expire = expires.on_expire if expires else "reject"
        if on_expire == "approve" and not self._file.allow_approve_on_expire:
            raise self._at(f"{where}.expires.on_expire", "approve needs allow_approve_on_expire: true in this file")
        if on_expire == "escalate" and not ladder.escalate:
            raise self._at(f"{where}.expires.on_expire", "escalate needs ladder.escalate: to whom")
        after = self._duration(f"{where}.expires.after", expires.after) if expires else DEFAULT_EXPIRY
        return Terms(
            requires=self._tree(f"{where}.requires", requires),
            distinct_groups=rule.distinct_groups,
            # Who asks never decides, whatever the list says.
            separation=ROLES if rule.separation is None else tuple(dict.fromkeys(("requester", *rule.separation))),
            rejects=reject.count,
            reason_required=reject.reason == "required",
            expires_after_s=round(after.total_seconds()),
            on_expire=on_expire,
            remind_at=self._part(f"{where}.ladder.remind", ladder.remind) if ladder.remind else None,
            escalate_at=self._part(f"{where}.ladder.escalate.at", ladder.escalate.at) if ladder.escalate else None,
            escalate_to=self._group_named(f"{where}.ladder.escalate.to", ladder.escalate.to)
            if ladder.escalate
            else None,
        )

    def _tree(self, where: str, written: _Requires) -> Requires:
        tree = self._branch(where, written, depth=0)
        if count_alternatives(tree) > ALTERNATIVES_MAX:
            raise self._at(where, f"more than {ALTERNATIVES_MAX} ways to agree")
        return tree

    def _branch(self, where: str, written: _Requires, *, depth: int) -> Requires:
        set_fields = [name for name in ("group", "person", "all", "any") if getattr(written, name)]
        if len(set_fields) != 1:
            raise self._at(where, "needs exactly one of group, person, and, or")
        if depth > NESTED_MAX:
            raise self._at(where, f"nested more than {NESTED_MAX} deep")
        [kind] = set_fields
        if written.count is not None and kind != "group":
            raise self._at(f"{where}.count", "only a group has a count")
        match kind:
            case "group":
                group = self._group_named(f"{where}.group", written.group)
                if not group.teams and (written.count or 1) > (size := len(group.people or ())):
                    raise self._at(f"{where}.count", f"{written.count} of a group of {size} can never agree")
                return msgspec.structs.replace(group, count=written.count or 1)
            case "person":
                return Seats(group=written.person, people=(written.person,))
            case _:
                name, branches = ("and", written.all) if kind == "all" else ("or", written.any)
                inner = tuple(
                    self._branch(f"{where}.{name}[{index}]", each, depth=depth + 1)
                    for index, each in enumerate(branches)
                )
                return All(inner) if kind == "all" else Either(inner)

    def _duration(self, where: str, written: str) -> timedelta:
        found = DURATION.fullmatch(written)
        if not found:
            raise self._at(where, f"{written} is not a duration such as 30m, 4h or 2d")
        duration = int(found[1]) * UNITS[found[2]]
        if duration > EXPIRY_MAX:
            raise self._at(where, f"{written} is longer than a gate waits (30d)")
        return duration

    def _part(self, where: str, written: str) -> float:
        found = PERCENT.fullmatch(written)
        if not found:
            raise self._at(where, f"{written} is not a part of the time such as 50%")
        return int(found[1]) / 100

    def _at(self, where: str, message: str) -> InvalidPolicy:
        return _at(self._text, where, message)


def _converted(text: str, where: str, written: Any, as_type: type[S]) -> S:
    try:
        return msgspec.convert(written, as_type)
    except msgspec.ValidationError as error:
        message, _, inner = str(error).partition(" - at `$")
        raise _at(text, (where + inner.rstrip("`")).lstrip("."), message) from None


def _at(text: str, where: str, message: str) -> InvalidPolicy:
    return InvalidPolicy(f"line {line_of(text, where)}, {where or 'the file'}: {message}")
