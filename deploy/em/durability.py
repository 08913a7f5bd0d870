"""Does NATS fsync before it acknowledges? Only a server's monitoring endpoint says so (`sync_always` in /varz)."""

import asyncio
import json
import urllib.error
import urllib.request
from collections.abc import Sequence
from datetime import UTC, datetime

from em.errors import EmError
from shared.bus.durability import Proof
from shared.settings import OperatorSettings

TIMEOUT_S = 3
HINT = (
    "set `sync_interval: always` in its jetstream block; or, where em can't read NATS_MONITOR_URL,"
    " vouch for it yourself with NATS_DURABILITY=attested"
)


async def prove(settings: OperatorSettings, *, server_id: str) -> Proof:
    """`server_id` is the server that we are connected to. Raises EmError where the proof fails."""
    if settings.nats_durability == "attested":
        return Proof(how="attested", checked_at=datetime.now(UTC))
    if not settings.nats_monitor_url:
        raise EmError("NATS_MONITOR_URL is not set: nothing proves that NATS fsyncs", hint=HINT)
    seen = [await asyncio.to_thread(varz, url) for url in settings.nats_monitor_url]
    _check(seen, server_id)
    names = tuple(f"{each['server_name']} {each['version']}" for each in seen)
    return Proof(how="proven", checked_at=datetime.now(UTC), servers=names)


def varz(url: str) -> dict[str, object]:
    """Raises EmError naming the address."""
    address = f"{url.rstrip('/')}/varz"
    if not address.startswith(("http://", "https://")):
        raise EmError(f"NATS_MONITOR_URL must start with http:// or https://: {url}")
    try:
        with urllib.request.urlopen(address, timeout=TIMEOUT_S) as answer:  # noqa: S310  # the operator's own setting
            found: dict[str, object] = json.load(answer)
    except (OSError, ValueError, urllib.error.URLError) as error:
        raise EmError(f"{address} does not answer: {error}", hint=HINT) from error
    return found


def syncs_always(found: dict[str, object]) -> bool:
    jetstream = found.get("jetstream")
    config = jetstream.get("config", {}) if isinstance(jetstream, dict) else {}
    return bool(config.get("sync_always"))


def _check(seen: Sequence[dict[str, object]], server_id: str) -> None:
    lazy = [str(each.get("server_name")) for each in seen if not syncs_always(each)]
    if lazy:
        raise EmError(f"NATS server {', '.join(lazy)} acknowledges before it fsyncs", hint=HINT)
    if server_id not in {each.get("server_id") for each in seen}:
        raise EmError(
            "NATS_MONITOR_URL belongs to other servers than NATS_URL", hint="name the endpoint of each server"
        )
