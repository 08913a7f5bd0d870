"""The streams and durable consumers of design section 4: what `em provision` makes and services only verify."""

from datetime import timedelta

import msgspec

from shared.contracts.events import KINDS
from shared.contracts.services import APPROVALS_SVC, METRICS_SVC, NORMALIZER, NOTIFIER

MIB = 1024 * 1024


class Stream(msgspec.Struct, frozen=True, kw_only=True):
    """A JetStream stream: file storage, limits retention, `discard: new` (a full stream refuses, it drops nothing)."""

    name: str
    subjects: tuple[str, ...]  # below the prefix
    max_age: timedelta
    max_bytes: int
    duplicate_window: timedelta = timedelta(minutes=10)
    allow_atomic: bool = False


class Durable(msgspec.Struct, frozen=True, kw_only=True):
    """A durable pull consumer. `filters` are below the prefix; `new_only` starts it at the end of the stream.

    A message that is not acknowledged within `ack_wait`, nor said to be worked on, is delivered again. One that fails
    unexpectedly gets `deliveries_max` tries alone, the first after `retry_after`, each pause twice the last.
    """

    name: str
    stream: str
    filters: tuple[str, ...]
    new_only: bool = False
    ack_wait: timedelta = timedelta(seconds=10)
    ack_pending_max: int = 2000
    deliveries_max: int = 5
    retry_after: timedelta = timedelta(seconds=1)

    @property
    def label(self) -> str:
        """`notifier:NOTIFY`: the durable's name in metrics, logs and tables."""
        return f"{self.name}:{self.stream}"


RAW = Stream(name="RAW", subjects=("raw.>",), max_age=timedelta(days=14), max_bytes=2048 * MIB, allow_atomic=True)
EVENTS = Stream(
    name="EVENTS", subjects=("events.>",), max_age=timedelta(days=30), max_bytes=1024 * MIB, allow_atomic=True
)
NOTIFY = Stream(name="NOTIFY", subjects=("notify",), max_age=timedelta(days=7), max_bytes=128 * MIB)
REPLAY = Stream(
    name="REPLAY", subjects=("replay.>",), max_age=timedelta(days=1), max_bytes=512 * MIB, allow_atomic=True
)
DEAD = Stream(name="DEAD", subjects=("dead.>",), max_age=timedelta(days=90), max_bytes=256 * MIB)

BODIES_MAX_AGE = RAW.max_age + timedelta(days=1)
BODIES_MAX_BYTES = 1024 * MIB
BODY_INLINE_MAX_BYTES = 512 * 1024  # what is larger goes to the bucket, and its message names it

STREAMS = (RAW, EVENTS, NOTIFY, REPLAY, DEAD)

NORMALIZER_RAW = Durable(name=NORMALIZER.name, stream="RAW", filters=("raw.>",))
METRICS_EVENTS = Durable(
    name=METRICS_SVC.name,
    stream="EVENTS",
    filters=(
        "events.change.>",
        "events.commits.>",
        "events.deployment.>",
        "events.incident.>",
        "events.alert.>",
        "events.build.>",
        "events.ticket.>",
        "events.quality.>",
        "events.chat.command",
    ),
)
APPROVALS_EVENTS = Durable(
    name=APPROVALS_SVC.name,
    stream="EVENTS",
    filters=(
        "events.deployment.>",
        "events.build.finished",
        "events.commits.pushed",
        "events.change.>",
        "events.incident.>",
        "events.alert.>",
        "events.quality.>",
        "events.ticket.>",
        "events.metric.changed",
        "events.metric.signalled",
        "events.message.settled",
        "events.chat.action",
        "events.chat.command",
    ),
)
# Where notifier is installed beside running services, people must not be told of the last 30 days.
NOTIFIER_EVENTS = Durable(
    name=NOTIFIER.name,
    stream="EVENTS",
    filters=(
        "events.deployment.>",
        "events.incident.>",
        "events.approval.>",
        "events.change.>",
        "events.commits.pushed",
        "events.build.finished",
        "events.alert.>",
        "events.quality.>",
        "events.release.>",
        "events.chat.command",
        "events.chat.action",
    ),
    new_only=True,
)
NOTIFIER_NOTIFY = Durable(name=NOTIFIER.name, stream="NOTIFY", filters=("notify",), new_only=True)

# What a rebuild says is for the one service that asked: the job's token is its name.
METRICS_REPLAY = Durable(name=METRICS_SVC.name, stream="REPLAY", filters=(f"replay.{METRICS_SVC.name}.>",))

DURABLES = (NORMALIZER_RAW, METRICS_EVENTS, METRICS_REPLAY, APPROVALS_EVENTS, NOTIFIER_EVENTS, NOTIFIER_NOTIFY)
REBUILT = {METRICS_SVC.name: METRICS_EVENTS}  # whose projections follow from events alone


def rebuilt_kinds(service: str) -> frozenset[str]:
    """What a rebuild of the service has to say: all that it takes from EVENTS but what people ask."""
    words = {pattern.split(".")[1] for pattern in REBUILT[service].filters} - {"chat"}
    return frozenset(kind for kind in KINDS if kind.partition(".")[0] in words)
