"""The frozen settings base: `<NAME>_FILE`, comma lists, and errors that name the variable and never its value."""

import json
import os
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

from pydantic import BeforeValidator, Field, SecretStr, ValidationError, model_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from shared.settings.oidc import OidcIssuers


class InvalidConfiguration(ValueError):
    """What an operator wrote can't be used; the text says where and why, and a service that meets it does not start.

    InvalidConfiguration
    ├── InvalidSettings      environment variables
    ├── InvalidCatalog       catalog.yaml
    ├── InvalidPolicy        policy.yaml
    ├── InvalidUsers         the users file
    ├── InvalidKey           a key that signs or verifies tokens
    └── InvalidDatabaseUrl   a database URL
    """


class InvalidSettings(InvalidConfiguration):
    """One line per variable that is missing or not in an accepted form."""


def _split(value: object) -> object:
    """`a,b`, `["a","b"]` and a list are the same."""
    if not isinstance(value, str):
        return value
    if value.strip().startswith("["):
        return tuple(json.loads(value))
    return tuple(part.strip() for part in value.split(",") if part.strip())


CommaList = Annotated[tuple[str, ...], NoDecode, BeforeValidator(_split)]


class EnvironmentSettings(BaseSettings):
    """Fields are upper-cased variable names; an empty variable counts as unset."""

    model_config = SettingsConfigDict(frozen=True, extra="ignore", env_ignore_empty=True)

    @model_validator(mode="before")
    @classmethod
    def _read_files(cls, values: dict[str, Any]) -> dict[str, Any]:
        """`<NAME>_FILE` names a file that holds the value: Vault, Kubernetes and Compose secrets alike."""
        for name in cls.model_fields:
            path = os.environ.get(f"{name.upper()}_FILE")
            if path and name not in values:
                values[name] = read_secret_file(f"{name.upper()}_FILE", path)
        return values


def read_secret_file(variable: str, path: str) -> str:
    """Raises ValueError naming the variable, not the content."""
    try:
        return Path(path).read_text(encoding="utf-8").strip()
    except OSError as error:
        raise ValueError(f"{variable} names a file that can't be read: {error.strerror}") from None


class ServiceSettings(EnvironmentSettings):
    """What every service reads."""

    env: Literal["development", "production"] = Field(
        "development", description="`production` switches on all refusals"
    )
    demo: bool = Field(False, description="Stamp deliveries with origin `demo` and act on them; not in production")
    app_name: str = Field("EM Agent", description="Title of the OpenAPI documents")
    app_version: str = Field("", description="Shown in /health, logs and traces; default: the package's version")
    host: str = Field("127.0.0.1", description="Address the HTTP server binds")

    log_format: Literal["json", "text"] = Field("json", description="`text` prints key=value for people")
    log_level: Literal["debug", "info", "warning", "error"] = Field("info", description="Least severe line logged")
    otel_enabled: bool = Field(False, description="Export spans by OTLP/HTTP")
    otel_exporter_otlp_endpoint: str = Field(
        "", description="Collector, e.g. http://tempo:4318; `/v1/traces` is appended when there is no path"
    )

    otel_traces_sampler_arg: float = Field(0.1, ge=0, le=1, description="Share of deliveries that are traced")

    nats_url: str = Field("nats://127.0.0.1:4222", description="NATS with JetStream, 2.12 or newer")
    nats_nkey_seed: SecretStr = Field(
        SecretStr(""), description="This process's NATS user (an nkey seed, SU…); empty: connect without a user"
    )
    nats_prefix: str = Field("em", description="Prefix of every subject; upper-cased, of every stream")

    failpoint: str = Field("", description="For tests: die or stumble at a point of the bus; not in production")

    auth_enabled: bool = Field(False, description="Require a token on /v1; must be true in production")
    jwt_algorithm: Literal["EdDSA", "HS256"] = Field("EdDSA", description="HS256 lets every verifier mint: weaker")
    jwt_public_key: str = Field("", description="Ed25519 public keys, PEM, one after another while rotating (EdDSA)")
    jwt_secret_key: SecretStr = Field(SecretStr(""), description="At least 32 characters (HS256)")
    oidc_issuers: OidcIssuers = Field((), description="Issuers trusted beside ourselves: a JSON list, see docs/auth.md")
    oidc_private_hosts: CommaList = Field(
        (), description="Hosts of issuers that may lie in a private network; others are asked on public addresses only"
    )
    oidc_ca_file: Path | None = Field(
        None, description="Certificates (PEM) that vouch for issuers beside the public ones"
    )

    @model_validator(mode="after")
    def _refuse(self) -> "ServiceSettings":
        if self.env == "production" and self.demo:
            raise ValueError("DEMO=true is refused when ENV=production")
        if self.env == "production" and self.failpoint:
            raise ValueError("FAILPOINT is refused when ENV=production")
        if self.env == "production" and not self.auth_enabled:
            raise ValueError("AUTH_ENABLED must be true when ENV=production")
        if self.auth_enabled:
            self._require_verification_key()
        return self

    @property
    def auth_status(self) -> dict[str, object]:
        """What /health says of tokens."""
        found: dict[str, object] = {"required": self.auth_enabled, "algorithm": self.jwt_algorithm}
        if self.is_auth_weaker:
            found["weaker"] = "with HS256 every service that verifies could also mint: JWT_ALGORITHM=EdDSA"
        return found

    @property
    def is_auth_weaker(self) -> bool:
        return self.auth_enabled and self.jwt_algorithm == "HS256"

    def _require_verification_key(self) -> None:
        if self.jwt_algorithm == "EdDSA" and not self.jwt_public_key:
            raise ValueError("AUTH_ENABLED=true with JWT_ALGORITHM=EdDSA needs JWT_PUBLIC_KEY")
        if self.jwt_algorithm == "HS256" and len(self.jwt_secret_key.get_secret_value()) < 32:
            raise ValueError("JWT_SECRET_KEY must have at least 32 characters (JWT_ALGORITHM=HS256)")


class DatabaseSettings(ServiceSettings):
    """What a service with a schema reads on top."""

    database_url: str = Field("", description="PostgreSQL; every common URL form is accepted")
    db_pool_size: int = Field(5, ge=1, description="Connections kept open")
    db_max_overflow: int = Field(5, ge=0, description="Connections opened above that under load")


class OperatorSettings(ServiceSettings):
    """What the commands of em read on top."""

    nats_monitor_url: CommaList = Field(
        (), description="Monitoring endpoint of each NATS server: em provision reads there whether it fsyncs"
    )
    nats_durability: Literal["proven", "attested"] = Field(
        "proven", description="`attested`: your word that every server has sync_interval always, where em can't read it"
    )


class CatalogSettings(DatabaseSettings):
    """What a service reads that asks the catalog."""

    catalog_path: Path | None = Field(None, description="catalog.yaml; without it a service is a repository's name")


S = TypeVar("S", bound=EnvironmentSettings)


def load(settings_type: type[S]) -> S:
    """Settings from the environment. Raises InvalidSettings, which names variables and never secret values."""
    try:
        return settings_type()
    except ValidationError as error:
        raise InvalidSettings("\n".join(_line(problem) for problem in error.errors())) from None


def _line(problem: Any) -> str:
    where = ".".join(str(part) for part in problem["loc"]).upper()
    message = problem["msg"].removeprefix("Value error, ")
    return f"{where}: {message}" if where else message
