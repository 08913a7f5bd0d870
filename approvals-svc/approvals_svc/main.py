"""Builds approvals-svc: the only place that makes its connections."""

from datetime import timedelta

import httpx

from approvals_svc import api, api_auth, api_gate, consumer
from approvals_svc.advising import Advising
from approvals_svc.anchors import Anchors
from approvals_svc.asking import Asking
from approvals_svc.calls import open_client
from approvals_svc.check_handlers import CheckHandlers
from approvals_svc.deadlines import Deadlines
from approvals_svc.desk import Desk
from approvals_svc.effects import Effects, Performer
from approvals_svc.elsewhere import Elsewhere
from approvals_svc.embedding import Embedder, Endpoint, Lexical, OpenAi
from approvals_svc.gate_rules import GateRules
from approvals_svc.github import Github
from approvals_svc.github_actions import GITHUB_KINDS, GithubActions
from approvals_svc.github_app import App, GithubApp
from approvals_svc.github_teams import GithubTeams
from approvals_svc.gitlab import Account, Gitlab
from approvals_svc.gitlab_checks import GitlabChecks
from approvals_svc.handlers import Handlers
from approvals_svc.indexing import Indexing, recompute
from approvals_svc.known_teams import KnownTeams
from approvals_svc.linking import Linking
from approvals_svc.nudges import Nudges
from approvals_svc.opa import NoOpa, Opa
from approvals_svc.policies import Policies
from approvals_svc.reports import Reports
from approvals_svc.searching import Searching
from approvals_svc.settings import Settings
from approvals_svc.signal_handlers import SignalHandlers
from approvals_svc.summing import Weekly
from approvals_svc.sweep import Sweep
from approvals_svc.tallies import Tallies
from approvals_svc.tasks import GithubGate, GitlabCheck, GitlabGate, LinkAccount, NudgeTask, Webhook, WebhookAction
from approvals_svc.tokens import Tokens
from approvals_svc.waiters import Waiters
from approvals_svc.webhooks import Webhooks
from shared.bus import Relay, open_bus
from shared.contracts.services import APPROVALS_SVC
from shared.contracts.vocabulary import acting_origins
from shared.db import Pool
from shared.db.catalogs import Catalogs
from shared.db.pool import open_pool
from shared.http.outbound import PublicTransport
from shared.http.server import Loop, serve
from shared.telemetry import logs

log = logs.get(__name__)

TEAMS_READ_WITHIN = 12  # tries before members of a team of GitHub count no more


async def run(settings: Settings) -> None:
    async with (
        open_pool(settings, APPROVALS_SVC) as pool,
        open_bus(settings, APPROVALS_SVC) as bus,
        open_client() as client,
        open_client(_public(settings)) as public_client,
    ):
        catalogs = Catalogs(pool, settings.catalog_path, recompute=recompute)
        policies = Policies(pool, settings.policy_path, catalogs)
        rules = _rules(settings)
        embedder = _embedder(settings, client)
        indexing = Indexing(pool=pool, catalogs=catalogs, embedder=embedder)
        searching = Searching(pool=pool, embedder=embedder, searches_max=settings.max_daily_rag_searches)
        teams = KnownTeams(settings.github_teams_stale_s)
        desk = Desk(catalogs, policies, bus.subjects, embedder, teams)
        github = _github(settings, client)
        relay = Relay(bus=bus, pool=pool, service=APPROVALS_SVC.name)
        nudges = Nudges(pool=pool, subjects=bus.subjects, wake=relay.wake)
        performers = {
            **_performers(settings, github, client, public_client),
            NudgeTask.kind: nudges,
            LinkAccount.kind: Linking(pool=pool, desk=desk),
        }
        effects = Effects(pool=pool, desk=desk, performers=performers)
        advisor = Opa(settings.opa_url, client) if settings.opa_url else NoOpa()
        advising = Advising(pool=pool, desk=desk, advisor=advisor, relay=relay)
        handlers = Handlers(
            desk=desk, subjects=bus.subjects, rules=rules, slack_signing_secrets=settings.slack_signing_secrets
        )
        elsewhere = Elsewhere(desk, rules.acting_origins)
        signals, checks = SignalHandlers(desk, rules.acting_origins), CheckHandlers(desk, rules)
        events = consumer.build(bus, pool, handlers, elsewhere, signals, checks)
        http = api.build(
            settings,
            bus=bus,
            pool=pool,
            desk=desk,
            events=events,
            relay=relay,
            effects=effects,
            catalogs=catalogs,
            policies=policies,
            embedder=embedder,
            searching=searching,
            indexing=indexing,
            github=github,
            nudges=nudges,
            advising=advising,
        )
        waiters = Waiters(pool)
        api_gate.add_routes(http, settings, pool=pool, desk=desk, waiters=waiters, relay=relay, advising=advising)
        tokens = Tokens(settings, pool)
        http.include_router(api_auth.router(settings, tokens))
        beside = _beside(settings, pool=pool, desk=desk, handlers=handlers, github=github)
        if github:
            interval_s = settings.github_teams_stale_s / TEAMS_READ_WITHIN
            beside.append(GithubTeams(pool=pool, policies=policies, known=teams, app=github, interval_s=interval_s).run)
        sla = timedelta(seconds=settings.approvals_sla_s)
        loops = [
            *(bus.watch, catalogs.watch, policies.watch, events.run, relay.run, effects.run, tokens.run, waiters.run),
            *beside,
            Deadlines(pool=pool, desk=desk).run,
            advising.run,
            indexing.run,
            Asking(pool=pool, catalogs=catalogs, searching=searching, nudges=nudges, subjects=bus.subjects).run,
            Anchors(pool=pool, subjects=bus.subjects).run,
            Tallies(pool=pool, sla=sla).run,
            Weekly(pool=pool, desk=desk, subjects=bus.subjects, sla=sla).run,
        ]
        await serve(http, host=settings.host, port=settings.approvals_svc_port, loops=loops)


def _rules(settings: Settings) -> GateRules:
    if settings.policy_path is None:
        log.warning("policy.absent", variable="POLICY_PATH", holds="one person who didn't ask must agree")
    if not settings.slack_signing_secrets:
        log.warning("slack.no_secret", variable="SLACK_SIGNING_SECRET", holds="no click votes")
    return GateRules(
        github_api_url=settings.github_api_url,
        github_installations=settings.github_installation_ids,
        gitlab_is_answered=bool(settings.gitlab_token.get_secret_value()),
        acting_origins=acting_origins(demo=settings.demo),
    )


def _embedder(settings: Settings, client: httpx.AsyncClient) -> Embedder:
    if not settings.embeddings_url:
        return Lexical()
    endpoint = Endpoint(
        url=settings.embeddings_url,
        model=settings.embeddings_model,
        api_key=settings.embeddings_api_key.get_secret_value(),
        timeout_s=settings.embeddings_timeout_s,
    )
    return OpenAi(endpoint, client)


def _public(settings: Settings) -> PublicTransport:
    """For targets that were registered: an address that is not public must be allowed by name."""
    return PublicTransport(
        settings.webhook_private_hosts, setting="WEBHOOK_PRIVATE_HOSTS", ca_file=settings.webhook_ca_file
    )


def _github(settings: Settings, client: httpx.AsyncClient) -> GithubApp | None:
    if not settings.github_app_id:
        log.warning("github.off", variable="GITHUB_APP_ID", holds="whatever was decided for GitHub waits")
        return None
    app = App(
        api_url=settings.github_api_url,
        app_id=settings.github_app_id,
        private_key=settings.github_app_key,
        installations=settings.github_installation_ids,
    )
    return GithubApp(app, client)


def _beside(settings: Settings, *, pool: Pool, desk: Desk, handlers: Handlers, github: GithubApp | None) -> list[Loop]:
    """What is done at GitHub beside its answers."""
    if github is None:
        return []
    loops: list[Loop] = [Reports(pool=pool, desk=desk, app=github).run] if settings.github_reports else []
    if settings.github_sweep_s:
        sweep = Sweep(
            pool=pool,
            desk=desk,
            handlers=handlers,
            app=github,
            installations=settings.github_installation_ids,
            interval_s=settings.github_sweep_s,
            status=settings.github_sweep_status,
        )
        loops.append(sweep.run)
    return loops


def _performers(
    settings: Settings, github: GithubApp | None, client: httpx.AsyncClient, public_client: httpx.AsyncClient
) -> dict[str, Performer]:
    performers: dict[str, Performer] = {}
    if targets := settings.targets:
        performers |= dict.fromkeys((Webhook.kind, WebhookAction.kind), Webhooks(targets, public_client))
    if github:
        performers |= {GithubGate.kind: Github(github), **dict.fromkeys(GITHUB_KINDS, GithubActions(github))}
    if token := settings.gitlab_token.get_secret_value():
        account = Account(
            api_url=settings.gitlab_api_url,
            token=token,
            represented_as=settings.gitlab_represented_as,
            starts_job=settings.gitlab_starts_job,
        )
        performers |= {
            GitlabGate.kind: Gitlab(account, client),
            GitlabCheck.kind: GitlabChecks(account, client),
        }
    return performers
