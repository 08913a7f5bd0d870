"""From an accepted webhook to metrics-svc's answer that shows it: the three services as they ship, at a steady rate."""

import asyncio
import json
import sys
from collections.abc import Sequence
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path

from em.embedded.ports import free_ports
from shared.contracts.services import INGEST, METRICS_SVC, NORMALIZER
from tests.bench.end_to_end import Sender
from tests.bench.ladder import SECRET
from tests.bench.metrics.shape import repository
from tests.bench.process import running

RATE_PER_S = 200
PROBE_EVERY = 10
PROBED = "fresh"
SETTLES_WITHIN_S = 30.0
ASK_EVERY_S = 0.005
# Of ten deliveries: two changes are opened, pushed to, merged; two deployments, one of them asked after.
PUSHES, OPENED, MERGED = (0, 1, 2, 3), (4, 5), (6, 7)


async def measure(
    nats_url: str, dsn: str, directory: Path, environment: dict[str, str], *, seconds: int
) -> list[float]:
    """Milliseconds of each delivery that was asked after."""
    ports = dict(zip((INGEST, NORMALIZER, METRICS_SVC), free_ports(3), strict=True))
    environment = {
        **environment,
        **{f"{service.variable}_PORT": str(port) for service, port in ports.items()},
        "NATS_URL": nats_url,
        "DATABASE_URL": dsn,
        "GITHUB_WEBHOOK_SECRET": SECRET,
        "SOURCE_RATE_PER_S": "1000000",
    }
    with ExitStack() as stack:
        for service, port in ports.items():
            argv, log = [sys.executable, "-m", service.name], directory / f"{service.name}.log"
            stack.enter_context(running(argv, environment, port=port, log=log, pinned=False))
        sender = Sender(ports[INGEST], rate_per_s=RATE_PER_S, body=delivery)
        readable_at: dict[str, float] = {}
        async with asyncio.TaskGroup() as group:
            group.create_task(_ask(ports[METRICS_SVC], sender, seconds * RATE_PER_S, readable_at))
            group.create_task(sender.send(seconds * RATE_PER_S))
    asked_after = {name: at for name, at in sender.accepted_at.items() if _is_probe(_number(name))}
    return [max(0.0, readable_at[name] - at) * 1000 for name, at in asked_after.items()]


async def _ask(port: int, sender: Sender, count: int, readable_at: dict[str, float]) -> None:
    """Asks for the newest while there is one that was accepted and not seen; notes when the whole answer was there."""
    loop = asyncio.get_running_loop()
    wanted = sum(_is_probe(number) for number in range(count))
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    give_up_at = loop.time() + count / RATE_PER_S + SETTLES_WITHIN_S
    while len(readable_at) < wanted:
        if loop.time() > give_up_at:
            raise RuntimeError(f"{wanted} accepted, {len(readable_at)} readable")
        waiting = [name for name in sender.accepted_at if _is_probe(_number(name)) and name not in readable_at]
        if waiting:
            since = datetime.now(UTC) - timedelta(seconds=2) - timedelta(seconds=loop.time() - _first(sender, waiting))
            for name in await _deployments(reader, writer, since):
                readable_at.setdefault(name, loop.time())
        await asyncio.sleep(ASK_EVERY_S)
    writer.close()


def _first(sender: Sender, waiting: Sequence[str]) -> float:
    return min(sender.accepted_at[name] for name in waiting)


async def _deployments(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, since: datetime) -> list[str]:
    """The names of those of the probed service; its first delivery makes it known."""
    start = since.isoformat().replace("+00:00", "Z")
    writer.write(f"GET /v1/deployments?service={PROBED}&from={start}&limit=1000 HTTP/1.1\r\nHost: x\r\n\r\n".encode())
    told = await reader.readuntil(b"\r\n\r\n")
    length = next(line for line in told.lower().split(b"\r\n") if line.startswith(b"content-length:"))
    body = await reader.readexactly(int(length.partition(b":")[2]))
    if told[9:12] == b"404":
        return []
    if told[9:12] != b"200":
        raise RuntimeError(f"answered {body[:300]!r}")
    return [f"e2e-{each['deployment_id']}" for each in json.loads(body)["items"]]


def _is_probe(number: int) -> bool:
    return number % PROBE_EVERY == PROBE_EVERY - 1


def _number(name: str) -> int:
    return int(name.removeprefix("e2e-"))


# ---- what GitHub sends --------------------------------------------------------------------------------------------


def delivery(name: str) -> tuple[str, bytes]:
    """Event and body."""
    number = _number(name)
    place = number % PROBE_EVERY
    if place in PUSHES:
        return _push(number)
    if place in (*OPENED, *MERGED):
        return _pull_request(number - (2 if place in MERGED else 0), merged=place in MERGED)
    return _deployed(number, f"acme/{PROBED}" if _is_probe(number) else repository(number))


def _push(number: int) -> tuple[str, bytes]:
    commit = {"id": f"{number:040x}", "timestamp": _now(), "message": "Change", "author": {"name": "ana"}}
    fields = {"ref": f"refs/heads/feature/{number}", "before": "0" * 40, "after": commit["id"], "commits": [commit]}
    return "push", _body(repository(number), **fields)


def _pull_request(number: int, *, merged: bool) -> tuple[str, bytes]:
    at = _now()
    change = {
        "number": number,
        "title": f"Change {number}",
        "state": "closed" if merged else "open",
        "user": {"login": "ana"},
        "head": {"sha": f"{number:040x}", "ref": f"feature/{number - 4}"},
        "base": {"sha": "0" * 40, "ref": "main"},
        "created_at": at,
        "updated_at": at,
        "merged": merged,
        "merged_at": at if merged else None,
        "closed_at": at if merged else None,
        "merge_commit_sha": f"{number + (1 << 40):040x}",
    }
    action = "closed" if merged else "opened"
    return "pull_request", _body(repository(number), action=action, number=number, pull_request=change)


def _deployed(number: int, full_name: str) -> tuple[str, bytes]:
    at = _now()
    fields = {"id": number, "sha": f"{number:040x}", "ref": "main", "environment": "production", "created_at": at}
    status = {"id": number, "state": "success", "environment": "production", "created_at": at, "updated_at": at}
    return "deployment_status", _body(full_name, action="created", deployment=fields, deployment_status=status)


def _body(full_name: str, **fields: object) -> bytes:
    repository_ = {"full_name": full_name, "default_branch": "main"}
    return json.dumps({**fields, "repository": repository_, "sender": {"login": "ana"}}).encode()


def _now() -> str:
    return datetime.now(UTC).isoformat()
