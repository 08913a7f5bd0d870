"""The declaration of a source: all that ingest has to know of a platform."""

import importlib
import pkgutil
from collections.abc import Callable
from datetime import datetime
from functools import cache
from typing import Literal

import msgspec

from ingest import sources
from ingest.headers import DELIVERY_ID, Headers
from ingest.schemes import Evidence, Scheme, SignedOrToken, Token
from shared.contracts.envelope import RawDelivery
from shared.contracts.ids import body_delivery_id
from shared.contracts.subjects import UNKNOWN
from shared.contracts.vocabulary import Origin

Reader = Callable[[Headers, bytes], str]
Status = Literal["accepted", "duplicate"]
# How far a source was checked; tests hold the declarations to it where they can.
Grade = Literal["payload", "vector", "facts", "sequence", "tried"]

MIB = 1024 * 1024
PUBLISH_WAIT_MAX_S = 8.0


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """An HTTP answer in the words of the platform."""

    status: int
    body: bytes = b""
    content_type: str = "application/json"


class Source(msgspec.Struct, frozen=True, kw_only=True):
    """`limit_s` is how long the platform waits for our answer (10 where it doesn't say). `delivery_id`, `event_name`
    and `sent` (its own time) read what the platform calls them, "" where it doesn't say; no id means the body's hash.
    `handshake` answers what is not to be published, with an error where the sender is one of ours; `accepted` and
    `refused` replace our own answers where the platform, or the person behind it, needs other words;
    `accepted_status` is the platform's idea of success; `spools` is False for what a person waits for: late, it would
    surprise them. `aliases` are other names in the route. Where `named` is set, many senders have a name and a secret
    each: `/webhooks/<named>/<name>`. `preflight`: the sender asks by OPTIONS whether it may send (CloudEvents).

    `grades`: a recorded payload of the platform was seen; its signature was checked by a published vector; the events
    were compared with the facts of recorded payloads; series of one thing end the same in any order; the page was tried
    against a running ingest."""

    name: str
    title: str
    scheme: Scheme
    delivery_id: Reader
    event_name: Reader
    limit_s: float = 10
    sent: Reader = lambda _, __: ""
    body_max_bytes: int | None = None
    secret_variables: tuple[str, ...] = ()
    aliases: tuple[str, ...] = ()
    named: str = ""
    preflight: bool = False
    grades: frozenset[Grade] = frozenset()
    handshake: Callable[[bytes, Evidence], Answer | None] = lambda _, __: None
    accepted_status: int = 202
    accepted: Callable[[RawDelivery, Status], Answer | None] = lambda _, __: None
    refused: Callable[[bytes], Answer | None] = lambda _: None
    spools: Callable[[bytes], bool] = lambda _: True

    @property
    def publish_wait_s(self) -> float:
        return min(PUBLISH_WAIT_MAX_S, self.limit_s - 0.5)

    @property
    def flag_variable(self) -> str:
        return f"INTEGRATIONS_{self.name.upper()}_ENABLED"

    @property
    def secrets(self) -> tuple[str, ...]:
        """Variables that may hold its secret, the first one being the one we name to people."""
        return self.secret_variables or (f"{self.name.upper()}_WEBHOOK_SECRET",)

    @property
    def token_in_url(self) -> bool:
        scheme = self.scheme.token if isinstance(self.scheme, SignedOrToken) else self.scheme
        return isinstance(scheme, Token) and scheme.in_url

    def delivery_of(self, headers: Headers, body: bytes, sender: str = "") -> str:
        """Two senders that say the same thing say it of themselves: their deliveries are two."""
        given = self.delivery_id(headers, body)
        if DELIVERY_ID.fullmatch(given):
            return given
        return body_delivery_id(self.name, sender.encode() + b"\x00" + body if sender else body)

    def delivery(
        self,
        headers: Headers,
        body: bytes,
        evidence: Evidence,
        now: datetime,
        *,
        sha256: str,
        origin: Origin,
        name: str,
    ) -> RawDelivery:
        """What travels of a request whose origin is proven."""
        return RawDelivery(
            source=self.name,
            event=_printable(self.event_name(headers, body)),
            delivery=self.delivery_of(headers, body, name or evidence.sender),
            sha256=sha256,
            received_at=now,
            origin=origin,
            content_type=headers.text("content-type"),
            timestamp=evidence.timestamp,
            signature=evidence.signature,
            sent=self.sent(headers, body),
            name=name or evidence.sender,
            body=body,
        )


def _printable(event: str) -> str:
    """The platform's own event name as a header value."""
    return event[:256] if event and event.isascii() and event.isprintable() else UNKNOWN


@cache
def declared() -> dict[str, Source]:
    """Every module in `ingest.sources`, by its name."""
    found = {
        module.name: importlib.import_module(f"{sources.__name__}.{module.name}").SOURCE
        for module in pkgutil.iter_modules(sources.__path__)
    }
    return dict(sorted(found.items()))
