"""What a card says of a thing, in values; how it looks is `render`'s. Pure."""

from datetime import datetime, timedelta
from typing import Any, TypeAlias

import msgspec

from notifier.deciders import voter
from notifier.living import Content, kind_of_thing, newest_first
from notifier.routing import service_of
from shared.catalog import Catalog
from shared.contracts.events import (
    Alert,
    Approval,
    ApprovalSummarized,
    Build,
    Bulletin,
    Change,
    Deployment,
    DeploymentFinished,
    Incident,
    Nudge,
    QualityReported,
    ReleasePublished,
)


class DeploymentCard(msgspec.Struct, frozen=True, kw_only=True):
    """`state`: requested, started, or the outcome; `mentioned`: the Slack user who has to look, "" if unknown."""

    service: str
    environment: str
    repository: str
    state: str
    sha: str
    who: str
    url: str
    requested_at: datetime | None
    started_at: datetime | None
    finished_at: datetime | None
    mentioned: str = ""

    @property
    def took(self) -> timedelta | None:
        began = self.started_at or self.requested_at
        return self.finished_at - began if began and self.finished_at and self.finished_at >= began else None


class IncidentCard(msgspec.Struct, frozen=True, kw_only=True):
    """`state`: open, acknowledged, resolved. A resolve or acknowledgement from before a reopening is history."""

    title: str
    number: int | None
    service: str
    urgency: str
    state: str
    who: str
    url: str
    opened_at: datetime | None
    acknowledged_at: datetime | None
    resolved_at: datetime | None
    mentioned: str = ""


class ApprovalCard(msgspec.Struct, frozen=True, kw_only=True):
    """`you`: under which name its one reader voted, if they did."""

    approval: Approval
    production: bool
    mentioned: str = ""
    you: str = ""

    @property
    def agreed(self) -> tuple[str, ...]:
        return tuple(vote.person for vote in self.approval.votes if vote.verb == "approve")

    @property
    def declined(self) -> tuple[str, ...]:
        return tuple(vote.person for vote in self.approval.votes if vote.verb == "reject")


class NudgeCard(msgspec.Struct, frozen=True, kw_only=True):
    """`mentioned`: as above, where the catalog knows the person."""

    nudge: Nudge
    mentioned: str = ""


class SummaryCard(msgspec.Struct, frozen=True, kw_only=True):
    summary: ApprovalSummarized
    mentioned: str = ""


class BulletinCard(msgspec.Struct, frozen=True, kw_only=True):
    bulletin: Bulletin
    mentioned: str = ""


class NewsCard(msgspec.Struct, frozen=True, kw_only=True):
    """What nobody has to act on: a change, a build, an alert, a gate, a release. `number` None where it has none."""

    kind: str
    state: str
    title: str
    service: str
    repository: str
    number: int | None
    who: str
    url: str
    at: datetime
    mentioned: str = ""


Card: TypeAlias = DeploymentCard | IncidentCard | ApprovalCard | NudgeCard | SummaryCard | BulletinCard | NewsCard


class NothingKnown(ValueError):
    """A thing without any event."""


def card(content: Content, catalog: Catalog, *, reader: str = "") -> Card:
    """`reader`: the Slack user who alone sees it. Raises NothingKnown."""
    for event in newest_first(content):
        match event:
            case Deployment():
                return _deployment(content, catalog)
            case Incident():
                return _incident(content, catalog)
            case Approval():
                production = catalog.is_production(event.service, event.environment)
                return ApprovalCard(approval=event, production=production, you=voter(reader, event, catalog))
            case Nudge():
                person = catalog.person_named(event.person)
                return NudgeCard(nudge=event, mentioned=next(iter(person.slack), "") if person else "")
            case ApprovalSummarized():
                return SummaryCard(summary=event)
            case Bulletin():
                return BulletinCard(bulletin=event)
            case _:
                return _news(event, content, catalog)
    raise NothingKnown("no event")


def _deployment(content: Content, catalog: Catalog) -> DeploymentCard:
    newest = newest_first(content)[0]
    finished = content.get("finished")
    state = "started" if "started" in content else "requested"
    who = _known(content, "creator") or _known(content, "actor")
    return DeploymentCard(
        service=service_of(newest, catalog),
        environment=_known(content, "environment"),
        repository=_known(content, "repository"),
        state=finished.outcome if isinstance(finished, DeploymentFinished) else state,
        sha=_known(content, "sha"),
        who=who,
        url=_known(content, "url"),
        requested_at=_at(content, "requested"),
        started_at=_at(content, "started"),
        finished_at=_at(content, "finished"),
        mentioned=_slack_user(newest.source, who, catalog),
    )


def _incident(content: Content, catalog: Catalog) -> IncidentCard:
    services = (service_of(event, catalog) for event in newest_first(content))
    reopened_at = _at(content, "reopened")
    acknowledged_at = _since(reopened_at, _at(content, "acknowledged"))
    resolved_at = _since(reopened_at, _at(content, "resolved"))
    state = "resolved" if resolved_at else "acknowledged" if acknowledged_at else "open"
    return IncidentCard(
        title=_known(content, "title"),
        number=_known(content, "number"),
        service=next(filter(None, services), "") or _known(content, "service_name"),
        urgency=_known(content, "urgency"),
        state=state,
        who=_actor(content, state, catalog),
        url=_known(content, "url"),
        opened_at=_known(content, "opened_at") or _at(content, "opened"),
        acknowledged_at=acknowledged_at,
        resolved_at=resolved_at,
    )


def _news(
    event: Change | Build | Alert | QualityReported | ReleasePublished, content: Content, catalog: Catalog
) -> NewsCard:
    state, title, who, number = "", "", "", None
    match event:
        case Change():
            state, title, who, number = event.state, event.title, event.author, event.number
        case Build():
            state, title, who = _known(content, "outcome"), event.name, event.actor
        case Alert():
            state = "resolved" if event is content.get("resolved") else "firing"
            title, who = event.title, event.actor
        case QualityReported():
            state, title, number = event.gate, event.branch, event.number
        case ReleasePublished():
            state, title, who = "published", event.name or event.tag, event.author
    return NewsCard(
        kind=kind_of_thing(event),
        state=state,
        title=title,
        service=service_of(event, catalog),
        repository=_known(content, "repository"),
        number=number,
        who=who,
        url=event.url,
        at=event.occurred_at,
    )


def _since(reopened_at: datetime | None, at: datetime | None) -> datetime | None:
    return None if at and reopened_at and at < reopened_at else at


def _at(content: Content, slot: str) -> datetime | None:
    event = content.get(slot)
    return event.occurred_at if event else None


def _actor(content: Content, slot: str, catalog: Catalog) -> str:
    """Name of the person who brought an incident there; an on-call platform's id says nothing to people."""
    event = content.get(slot)
    person = catalog.person(event.source, event.actor) if isinstance(event, Incident) else None
    return person.name if person else ""


def _slack_user(platform: str, identity: str, catalog: Catalog) -> str:
    person = catalog.person(platform, identity)
    return person.slack[0] if person and person.slack else ""


def _known(content: Content, field: str) -> Any:
    """What the newest event says that says anything."""
    said = (getattr(event, field, None) for event in newest_first(content))
    return next((value for value in said if value), "" if field not in ("number", "opened_at") else None)
