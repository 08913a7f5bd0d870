"""`POST /webhooks/{source}`: raw ASGI, no parsing before the signature is good, 2xx only when it is on disk."""

import hashlib
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import lru_cache
from urllib.parse import parse_qs

import msgspec
from starlette.types import Receive, Scope, Send

from ingest import answers
from ingest.answers import Reply
from ingest.headers import Headers
from ingest.keeping import Keeper, NotKept
from ingest.limits import Forgers, InFlight, Overloaded, RateExceeded, TokenBucket
from ingest.observing import Observer
from ingest.reading import Encoded, TooLarge, Unreadable, declared_length, read_body
from ingest.schemes import Evidence, KeyNeeded, Rejection, SignatureInvalid
from ingest.settings import Integration, Settings
from ingest.source import Answer, Status
from shared.contracts.envelope import MESSAGE_ID, TRACEPARENT, Outgoing, RawDelivery
from shared.contracts.ids import delivery_message_id
from shared.contracts.subjects import Subjects, event_token
from shared.contracts.vocabulary import Origin
from shared.http.keys import Keys, KeyUnavailable
from shared.http.protocol import BODY_IS_HERE
from shared.http.request_id import adopt
from shared.telemetry import metrics

PREFIX = "/webhooks/"
KEY_DOCUMENTS_MAX = 2  # where an issuer's keys are, and the keys


class Webhooks:
    """The hot path of ingest."""

    def __init__(self, settings: Settings, keeper: Keeper, keys: Keys, subjects: Subjects, observer: Observer) -> None:
        self._integrations: Mapping[str, Integration] = {
            route: each for each in settings.integrations.values() for route in each.routes
        }
        self._keeper = keeper
        self._keys = keys
        self._origin: Origin = "demo" if settings.demo else "live"
        self._body_max_bytes = settings.max_payload_bytes
        self._body_deadline_s = settings.body_deadline_s
        self._in_flight = InFlight(requests_max=settings.in_flight_max_requests, bytes_max=settings.in_flight_max_bytes)
        self._rates = {key: TokenBucket(settings.source_rate_per_s) for key in settings.integrations}
        self._forgers = Forgers()
        self._observer = observer
        self._subject = lru_cache(maxsize=1024)(lambda source, event: subjects.raw(source=source, event=event))
        self._slots = {
            key: [metrics.secret_slot_used.labels(source=key, slot=str(slot)) for slot in range(len(each.secrets))]
            for key, each in settings.integrations.items()
        }

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        started = time.monotonic()
        integration, url_token = self._route(scope)
        headers = Headers(scope["headers"], url_token)
        request_id = adopt(headers.single("x-request-id"))
        with self._observer.trace(headers) as traceparent:
            reply = await self._admit(integration, scope, headers, receive, traceparent, started)
        self._observer.answered(reply[0].status, time.monotonic() - started)
        await answers.send_reply(send, receive, reply, request_id)

    def _route(self, scope: Scope) -> tuple[Integration | None, bytes]:
        """What the path names, and the token in the URL of a source that can send it nowhere else."""
        path = scope["path"].removeprefix(PREFIX)
        if (integration := self._integrations.get(path)) and not scope["query_string"]:
            return integration, b""
        route, _, rest = path.partition("/")
        integration = integration or self._integrations.get(route)
        if integration is None or not integration.source.token_in_url:
            return (integration if integration and path in integration.routes else None), b""
        return integration, rest.encode() or parse_qs(scope["query_string"]).get(b"token", [b""])[0]

    async def _admit(
        self,
        integration: Integration | None,
        scope: Scope,
        headers: Headers,
        receive: Receive,
        traceparent: str,
        started: float,
    ) -> Reply:
        if integration is None or not integration.enabled:
            return answers.problem(*answers.UNKNOWN_SOURCE)
        if scope["method"] == "OPTIONS" and integration.source.preflight:
            return answers.may_send()
        if scope["method"] != "POST":
            return answers.problem(405, "method-not-allowed", headers={"Allow": "POST"})
        try:
            self._in_flight.begin()
        except Overloaded:
            return self._overloaded(integration)
        try:
            return await self._take(integration, scope, headers, receive, traceparent, started)
        except Overloaded:
            return self._overloaded(integration)
        except RateExceeded as error:
            self._observer.refused(integration.key, "rate")
            return answers.rate_exceeded(error)
        except Unreadable as error:
            return self._unreadable(integration, error)
        except KeyUnavailable as error:
            self._observer.refused(integration.key, "key", detail=str(error))
            return answers.not_on_disk()
        except Rejection as rejection:
            return self._forged(integration, rejection, (scope.get("client") or ("", 0))[0])
        finally:
            self._in_flight.end()

    async def _take(
        self,
        integration: Integration,
        scope: Scope,
        headers: Headers,
        receive: Receive,
        traceparent: str,
        started: float,
    ) -> Reply:
        """From the socket to the disk."""
        source = integration.source
        cap = source.body_max_bytes or self._body_max_bytes
        reserved = min(declared_length(headers) or cap, cap)
        await self._in_flight.reserve(reserved)
        try:
            body = await read_body(
                headers,
                receive,
                max_bytes=cap,
                deadline_s=self._body_deadline_s,
                is_here=BODY_IS_HERE in scope,
            )
            now = datetime.now(UTC)
            evidence = await self._prove(integration, headers, body, now)
            own = source.handshake(body, evidence)
            if own:
                self._told_at_once(integration, own)
                return own, {}
            self._rates[integration.key].take(started)
            delivery = source.delivery(
                headers,
                body,
                evidence,
                now,
                sha256=hashlib.sha256(body).hexdigest(),
                origin=self._origin,
                name=integration.name,
            )
            return await self._store(integration, delivery, traceparent, started)
        finally:
            self._in_flight.release(reserved)

    async def _prove(self, integration: Integration, headers: Headers, body: bytes, now: datetime) -> Evidence:
        """Raises Rejection or KeyUnavailable."""
        for _ in range(KEY_DOCUMENTS_MAX):
            try:
                return self._verify(integration, headers, body, now)
            except KeyNeeded as needed:
                await self._keys.learn(needed)
        try:
            return self._verify(integration, headers, body, now)
        except KeyNeeded as needed:
            raise SignatureInvalid(f"{needed.url} holds no such key") from None

    def _verify(self, integration: Integration, headers: Headers, body: bytes, now: datetime) -> Evidence:
        if integration.unsigned and not integration.secrets:
            return Evidence(slot=-1)
        evidence = integration.source.scheme.verify(headers, body, integration.secrets, now)
        self._slots[integration.key][evidence.slot].inc()
        return evidence

    async def _store(self, integration: Integration, delivery: RawDelivery, traceparent: str, started: float) -> Reply:
        source = integration.source
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
            self._observer.refused(integration.key, "not_on_disk", detail=str(error), delivery_id=delivery.delivery)
            own_words = source.refused(delivery.body)
            return (own_words, {}) if own_words else answers.not_on_disk()
        status: Status = "duplicate" if known else "accepted"
        self._observer.accepted(
            integration.key,
            status,
            delivery_id=delivery.delivery,
            event_name=delivery.event,
            bytes=len(delivery.body),
            trace_id=traceparent[3:35],
        )
        body = msgspec.json.encode({"status": status, "delivery": delivery.delivery})
        return source.accepted(delivery, status) or Answer(status=source.accepted_status, body=body), {}

    def _told_at_once(self, integration: Integration, answer: Answer) -> None:
        if answer.status < 400:
            self._observer.accepted(integration.key, "handshake")
        else:
            self._observer.refused(integration.key, "unacceptable")

    def _overloaded(self, integration: Integration) -> Reply:
        self._observer.refused(integration.key, "overload")
        return answers.overloaded()

    def _unreadable(self, integration: Integration, error: Unreadable) -> Reply:
        match error:
            case TooLarge():
                reason, status, kind, detail = "size", 413, "body-too-large", str(error)
            case Encoded():
                reason, status, kind, detail = "encoding", 415, "encoded-body", "send the body without Content-Encoding"
            case _:
                reason, status, kind, detail = "unreadable", 400, "unreadable-request", str(error)
        self._observer.refused(integration.key, reason, detail=str(error))
        return answers.cut_off(status, kind, detail)

    def _forged(self, integration: Integration, rejection: Rejection, address: str) -> Reply:
        """One answer for all reasons; who sends many hears that it is too many. The reason is for operators."""
        self._observer.refused(integration.key, rejection.reason, detail=str(rejection))
        try:
            self._forgers.take(address, time.monotonic())
        except RateExceeded as error:
            return answers.rate_exceeded(error)
        return answers.problem(*answers.NOT_AUTHENTICATED)


_token = lru_cache(maxsize=1024)(event_token)
