"""What ingest and normalizer spend on one delivery, against merely parsing its JSON."""

import json
import time
from collections.abc import Callable
from datetime import UTC, datetime

from em.demo.story import tell
from em.sandbox.sender import github_headers
from ingest.headers import Headers
from ingest.source import declared
from normalizer.translation import translate
from shared.contracts.envelope import RawDelivery

ROUNDS = 2000
SECRET = "bench"  # of this run alone


def measure() -> dict[str, float]:
    story = tell(1, datetime.now(UTC))
    body = next(d.body for d in story.deliveries if d.event == "pull_request")
    raw = [(k.encode(), v.encode()) for k, v in github_headers(SECRET, "pull_request", "d", body).items()]
    source = declared()["github"]
    now = datetime.now(UTC)
    delivery = RawDelivery(source="github", event="pull_request", delivery="d", sha256="s", received_at=now, body=body)
    parse_us = _microseconds(lambda: json.loads(body))
    verify_us = _microseconds(lambda: source.scheme.verify(Headers(raw), body, [SECRET.encode()], now))
    translate_us = _microseconds(lambda: translate(delivery))
    return {
        "body_bytes": len(body),
        "json_loads_us": parse_us,
        "verify_us": verify_us,
        "translate_us": translate_us,
        "verify_to_json_loads": round(verify_us / parse_us, 2),
        "translate_to_json_loads": round(translate_us / parse_us, 2),
    }


def _microseconds(work: Callable[[], object]) -> float:
    """The least of five series: what it costs when nothing disturbs it."""
    series = []
    for _ in range(5):
        started = time.perf_counter()
        for _ in range(ROUNDS // 5):
            work()
        series.append((time.perf_counter() - started) / (ROUNDS // 5))
    return round(min(series) * 1e6, 1)
