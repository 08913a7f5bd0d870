"""`POST /webhooks/{source}`: raw ASGI, no parsing before the signature is good, 2xx only when it is on disk."""

import hashlib
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import lru_cache

import msgspec
from starlette.types import Receive, Scope, Send

from ingest import answers
from ingest.answers import Reply
from ingest.headers import Headers
from ingest.keeping import Keeper, NotKept
from ingest.limits import Forgers, InFlight, Overloaded, RateExceeded, TokenBucket
from ingest.observing import Observer
from ingest.reading import Encoded, TooLarge, Unreadable, declared_length, read_body
from ingest.schemes import Evidence, Rejection
from ingest.settings import Integration, Settings
from ingest.source import Answer, Source
from shared.contracts.envelope import MESSAGE_ID, TRACEPARENT, Outgoing, RawDelivery
from shared.contracts.ids import delivery_message_id
from shared.contracts.subjects import UNKNOWN, Subjects, event_token
from shared.contracts.vocabulary import Origin
from shared.http.request_id import adopt
from shared.telemetry import metrics

PREFIX = "/webhooks/"


class Webhooks:
    """The hot path of ingest."""

    def __init__(self, settings: Settings, keeper: Keeper, subjects: Subjects) -> None:
        self._integrations: Mapping[str, Integration] = settings.integrations
        self._keeper = keeper
        self._origin: Origin = "demo" if settings.demo else "live"
        self._body_max_bytes = settings.max_payload_bytes
        self._body_deadline_s = settings.body_deadline_s
        self._in_flight = InFlight(requests_max=settings.in_flight_max_requests, bytes_max=settings.in_flight_max_bytes)
        self._rates = {name: TokenBucket(settings.source_rate_per_s) for name in settings.integrations}
        self._forgers = Forgers()
        self._observer = Observer()
        self._subject = lru_cache(maxsize=1024)(lambda source, event: subjects.raw(source=source, event=event))
        self._slots = {
            name: [metrics.secret_slot_used.labels(source=name, slot=str(slot)) for slot in range(len(each.secrets))]
            for name, each in settings.integrations.items()
        }
        self.received_at: dict[str, datetime] = {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        started = time.monotonic()
        headers = Headers(scope["headers"])
        request_id = adopt(headers.single("x-request-id"))
        with self._observer.trace(headers) as traceparent:
            reply = await self._admit(scope, headers, receive, traceparent, started)
        self._observer.answered(reply[0].status, time.monotonic() - started)
        await answers.send_reply(send, receive, reply, request_id)

    async def _admit(self, scope: Scope, headers: Headers, receive: Receive, traceparent: str, started: float) -> Reply:
        integration = self._integrations.get(scope["path"].removeprefix(PREFIX))
        if integration is None or not integration.enabled:
            return answers.problem(*answers.UNKNOWN_SOURCE)
        if scope["method"] != "POST":
            return answers.problem(405, "method-not-allowed", headers={"Allow": "POST"})
        source = integration.source
        try:
            self._in_flight.begin()
        except Overloaded:
            return self._overloaded(source)
        try:
            return await self._take(integration, headers, receive, traceparent, started)
        except Overloaded:
            return self._overloaded(source)
        except RateExceeded as error:
            self._observer.refused(source.name, "rate")
            return answers.rate_exceeded(error)
        except Unreadable as error:
            return self._unreadable(source, error)
        except Rejection as rejection:
            return self._forged(source, rejection, (scope.get("client") or ("", 0))[0])
        finally:
            self._in_flight.end()

    async def _take(
        self, integration: Integration, headers: Headers, receive: Receive, traceparent: str, started: float
    ) -> Reply:
        """From the socket to the disk."""
        source = integration.source
        cap = source.body_max_bytes or self._body_max_bytes
        reserved = min(declared_length(headers) or cap, cap)
        await self._in_flight.reserve(reserved)
        try:
            body = await read_body(headers, receive, max_bytes=cap, deadline_s=self._body_deadline_s)
            now = datetime.now(UTC)
            evidence = self._verify(integration, headers, body, now)
            handshake = source.handshake(body)
            if handshake:
                self._observer.accepted(source.name, "handshake")
                return handshake, {}
            self._rates[source.name].take(started)
            self.received_at[source.name] = now
            delivery = self._delivery(source, headers, body, evidence, now)
            return await self._store(source, delivery, traceparent, started)
        finally:
            self._in_flight.release(reserved)

    def _verify(self, integration: Integration, headers: Headers, body: bytes, now: datetime) -> Evidence:
        if integration.unsigned and not integration.secrets:
            return Evidence(slot=-1)
        evidence = integration.source.scheme.verify(headers, body, integration.secrets, now)
        self._slots[integration.source.name][evidence.slot].inc()
        return evidence

    def _delivery(
        self, source: Source, headers: Headers, body: bytes, evidence: Evidence, now: datetime
    ) -> RawDelivery:
        return RawDelivery(
            source=source.name,
            event=_printable(source.event_name(headers, body)),
            delivery=source.delivery_of(headers, body),
            sha256=hashlib.sha256(body).hexdigest(),
            received_at=now,
            origin=self._origin,
            content_type=headers.text("content-type"),
            timestamp=evidence.timestamp,
            signature=evidence.signature,
            body=body,
        )

    async def _store(self, source: Source, delivery: RawDelivery, traceparent: str, started: float) -> Reply:
        message = Outgoing(
            subject=self._subject(source.name, _token(delivery.event)),
            body=delivery.body,
            headers={
                MESSAGE_ID: delivery_message_id(source=source.name, delivery=delivery.delivery, sha256=delivery.sha256),
                TRACEPARENT: traceparent,
                **delivery.headers(),
            },
        )
        deadline = max(started + source.publish_wait_s, time.monotonic() + 0.1)
        try:
            known = await self._keeper.keep(message, deadline=deadline, spools=source.spools(delivery.body))
        except NotKept as error:
            self._observer.refused(source.name, "not_on_disk", delivery_id=delivery.delivery, error=str(error))
            own_words = source.refused(delivery.body)
            return (own_words, {}) if own_words else answers.not_on_disk()
        status = "duplicate" if known else "accepted"
        self._observer.accepted(
            source.name,
            status,
            delivery_id=delivery.delivery,
            event_name=delivery.event,
            bytes=len(delivery.body),
            trace_id=traceparent[3:35],
        )
        body = msgspec.json.encode({"status": status, "delivery": delivery.delivery})
        return source.accepted(delivery.body) or Answer(status=source.accepted_status, body=body), {}

    def _overloaded(self, source: Source) -> Reply:
        self._observer.refused(source.name, "overload")
        return answers.overloaded()

    def _unreadable(self, source: Source, error: Unreadable) -> Reply:
        match error:
            case TooLarge():
                reason, status, kind, detail = "size", 413, "body-too-large", str(error)
            case Encoded():
                reason, status, kind, detail = "encoding", 415, "encoded-body", "send the body without Content-Encoding"
            case _:
                reason, status, kind, detail = "unreadable", 400, "unreadable-request", str(error)
        self._observer.refused(source.name, reason)
        return answers.cut_off(status, kind, detail)

    def _forged(self, source: Source, rejection: Rejection, address: str) -> Reply:
        """One answer for all reasons; who sends many hears that it is too many."""
        self._observer.refused(source.name, rejection.reason)
        try:
            self._forgers.take(address, time.monotonic())
        except RateExceeded as error:
            return answers.rate_exceeded(error)
        return answers.problem(*answers.NOT_AUTHENTICATED)


_token = lru_cache(maxsize=1024)(event_token)


def _printable(event: str) -> str:
    """The platform's own event name as a header value."""
    return event[:256] if event and event.isascii() and event.isprintable() else UNKNOWN
