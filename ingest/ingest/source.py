"""The declaration of a source: all that ingest has to know of a platform."""

import importlib
import pkgutil
from collections.abc import Callable
from functools import cache

import msgspec

from ingest import sources
from ingest.headers import DELIVERY_ID, Headers
from ingest.schemes import Scheme
from shared.contracts.ids import body_delivery_id

Reader = Callable[[Headers, bytes], str]

MIB = 1024 * 1024
PUBLISH_WAIT_MAX_S = 8.0


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """An HTTP answer in the words of the platform."""

    status: int
    body: bytes = b""
    content_type: str = "application/json"


class Source(msgspec.Struct, frozen=True, kw_only=True):
    """`limit_s` is how long the platform waits for our answer. `delivery_id` and `event_name` read what the platform
    calls them ("" where it doesn't say); `handshake` answers what is not to be published; `accepted` and `refused`
    replace our own answers where the platform, or the person behind it, needs other words; `accepted_status` is the
    platform's idea of success; `spools` is False for what a person waits for: late, it would surprise them."""

    name: str
    title: str
    scheme: Scheme
    delivery_id: Reader
    event_name: Reader
    limit_s: float
    body_max_bytes: int | None = None
    secret_variables: tuple[str, ...] = ()
    handshake: Callable[[bytes], Answer | None] = lambda _: None
    accepted_status: int = 202
    accepted: Callable[[bytes], Answer | None] = lambda _: None
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

    def delivery_of(self, headers: Headers, body: bytes) -> str:
        given = self.delivery_id(headers, body)
        return given if DELIVERY_ID.fullmatch(given) else body_delivery_id(self.name, body)


def header(name: str) -> Reader:
    return lambda headers, _: headers.text(name)


@cache
def declared() -> dict[str, Source]:
    """Every module in `ingest.sources`, by its name."""
    found = {
        module.name: importlib.import_module(f"{sources.__name__}.{module.name}").SOURCE
        for module in pkgutil.iter_modules(sources.__path__)
    }
    return dict(sorted(found.items()))
