"""What routes may ask of a thing, from what is known of it. Pure."""

from collections.abc import Collection
from typing import Any

from notifier.cards import NothingKnown, card
from notifier.living import Content, ThingEvent, kind_of_thing, newest_first
from notifier.routes import About
from notifier.routing import service_of
from notifier.transitions import state
from shared.catalog import Catalog, authorship
from shared.contracts.events import Alert, Approval, ApprovalSummarized, Build, Change, Deployment, Incident

# What a platform calls how bad something is, in one vocabulary; its other words stay as they are.
SEVERITIES = {"critical": "critical", "p1": "critical", "s0": "critical", "high": "high", "p2": "high", "s1": "high"}


def about(content: Content, catalog: Catalog, *, files: Collection[str] = ()) -> About:
    """`files`: what it touches, where pushes told. Raises NothingKnown."""
    if not content:
        raise NothingKnown("no event")
    newest = newest_first(content)[0]
    service = next(filter(None, (service_of(event, catalog) for event in newest_first(content))), "")
    environment = _known(content, "environment")
    severity = (_known(content, "severity") or _known(content, "urgency")).lower()
    return About(
        kind=kind_of_thing(newest),
        state=state(card(content, catalog)),
        source=newest.source,
        service=service,
        team=newest.team if isinstance(newest, ApprovalSummarized) else catalog.team_of(service),
        repository=_known(content, "repository"),
        branch=_known(content, "base_ref") or _known(content, "branch"),
        environment=environment,
        production=bool(environment) and catalog.is_production(service, environment),
        severity=SEVERITIES.get(severity, severity),
        author=_author(newest, content, catalog),
        author_class=_author_class(newest, catalog),
        labels=_labels(newest),
        paths=tuple(files),
    )


def _author(newest: ThingEvent, content: Content, catalog: Catalog) -> str:
    """A name of the catalog where it has one, else the platform's."""
    match newest:
        case Change():
            login = newest.author
        case Deployment():
            login = _known(content, "creator") or _known(content, "actor")
        case Approval():
            return newest.requested_by
        case Incident() | Build() | Alert():
            login = newest.actor
        case _:
            return ""
    person = catalog.person(newest.source, login) if login else None
    return person.name if person else login


def _author_class(newest: ThingEvent, catalog: Catalog) -> str:
    if not isinstance(newest, Change):
        return ""
    return authorship.classify(
        author=newest.author,
        author_kind=newest.author_kind,
        labels=newest.labels,
        head_ref=newest.head_ref,
        trailers=(),
        bots=catalog.bots,
        ai_agents=catalog.ai_agents,
    ).author_class


def _labels(newest: ThingEvent) -> tuple[str, ...]:
    return newest.labels if isinstance(newest, Change | Alert) else ()


def _known(content: Content, field: str) -> Any:
    """What the newest event says that says anything."""
    return next((value for event in newest_first(content) if (value := getattr(event, field, ""))), "")
