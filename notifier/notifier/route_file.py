"""Reading routes.yaml as a whole: errors name the line and the field."""

import re
from collections.abc import Sequence
from datetime import date, time, timedelta
from pathlib import Path
from typing import Annotated, Any, TypeVar, get_args
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import msgspec

from notifier.living import ThingKind
from notifier.quiet import Morning, Quiet
from notifier.routes import DEFAULT, GROUP_BY, TEAM, Condition, Group, Manner, Route, Tell, Thread
from shared.catalog import calendars, globs, inlining, strict_yaml
from shared.catalog.calendars import InvalidCalendar
from shared.catalog.lines import line_of
from shared.settings import InvalidConfiguration

DURATION = re.compile(r"([1-9][0-9]{0,3})([smhd])")
UNITS = {"s": timedelta(seconds=1), "m": timedelta(minutes=1), "h": timedelta(hours=1), "d": timedelta(days=1)}
DURATION_MAX = timedelta(days=7)
CLOCK = re.compile(r"([01][0-9]|2[0-3]):([0-5][0-9])")
DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
CHANNEL = re.compile(r"team|#[a-z0-9_-]{1,80}|[CGDUW][A-Z0-9]{2,20}")
NESTED_MAX = 8
ROUTES_MAX = 500

Name = Annotated[str, msgspec.Meta(min_length=1, max_length=100, pattern=r"^[^/]+$")]
Glob = Annotated[str, msgspec.Meta(min_length=1, max_length=200)]
Globs = Glob | Annotated[tuple[Glob, ...], msgspec.Meta(min_length=1, max_length=100)]


class InvalidRoutes(InvalidConfiguration):
    """The file can't be used; the text says where and why."""


S = TypeVar("S", bound="_Strict")


class _Strict(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True): ...


class _Conditions(_Strict, frozen=True, kw_only=True):
    """The fields of `routes.About`; one glob may stand without brackets."""

    kind: Globs | None = None
    state: Globs | None = None
    source: Globs | None = None
    service: Globs | None = None
    team: Globs | None = None
    repository: Globs | None = None
    branch: Globs | None = None
    environment: Globs | None = None
    production: bool | None = None
    severity: Globs | None = None
    author: Globs | None = None
    author_class: Globs | None = None
    labels: Globs | None = None
    paths: Globs | None = None


class _Quiet(_Strict, frozen=True, kw_only=True):
    """`from` and `to` are wall times of the zone; `holidays` dates, or an ICS calendar's text or file."""

    zone: str = ""
    start: str = msgspec.field(name="from", default="")
    end: str = msgspec.field(name="to", default="")
    days: tuple[str, ...] = ()
    holidays: tuple[str, ...] = ()
    ics: str = ""


class _Digest(_Strict, frozen=True, kw_only=True):
    zone: str = ""
    at: str = "09:00"
    days: tuple[str, ...] = DAYS[:5]


class _Group(_Strict, frozen=True, kw_only=True):
    by: Annotated[tuple[str, ...], msgspec.Meta(min_length=1, max_length=8)]
    wait: str = "30s"
    interval: str = "5m"


class _Route(_Strict, frozen=True, kw_only=True):
    """What a route leaves out is as in the one that holds it; `quiet: false` and `group: false` take it back."""

    name: Name
    conditions: _Conditions = msgspec.field(name="if", default_factory=_Conditions)
    exceptions: _Conditions = msgspec.field(name="unless", default_factory=_Conditions)
    channel: str | None = None
    tell: Tell | None = None
    thread: Thread | None = None
    critical: bool | None = None
    group: Any = None
    repeat: Any = None
    quiet: Any = None
    digest: _Digest | None = None
    goes_on: bool = msgspec.field(name="continue", default=False)
    routes: tuple["_Route", ...] = ()


class _File(_Strict, frozen=True, kw_only=True):
    """`zone` is that of quiet hours and digests that name none. `extend` puts the routes before those of no file."""

    version: Annotated[int, msgspec.Meta(ge=1)]
    zone: str = "UTC"
    extend: bool = True
    channel: str | None = None
    tell: Tell | None = None
    thread: Thread | None = None
    group: Any = None
    repeat: Any = None
    quiet: Any = None
    digest: _Digest | None = None
    routes: tuple[_Route, ...] = ()


def load(path: Path | None) -> Route:
    """The tree in this file, or what holds without one for None. Raises InvalidRoutes."""
    if path is None:
        return DEFAULT
    try:
        return read(inlined(path.read_text(encoding="utf-8"), path.parent))
    except OSError as error:
        raise InvalidRoutes(f"{path}: {error.strerror}") from None
    except ValueError as error:
        raise InvalidRoutes(f"{path}: {error}") from None


def read(text: str) -> Route:
    """Raises InvalidRoutes: `line 7, routes[0].if.sevrity: …`. Nothing: no file."""
    if not text.strip():
        return DEFAULT
    try:
        written = strict_yaml.load(text)
    except strict_yaml.NotRead as error:
        raise InvalidRoutes(str(error)) from None
    return _Reading(text, _converted(text, "", written, _File)).tree()


def _as_here(route: Route, manner: Manner) -> Route:
    """A route of no file in the file's hours and channel."""
    return msgspec.structs.replace(route, manner=msgspec.structs.replace(manner, tell=route.manner.tell))


def inlined(text: str, directory: Path) -> str:
    """With the calendars that it names in their place. Raises InvalidRoutes."""
    try:
        return inlining.inlined(text, directory)
    except inlining.NotInlined as error:
        raise _at(text, error.where, str(error)) from None


class _Reading:
    """One file on its way to a tree; `where` is the path of a field, as in the errors."""

    def __init__(self, text: str, file: _File) -> None:
        self._text = text
        self._file = file
        self._left = ROUTES_MAX
        self._zone("zone", file.zone)

    def tree(self) -> Route:
        manner = self._manner("", self._file, Manner(tell="digest"))
        routes = self._routes("routes", self._file.routes, manner, depth=1)
        others = [_as_here(route, manner) for route in DEFAULT.routes] if self._file.extend else []
        return Route(name="routes", manner=manner, routes=(*routes, *others))

    def _routes(self, where: str, written: Sequence[_Route], above: Manner, *, depth: int) -> tuple[Route, ...]:
        if depth > NESTED_MAX and written:
            raise self._at(where, f"nested more than {NESTED_MAX} deep")
        names = [route.name for route in written]
        for index, name in enumerate(names):
            if name in names[:index]:
                raise self._at(f"{where}[{index}].name", f"there is another route called {name} beside it")
        return tuple(self._route(f"{where}[{index}]", route, above, depth) for index, route in enumerate(written))

    def _route(self, where: str, written: _Route, above: Manner, depth: int) -> Route:
        self._left -= 1
        if self._left < 0:
            raise self._at(where, f"more than {ROUTES_MAX} routes")
        manner = self._manner(where, written, msgspec.structs.replace(above, tell="now") if depth == 1 else above)
        return Route(
            name=written.name,
            when=self._conditions(f"{where}.if", written.conditions),
            unless=self._conditions(f"{where}.unless", written.exceptions),
            manner=manner,
            goes_on=written.goes_on,
            routes=self._routes(f"{where}.routes", written.routes, manner, depth=depth + 1),
        )

    def _conditions(self, where: str, written: _Conditions) -> tuple[Condition, ...]:
        if isinstance(written.kind, str | tuple):
            self._known(f"{where}.kind", written.kind, get_args(ThingKind))
        found = []
        for name in written.__struct_fields__:
            value = getattr(written, name)
            if isinstance(value, bool):
                found.append(Condition(field=name, globs=(str(value).lower(),)))
            elif value is not None:
                found.append(Condition(field=name, globs=(value,) if isinstance(value, str) else value))
        return tuple(found)

    def _known(self, where: str, value: str | Sequence[str], words: Sequence[str]) -> None:
        """A glob may stand for several; a plain word that is none of them would never fit."""
        for word in (value,) if isinstance(value, str) else value:
            if not any(globs.is_any((word,), each) for each in words):
                raise self._at(where, f"{word} is none of {', '.join(words)}")

    def _manner(self, where: str, written: _Route | _File, above: Manner) -> Manner:
        changes: dict[str, Any] = {
            name: value for name in ("tell", "thread") if (value := getattr(written, name)) is not None
        }
        if written.channel is not None:
            if not CHANNEL.fullmatch(written.channel):
                raise self._at(
                    f"{where}.channel", f"{written.channel} is neither {TEAM}, #name nor an id such as C0123"
                )
            changes["channel"] = written.channel
        if getattr(written, "critical", None) is not None:
            changes["critical"] = written.critical  # type: ignore[union-attr]  # only a route has it
        if written.group is not None:
            changes["group"] = self._group(f"{where}.group", written.group)
        if written.repeat is not None:
            changes["repeat"] = None if written.repeat is False else self._duration(f"{where}.repeat", written.repeat)
        if written.quiet is not None:
            changes["quiet"] = self._quiet(f"{where}.quiet", written.quiet)
        if written.digest is not None:
            changes["digest"] = self._digest(f"{where}.digest", written.digest)
        return msgspec.structs.replace(above, **changes)

    def _group(self, where: str, value: Any) -> Group | None:
        if value is False:
            return None
        written = _converted(self._text, where, value, _Group)
        for field in written.by:
            if field not in GROUP_BY:
                raise self._at(f"{where}.by", f"{field} is none of {', '.join(GROUP_BY)}")
        return Group(
            by=written.by,
            wait=self._duration(f"{where}.wait", written.wait),
            interval=self._duration(f"{where}.interval", written.interval),
        )

    def _quiet(self, where: str, value: Any) -> Quiet | None:
        if value is False:
            return None
        written = _converted(self._text, where, value, _Quiet)
        if bool(written.start) != bool(written.end):
            raise self._at(where, "from and to belong together")
        if not (written.start or written.days or written.holidays or written.ics):
            raise self._at(where, "says of no time that it is quiet")
        zone = self._zone(f"{where}.zone", written.zone or self._file.zone)
        quiet = Quiet(
            zone=zone,
            start=self._clock(f"{where}.from", written.start) if written.start else time(),
            end=self._clock(f"{where}.to", written.end) if written.end else time(),
            days=self._days(f"{where}.days", written.days),
            holidays=tuple(self._date(f"{where}.holidays", each) for each in written.holidays),
            listed=self._listed(f"{where}.ics", written.ics, zone) if written.ics else (),
        )
        if written.start and quiet.start == quiet.end:
            raise self._at(f"{where}.to", "it would be quiet all day: name the days instead")
        if len(quiet.days) == len(DAYS):
            raise self._at(f"{where}.days", "it would always be quiet")
        return quiet

    def _digest(self, where: str, written: _Digest) -> Morning:
        days = self._days(f"{where}.days", written.days)
        if not days:
            raise self._at(f"{where}.days", "needs a day")
        zone = self._zone(f"{where}.zone", written.zone or self._file.zone)
        return Morning(zone=zone, at=self._clock(f"{where}.at", written.at), days=days)

    def _listed(self, where: str, written: str, zone: str) -> tuple[calendars.Moments, ...]:
        if not written.startswith(calendars.BEGINNING):
            raise self._at(where, f"neither a file beside this one nor text that begins {calendars.BEGINNING}")
        try:
            return calendars.read(written, ZoneInfo(zone))
        except InvalidCalendar as error:
            raise self._at(where, str(error)) from None

    def _days(self, where: str, written: Sequence[str]) -> tuple[int, ...]:
        for day in written:
            if day not in DAYS:
                raise self._at(where, f"{day} is none of {', '.join(DAYS)}")
        return tuple(sorted({DAYS.index(day) for day in written}))

    def _date(self, where: str, written: str) -> date:
        try:
            return date.fromisoformat(written)
        except ValueError:
            raise self._at(where, f"{written} is no date such as 2026-12-25") from None

    def _clock(self, where: str, written: str) -> time:
        found = CLOCK.fullmatch(written)
        if not found:
            raise self._at(where, f"{written} is no time such as 09:00 (in quotes)")
        return time(int(found[1]), int(found[2]))

    def _zone(self, where: str, written: str) -> str:
        try:
            ZoneInfo(written)
        except (ZoneInfoNotFoundError, ValueError, OSError):
            raise self._at(where, f"no time zone is called {written}, e.g. Europe/Berlin") from None
        return written

    def _duration(self, where: str, written: Any) -> timedelta:
        found = DURATION.fullmatch(written) if isinstance(written, str) else None
        duration = int(found[1]) * UNITS[found[2]] if found else None
        if duration is None:
            raise self._at(where, f"{written} is not a duration such as 30s, 5m or 4h")
        if duration > DURATION_MAX:
            raise self._at(where, f"{written} is longer than 7d")
        return duration

    def _at(self, where: str, message: str) -> InvalidRoutes:
        return _at(self._text, where.lstrip("."), message)


def _converted(text: str, where: str, written: Any, as_type: type[S]) -> S:
    try:
        return msgspec.convert(written, as_type)
    except msgspec.ValidationError as error:
        message, _, inner = str(error).partition(" - at `$")
        raise _at(text, (where + inner.rstrip("`")).lstrip("."), message) from None


def _at(text: str, where: str, message: str) -> InvalidRoutes:
    return InvalidRoutes(f"line {line_of(text, where)}, {where or 'the file'}: {message}")
