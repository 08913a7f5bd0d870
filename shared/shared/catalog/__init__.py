"""Who and what: teams, people, services. One operator-owned YAML file; without it a service is a repository's name."""

from shared.catalog.file import InvalidCatalog, load, read
from shared.catalog.model import (
    DEFAULT_PRODUCTION,
    Catalog,
    Label,
    Person,
    Service,
    Team,
    Tenure,
    Thresholds,
    label_mark,
)

__all__ = [
    "DEFAULT_PRODUCTION",
    "Catalog",
    "InvalidCatalog",
    "Label",
    "Person",
    "Service",
    "Team",
    "Tenure",
    "Thresholds",
    "label_mark",
    "load",
    "read",
]
