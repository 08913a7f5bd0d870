"""What metrics-svc answers over HTTP, as a dashboard asks: one connection, one question after the other."""

import http.client
import time
from collections.abc import Sequence
from datetime import datetime, timedelta
from urllib.parse import urlencode

from metrics_svc import dora
from metrics_svc.flow_table import flow_metrics
from tests.bench.metrics.shape import SERVICES, service

METRICS = (*dora.METRICS, *dora.BESIDE)
DORA = tuple(f"/v1/dora/{metric}" for metric in METRICS)
FLOW = tuple(f"/v1/flow/{metric}" for metric in flow_metrics(people=False))
WINDOW = timedelta(days=90)
PANELS_OVER = timedelta(days=365)


class Asker:
    """Blocks: what it measures is somebody else's process."""

    def __init__(self, port: int) -> None:
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)

    def ask(self, path: str, **parameters: str) -> float:
        """Milliseconds until the whole answer was read. Raises RuntimeError where it is no 200."""
        started = time.perf_counter()
        self._connection.request("GET", f"{path}?{urlencode(parameters)}")
        answer = self._connection.getresponse()
        body = answer.read()
        took = (time.perf_counter() - started) * 1000
        if answer.status != 200:
            raise RuntimeError(f"{path}: {answer.status} {body[:300]!r}")
        return took

    def close(self) -> None:
        self._connection.close()


def quarter(
    asker: Asker, paths: Sequence[str], now: datetime, *, repetitions: int, whole: bool
) -> dict[str, list[float]]:
    """Each metric over 90 days, of all services or of one after the other, by metric."""
    start = now - WINDOW
    found: dict[str, list[float]] = {path.rpartition("/")[2]: [] for path in paths}
    for number in range(repetitions):
        for path, took in zip(paths, found.values(), strict=True):
            of = {} if whole else {"service": service(number)}
            took.append(asker.ask(path, **_between(start, now), **of))
    return found


def as_of(asker: Asker, now: datetime, *, repetitions: int) -> dict[str, list[float]]:
    """Each metric of all services over the 90 days, as it was known at moments of the last two thirds."""
    found: dict[str, list[float]] = {metric: [] for metric in METRICS}
    for number in range(repetitions):
        moment = now - WINDOW * 2 / 3 * ((number + 1) / (repetitions + 1))
        for metric in METRICS:
            asked = {**_between(now - WINDOW, now), "as_of": moment.isoformat()}
            found[metric].append(asker.ask(f"/v1/dora/{metric}", **asked))
    return found


def panels(asker: Asker, now: datetime, *, repetitions: int) -> list[float]:
    """All nine, month by month, one after the other: the sum of each repetition."""
    asked = {**_between(now - PANELS_OVER, now), "bucket": "month"}
    return [sum(asker.ask(f"/v1/dora/{metric}", **asked) for metric in METRICS) for _ in range(repetitions)]


def warmed(asker: Asker) -> None:
    """Every connection of the pool has its statements."""
    for number in range(SERVICES):
        asker.ask("/v1/dora", service=service(number))


def percentile(samples: Sequence[float], share: float) -> float:
    return dora.percentile(sorted(samples), share) or 0.0


def _between(start: datetime, end: datetime) -> dict[str, str]:
    return {"from": start.isoformat(), "to": end.isoformat()}
