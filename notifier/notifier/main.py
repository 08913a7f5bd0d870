"""Builds notifier: the only place that makes its connections."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta

from notifier import api, consumer
from notifier.connection import open_slack, tells_directly
from notifier.gathering import Gathering
from notifier.handlers import Handlers, Rules
from notifier.limiter import Terms
from notifier.living import Acting
from notifier.model import Model
from notifier.render import OURS
from notifier.route_versions import RouteVersions
from notifier.samples import tried
from notifier.sender import Sender
from notifier.settings import Settings
from notifier.settlement import Limits
from notifier.slack import Slack
from notifier.templates import Templates
from notifier.whereabouts import Whereabouts
from notifier.writing import Writing
from shared.bus import Relay, open_bus
from shared.contracts.services import NOTIFIER
from shared.contracts.subjects import Subjects
from shared.contracts.vocabulary import acting_origins
from shared.db import Pool
from shared.db.catalogs import Catalogs, CurrentCatalog
from shared.db.pool import open_pool
from shared.http.server import serve
from shared.telemetry import logs

log = logs.get(__name__)


async def run(settings: Settings) -> None:
    async with open_pool(settings, NOTIFIER) as pool, open_bus(settings, NOTIFIER) as bus:
        catalogs = Catalogs(pool, settings.catalog_path)
        routes = RouteVersions(pool, settings.routes_path)
        relay = Relay(bus=bus, pool=pool, service=NOTIFIER.name)
        templates = tried(settings.templates_path)
        default = settings.slack_default_channel
        gathering = Gathering(pool, catalogs, routes, templates, default_channel=default)
        events, asked = consumer.build(bus, pool, Handlers(_rules(settings, catalogs, routes, bus.subjects, templates)))
        async with (
            connected(settings, pool=pool, catalogs=catalogs, subjects=bus.subjects, templates=templates) as sender,
            open_slack(settings) as slack,
        ):
            app = api.build(
                settings,
                bus=bus,
                pool=pool,
                events=events,
                asked=asked,
                sender=sender,
                catalogs=catalogs,
                templates=templates,
                routes=routes,
            )
            whereabouts = Whereabouts(pool=pool, slack=slack)
            writing = Writing(pool=pool, model=_model(settings) if isinstance(slack, Slack) else None)
            telling = [gathering.run, sender.run, whereabouts.run, writing.run]
            loops = [bus.watch, catalogs.watch, routes.watch, events.run, asked.run, relay.run, *telling]
            await serve(app, host=settings.host, port=settings.notifier_port, loops=loops)


@asynccontextmanager
async def connected(
    settings: Settings, *, pool: Pool, catalogs: CurrentCatalog, subjects: Subjects, templates: Templates = OURS
) -> AsyncIterator[Sender]:
    """The sender with its connection to Slack."""
    async with open_slack(settings) as slack:
        yield Sender(
            pool=pool,
            slack=slack,
            catalogs=catalogs,
            limits=_limits(settings),
            terms=_terms(settings),
            fallback=settings.slack_default_channel,
            subjects=subjects,
            templates=templates,
        )


def _rules(
    settings: Settings, catalogs: Catalogs, routes: RouteVersions, subjects: Subjects, templates: Templates
) -> Rules:
    return Rules(
        catalogs=catalogs,
        routes=routes,
        acting=Acting(
            origins=acting_origins(demo=settings.demo),
            fresh_for=timedelta(seconds=settings.fresh_for_s),
        ),
        default_channel=settings.slack_default_channel,
        subjects=subjects,
        templates=templates,
        directly=tells_directly(settings),
    )


def _model(settings: Settings) -> Model | None:
    key = settings.openai_api_key.get_secret_value()
    if not settings.agent_llm_enabled:
        return None
    if not key:
        log.warning("model.off", variable="OPENAI_API_KEY")
        return None
    return Model(
        url=settings.openai_base_url,
        name=settings.openai_model,
        api_key=key,
        timeout_s=settings.openai_timeout_s,
    )


def _limits(settings: Settings) -> Limits:
    return Limits(
        timeout_s=settings.slack_timeout_s,
        grace_s=settings.slack_reconcile_grace_s,
        pause_s=settings.slack_reconcile_pause_s,
        doubt=settings.slack_webhook_in_doubt,
    )


def _terms(settings: Settings) -> Terms:
    return Terms(
        post_interval_s=settings.slack_post_interval_s,
        updates_per_min=settings.slack_updates_per_min,
        posts_a_day=settings.max_daily_slack_posts,
        timezone=settings.slack_quota_timezone,
    )
