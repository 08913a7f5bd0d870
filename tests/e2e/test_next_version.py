"""Consumers of this version and events of the next: nothing dies, nothing stops, what is known still counts."""

from typing import Any

import msgspec

from shared.bus.connection import open_operator
from shared.contracts.envelope import MESSAGE_ID, event_headers
from shared.contracts.events import Nudge, Reply
from shared.contracts.examples import EXAMPLES
from shared.contracts.services import APPROVALS_SVC, METRICS_SVC, NOTIFIER
from shared.settings import ServiceSettings
from tests.line import Line

WORDS = ("state", "outcome", "status", "review_state", "author_kind", "urgency", "origin", "source")


def of_next_year(event: Any, word: str) -> dict[str, Any]:
    body: dict[str, Any] = msgspec.to_builtins(event)
    return body | {word: "word_of_next_year", "field_of_next_year": True, "id": f"{event.id}-{word}"}


async def test_unknown_kinds_fields_and_words_kill_no_consumer(line: Line) -> None:
    await line.start(METRICS_SVC, APPROVALS_SVC, NOTIFIER)
    settings = ServiceSettings(nats_url=line.nats_url, nats_prefix=line.subjects.prefix)
    async with open_operator(settings) as bus:
        for event in EXAMPLES:
            subject = bus.subjects.notify if isinstance(event, Nudge | Reply) else bus.subjects.event(event.kind)
            for word in (word for word in WORDS if hasattr(event, word)):
                body = of_next_year(event, word)
                headers = {**event_headers(event), MESSAGE_ID: body["id"], "ce-id": body["id"]}
                await bus.js.publish(subject, msgspec.json.encode(body), headers=headers)
        unknown = {"ce-type": "change.queued", MESSAGE_ID: "unknown-kind"}
        await bus.js.publish(bus.subjects.event("change.queued"), b'{"kind":"change.queued"}', headers=unknown)
    await line.settled()

    assert await line.messages("DEAD") == 0
    for schema in ("metrics", "approvals", "notifier"):
        assert await line.count(f"{schema}.attempt") == 0
    assert await line.count("metrics.deployment") > 0
    assert await line.count("metrics.incident") > 0
