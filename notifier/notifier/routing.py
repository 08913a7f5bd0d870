"""Who a thing is told to: the rules of design section 9 in their plain form. Pure."""

from notifier.living import Content, ThingEvent, newest_first
from shared.catalog import Catalog
from shared.contracts.events import (
    Approval,
    ApprovalSummarized,
    Bulletin,
    Deployment,
    DeploymentRequested,
    Incident,
    Nudge,
)


def concerns_people(event: ThingEvent, catalog: Catalog) -> bool:
    """Of deployments only production's; one that waits for our answer is told of by its approval."""
    if not isinstance(event, Deployment):
        return True
    if isinstance(event, DeploymentRequested) and event.gate is not None:
        return False
    return catalog.is_production(service_of(event, catalog), event.environment)


def service_of(event: ThingEvent, catalog: Catalog) -> str:
    """Empty for an incident of a service that nothing names."""
    match event:
        case Deployment():
            return catalog.service_of_deployment(event.source, event.repository, event.service_name, event.environment)
        case Incident():
            return catalog.service_of_incident(event.source, event.service_id, event.service_name) or ""
        case Approval() | Nudge():
            return event.service
        case ApprovalSummarized() | Bulletin():
            return ""


def channel_of(content: Content, catalog: Catalog, *, default: str) -> str:
    """The one that was asked for, else that of the service or the team, else the default; empty where there is none."""
    asked = next((event.channel for event in content.values() if isinstance(event, Nudge | Bulletin)), "")
    services = (service_of(event, catalog) for event in newest_first(content))
    service = next(filter(None, services), "")
    team = next((event.team for event in content.values() if isinstance(event, ApprovalSummarized | Bulletin)), "")
    return asked or catalog.channel_of(service) or catalog.channel_of_team(team) or default
