"""Who is told of what, where and how: the tree of routes.yaml. Pure."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import timedelta
from typing import Literal, NamedTuple

import msgspec

from notifier.quiet import Morning, Quiet
from shared.catalog import globs

Tell = Literal["now", "digest", "nobody"]
Thread = Literal["thread", "flat", "broadcast"]
TEAM = "team"  # a channel's name for: that of the service, else of its team, else the default one

GROUP_BY = ("kind", "state", "source", "service", "team", "repository", "environment", "severity")


class About(msgspec.Struct, frozen=True, kw_only=True):
    """What routes can ask of a thing; empty where nobody said so. `state` as in the table of transitions.

    `labels` and `paths` may be several: a condition fits where one of them does.
    """

    kind: str
    state: str = ""
    source: str = ""
    service: str = ""
    team: str = ""
    repository: str = ""
    branch: str = ""
    environment: str = ""
    production: bool = False
    severity: str = ""
    author: str = ""
    author_class: str = ""
    labels: tuple[str, ...] = ()
    paths: tuple[str, ...] = ()


# What `if` and `unless` can ask, and what it means.
FIELDS: Mapping[str, str] = {
    "kind": "change, build, deployment, incident, alert, quality, release, approval or summary",
    "state": "as in the table of transitions: `failed`, `open`, `merged` …",
    "source": "the platform that told it",
    "service": "as the catalog calls it",
    "team": "the service's team",
    "repository": "`owner/name`",
    "branch": "of a change the one it goes to, of a build its own",
    "environment": "as the platform calls it",
    "production": "`true` or `false`, by the catalog",
    "severity": "of incidents and alerts: critical, high, or the platform's own word",
    "author": "who wrote, deployed or asked: a person of the catalog, else the platform's name",
    "author_class": "of changes: human, ai_assisted, ai_agent or bot",
    "labels": "of changes; of alerts `name:value`",
    "paths": "files that a change's pushes touched, where the platform names them",
}


class Condition(msgspec.Struct, frozen=True, kw_only=True):
    """`field` of what it is about is like one of `globs`; for `production`, the one glob is `true` or `false`."""

    field: str
    globs: tuple[str, ...]

    def fits(self, about: About) -> bool:
        found = getattr(about, self.field)
        if isinstance(found, bool):
            return str(found).lower() in self.globs
        if self.field == "paths":
            return any(globs.is_any_path(self.globs, path) for path in found)
        values = found if isinstance(found, tuple) else (found,)
        return any(globs.is_any(self.globs, value) for value in values)


class Group(msgspec.Struct, frozen=True, kw_only=True):
    """What agrees in `by` and begins within `wait` is one message; what follows within `interval` joins it."""

    by: tuple[str, ...]
    wait: timedelta = timedelta(seconds=30)
    interval: timedelta = timedelta(minutes=5)


class Manner(msgspec.Struct, frozen=True, kw_only=True):
    """How a route tells. `thread`: where the words go that a card needs: its thread, the channel (`flat`), or both.

    `critical`: at once, whatever the hour; it may use what is kept back of the day's quota. `repeat`: after how long
    what still stands is told of again.
    """

    channel: str = TEAM
    tell: Tell = "now"
    thread: Thread = "thread"
    critical: bool = False
    group: Group | None = None
    repeat: timedelta | None = None
    quiet: Quiet | None = None
    digest: Morning = Morning()

    @property
    def repeat_s(self) -> float | None:
        return self.repeat.total_seconds() if self.repeat else None


class Route(msgspec.Struct, frozen=True, kw_only=True):
    """A node: what `fits` all of `when` and none of `unless` is its own, and of the first of its routes that takes it.

    `goes_on`: those that follow it are asked too.
    """

    name: str
    when: tuple[Condition, ...] = ()
    unless: tuple[Condition, ...] = ()
    manner: Manner = Manner()
    goes_on: bool = False
    routes: tuple["Route", ...] = ()

    def refuses(self, about: About) -> str:
        """The condition that keeps it out, in words; empty where none does."""
        missed = next((each for each in self.when if not each.fits(about)), None)
        if missed:
            return f"{missed.field} is not {' or '.join(missed.globs)}"
        met = next((each for each in self.unless if each.fits(about)), None)
        return f"{met.field} is {' or '.join(met.globs)}" if met else ""


class Step(NamedTuple):
    """One node that was asked; `refused`: the condition that kept it out."""

    route: str
    refused: str


class Choice(NamedTuple):
    """`route` is the way from the root to the node, by names."""

    route: str
    manner: Manner


class Chosen(NamedTuple):
    choices: tuple[Choice, ...]
    steps: tuple[Step, ...]


def choose(root: Route, about: About) -> Chosen:
    """The nodes that take it, in the file's order: at least the root, which takes everything."""
    choices: list[Choice] = []
    steps: list[Step] = []
    _ask(root, about, "", choices, steps)
    return Chosen(choices=tuple(choices), steps=tuple(steps))


def _ask(route: Route, about: About, above: str, choices: list[Choice], steps: list[Step]) -> bool:
    way = f"{above}/{route.name}" if above else route.name
    refused = route.refuses(about)
    steps.append(Step(route=way, refused=refused))
    if refused:
        return False
    taken = False
    for inner in route.routes:
        if _ask(inner, about, way, choices, steps):
            taken = True
            if not inner.goes_on:
                break
    if not taken:
        choices.append(Choice(route=way, manner=route.manner))
    return True


def group_key(group: Group, about: About) -> str:
    """Equal for what is told together."""
    return "|".join(f"{field}={getattr(about, field)}" for field in group.by)


def walk(route: Route) -> Iterator[Route]:
    yield route
    for inner in route.routes:
        yield from walk(inner)


def _when(**fields: str | Sequence[str]) -> tuple[Condition, ...]:
    return tuple(
        Condition(field=name, globs=(value,) if isinstance(value, str) else tuple(value))
        for name, value in fields.items()
    )


NOBODY = Manner(tell="nobody")
# Without a file: what somebody has to know or decide is told at once, the rest once a day.
DEFAULT = Route(
    name="default",
    manner=Manner(tell="digest"),
    routes=(
        Route(name="production", when=_when(kind="deployment", production="true"), manner=Manner()),
        Route(name="elsewhere", when=_when(kind="deployment"), manner=NOBODY),
        Route(name="needs-people", when=_when(kind=("incident", "approval", "summary")), manner=Manner()),
        Route(name="builds", when=_when(kind="build", branch=("main", "master")), manner=Manner(tell="digest")),
        Route(name="other-builds", when=_when(kind="build"), manner=NOBODY),
        Route(name="passed-gates", when=_when(kind="quality", state=("passed", "none", "")), manner=NOBODY),
        Route(name="bots", when=_when(kind="change", author_class="bot"), manner=NOBODY),
    ),
)
