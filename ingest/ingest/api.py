"""ingest's application: `/webhooks/…` on a raw path of its own, everything else by FastAPI."""

import msgspec
from starlette.types import ASGIApp, Receive, Scope, Send

from ingest.keeping import Keeper
from ingest.observing import Last, Observer
from ingest.settings import Settings
from ingest.spool import Spool
from ingest.webhooks import PREFIX, Webhooks
from shared.bus import Bus
from shared.contracts.services import INGEST
from shared.http.app import create_app
from shared.http.keys import Keys
from shared.telemetry import logs, metrics

log = logs.get(__name__)


class Edge:
    """Splits by path before any framework sees the request."""

    def __init__(self, *, webhooks: ASGIApp, others: ASGIApp) -> None:
        self._webhooks = webhooks
        self._others = others

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        webhook = scope["type"] == "http" and scope["path"].startswith(PREFIX)
        await (self._webhooks if webhook else self._others)(scope, receive, send)


def build(settings: Settings, bus: Bus, keeper: Keeper, keys: Keys, spool: Spool | None) -> ASGIApp:
    observer = Observer()
    webhooks = Webhooks(settings, keeper, keys, bus.subjects, observer)
    app = create_app(
        settings,
        INGEST,
        checks={"nats": keeper.problem},
        details=lambda: {
            "mode": keeper.mode,
            "spool": {"records": spool.records, "bytes": spool.size} if spool else "none: SPOOL_DIR is not set",
            "integrations": _integrations(settings, observer),
        },
    )
    _announce(settings)
    return Edge(webhooks=webhooks, others=app)


def _integrations(settings: Settings, observer: Observer) -> dict[str, object]:
    """Every one that there is, also those that are off."""
    return {
        key: {
            "enabled": integration.enabled,
            "configured": integration.configured,
            "secret": integration.source.secrets[0],
            "last": msgspec.to_builtins(observer.last.get(key, Last())),
        }
        for key, integration in settings.integrations.items()
    }


def _announce(settings: Settings) -> None:
    """Once at start: what is on, and which variable an enabled source lacks."""
    for name, integration in settings.integrations.items():
        metrics.integration_enabled.labels(source=name).set(integration.enabled and integration.configured)
        if integration.enabled and not integration.configured:
            log.warning("source.without_secret", source=name, variable=integration.source.secrets[0])
        if integration.unsigned:
            log.warning("source.unsigned", source=name)
