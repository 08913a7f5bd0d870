"""Every recorded payload is accepted with its signature alone, and translated; events hold the facts of the body."""

import importlib
import json
import random
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from types import ModuleType
from typing import Any

import msgspec
import pytest

from ingest.headers import Headers
from ingest.schemes import Evidence, Rejection
from ingest.source import declared
from normalizer.disposition import Disposition, Events
from normalizer.translation import translate
from tests.contracts.facts import Facts, decoded
from tests.translations import read

CORPUS_SECRETS = {
    "pagerduty": (b"corpus-test-secret", b"old-corpus-test-secret"),
    "gitlab": (b"corpus-test-secret", b"whsec_Y29ycHVzLXRlc3Qtc2VjcmV0LTMyLWJ5dGVzLWxvbmc="),
}
SECRETS = (b"corpus-test-secret",)
OTHER = (b"another secret", b"whsec_YW5vdGhlciBzZWNyZXQ=")
TOKENS = ("authorization", "x-gitlab-token", "x-webhook-token")


class Payload(msgspec.Struct, frozen=True):
    entry: Facts
    headers: dict[str, str]
    body: bytes
    at: datetime

    @property
    def source(self) -> str:
        return str(self.entry["route"])

    def verify(self, *, body: bytes | None = None, secrets: tuple[bytes, ...] = (), headers: Any = None) -> bool:
        given = Headers((n.encode(), v.encode()) for n, v in (self.headers if headers is None else headers).items())
        known = secrets or CORPUS_SECRETS.get(self.source, SECRETS)
        try:
            declared()[self.source].scheme.verify(given, self.body if body is None else body, known, self.at)
        except Rejection:
            return False
        return True

    def translated(self) -> Disposition:
        evidence = Evidence(
            slot=0,
            timestamp=self.headers.get("X-Slack-Request-Timestamp", ""),
            signature=self.headers.get("X-Slack-Signature", ""),
        )
        return translate(read(self.source, self.headers, self.body, evidence))


def payloads(corpus: Path, *modes: str) -> Iterator[Payload]:
    for entry in json.loads((corpus / "manifest.json").read_text()):
        if entry["route"] in declared() and entry["mode"] in modes:
            told = json.loads((corpus / entry["file"]).read_text())
            at = told["signing"].get("signed_at") or datetime.now(UTC).timestamp()
            yield Payload(entry, told["headers"], told["body"].encode(), datetime.fromtimestamp(at, UTC))


def facts_of(source: str) -> ModuleType:
    return importlib.import_module(f"tests.contracts.facts.{source}")


def test_every_payload_is_accepted_with_its_own_secret(corpus: Path) -> None:
    assert [payload.entry["file"] for payload in payloads(corpus, "full") if not payload.verify()] == []


def test_no_payload_is_accepted_with_another_secret_or_without_proof(corpus: Path) -> None:
    accepted = []
    for payload in payloads(corpus, "full"):
        bare = {n: v for n, v in payload.headers.items() if "signature" not in n.lower() and n.lower() not in TOKENS}
        bare = {n: v for n, v in bare.items() if "hmac" not in n.lower()}
        if payload.verify(secrets=OTHER) or payload.verify(headers=bare):
            accepted.append(payload.entry["file"])

    assert accepted == []


def test_no_signed_payload_is_accepted_with_a_bit_flipped(corpus: Path) -> None:
    """A token proves who sent it and nothing of the bytes: those senders are left out, by name."""
    draw = random.Random(7)
    accepted = []
    for payload in payloads(corpus, "full"):
        if payload.verify(body=b"other bytes"):
            accepted.append(payload.source)
            continue
        for _ in range(8):
            flipped = bytearray(payload.body)
            flipped[draw.randrange(len(flipped))] ^= 1 << draw.randrange(8)
            assert not payload.verify(body=bytes(flipped)), payload.entry["file"]

    assert set(accepted) <= UNSIGNED


SNS = {"aws_sns": "cloudwatch"}
UNSIGNED = {
    "argocd",
    "azure_devops",
    "cloudevents",
    "codecov",
    "datadog",
    "ecs",
    "grafana",
    "jenkins",
    "kubernetes",
    "newrelic",
    "opsgenie",
    "statuspage",
}


def test_every_payload_becomes_events_or_is_ignored(corpus: Path) -> None:
    wrong = []
    for payload in payloads(corpus, "full", "translate"):
        disposition = payload.translated()
        becomes = [event.kind for event in disposition.events] if isinstance(disposition, Events) else []
        expected = facts_of(payload.source).expected(payload.entry, decoded(payload.body.decode()))
        if becomes != expected:
            wrong.append(f"{payload.entry['file']}: {becomes} is not {expected}")

    assert wrong == []


def test_events_hold_the_facts_of_the_body(corpus: Path) -> None:
    wrong = []
    compared = 0
    for payload in payloads(corpus, "full", "translate"):
        disposition = payload.translated()
        body = decoded(payload.body.decode())
        for event in disposition.events if isinstance(disposition, Events) else ():
            facts = facts_of(payload.source).facts(payload.entry, body, event)
            told = {name: getattr(event, name) for name in facts}
            compared += len(facts)
            wrong += [
                f"{payload.entry['file']}: {n}: {told[n]!r} != {facts[n]!r}" for n in facts if told[n] != facts[n]
            ]

    assert wrong == []
    assert compared > 500


@pytest.mark.parametrize("source", sorted(declared()))
def test_an_independent_reader_exists_for_each_source_of_the_corpus(corpus: Path, source: str) -> None:
    if any(payload.source == source for payload in payloads(corpus, "full", "translate")):
        assert facts_of(source).expected


def test_grades_of_payload_facts_and_vector_are_earned(corpus: Path) -> None:
    recorded = {payload.source for payload in payloads(corpus, "full", "translate")}
    vectors = json.loads((corpus / "vectors.json").read_text())
    published = {SNS.get(vector["source"], vector["source"]) for vector in vectors if vector["valid"]}
    for name, source in declared().items():
        assert ("payload" in source.grades) == (name in recorded), name
        assert ("facts" in source.grades) == (name in recorded), name
        assert ("vector" in source.grades) == (name in published), name
