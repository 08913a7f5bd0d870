"""Who and what: teams, people, services. One operator-owned YAML file; without it a service is a repository's name."""

from shared.catalog.file import InvalidCatalog, load, read
from shared.catalog.model import DEFAULT_PRODUCTION, Catalog, Person, Service, Team

__all__ = ["DEFAULT_PRODUCTION", "Catalog", "InvalidCatalog", "Person", "Service", "Team", "load", "read"]
