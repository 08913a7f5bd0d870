"""Series of one thing, per platform: one key through its life, and the same tables in any order, however often."""

import random
from collections.abc import AsyncIterator
from typing import Any

import pytest

from ingest.source import declared
from metrics_svc.handlers import Facts
from metrics_svc.settings import Settings
from normalizer.disposition import Events
from normalizer.handlers import stamp
from normalizer.translation import translate
from shared.catalog import Catalog
from shared.contracts.events import (
    Alert,
    Build,
    Change,
    CommitsPushed,
    Deployment,
    Event,
    Incident,
    QualityReported,
    Ticket,
)
from shared.contracts.services import METRICS_SVC
from shared.db import Pool
from shared.db.catalogs import Pinned
from shared.db.pool import open_pool
from tests.integration.test_metrics_svc_order import dump
from tests.translations import fixtures

KEYS: dict[type[Event], str] = {
    Change: "number",
    Deployment: "deployment_id",
    Build: "build_id",
    Incident: "incident_id",
    Alert: "alert_id",
    Ticket: "ticket_id",
}
FACTS = (Change, CommitsPushed, Deployment, Incident, Alert, Build, Ticket, QualityReported)
# Stems of fixtures that tell of one thing, in the order it happened.
SERIES: dict[str, tuple[tuple[str, ...], ...]] = {
    "argocd": (("running_healthy_before_it_ended", "succeeded_progressing", "succeeded_healthy"),),
    "azure_devops": (
        ("git.pullrequest.created", "git.pullrequest.updated", "git.pullrequest.updated.completed"),
        ("release.deployment_started", "release.deployment_completed"),
        ("workitem.created", "workitem.updated", "workitem.closed"),
        ("run.in_progress", "run.failed"),
    ),
    "bitbucket": (
        ("cloud.created", "cloud.updated", "cloud.approved", "cloud.fulfilled"),
        ("server.pr.opened", "server.pr.from_ref_updated", "server.pr.merged"),
        ("cloud.commit_status.inprogress", "cloud.commit_status.failed"),
    ),
    "buildkite": (("build.scheduled", "build.running", "build.finished.passed"),),
    "circleci": (("job_completed", "workflow_completed"),),
    "cloudevents": (
        ("bare.incident_detected", "bare.incident_resolved"),
        ("bare.ticket_created", "bare.ticket_closed"),
    ),
    "cloudwatch": (("alarm", "ok"),),
    "datadog": (("triggered", "re_triggered", "recovered"),),
    "ecs": (("deployment.in_progress", "deployment.completed"), ("codedeploy.start", "codedeploy.success")),
    "flux": (("progressing", "reconciliation_succeeded"),),
    "gitea": (("pull_request.opened", "pull_request_sync", "pull_request_approved", "pull_request.merged"),),
    "github": (
        ("pull_request.opened", "pull_request.ready_for_review", "pull_request.merged"),
        ("deployment.created", "deployment_status.in_progress", "deployment_status.success"),
    ),
    "gitlab": (
        ("merge_request.open", "merge_request.update.ready", "merge_request.approved", "merge_request.merge"),
        ("deployment.created", "deployment.running", "deployment.success"),
        ("pipeline.running", "pipeline.failed"),
    ),
    "grafana": (("firing", "resolved"), ("legacy.alerting", "legacy.ok")),
    "heroku": (("release.pending", "release.succeeded"), ("build.pending", "build.failed")),
    "jenkins": (("started", "completed.success", "finalized.success"),),
    "jira": (("issue_created", "issue_updated.started", "issue_updated.done", "issue_updated.reopened"),),
    "kubernetes": (("image_changed", "rolled_out"),),
    "linear": (("Issue.create", "Issue.update.started", "Issue.update.completed"),),
    "newrelic": (("created", "activated", "closed"),),
    "opsgenie": (("Create", "Close"),),
    "pagerduty": (("incident.triggered", "incident.acknowledged", "incident.annotated", "incident.resolved"),),
    "prometheus": (("firing", "resolved"),),
    "report": (("deployment.started", "deployment.finished"), ("incident.opened", "incident.resolved")),
    "sentry": (("issue.created", "event_alert.triggered", "issue.resolved"),),
    "shortcut": (("story.create", "story.update.started", "story.update.completed"),),
    "standard_webhooks": (("incident_io.created", "incident_io.closed"),),
    "statuspage": (("investigating", "resolved"),),
}
every = pytest.mark.parametrize(
    ("source", "stems"), [(name, stems) for name, series in SERIES.items() for stems in series]
)


def told(source: str, stems: tuple[str, ...]) -> list[Event]:
    known = fixtures(source)
    events: list[Event] = []
    for stem in stems:
        sent = known[stem].delivery(source)
        disposition = translate(sent)
        assert isinstance(disposition, Events), (source, stem)
        events += stamp(sent, disposition.events)
    return events


@every
def test_one_thing_has_one_key_through_its_life(source: str, stems: tuple[str, ...]) -> None:
    events = told(source, stems)
    keys = {(base.__name__, getattr(e, name)) for e in events for base, name in KEYS.items() if isinstance(e, base)}

    assert len(keys) == 1
    assert len({event.id for event in events}) == len(events)


@pytest.fixture
async def pool(database_url: str) -> AsyncIterator[Pool]:
    async with open_pool(Settings(database_url=database_url), METRICS_SVC) as opened:
        yield opened


async def test_every_series_ends_in_the_same_tables_in_any_order(pool: Pool, scale: int) -> None:
    facts = Facts(Pinned(Catalog()))
    for source, series in SERIES.items():
        events: list[Any] = [event for stems in series for event in told(source, stems) if isinstance(event, FACTS)]
        draw = random.Random(source)
        tables = []
        for round_ in range(1 + 2 * scale):
            shuffled = events if round_ == 0 else draw.sample([*events, *events], 2 * len(events))
            async with pool.acquire() as tx:
                undone = tx.transaction()
                await undone.start()
                for event in shuffled:
                    await facts.on_facts([event], tx)
                tables.append(await dump(tx))
                await undone.rollback()
        assert all(each == tables[0] for each in tables), source


def test_grade_of_sequence_is_earned() -> None:
    assert {name for name, source in declared().items() if "sequence" in source.grades} == {*SERIES}
