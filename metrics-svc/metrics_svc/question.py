"""What is asked: which deployments and changes, over which window, in which pieces. Pure: the clock is an argument."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import msgspec

from metrics_svc.window import GRAINS, InvalidParameter, Window, between, read_instant
from shared.catalog import Catalog

AGGS = ("p50", "p75", "p90", "p95", "mean")
AUTHOR_CLASSES = ("human", "bot", "ai_assisted", "ai_agent")
AUTHORS_MIN = 2
BUCKETS_MAX = 4_000
REPEATABLE = ("service",)
ONCE = (
    *("team", "repo", "environment", "label", "author_class", "author_team", "from", "to", "bucket", "tz", "agg"),
    *("definition", "as_of", "min_confidence"),
)

# Fields whose parameters have shorter names.
PARAMETERS = {"repository": "repo", "grain": "bucket", "zone": "tz", "authors": "author_team"}
# Where changes come from, and whose accounts their authors are.
CODE_HOSTS = ("github", "gitlab", "gitea", "bitbucket", "azure_devops")
AUTHORLESS = "only changes have an author: ask of their lead times, of how they flow, or /v1/changes"


class Question(msgspec.Struct, frozen=True, kw_only=True):
    """`services` are those meant, after team; the other filters are None where nothing was asked.

    `tenures`: of these services only what was in these spans, in which the team that is asked about had them. `within`
    is the span that a part of the question is about.

    `authors`: accounts (`platform:login` in lower case) of the people of a team, where changes of theirs are asked for.

    `as_of`: the state known at that moment; None is now. `min_confidence` None: each metric's own default.
    """

    services: Sequence[str]
    window: Window
    repository: str | None = None
    environment: str | None = None
    label: str | None = None
    author_class: str | None = None
    authors: Sequence[str] | None = None
    grain: str | None = None
    zone: str = "UTC"
    agg: str = "p50"
    definition: str = "dora2025"
    as_of: datetime | None = None
    min_confidence: float | None = None
    tenures: Mapping[str, Sequence[Window]] = {}
    within: Window | None = None

    @property
    def written_by(self) -> Sequence[str | None]:
        """What is asked of the author, as one parameter of SQL: the class, then the accounts."""
        return (self.author_class, *(self.authors or ()))

    @property
    def span(self) -> Window:
        return self.within or self.window

    def parts(self) -> list["Question"]:
        """Services that are asked about over the whole window together, then each of the others and its spans."""
        if not self.tenures:
            return [self]
        whole = [name for name in self.services if name not in self.tenures]
        return [msgspec.structs.replace(self, services=whole, tenures={})] + [
            msgspec.structs.replace(self, services=[name], tenures={}, within=span)
            for name, spans in self.tenures.items()
            for span in spans
        ]

    @property
    def whole_days(self) -> Window:
        """From one midnight in UTC to another: the days that the span holds whole, each in one piece.

        Nothing at the end of the span where there are none, or where rows of days can't tell what is asked.
        """
        first, last = _midnight_from(self.span.start), _midnight_until(self.span.end)
        author = (self.author_class, self.authors)
        filters = (self.repository, self.environment, self.label, *author, self.as_of, self.min_confidence)
        cuts = [piece.start for piece in self.buckets[1:]]
        if first < last and filters == (None,) * len(filters) and all(_midnight_until(cut) == cut for cut in cuts):
            return Window(first, last)
        return Window(self.span.end, self.span.end)

    def refuse(self, names: Sequence[str], why: str) -> None:
        """Raises InvalidParameter where something is asked of one of these fields."""
        nothing = Question(services=(), window=self.window)
        for name in names:
            if getattr(self, name) != getattr(nothing, name):
                raise InvalidParameter(PARAMETERS.get(name, name), why)

    @property
    def buckets(self) -> Sequence[Window]:
        """Consecutive pieces of the window, cut at local midnight, Monday or the first; the whole without a grain."""
        return self.window.pieces(self.grain, ZoneInfo(self.zone)) if self.grain else (self.window,)


def read(given: Mapping[str, str], *, services: Sequence[str], now: datetime, definitions: Sequence[str]) -> Question:
    """From query parameters that were checked to be known and given once. Raises InvalidParameter."""
    question = Question(
        services=services,
        window=between(given.get("from"), given.get("to"), now),
        repository=given.get("repo"),
        environment=given.get("environment"),
        label=given.get("label"),
        author_class=_one_of("author_class", given, AUTHOR_CLASSES),
        grain=_one_of("bucket", given, GRAINS),
        zone=_zone(given.get("tz", "UTC")),
        agg=_one_of("agg", given, AGGS) or AGGS[0],
        definition=_one_of("definition", given, definitions) or definitions[0],
        as_of=_as_of(given.get("as_of"), now),
        min_confidence=_confidence(given.get("min_confidence")),
    )
    if question.grain and question.window.days > BUCKETS_MAX:
        raise InvalidParameter("bucket", f"the window would have more than {BUCKETS_MAX} of them")
    return question


def authors_of(team: str, catalog: Catalog) -> list[str]:
    """Accounts of its people, as `Question.authors`. A team of one would be numbers of a single person.

    Raises InvalidParameter.
    """
    accounts = [
        [f"{host}:{login.lower()}" for host in CODE_HOSTS for login in person.identities(host)]
        for person in catalog.members_of(team)
    ]
    if sum(map(bool, accounts)) < AUTHORS_MIN:
        raise InvalidParameter("author_team", f"the catalog has accounts of fewer than {AUTHORS_MIN} people of {team}")
    return [account for own in accounts for account in own]


def of_team(question: Question, team: str, catalog: Catalog) -> Question:
    """Of services that the team did not have all the time only what it had."""
    spans = {name: _spans(question.window, catalog.tenures(team, name)) for name in question.services}
    return msgspec.structs.replace(
        question,
        services=[name for name in question.services if spans[name]],
        tenures={name: found for name, found in spans.items() if found and found != [question.window]},
    )


def by_team(question: Question, catalog: Catalog) -> dict[str, Question]:
    """Of every team that had one of the services in the window, in the order of names; those of no team under ''."""
    had = {team for name in question.services for team, _, _ in catalog.teams_of(name)}
    found = {team: of_team(question, team, catalog) for team in sorted(had)}
    return {team: own for team, own in found.items() if own.services}


def _spans(window: Window, tenures: Sequence[tuple[datetime | None, datetime | None]]) -> list[Window]:
    cut = [
        Window(max(start or window.start, window.start), min(end or window.end, window.end)) for start, end in tenures
    ]
    return [span for span in cut if span.start < span.end]


def _midnight_until(moment: datetime) -> datetime:
    return moment.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)


def _midnight_from(moment: datetime) -> datetime:
    until = _midnight_until(moment)
    return until if until == moment else until + timedelta(days=1)


def _one_of(name: str, given: Mapping[str, str], allowed: Sequence[str]) -> str | None:
    value = given.get(name)
    if value is not None and value not in allowed:
        raise InvalidParameter(name, f"one of {', '.join(allowed)}")
    return value


def _zone(name: str) -> str:
    try:
        return ZoneInfo(name).key
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise InvalidParameter("tz", "no such IANA time zone, e.g. Europe/Berlin") from None


def _as_of(text: str | None, now: datetime) -> datetime | None:
    if text is None:
        return None
    moment = read_instant("as_of", text)
    if moment > now:
        raise InvalidParameter("as_of", "is in the future")
    return moment


def _confidence(text: str | None) -> float | None:
    if text is None:
        return None
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value <= 1:
        raise InvalidParameter("min_confidence", "must be a number from 0 to 1")
    return value
