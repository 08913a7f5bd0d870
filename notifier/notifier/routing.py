"""Who a thing is told to: the rules of design section 9 in their plain form. Pure."""

from notifier.living import Content, ThingEvent, newest_first
from shared.catalog import Catalog
from shared.contracts.events import Approval, Deployment, DeploymentRequested, Incident


def concerns_people(event: ThingEvent, catalog: Catalog) -> bool:
    """Of deployments only production's; one that waits for our answer is told of by its approval."""
    if not isinstance(event, Deployment):
        return True
    if isinstance(event, DeploymentRequested) and event.gate is not None:
        return False
    return catalog.is_production(catalog.service_of_repository(event.repository), event.environment)


def service_of(event: ThingEvent, catalog: Catalog) -> str:
    """Empty for an incident of a service that nothing names."""
    match event:
        case Deployment():
            return catalog.service_of_repository(event.repository)
        case Incident():
            return catalog.service_of_incident(event.source, event.service_id, event.service_name) or ""
        case Approval():
            return event.service


def channel_of(content: Content, catalog: Catalog, *, default: str) -> str:
    """Channel of the service or its team, else the default; empty where there is none."""
    services = (service_of(event, catalog) for event in newest_first(content))
    service = next(filter(None, services), "")
    return catalog.channel_of(service) or default
