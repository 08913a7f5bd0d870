"""`POST /webhooks/{source}`: raw ASGI, no parsing before the signature is good, 2xx only when it is on disk."""

import asyncio
import hashlib
import time
from collections.abc import Mapping
from datetime import UTC, datetime

import msgspec
import structlog
from starlette.types import Receive, Scope, Send

from ingest.headers import Headers
from ingest.reading import Encoded, TooLarge, Unreadable, read_body
from ingest.schemes import Evidence, Rejection
from ingest.settings import Integration
from ingest.source import MIB, Answer, Source
from shared.bus.durability import Durability
from shared.bus.publisher import Publisher, PublishError
from shared.contracts.envelope import MESSAGE_ID, Outgoing, RawDelivery
from shared.contracts.ids import delivery_message_id
from shared.contracts.subjects import UNKNOWN, Subjects, event_token
from shared.contracts.vocabulary import Origin
from shared.http import problems
from shared.telemetry import logs, metrics

log = logs.get(__name__)

PREFIX = "/webhooks/"
RETRY_AFTER_S = 5
LINGER_S = 1.0
LINGER_MAX_BYTES = 8 * MIB

Reply = tuple[Answer, dict[str, str]]


class Webhooks:
    """The hot path of ingest."""

    def __init__(
        self,
        *,
        integrations: Mapping[str, Integration],
        publisher: Publisher,
        durability: Durability,
        subjects: Subjects,
        origin: Origin,
        body_max_bytes: int,
        body_deadline_s: float,
    ) -> None:
        self._integrations = integrations
        self._publisher = publisher
        self._durability = durability
        self._subjects = subjects
        self._origin = origin
        self._body_max_bytes = body_max_bytes
        self._body_deadline_s = body_deadline_s
        self.received_at: dict[str, datetime] = {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        scope["em.route"] = "/webhooks/{source}"
        answer, headers = await self._answer(scope, receive)
        lingers = "Connection" in headers
        await _send(send, answer, headers, ends=not lingers)
        if lingers:
            await _linger(receive)
            await send({"type": "http.response.body"})

    async def _answer(self, scope: Scope, receive: Receive) -> Reply:
        integration = self._integrations.get(scope["path"].removeprefix(PREFIX))
        if integration is None or not integration.enabled:
            return _problem(404, "unknown-source", "no such source is enabled here")
        if scope["method"] != "POST":
            return _problem(405, "method-not-allowed", headers={"Allow": "POST"})
        source = integration.source
        structlog.contextvars.bind_contextvars(source=source.name)
        started = time.monotonic()
        try:
            return await self._take(integration, Headers(scope["headers"]), receive, started)
        except TooLarge as error:
            return _refuse(source, "size", 413, "body-too-large", str(error))
        except Encoded:
            return _refuse(source, "encoding", 415, "encoded-body", "send the body without Content-Encoding")
        except Unreadable as error:
            return _refuse(source, "unreadable", 400, "unreadable-request", str(error))
        except Rejection as rejection:
            return _refuse(source, rejection.reason, 401, "not-authenticated", "the delivery proves no origin")

    async def _take(self, integration: Integration, headers: Headers, receive: Receive, started: float) -> Reply:
        """From the socket to the disk."""
        source = integration.source
        body = await read_body(headers, receive, max_bytes=self._cap(source), deadline_s=self._body_deadline_s)
        now = datetime.now(UTC)
        evidence = _verify(integration, headers, body, now)
        handshake = source.handshake(body)
        if handshake:
            metrics.deliveries_accepted.labels(source=source.name, status="handshake").inc()
            return handshake, {}
        self.received_at[source.name] = now
        delivery = self._delivery(source, headers, body, evidence, now)
        return await self._store(source, delivery, started)

    def _cap(self, source: Source) -> int:
        return min(source.body_max_bytes or self._body_max_bytes, self._publisher.body_max_bytes)

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

    async def _store(self, source: Source, delivery: RawDelivery, started: float) -> Reply:
        message = Outgoing(
            subject=self._subjects.raw(source=source.name, event=event_token(delivery.event)),
            body=delivery.body,
            headers={
                MESSAGE_ID: delivery_message_id(source=source.name, delivery=delivery.delivery, sha256=delivery.sha256),
                **delivery.headers(),
            },
        )
        if problem := await self._durability.problem():
            log.error("delivery.not_on_disk", delivery_id=delivery.delivery, error=problem)
            return _not_on_disk(source, delivery.body)
        wait_s = max(0.1, source.publish_wait_s - (time.monotonic() - started))
        try:
            ack = await self._publisher.publish(message, timeout_s=wait_s)
        except PublishError as error:
            log.error("delivery.not_on_disk", delivery_id=delivery.delivery, error=str(error))
            return _not_on_disk(source, delivery.body)
        status = "duplicate" if ack.duplicate else "accepted"
        metrics.deliveries_accepted.labels(source=source.name, status=status).inc()
        log.info(
            f"delivery.{status}", delivery_id=delivery.delivery, event_name=delivery.event, bytes=len(delivery.body)
        )
        body = msgspec.json.encode({"status": status, "delivery": delivery.delivery})
        return source.accepted(delivery.body) or Answer(status=source.accepted_status, body=body), {}


def _verify(integration: Integration, headers: Headers, body: bytes, now: datetime) -> Evidence:
    if integration.unsigned and not integration.secrets:
        return Evidence(slot=-1)
    evidence = integration.source.scheme.verify(headers, body, integration.secrets, now)
    metrics.secret_slot_used.labels(source=integration.source.name, slot=str(evidence.slot)).inc()
    return evidence


def _printable(event: str) -> str:
    """The platform's own event name as a header value."""
    return event[:256] if event and event.isascii() and event.isprintable() else UNKNOWN


def _not_on_disk(source: Source, body: bytes) -> Reply:
    metrics.deliveries_rejected.labels(source=source.name, reason="not_on_disk").inc()
    own_words = source.refused(body)
    if own_words:
        return own_words, {}
    return _problem(503, "not-on-disk", "try again", headers={"Retry-After": str(RETRY_AFTER_S)})


def _refuse(source: Source, reason: str, status: int, kind: str, detail: str) -> Reply:
    """Whoever we stop reading from must not send the rest into the next request."""
    metrics.deliveries_rejected.labels(source=source.name, reason=reason).inc()
    log.warning("delivery.refused", reason=reason)
    return _problem(status, kind, detail, headers={"Connection": "close"} if status in (400, 413, 415) else {})


def _problem(status: int, kind: str, detail: str = "", *, headers: dict[str, str] | None = None) -> Reply:
    body = problems.body(status, kind, detail)
    return Answer(status=status, body=body, content_type=problems.MEDIA_TYPE), headers or {}


async def _linger(receive: Receive) -> None:
    """Closing while the sender still writes resets the connection, and the answer is lost on its way to it."""
    left = LINGER_MAX_BYTES
    try:
        async with asyncio.timeout(LINGER_S):
            while left > 0:
                message = await receive()
                if message["type"] == "http.disconnect" or not message.get("more_body", False):
                    return
                left -= len(message.get("body", b""))
    except TimeoutError:
        return


async def _send(send: Send, answer: Answer, headers: Mapping[str, str], *, ends: bool) -> None:
    raw = [(name.lower().encode(), value.encode()) for name, value in headers.items()]
    raw.append((b"content-length", str(len(answer.body)).encode()))
    if answer.body:
        raw.append((b"content-type", answer.content_type.encode()))
    await send({"type": "http.response.start", "status": answer.status, "headers": raw})
    await send({"type": "http.response.body", "body": answer.body, "more_body": not ends})
