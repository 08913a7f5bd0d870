"""The corpus' signature vectors through the declared sources."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from ingest.headers import Headers
from ingest.schemes import KeyNeeded, Rejection, Sns
from ingest.source import declared

OURS = {"aws_sns": "cloudwatch"}
NO_SOURCE_OF_OURS = {"launchdarkly", "vercel"}


def test_every_vector_is_judged_as_published(corpus: Path) -> None:
    vectors = [v for v in json.loads((corpus / "vectors.json").read_text()) if v["source"] not in NO_SOURCE_OF_OURS]

    wrong = [vector["name"] for vector in vectors if _accepted(vector) != vector["valid"]]

    assert len(vectors) == 42
    assert wrong == []


def _accepted(vector: dict[str, Any]) -> bool:
    """An SNS message is checked by a scheme that knows no certificate yet, at the time it was sent."""
    body = str(vector["body"]).encode()
    headers = Headers((name.encode(), str(value).encode()) for name, value in vector["headers"].items())
    scheme = declared()[OURS.get(vector["source"], vector["source"])].scheme
    clock = vector.get("clock")
    now = datetime.fromtimestamp(float(clock), UTC) if clock else datetime.now(UTC)
    secrets = [str(vector["secret"]).encode()]
    if isinstance(scheme, Sns):
        told = json.loads(body)
        scheme, now, secrets = Sns(), datetime.fromisoformat(told["Timestamp"]), [told["TopicArn"].encode()]
    try:
        try:
            scheme.verify(headers, body, secrets, now)
        except KeyNeeded as needed:
            needed.learn(vector["certificate_pem"].encode())
            scheme.verify(headers, body, secrets, now)
    except Rejection:
        return False
    return True


def test_certificate_elsewhere_than_with_sns_and_a_strangers_topic_cause_no_fetch(corpus: Path) -> None:
    named = {vector["name"]: vector for vector in json.loads((corpus / "vectors.json").read_text())}
    for name in ("sns-cert-host-spoof", "sns-cert-not-https"):
        assert not _asks(named[name]["body"], json.loads(named[name]["body"])["TopicArn"])
    good = named["sns-notification-v2"]["body"]
    assert not _asks(good, "arn:aws:sns:eu-west-1:1:another")
    assert _asks(good, json.loads(good)["TopicArn"])


def _asks(body: str, topic: str) -> bool:
    try:
        Sns().verify(Headers([]), body.encode(), [topic.encode()], datetime.now(UTC))
    except KeyNeeded:
        return True
    except Rejection:
        return False
    raise AssertionError("accepted without a certificate")
