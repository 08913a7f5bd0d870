"""Every subject and stream name, written once. All carry the prefix, so that they can live in a shared account."""

import re

import msgspec

TOKEN = re.compile(r"[a-z0-9_]{1,48}")
UNKNOWN = "unknown"


class InvalidToken(ValueError):
    """A part of a subject that is not `[a-z0-9_]{1,48}`: nothing from a request reaches a subject unchecked."""


def _token(value: str) -> str:
    if not TOKEN.fullmatch(value):
        raise InvalidToken(f"{value!r} is not a subject token")
    return value


def event_token(original: str) -> str:
    """The subject token of a platform's event name (`Pull-Request` is `pull_request`), else `unknown`."""
    token = re.sub(r"[^a-z0-9]+", "_", original.lower()).strip("_")
    return token if TOKEN.fullmatch(token) else UNKNOWN


class Subjects(msgspec.Struct, frozen=True):
    """Subjects and streams under one prefix (`NATS_PREFIX`)."""

    prefix: str = "em"

    def __post_init__(self) -> None:
        _token(self.prefix)

    def raw(self, *, source: str, event: str) -> str:
        return f"{self.prefix}.raw.{_token(source)}.{_token(event)}"

    def event(self, kind: str) -> str:
        return f"{self.prefix}.events.{'.'.join(_token(part) for part in kind.split('.'))}"

    @property
    def notify(self) -> str:
        return f"{self.prefix}.notify"

    def replay(self, *, job: str, kind: str) -> str:
        return f"{self.prefix}.replay.{_token(job)}.{'.'.join(_token(part) for part in kind.split('.'))}"

    def dead(self, service: str) -> str:
        return f"{self.prefix}.dead.{_token(service)}"

    def stream(self, name: str) -> str:
        """`RAW` is `EM_RAW`."""
        return f"{self.prefix.upper()}_{name}"

    @property
    def durability_bucket(self) -> str:
        """Key-value bucket with the proof of durability."""
        return f"{self.prefix.upper()}_DURABILITY"

    @property
    def durability_stream(self) -> str:
        return f"KV_{self.durability_bucket}"

    @property
    def bodies_bucket(self) -> str:
        """Object Store bucket of bodies that are too large for a message."""
        return f"{self.prefix.upper()}_BODIES"

    @property
    def bodies_stream(self) -> str:
        return f"OBJ_{self.bodies_bucket}"

    def pattern(self, pattern: str) -> str:
        """A filter such as `events.change.>` under the prefix; only for constants of ours."""
        return f"{self.prefix}.{pattern}"
