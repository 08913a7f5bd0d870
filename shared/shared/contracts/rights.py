"""What each NATS user may say and hear: derived from services, streams, durables and kinds, for `em credentials`.

Everything that is not listed is denied. Nobody but the operator may create, change, purge or read a stream as a whole.
"""

import msgspec

from shared.contracts.events import KINDS
from shared.contracts.services import APPROVALS_SVC, INGEST, METRICS_SVC, NORMALIZER, NOTIFIER, SERVICES, Service
from shared.contracts.streams import DURABLES, RAW, Durable
from shared.contracts.subjects import Subjects

OPERATOR = "operator"
USERS = (*(service.name for service in SERVICES), OPERATOR)

# First words of the kinds that a service owns; all others are what platforms report, and normalizer's.
OWNED = {METRICS_SVC.name: ("metric",), APPROVALS_SVC.name: ("approval",), NOTIFIER.name: ("message",)}
REPLIES = "notify"
ASKS_FOR_MESSAGES = (NORMALIZER, METRICS_SVC, APPROVALS_SVC)


class Rights(msgspec.Struct, frozen=True, kw_only=True):
    """Subjects a user may publish to, and subscribe to; nothing else."""

    publish: tuple[str, ...]
    subscribe: tuple[str, ...]


def rights_of(user: str, subjects: Subjects) -> Rights:
    """Raises LookupError for a user that is none of USERS."""
    if user == OPERATOR:
        return _operator(subjects)
    service = next((service for service in SERVICES if service.name == user), None)
    if service is None:
        raise LookupError(f"no NATS user is called {user}")
    said = (*_owned(service, subjects), *_asked(service, subjects))
    heard = [right for durable in DURABLES if durable.name == service.name for right in _consuming(durable, subjects)]
    return Rights(
        publish=(*said, *heard, *_proof(subjects)),
        subscribe=(f"_INBOX_{service.name}.>",),
    )


def _operator(subjects: Subjects) -> Rights:
    bodies = f"$O.{subjects.bodies_bucket}.>"
    return Rights(
        publish=("$JS.API.>", "$JS.ACK.>", "$KV.>", bodies, subjects.pattern(">")),
        subscribe=(f"_INBOX_{OPERATOR}.>",),
    )


def _owned(service: Service, subjects: Subjects) -> tuple[str, ...]:
    if service is INGEST:
        bodies = f"$O.{subjects.bodies_bucket}.>"
        return (subjects.pattern("raw.>"), _api(f"STREAM.INFO.{subjects.stream(RAW.name)}"), bodies)
    dead = subjects.dead(service.name)
    events = tuple(subjects.pattern(f"events.{word}.>") for word in owned_words(service))
    if service is NORMALIZER:
        info = _api(f"STREAM.INFO.{subjects.stream(RAW.name)}")
        bodies = _api(f"DIRECT.GET.{subjects.bodies_stream}")
        return (*events, subjects.pattern("replay.>"), dead, info, bodies, f"{bodies}.>")
    return (*events, dead)


def owned_words(service: Service) -> tuple[str, ...]:
    """First words of the kinds that a service may publish."""
    if service is not NORMALIZER:
        return OWNED.get(service.name, ())
    others = {word for words in OWNED.values() for word in words} | {REPLIES}
    return tuple(sorted({kind.partition(".")[0] for kind in KINDS} - others))


def _asked(service: Service, subjects: Subjects) -> tuple[str, ...]:
    return (subjects.notify,) if service in ASKS_FOR_MESSAGES else ()


def _consuming(durable: Durable, subjects: Subjects) -> tuple[str, ...]:
    stream = subjects.stream(durable.stream)
    return (
        _api(f"CONSUMER.MSG.NEXT.{stream}.{durable.name}"),
        _api(f"CONSUMER.INFO.{stream}.{durable.name}"),
        f"$JS.ACK.{stream}.{durable.name}.>",
    )


def _proof(subjects: Subjects) -> tuple[str, ...]:
    return (_api(f"DIRECT.GET.{subjects.durability_stream}.>"),)


def _api(request: str) -> str:
    return f"$JS.API.{request}"
