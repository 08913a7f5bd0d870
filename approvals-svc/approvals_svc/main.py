"""Builds approvals-svc: the only place that makes its connections."""

from approvals_svc import api, consumer, policy_file
from approvals_svc.deadlines import Deadlines
from approvals_svc.desk import Desk
from approvals_svc.effects import Effects
from approvals_svc.gates import GateRules
from approvals_svc.github import App, Github, open_client
from approvals_svc.handlers import Handlers
from approvals_svc.settings import Settings
from shared.bus import Relay, open_bus
from shared.contracts.services import APPROVALS_SVC
from shared.contracts.vocabulary import acting_origins
from shared.db.catalogs import Catalogs
from shared.db.pool import open_pool
from shared.http.server import serve
from shared.telemetry import logs

log = logs.get(__name__)


async def run(settings: Settings) -> None:
    async with (
        open_pool(settings, APPROVALS_SVC) as pool,
        open_bus(settings, APPROVALS_SVC) as bus,
        open_client() as client,
    ):
        catalogs = Catalogs(pool, settings.catalog_path)
        rules = _rules(settings, catalogs)
        desk = Desk(catalogs, bus.subjects)
        app = _app(settings)
        effects = Effects(pool=pool, desk=desk, github=Github(app, client) if app else None)
        relay = Relay(bus=bus, pool=pool, service=APPROVALS_SVC.name)
        handlers = Handlers(
            desk=desk, subjects=bus.subjects, rules=rules, slack_signing_secrets=settings.slack_signing_secrets
        )
        events = consumer.build(bus, pool, handlers)
        http = api.build(
            settings, bus=bus, pool=pool, desk=desk, events=events, relay=relay, effects=effects, catalogs=catalogs
        )
        loops = [bus.watch, catalogs.watch, events.run, relay.run, effects.run, Deadlines(pool=pool, desk=desk).run]
        await serve(http, host=settings.host, port=settings.approvals_svc_port, loops=loops)


def _rules(settings: Settings, catalogs: Catalogs) -> GateRules:
    """Raises InvalidPolicy: a policy that can't be read must not become one that asks for less."""
    policy = policy_file.load(settings.policy_path, catalogs.catalog)
    if settings.policy_path is None:
        log.warning("policy.absent", variable="POLICY_PATH", holds="one person who didn't ask must agree")
    if not settings.slack_signing_secrets:
        log.warning("slack.no_secret", variable="SLACK_SIGNING_SECRET", holds="no click votes")
    return GateRules(
        policy=policy,
        github_api_url=settings.github_api_url,
        acting_origins=acting_origins(demo=settings.demo),
    )


def _app(settings: Settings) -> App | None:
    if not settings.github_app_id:
        return None
    return App(api_url=settings.github_api_url, app_id=settings.github_app_id, private_key=settings.github_app_key)
