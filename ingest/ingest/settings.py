"""Settings of ingest; flags and secrets of the sources are derived from their declarations."""

import os
from collections.abc import Iterable
from functools import cached_property
from pathlib import Path

import msgspec
from pydantic import Field, model_validator

from ingest.source import MIB, Source, declared
from shared.contracts.subjects import TOKEN
from shared.settings import CommaList, ServiceSettings
from shared.settings.base import read_secret_file

_TRUE = frozenset({"true", "1", "yes", "on"})
_FALSE = frozenset({"false", "0", "no", "off"})


class Integration(msgspec.Struct, frozen=True, kw_only=True):
    """A source, or one sender of a source that has several, as configured here. Without a secret it answers 401."""

    source: Source
    enabled: bool
    secrets: tuple[bytes, ...]
    unsigned: bool = False
    name: str = ""

    @property
    def key(self) -> str:
        return f"{self.source.named}/{self.name}" if self.name else self.source.name

    @property
    def routes(self) -> tuple[str, ...]:
        """Below `/webhooks/`."""
        return (self.key,) if self.name else (self.source.name, *self.source.aliases)

    @property
    def configured(self) -> bool:
        return bool(self.secrets) or self.unsigned


class Settings(ServiceSettings):
    ingest_port: int = Field(8000, description="Port of ingest's HTTP server")
    max_payload_bytes: int = Field(MIB, ge=1024, description="Largest body of a source without a cap of its own")
    body_deadline_s: float = Field(10, gt=0, description="Seconds in which a body must have arrived")
    source_rate_per_s: float = Field(1000, gt=0, description="Deliveries a second taken of one source, on average")
    in_flight_max_requests: int = Field(2048, ge=1, description="Webhook requests worked on at once; above: 503")
    in_flight_max_bytes: int = Field(64 * MIB, ge=MIB, description="Bytes of bodies held at once; above, 503")
    spool_dir: Path | None = Field(
        None, description="Where deliveries are kept while NATS is away: a disk that outlives the process; none: 503"
    )
    spool_max_bytes: int = Field(256 * MIB, ge=MIB, description="Size at which the spool takes no more")
    webhook_allow_unsigned: CommaList = Field((), description="Sources taken without a signature; not in production")

    @model_validator(mode="after")
    def _refuse_unsigned(self) -> "Settings":
        unknown = set(self.webhook_allow_unsigned) - set(declared())
        if unknown:
            raise ValueError(f"WEBHOOK_ALLOW_UNSIGNED names no source of ours: {', '.join(sorted(unknown))}")
        if self.webhook_allow_unsigned and self.env == "production":
            raise ValueError("WEBHOOK_ALLOW_UNSIGNED is refused when ENV=production")
        _ = self.integrations  # a flag that is neither true nor false must stop the start, not the first delivery
        return self

    @cached_property
    def integrations(self) -> dict[str, Integration]:
        """Every declared source by its key; an unset flag means enabled when it has its secret."""
        found = [each for source in declared().values() for each in self._integrations(source)]
        return {integration.key: integration for integration in found}

    def _integrations(self, source: Source) -> list[Integration]:
        secrets = _secrets(source.secrets)
        unsigned = source.name in self.webhook_allow_unsigned
        enabled = _flag(source.flag_variable, default=bool(secrets) or unsigned)
        if not source.named:
            kept = tuple(secret.encode() for secret in secrets)
            return [Integration(source=source, enabled=enabled, secrets=kept, unsigned=unsigned)]
        return [
            Integration(source=source, enabled=enabled, secrets=kept, unsigned=unsigned, name=name)
            for name, kept in _named_secrets(source, secrets).items()
        ]


def _secrets(variables: Iterable[str]) -> list[str]:
    """Of all these variables together."""
    found = []
    for variable in variables:
        path = os.environ.get(f"{variable}_FILE")
        value = os.environ.get(variable) or (read_secret_file(f"{variable}_FILE", path) if path else "")
        found += [part.strip() for part in value.split(",") if part.strip()]
    return found


def _named_secrets(source: Source, pairs: Iterable[str]) -> dict[str, tuple[bytes, ...]]:
    """`name=secret`; a name that comes twice has two, as while rotating. Raises ValueError."""
    found: dict[str, tuple[bytes, ...]] = {}
    for pair in pairs:
        name, equals, secret = pair.partition("=")
        if not equals or not secret or not TOKEN.fullmatch(name):
            raise ValueError(f"{source.secrets[0]}: each is `name=secret`, a name being {TOKEN.pattern}")
        found[name] = (*found.get(name, ()), secret.encode())
    return found


def _flag(variable: str, *, default: bool) -> bool:
    value = os.environ.get(variable, "").strip().lower()
    if not value:
        return default
    if value not in _TRUE | _FALSE:
        raise ValueError(f"{variable} must be true or false")
    return value in _TRUE
