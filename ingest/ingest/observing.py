"""What is told of each delivery: counters always, a log line and a trace for a sample of them."""

import time
from collections import defaultdict
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from datetime import UTC, datetime

import msgspec
from prometheus_client import Counter

from ingest.headers import Headers
from shared.contracts.services import INGEST
from shared.telemetry import logs, metrics, tracing

log = logs.get(__name__)

ROUTE = "/webhooks/{source}"
LINES_PER_S = 10.0


class Last(msgspec.Struct, kw_only=True):
    """Of one sender, since this process began. `refused_because` names a reason and what was missing or wrong."""

    accepted_at: datetime | None = None
    refused_at: datetime | None = None
    refused_because: str | None = None


class Observer:
    """Label values are looked up once: `.labels()` costs more than the rest of a counter."""

    def __init__(self) -> None:
        self._next_line_at = 0.0
        self._unlogged = 0
        self._requests = {
            status: metrics.http_requests.labels(INGEST.folder, "POST", ROUTE, f"{status}xx") for status in range(1, 6)
        }
        self._duration = metrics.http_request_duration.labels(INGEST.folder, "POST", ROUTE)
        self._accepted: dict[tuple[str, str], Counter] = {}
        self.last: defaultdict[str, Last] = defaultdict(Last)

    def trace(self, headers: Headers) -> AbstractContextManager[str]:
        """The delivery's `traceparent`. What came from the internet is linked, never taken as parent."""
        if not tracing.is_sampled():
            return nullcontext(tracing.unsampled())
        return tracing.span("receive webhook", link=headers.text("traceparent"))

    def answered(self, status: int, took_s: float) -> None:
        self._requests[status // 100].inc()
        self._duration.observe(took_s)

    def accepted(self, source: str, status: str, **fields: object) -> None:
        counter = self._accepted.get((source, status))
        if counter is None:
            counter = self._accepted[source, status] = metrics.deliveries_accepted.labels(source=source, status=status)
        counter.inc()
        self.last[source].accepted_at = datetime.now(UTC)
        self._say(log.info, f"delivery.{status}", source=source, **fields)

    def refused(self, source: str, reason: str, *, detail: str = "", **fields: object) -> None:
        metrics.deliveries_rejected.labels(source=source, reason=reason).inc()
        last = self.last[source]
        last.refused_at, last.refused_because = datetime.now(UTC), f"{reason}: {detail}" if detail else reason
        self._say(log.warning, "delivery.refused", source=source, reason=reason, detail=detail, **fields)

    def _say(self, write: Callable[..., None], event: str, **fields: object) -> None:
        """At most ten lines a second; each says how many were left out before it."""
        now = time.monotonic()
        if now < self._next_line_at:
            self._unlogged += 1
            return
        self._next_line_at = now + 1 / LINES_PER_S
        unlogged, self._unlogged = self._unlogged, 0
        write(event, unlogged=unlogged, **fields)
