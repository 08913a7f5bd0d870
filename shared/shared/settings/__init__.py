"""Settings: environment only, typed, checked at start. A service's class adds its own fields to `ServiceSettings`."""

from shared.settings.base import (
    CatalogSettings,
    CommaList,
    DatabaseSettings,
    EnvironmentSettings,
    InvalidConfiguration,
    InvalidSettings,
    OperatorSettings,
    ServiceSettings,
    load,
)

__all__ = [
    "CatalogSettings",
    "CommaList",
    "DatabaseSettings",
    "EnvironmentSettings",
    "InvalidConfiguration",
    "InvalidSettings",
    "OperatorSettings",
    "ServiceSettings",
    "load",
]
