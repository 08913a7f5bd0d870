"""Which service a thing is of, and which channel hears of it. Pure."""

from notifier.living import Content, ThingEvent, newest_first
from notifier.routes import TEAM
from shared.catalog import Catalog
from shared.contracts.events import (
    Alert,
    Approval,
    ApprovalSummarized,
    Build,
    Bulletin,
    Change,
    Deployment,
    DeploymentRequested,
    Incident,
    Nudge,
    QualityReported,
    ReleasePublished,
)


def concerns_people(event: ThingEvent) -> bool:
    """A deployment that waits for our answer is told of by its approval, a job by its run; a build that went well is no
    news."""
    match event:
        case DeploymentRequested():
            return event.gate is None
        case Build():
            return not event.job and getattr(event, "outcome", "") == "failed"
        case _:
            return True


def service_of(event: ThingEvent, catalog: Catalog) -> str:
    """Empty for what nothing names a service of."""
    match event:
        case Deployment():
            return catalog.service_of_deployment(event.source, event.repository, event.service_name, event.environment)
        case Incident():
            return catalog.service_of_incident(event.source, event.service_id, event.service_name) or ""
        case Approval() | Nudge():
            return event.service
        case ApprovalSummarized() | Bulletin():
            return ""
        case Alert():
            named = catalog.service_of_alert(event.source, event.rule)
            return named or catalog.service_of_incident(event.source, "", event.service_name) or ""
        case QualityReported() if not event.repository:
            return catalog.service_of_quality(event.source, event.project) or ""
        case Change() | Build() | QualityReported() | ReleasePublished():
            return catalog.service_of_repository(event.repository)


def channel_of(content: Content, catalog: Catalog, *, named: str, default: str) -> str:
    """The one that was asked for, else the route's (`named`); for its `team`, that of the service or the team, else the
    default; empty where there is none."""
    asked = next((event.channel for event in content.values() if isinstance(event, Nudge | Bulletin)), "")
    if asked or named != TEAM:
        return asked or named
    services = (service_of(event, catalog) for event in newest_first(content))
    service = next(filter(None, services), "")
    team = next((event.team for event in content.values() if isinstance(event, ApprovalSummarized | Bulletin)), "")
    return catalog.channel_of(service) or catalog.channel_of_team(team) or default
