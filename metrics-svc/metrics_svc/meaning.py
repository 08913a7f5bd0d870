"""What facts mean by a catalog: the one place that says which service and whether production. Pure."""

from typing import Protocol

from shared.catalog import Catalog


class DeployedTo(Protocol):
    @property
    def repository(self) -> str: ...
    @property
    def environment(self) -> str: ...
    @property
    def outcome(self) -> str | None: ...


class Suffered(Protocol):
    @property
    def source(self) -> str: ...
    @property
    def service_id(self) -> str: ...
    @property
    def service_name(self) -> str: ...


def service_of_deployment(deployment: DeployedTo, catalog: Catalog) -> str | None:
    """None: it did not succeed (yet), or not in production."""
    service = catalog.service_of_repository(deployment.repository)
    succeeded = deployment.outcome == "succeeded"
    return service if succeeded and catalog.is_production(service, deployment.environment) else None


def service_of_incident(incident: Suffered, catalog: Catalog) -> str | None:
    return catalog.service_of_incident(incident.source, incident.service_id, incident.service_name)
