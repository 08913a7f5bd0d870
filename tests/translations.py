"""Deliveries for tests of translations, and the fixtures of a source: what it sends and what that must become."""

import hashlib
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec

from ingest.headers import Headers
from ingest.schemes import Evidence
from ingest.source import declared
from normalizer.disposition import Disposition, Events, Untranslatable, label
from normalizer.translation import translate
from shared.contracts.envelope import RawDelivery

FIXTURES = Path(__file__).parent / "fixtures"
RECEIVED = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)


class Fixture(msgspec.Struct):
    """`headers` are the platform's own without proof; `body` text as sent, or JSON; `becomes` what `outcome` tells."""

    headers: dict[str, str]
    body: str | dict[str, Any] | list[Any]
    becomes: dict[str, Any]

    @property
    def content(self) -> bytes:
        return (self.body if isinstance(self.body, str) else json.dumps(self.body)).encode()

    def delivery(self, source: str) -> RawDelivery:
        """As ingest's declaration reads it."""
        evidence = Evidence(
            slot=0,
            timestamp=self.headers.get("X-Slack-Request-Timestamp", ""),
            signature=self.headers.get("X-Slack-Signature", ""),
        )
        return read(source, self.headers, self.content, evidence)


def read(source: str, headers: dict[str, str], body: bytes, evidence: Evidence) -> RawDelivery:
    given = Headers((name.encode(), value.encode()) for name, value in headers.items())
    sha256 = hashlib.sha256(body).hexdigest()
    return declared()[source].delivery(given, body, evidence, RECEIVED, sha256=sha256, origin="live", name="")


def fixtures(source: str) -> dict[str, Fixture]:
    paths = sorted((FIXTURES / source).glob("*.json"))
    return {path.stem: msgspec.json.decode(path.read_bytes(), type=Fixture) for path in paths}


def delivery(
    source: str,
    body: bytes | str | dict[str, Any] | list[Any],
    *,
    event: str = "unknown",
    timestamp: str = "",
    signature: str = "",
) -> RawDelivery:
    sent = body if isinstance(body, bytes) else (body if isinstance(body, str) else json.dumps(body)).encode()
    return RawDelivery(
        source=source,
        event=event,
        delivery="d1",
        sha256=hashlib.sha256(sent).hexdigest(),
        received_at=RECEIVED,
        body=sent,
        timestamp=timestamp,
        signature=signature,
    )


def outcome(sent: RawDelivery) -> dict[str, Any]:
    """`{"events": [...]}`, `{"ignored": reason}` or `{"dead": reason}`; the bytes of a signed request left out."""
    try:
        disposition = translate(sent)
    except Untranslatable as error:
        return {"dead": str(error)}
    return {"events": _events(disposition)} if isinstance(disposition, Events) else dict([label(disposition)])


def _events(disposition: Disposition) -> list[dict[str, Any]]:
    assert isinstance(disposition, Events)
    told: list[dict[str, Any]] = json.loads(msgspec.json.encode(disposition.events))
    for event in told:
        event.get("signed", {}).pop("body", None)
    return told
