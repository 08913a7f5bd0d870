"""The append-only ledger of requests: the sandbox's own truth about what arrived, was stored and answered."""

import time
from collections import Counter
from collections.abc import Callable

import msgspec

from em.sandbox.faults import Kind, Service

POSTING = frozenset({"chat.postMessage", "webhook"})


class Entry(msgspec.Struct, kw_only=True):
    """One request. Times are Unix seconds; no `committed_at` means nothing was stored."""

    id: int
    service: Service
    method: str
    arrived_at: float
    channel: str | None = None
    metadata_id: str | None = None
    committed_at: float | None = None
    status: int | None = None
    cut: bool = False
    fault: Kind | None = None
    error: str | None = None
    ts: str | None = None


class Ledger:
    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self._entries: list[Entry] = []

    def open(self, service: Service, method: str) -> Entry:
        entry = Entry(id=len(self._entries) + 1, service=service, method=method, arrived_at=self._clock())
        self._entries.append(entry)
        return entry

    def commit(self, entry: Entry) -> None:
        entry.committed_at = self._clock()

    def of(self, service: Service) -> list[Entry]:
        return [entry for entry in self._entries if entry.service == service]

    def slack_counts(self) -> dict[str, int]:
        """`duplicates`: stored posts beyond the first that carry the same metadata event_payload.id."""
        stored = [entry for entry in self.of("slack") if entry.committed_at is not None]
        methods = Counter(entry.method for entry in stored)
        ids = [entry.metadata_id for entry in stored if entry.method in POSTING and entry.metadata_id]
        return {
            "posts": sum(methods[method] for method in POSTING),
            "updates": methods["chat.update"],
            "ephemerals": methods["chat.postEphemeral"],
            "duplicates": len(ids) - len(set(ids)),
        }
