"""The edge cases of delivery metrics, one row each: what happened, and what each deployment or change says of it."""

from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import datetime
from types import MappingProxyType
from typing import Any, NamedTuple

import httpx
import pytest

from metrics_svc import api
from metrics_svc.facts import Fact
from metrics_svc.question import Question
from metrics_svc.settings import Settings
from metrics_svc.store.excluded import excluded
from metrics_svc.store.items import LISTS, page
from metrics_svc.store.paging import Wanted
from metrics_svc.window import Window
from shared.catalog import Catalog, Service, Team, Tenure
from shared.contracts.events import (
    ChangeMerged,
    IncidentNoted,
    IncidentOpened,
    IncidentReopened,
    IncidentResolved,
)
from shared.contracts.services import METRICS_SVC
from shared.db import Pool
from shared.db.catalogs import Pinned
from shared.db.pool import open_pool
from tests.shipping import (
    CATALOG,
    HOUR,
    MONOREPO,
    REGIONS,
    REPOSITORY,
    WEB,
    at,
    change,
    deployed,
    hand_over,
    incident,
    merged,
    of_checkout,
    one_change,
    pushed,
)

pytestmark = pytest.mark.asyncio

GITOPS: dict[str, Any] = {"source": "argocd", "repository": "", "service_name": "checkout"}
SHA = "ab" * 20
DIGEST = f"sha256:{'0b31' * 16}"
EU: dict[str, Any] = {"environment": "production-eu"}
US: dict[str, Any] = {"environment": "production-us"}


class Case(NamedTuple):
    """`deployments` by number: (kind, failed) and more; `changes` by number: (deployment, method, lead time in hours).

    `incidents` by name: (deployment, method).
    """

    events: Sequence[Fact]
    deployments: Mapping[str, tuple[Any, ...]] = MappingProxyType({})
    changes: Mapping[int, tuple[Any, ...]] = MappingProxyType({})
    incidents: Mapping[str, tuple[Any, ...]] = MappingProxyType({})
    catalog: Catalog = CATALOG


CASES: dict[str, Case] = {
    "a retry of a sha that failed is one deployment, at the time of its success": Case(
        [
            *deployed(1, "a", 1),
            *merged(1, "x", 2, authored=[1]),
            *deployed(2, "m1", 3, outcome="failed"),
            *deployed(3, "m1", 4),
        ],
        {"1": ("normal", False), "3": ("normal", False)},
        {1: ("3", "branch_position", 3)},
    ),
    "so is one that is tried again in place": Case(
        [
            *deployed(1, "a", 1),
            *merged(1, "x", 2, authored=[1]),
            *deployed(2, "m1", 3, outcome="failed"),
            *deployed(2, "m1", 4),
        ],
        {"1": ("normal", False), "2": ("normal", False)},
        {1: ("2", "branch_position", 3)},
    ),
    "redeploying what is live is counted apart": Case(
        [*deployed(1, "a", 1), *deployed(2, "a", 2)], {"1": ("normal", False), "2": ("redeploy", False)}
    ),
    "a release of configuration alone is no new version": Case(
        [*deployed(1, "a", 1), *deployed(2, "b", 2, said={"config_only": True})],
        {"1": ("normal", False), "2": ("redeploy", False)},
    ),
    "an environment that is not called production does not count": Case(
        [*deployed(1, "a", 1), *deployed(2, "b", 2, environment="preproduction")], {"1": ("normal", False)}
    ),
    "nor does staging": Case(
        [*deployed(1, "a", 1), *deployed(2, "b", 2, environment="staging")], {"1": ("normal", False)}
    ),
    "an explicit list wins over the branch": Case(
        [
            *deployed(1, "a", 1),
            *merged(1, "x", 2, authored=[1]),
            *deployed(2, "m1", 3),
            *deployed(3, "c", 4, said={"changes": (1,)}),
        ],
        changes={1: ("3", "explicit_commits", 3)},
    ),
    "a list may name commits": Case(
        [*deployed(1, "a", 1), *one_change(1, 2), *deployed(2, "c", 3, said={"commits": ("m1",)})],
        changes={1: ("2", "explicit_commits", None)},
    ),
    "a release branch carries what was promoted to it": Case(
        [
            pushed(0.5, "r0", branch="release"),
            *deployed(1, "r0", 1),
            *merged(1, "x", 2, authored=[1]),
            *merged(2, "y", 3, authored=[2]),
            pushed(4, "m1", "r1", branch="release"),
            *deployed(2, "r1", 5),
        ],
        changes={1: ("2", "branch_graph", 4), 2: (None, "unlinked", None)},
    ),
    "without any push it is the next in time": Case(
        [*deployed(1, "a", 1), *one_change(1, 2), *deployed(2, "b", 3)], changes={1: ("2", "time_in_repo", None)}
    ),
    "configuration is deployed, the image's tag says which application": Case(
        [
            *deployed(1, "conf1", 1),
            *one_change(1, 2, merge_sha=SHA),
            pushed(2, SHA),
            *deployed(2, "conf2", 3, said={"images": (f"shop:main-{SHA}",)}),
        ],
        changes={1: ("2", "digest_map", None)},
    ),
    "the seed swallows no lead time": Case(
        [*merged(1, "x", 0.5, authored=[-2000]), *deployed(1, "m1", 1)],
        {"1": ("normal", False)},
        {1: ("1", "branch_position", None)},
    ),
    "more than 60 days after its predecessor there is no lead time": Case(
        [*deployed(1, "a", 1), *merged(1, "x", 1500, authored=[1499]), *deployed(2, "m1", 1501)],
        changes={1: ("2", "branch_position", None)},
    ),
    "deployed before its first commit has no lead time": Case(
        [
            *deployed(1, "a", 1),
            pushed(2, "c1", branch="x", authored=[2.08]),  # five minutes of skew are let pass
            *one_change(1, 2, branch="x"),
            pushed(2, "m1"),
            *deployed(2, "m1", 2.04),
        ],
        changes={1: ("2", "branch_position", None)},
    ),
    "an author's clock that is ahead of the push says nothing": Case(
        [
            *deployed(1, "a", 1),
            pushed(1.5, "c1", branch="x", authored=[90]),
            *one_change(1, 2, branch="x"),
            pushed(2, "m1"),
            *deployed(2, "m1", 100),
        ],
        changes={1: ("2", "branch_position", None)},
    ),
    "a squash merge maps to the commits of its branch": Case(
        [
            *deployed(1, "a", 1),
            pushed(4, "c1", "c2", branch="x", authored=[2, 3]),
            *one_change(1, 5, branch="x"),
            pushed(5, "m1"),
            *deployed(2, "m1", 6),
        ],
        changes={1: ("2", "branch_position", 4)},
    ),
    "a branch that is forced and deleted keeps what was linked": Case(
        [
            *deployed(1, "a", 1),
            pushed(2, "c1", branch="x", authored=[1]),
            pushed(3, "c9", branch="x", authored=[2.5]),
            *one_change(1, 4, branch="x"),
            pushed(4, "m1"),
            *deployed(2, "m1", 5),
        ],
        changes={1: ("2", "branch_position", 4)},
    ),
    "a rebase merge maps to the commits of its branch": Case(
        [
            *deployed(1, "a", 1),
            pushed(4, "c1", "c2", branch="x", authored=[2, 3]),
            *one_change(1, 5, branch="x"),
            pushed(5, "r1", "m1", authored=[2, 3]),
            *deployed(2, "m1", 6),
        ],
        changes={1: ("2", "branch_position", 4)},
    ),
    "an incident that names its deployment is that one's": Case(
        [*deployed(1, "a", 1), *deployed(2, "b", 2), incident(IncidentOpened, "Q", 3, caused_by="1")],
        {"1": ("normal", True), "2": ("normal", False)},
        incidents={"Q": ("1", "explicit")},
    ),
    "or that names the commit, days later": Case(
        [*deployed(1, SHA, 1), *deployed(2, "b", 2), incident(IncidentOpened, "Q", 300, caused_by=SHA[:10])],
        {"1": ("normal", True), "2": ("normal", False)},
        incidents={"Q": ("1", "explicit")},
    ),
    "or whose note names it": Case(
        [
            *deployed(1, SHA, 1),
            *deployed(2, "b", 2),
            incident(IncidentOpened, "Q", 3),
            incident(IncidentNoted, "Q", 4, note=f"Root cause: {SHA[:12]}, reverting"),
        ],
        {"1": ("normal", True), "2": ("normal", False)},
        incidents={"Q": ("1", "note")},
    ),
    "else the latest of its service within a day": Case(
        [*deployed(1, "a", 1), *deployed(2, "b", 2), incident(IncidentOpened, "Q", 3)],
        {"1": ("normal", False), "2": ("normal", True)},
        incidents={"Q": ("2", "same_service")},
    ),
    "a day later nobody caused it": Case(
        [*deployed(1, "a", 1), incident(IncidentOpened, "Q", 25.1)],
        {"1": ("normal", False)},
        incidents={"Q": (None, "unlinked")},
    ),
    "unless the catalog gives it longer": Case(
        [*deployed(1, "a", 1), incident(IncidentOpened, "Q", 25.1)],
        {"1": ("normal", True)},
        incidents={"Q": ("1", "same_service")},
        catalog=of_checkout(incident_window_h=48),
    ),
    "what names no service is nobody's": Case(
        [*deployed(1, "a", 1), incident(IncidentOpened, "Q", 2, service_id="")],
        {"1": ("normal", False)},
        incidents={"Q": (None, "unlinked")},
    ),
    "another service's incident is not ours": Case(
        [*deployed(1, "a", 1), incident(IncidentOpened, "Q", 2, service_id="P2")],
        {"1": ("normal", False)},
        incidents={"Q": (None, "unlinked")},
    ),
    "a failed pipeline fails no deployment": Case(
        [*deployed(1, "a", 1), *deployed(2, "b", 2, outcome="failed")], {"1": ("normal", False)}
    ),
    "a rollback blames the first after the version that it returns to": Case(
        [*deployed(1, "a", 1), *deployed(2, "b", 2), *deployed(3, "c", 3), *deployed(4, "a", 4)],
        {"1": ("normal", False), "2": ("normal", True), "3": ("normal", False), "4": ("rollback", False)},
    ),
    "a rollback by name, to what was never seen, blames the one before": Case(
        [*deployed(1, "a", 1), *deployed(2, "b", 2), *deployed(3, "z", 3, said={"rollback": True})],
        {"1": ("normal", False), "2": ("normal", True), "3": ("rollback", False)},
    ),
    "a revert blames the one that carried the original": Case(
        [
            *deployed(1, "a", 1),
            *merged(1, "x", 2, authored=[1.5]),
            *deployed(2, "m1", 3),
            *merged(2, "y", 4, authored=[3.5]),
            *deployed(3, "m2", 5),
            *merged(3, "z", 6, authored=[5.5], title='Revert "Change 1"'),
            *deployed(4, "m3", 7),
        ],
        {"1": ("normal", False), "2": ("normal", True), "3": ("normal", False), "4": ("revert", False)},
    ),
    "GitHub's branch of a revert names the number": Case(
        [
            *deployed(1, "a", 1),
            *merged(1, "x", 2, authored=[1.5]),
            *deployed(2, "m1", 3),
            *merged(3, "revert-1-x", 6, authored=[5.5], title="Undo it"),
            *deployed(4, "m3", 7),
        ],
        {"1": ("normal", False), "2": ("normal", True), "4": ("revert", False)},
    ),
    "an original and its revert in one deployment failed nobody": Case(
        [
            *deployed(1, "a", 1),
            *merged(1, "x", 2, authored=[1.5]),
            *merged(3, "z", 3, authored=[2.5], title='Revert "Change 1"'),
            *deployed(2, "m3", 4),
        ],
        {"1": ("normal", False), "2": ("normal", False)},
    ),
    "a hotfix blames the one before": Case(
        [*deployed(1, "a", 1), *deployed(2, "b", 2), *merged(1, "hotfix/x", 3, authored=[2.5]), *deployed(3, "m1", 4)],
        {"1": ("normal", False), "2": ("normal", True), "3": ("hotfix", False)},
    ),
    "by its label or title as well": Case(
        [
            *deployed(1, "a", 1),
            *merged(1, "x", 2, authored=[1.5], labels=("incident",)),
            *deployed(2, "m1", 3),
            *merged(2, "y", 4, authored=[3.5], title="[Hotfix] Totals"),
            *deployed(3, "m2", 5),
        ],
        {"1": ("normal", True), "2": ("hotfix", True), "3": ("hotfix", False)},
    ),
    "one rollout that two platforms report is one deployment": Case(
        [*deployed(1, SHA, 1), *deployed(9, SHA, 1.1, **GITOPS)], {"1": ("normal", False)}
    ),
    "so is one that they know by its image's digest": Case(
        [
            *deployed(1, "", 1, said={"images": (f"shop@{DIGEST}",)}),
            *deployed(9, "", 1.1, said={"images": (f"pkg:oci/shop@{DIGEST.replace(':', '%3A')}",)}, **GITOPS),
            *deployed(2, "", 2, said={"images": (f"shop@{DIGEST}",)}),
            *deployed(3, "", 3, said={"images": (f"shop@{DIGEST}", f"proxy@{DIGEST[:-1]}0")}),
        ],
        {"1": ("normal", False), "2": ("redeploy", False), "3": ("normal", False)},
    ),
    "more than a quarter of an hour apart they are two rollouts": Case(
        [
            *deployed(1, SHA, 1),
            *deployed(2, SHA, 1.25, **GITOPS),
            *deployed(3, SHA, 1.3, **GITOPS),
            *deployed(4, "b", 2),
            *deployed(5, SHA, 3, **GITOPS),
        ],
        {"1": ("normal", False), "3": ("redeploy", False), "4": ("normal", True), "5": ("rollback", False)},
        catalog=of_checkout(repositories=("acme/checkout",)),
    ),
    "several production environments each have their own versions": Case(
        [
            *deployed(1, "a", 1, **EU),
            *deployed(2, "a", 1.5, **US),
            *merged(1, "x", 2, authored=[1]),
            *deployed(3, "m1", 3, **EU),
            *deployed(4, "b", 4, **EU),
            *deployed(5, "m1", 5, **US),
            *deployed(6, "m1", 6, **US),
        ],
        {
            "1": ("normal", False),
            "2": ("normal", False),
            "3": ("normal", False),
            "4": ("normal", False),
            "5": ("normal", False),
            "6": ("redeploy", False),
        },
        {1: ("3", "branch_position", 2)},
    ),
    "a rollout to several regions is one deployment, when the last has finished": Case(
        [
            *deployed(1, "a", 1, **US),
            *deployed(2, "a", 1.2, **EU),
            *merged(1, "x", 2, authored=[1]),
            *deployed(3, "m1", 3, **EU),
            *deployed(4, "m1", 5, **US),
        ],
        {"2": ("normal", False), "4": ("normal", False)},
        {1: ("4", "branch_position", 4)},
        catalog=REGIONS,
    ),
    "a region that failed makes it an attempt, until it is tried again": Case(
        [
            *deployed(1, "a", 1, **US),
            *deployed(2, "a", 1.2, **EU),
            *merged(1, "x", 2, authored=[1]),
            *deployed(3, "m1", 3, **EU),
            *deployed(4, "m1", 3.1, outcome="failed", **US),
            *deployed(5, "m1", 6, **US),
        ],
        {"2": ("normal", False), "5": ("normal", False)},
        {1: ("5", "branch_position", 5)},
        catalog=REGIONS,
    ),
    "what never reached every region is carried by the next that does": Case(
        [
            *deployed(1, "a", 1, **US),
            *deployed(2, "a", 1.2, **EU),
            *merged(1, "x", 2, authored=[1]),
            *deployed(3, "m1", 3, **EU),
            *deployed(4, "m1", 3.1, outcome="failed", **US),
            *merged(2, "y", 4, authored=[3.5]),
            *deployed(5, "m2", 5, **US),
            *deployed(6, "m2", 6, **EU),
        ],
        {"2": ("normal", False), "6": ("normal", False)},
        {1: ("6", "branch_position", 5), 2: ("6", "branch_position", 2.5)},
        catalog=REGIONS,
    ),
    "a rollback of all regions is one": Case(
        [
            *deployed(1, "a", 1, **US),
            *deployed(2, "a", 1.2, **EU),
            *deployed(3, "b", 3, **EU),
            *deployed(4, "b", 3.1, **US),
            *deployed(5, "a", 4, **EU),
            *deployed(6, "a", 4.1, **US),
        ],
        {"2": ("normal", False), "4": ("normal", True), "6": ("rollback", False)},
        catalog=REGIONS,
    ),
    "a deployment of several repositories carries the changes of each, as its own timeline says": Case(
        [
            *deployed(1, "a", 1, said={"revisions": {WEB: "w"}}),
            *merged(1, "x", 2, authored=[1]),
            *merged(2, "y", 3, authored=[2], repository=WEB),
            *merged(3, "z", 3.5, authored=[3], repository=WEB),
            *deployed(2, "m1", 4, said={"revisions": {WEB: "m2"}}),
            *deployed(3, "m3", 5, repository=WEB),
        ],
        {"1": ("normal", False), "2": ("normal", False), "3": ("normal", False)},
        {1: ("2", "branch_position", 3), 2: ("2", "branch_position", 2), 3: ("3", "branch_position", 2)},
    ),
    "what a repository held before it was deployed at all has no lead time, others have": Case(
        [
            *deployed(1, "a", 1),
            *merged(1, "x", 2, authored=[1]),
            *merged(2, "y", 3, authored=[-2000], repository=WEB),
            *deployed(2, "m1", 4, said={"revisions": {WEB: "m2"}}),
        ],
        changes={1: ("2", "branch_position", 3), 2: ("2", "branch_position", None)},
    ),
    "one repository's new commit makes it a new version, none a redeploy": Case(
        [
            *deployed(1, "a", 1, said={"revisions": {WEB: "w"}}),
            *deployed(2, "a", 2, said={"revisions": {WEB: "v"}}),
            *deployed(3, "a", 3, said={"revisions": {WEB: "v"}}),
        ],
        {"1": ("normal", False), "2": ("normal", False), "3": ("redeploy", False)},
    ),
    "one repository's earlier commit and nothing new are a rollback": Case(
        [
            *deployed(1, "a", 1, said={"revisions": {WEB: "w"}}),
            *deployed(2, "b", 2),
            *deployed(3, "b", 3, said={"revisions": {WEB: "v"}}),
            *deployed(4, "b", 4, said={"revisions": {WEB: "w"}}),
            *deployed(5, "c", 5, said={"revisions": {WEB: "v"}}),
        ],
        {
            "1": ("normal", False),
            "2": ("normal", False),
            "3": ("normal", True),
            "4": ("rollback", False),
            "5": ("normal", False),
        },
    ),
    "a hotfix of one repository blames the last that brought any": Case(
        [
            *deployed(1, "a", 1, said={"revisions": {WEB: "w"}}),
            *deployed(2, "b", 2, repository=WEB),
            *merged(1, "hotfix/x", 3, authored=[2.5], repository=WEB),
            *deployed(3, "a", 4, said={"revisions": {WEB: "m1"}}),
        ],
        {"1": ("normal", False), "2": ("normal", True), "3": ("hotfix", False)},
    ),
    "a list may name changes of several repositories, and commits of any": Case(
        [
            *deployed(1, "a", 1),
            *merged(1, "x", 2, authored=[1]),
            *merged(2, "y", 2, authored=[1.5], repository=WEB),
            *merged(3, "z", 2, authored=[1], repository=WEB),
            *deployed(2, "m1", 3),
            *deployed(3, "c", 4, said={"other_changes": (f"{REPOSITORY}#1", f"{WEB}#2"), "commits": ("m3",)}),
        ],
        changes={
            1: ("3", "explicit_commits", 3),
            2: ("3", "explicit_commits", 2.5),
            3: ("3", "explicit_commits", 3),
        },
    ),
    "a number without a repository is one of the deployment's own": Case(
        [
            *deployed(1, "a", 1),
            *one_change(1, 2, repository=WEB),
            *deployed(2, "b", 3, said={"changes": (1,)}),
        ],
        changes={1: (None, "unlinked", None)},
    ),
    "a list of another service's changes carries none of them": Case(
        [
            *deployed(1, "a", 1),
            *one_change(1, 2, repository="acme/ledger"),
            *deployed(2, "b", 3, said={"other_changes": ("acme/ledger#1",), "revisions": {"acme/ledger": "m1"}}),
        ],
        changes={1: (None, "unlinked", None)},
    ),
    "images of several repositories each tell their commit": Case(
        [
            pushed(0.5, "a", SHA, "b" * 40),
            pushed(0.6, "w", SHA[::-1], repository=WEB),
            *deployed(1, "conf1", 1, said={"images": (f"shop:{SHA}", f"web:{SHA[::-1]}")}, **GITOPS),
            *one_change(1, 2, merge_sha="c" * 40, repository=WEB),
            pushed(2, "c" * 40, repository=WEB),
            *deployed(2, "conf2", 3, said={"images": (f"shop:{SHA}", f"web:{'c' * 40}")}, **GITOPS),
        ],
        {"1": ("normal", False), "2": ("normal", False)},
        {1: ("2", "digest_map", None)},
    ),
    "what names no repository is of the one that has its commit": Case(
        [
            pushed(0.5, "w", repository=WEB),
            *deployed(1, "w", 1, repository=WEB),
            *merged(1, "x", 2, authored=[1], repository=WEB),
            *deployed(2, "m1", 3, **GITOPS),
            *deployed(3, "w", 4, **GITOPS),
        ],
        {"1": ("normal", False), "2": ("normal", True), "3": ("rollback", False)},
        {1: ("2", "branch_position", 2)},
    ),
    "without any push the repositories that are named are linked by time": Case(
        [
            *deployed(1, "a", 1, said={"revisions": {WEB: "w"}}),
            *one_change(1, 2, repository=WEB),
            *deployed(2, "b", 3),
            *deployed(3, "b", 4, said={"revisions": {WEB: "v"}}),
        ],
        changes={1: ("3", "time_in_repo", None)},
    ),
    "an incident may name the commit of any of them": Case(
        [
            *deployed(1, "a", 1, said={"revisions": {WEB: SHA}}),
            *deployed(2, "b", 2),
            incident(IncidentOpened, "Q", 3, caused_by=SHA[:10]),
        ],
        {"1": ("normal", True), "2": ("normal", False)},
        incidents={"Q": ("1", "explicit")},
    ),
    "several deployments of one sha by one tool in several repositories stand on their own": Case(
        [*deployed(1, "a", 1), *deployed(2, "a", 2, repository=WEB)],
        {"1": ("normal", False), "2": ("normal", False)},
    ),
}


@pytest.fixture
async def pool(database_url: str) -> AsyncIterator[Pool]:
    async with open_pool(Settings(database_url=database_url), METRICS_SVC) as opened:
        yield opened


@pytest.mark.parametrize("name", CASES)
async def test_edge_case(pool: Pool, name: str) -> None:
    case = CASES[name]

    await hand_over(pool, case.events, case.catalog)

    if case.deployments:
        assert await _deployments(pool) == case.deployments
    if case.changes:
        assert await _changes(pool) == case.changes
    if case.incidents:
        assert await _incidents(pool) == case.incidents


async def _deployments(pool: Pool) -> dict[str, tuple[Any, ...]]:
    rows = await pool.fetch(
        "SELECT f.deployment_id, d.kind, d.failed FROM production_deployment d JOIN deployment f USING (id)"
    )
    return {row["deployment_id"]: (row["kind"], row["failed"]) for row in rows}


async def _changes(pool: Pool) -> dict[int, tuple[Any, ...]]:
    rows = await pool.fetch(
        """
        SELECT c.number, f.deployment_id, l.method, l.lead_time_s
        FROM change_link l JOIN change c ON c.id = l.change LEFT JOIN deployment f ON f.id = l.deployment
        """
    )
    return {
        row["number"]: (
            row["deployment_id"],
            row["method"],
            row["lead_time_s"] and pytest.approx(row["lead_time_s"] / HOUR),
        )
        for row in rows
    }


async def _incidents(pool: Pool) -> dict[str, tuple[Any, ...]]:
    rows = await pool.fetch(
        """
        SELECT i.incident_id, f.deployment_id, l.method
        FROM incident_link l JOIN incident i ON i.id = l.incident LEFT JOIN deployment f ON f.id = l.deployment
        """
    )
    return {row["incident_id"]: (row["deployment_id"], row["method"]) for row in rows}


@pytest.mark.parametrize(
    ("events", "recovered_h"),
    [
        ([incident(IncidentResolved, "Q", 5)], 5),
        ([incident(IncidentResolved, "Q", 5), *deployed(2, "b", 4), *deployed(3, "a", 4.5)], 4.5),
        ([incident(IncidentResolved, "Q", 5), incident(IncidentReopened, "Q", 6)], None),
        (
            [
                incident(IncidentResolved, "Q", 5),
                incident(IncidentReopened, "Q", 6),
                incident(IncidentResolved, "Q", 8),
            ],
            8,
        ),
        ([incident(IncidentResolved, "Q", 5, reason="merged")], None),
        ([], None),
    ],
    ids=["incident", "rollback first", "reopened", "flapping", "merged into another", "still open"],
)
async def test_recovery_is_whichever_end_was_first(pool: Pool, events: list[Fact], recovered_h: float | None) -> None:
    started = [*deployed(0, "a", 0.5), *deployed(1, "c", 1), incident(IncidentOpened, "Q", 2)]

    await hand_over(pool, [*started, *events])

    recovered = await pool.fetchval("SELECT recovered_at FROM production_deployment WHERE id LIKE '%:1'")
    assert recovered == (None if recovered_h is None else at(recovered_h))


async def test_a_change_merged_at_the_instant_of_a_deployment_is_carried_by_the_next(pool: Pool) -> None:
    """Ties go to what is surely after: a deployment at the same instant counts as after the merge."""
    await hand_over(pool, [*deployed(1, "a", 1), *one_change(1, 2), *deployed(2, "b", 2.2), *deployed(3, "c", 3)])
    early = change(ChangeMerged, 2, "y", 3, merge_sha="m2", merged_at=at(3))

    await hand_over(pool, [early])

    assert await _changes(pool) == {1: ("2", "time_in_repo", None), 2: (None, "unlinked", None)}


async def test_merges_are_no_commits_of_a_change(pool: Pool) -> None:
    """GitHub's words, GitLab's, Bitbucket's; 4 and 3 hours remain."""
    texts = ("Merge pull request #7 from x", "Merge branch 'main' into x", "Merged in y (pull request #3)", "Merge it")
    messages = {f"c{number}": text for number, text in enumerate(texts)}
    await hand_over(
        pool,
        [
            *deployed(1, "a", 1),
            pushed(4, *messages, "own", branch="x", authored=[1, 1.2, 1.4, 2, 3], messages=messages),
            *one_change(1, 5, branch="x"),
            pushed(5, "m1"),
            *deployed(2, "m1", 6),
        ],
    )

    [row] = await pool.fetch("SELECT first_commit_at, commit_times FROM change_link")

    assert tuple(row) == (at(2), [at(2), at(3)])


@pytest.mark.parametrize(
    ("events", "expected"),
    [
        ([], [(2, None)]),
        ([incident(IncidentResolved, "Q", 3)], [(2, 3)]),
        ([incident(IncidentResolved, "Q", 3), incident(IncidentReopened, "Q", 4)], [(2, 3), (4, None)]),
        (
            [
                incident(IncidentResolved, "Q", 3),
                incident(IncidentReopened, "Q", 4),
                incident(IncidentReopened, "Q", 4.5),
                incident(IncidentResolved, "Q", 5),
            ],
            [(2, 3), (4, 5)],
        ),
    ],
    ids=["open", "resolved", "reopened", "flapping"],
)
async def test_an_incident_lists_every_time_that_it_was_open(
    pool: Pool, events: list[Fact], expected: list[tuple[float, float | None]]
) -> None:
    await hand_over(pool, [*deployed(1, "a", 1), incident(IncidentOpened, "Q", 2), *events])
    question = Question(services=("checkout",), window=Window(at(0), at(24)))

    async with pool.acquire() as tx:
        [row] = await page(tx, LISTS["incidents"], question, Wanted(after=None, limit=10))

    spans = [[end and datetime.fromisoformat(end) for end in span] for span in row["open_from_to"]]
    assert spans == [[at(start), stop and at(stop)] for start, stop in expected]


async def test_what_is_left_out_of_lead_time_is_counted_with_its_reason(pool: Pool) -> None:
    """One change each; the window holds them all."""
    await hand_over(
        pool,
        [
            *merged(1, "seed", 0.5, authored=[0]),
            *deployed(1, "m1", 1),
            *one_change(2, 2),
            pushed(2, "m2"),
            *deployed(2, "m2", 3),
            pushed(3.5, "c3", branch="skewed", authored=[90]),
            *one_change(3, 4, branch="skewed"),
            pushed(4, "m3"),
            *deployed(3, "m3", 5),
            pushed(6, "c4", branch="negative", authored=[6.08]),
            *one_change(4, 6, branch="negative"),
            pushed(6, "m4"),
            *deployed(4, "m4", 6.04),
            *merged(5, "gap", 1500, authored=[1499]),
            *deployed(5, "m5", 1501),
            *merged(6, "waits", 1502, authored=[1501.5]),
        ],
    )
    question = Question(services=("checkout",), window=Window(at(0), at(2000)))

    async with pool.acquire() as tx:
        left_out = await excluded(tx, question)

    assert left_out == {
        "checkout": {
            "seed": 1,
            "no_first_commit": 1,
            "skewed": 1,
            "negative": 1,
            "long_gap": 1,
            "unlinked_changes": 1,
        }
    }


SEARCH: dict[str, Any] = {"environment": "search-production"}
IN_CHECKOUT, IN_SEARCH, IN_BOTH, IN_NONE = (
    ("services/checkout/cart.py",),
    ("services/search/index.py",),
    ("libs/money/round.py", "services/search/index.py"),
    ("README.md",),
)


@pytest.mark.parametrize(
    ("files", "squashed", "expected"),
    [
        ([IN_CHECKOUT], None, {"checkout": "3"}),
        ([IN_SEARCH], None, {"search": "4"}),
        ([IN_CHECKOUT, IN_SEARCH], None, {"checkout": "3", "search": "4"}),
        ([IN_BOTH], None, {"checkout": "3", "search": "4"}),
        ([IN_NONE], None, {}),
        ([None], None, {"checkout": "3", "search": "4"}),
        ([IN_CHECKOUT, None], None, {"checkout": "3", "search": "4"}),
        ([None], IN_SEARCH, {"search": "4"}),
        ([], IN_SEARCH, {"search": "4"}),
        ([], None, {"checkout": "3", "search": "4"}),
    ],
    ids=[
        *("one", "the other", "a commit in each", "a commit in both", "none", "unknown", "partly unknown"),
        *("told by the merge alone", "told by the squash alone", "nothing told"),
    ],
)
async def test_change_in_a_shared_repository_is_of_the_services_whose_files_it_touches(
    pool: Pool,
    files: list[tuple[str, ...] | None],
    squashed: tuple[str, ...] | None,
    expected: dict[str, str],
) -> None:
    shas = [f"c{number}" for number, _ in enumerate(files)]
    told = {sha: names for sha, names in zip(shas, files, strict=True) if names is not None}
    branch: list[Fact] = [pushed(1.5, *shas, branch="x", authored=[1.2] * len(shas), files=told)] if shas else []
    events: list[Fact] = [
        *deployed(1, "a", 1),
        *deployed(2, "a", 1, **SEARCH),
        *branch,
        *one_change(1, 2, branch="x"),
        pushed(2, "m1", files={"m1": squashed} if squashed else {}),
        *deployed(3, "m1", 3),
        *deployed(4, "m1", 4, **SEARCH),
    ]

    await hand_over(pool, events, MONOREPO)

    rows = await pool.fetch("SELECT service, split_part(deployment, ':', 3) AS deployment FROM change_link")
    assert {row["service"]: row["deployment"] for row in rows} == expected
    rows = await pool.fetch("SELECT service FROM change_flow")
    assert {row["service"] for row in rows} == {*expected}
    placed = await pool.fetch(
        "SELECT service, count(*) AS n, bool_or(failed) AS failed FROM production_deployment GROUP BY 1"
    )
    assert {(row["service"], row["n"], row["failed"]) for row in placed} == {
        ("checkout", 2, False),
        ("search", 2, False),
    }


async def test_time_carries_a_change_of_a_shared_repository_by_the_next_of_its_service(
    pool: Pool,
) -> None:
    events = [
        *deployed(1, "a", 1),
        *deployed(2, "b", 1, **SEARCH),
        pushed(1.5, "c1", branch="x", authored=[1.2], files={"c1": IN_SEARCH}),
        *one_change(1, 2, branch="x"),
        *deployed(3, "d", 3),
        *deployed(4, "e", 4, **SEARCH),
    ]

    await hand_over(pool, events, MONOREPO)

    assert await _changes(pool) == {1: ("4", "time_in_repo", pytest.approx(2.8))}


async def test_a_revert_fails_only_the_services_that_it_touches(pool: Pool) -> None:
    events = [
        *deployed(1, "a", 1),
        *deployed(2, "a", 1, **SEARCH),
        pushed(1.5, "c1", branch="x", authored=[1.2], files={"c1": IN_BOTH}),
        *one_change(1, 2, branch="x"),
        pushed(2, "m1"),
        *deployed(3, "m1", 3),
        *deployed(4, "m1", 3, **SEARCH),
        pushed(4.5, "c2", branch="y", authored=[4.2], files={"c2": IN_SEARCH}),
        change(ChangeMerged, 2, "y", 5, merge_sha="m2", merged_at=at(5), title='Revert "Change 1"'),
        pushed(5, "m2"),
        *deployed(5, "m2", 6),
        *deployed(6, "m2", 6, **SEARCH),
    ]

    await hand_over(pool, events, MONOREPO)

    async with pool.acquire() as tx:
        left_out = await excluded(tx, Question(services=("checkout", "search"), window=Window(at(0), at(24))))
    assert "unknown_environment" not in {reason for reasons in left_out.values() for reason in reasons}
    told = await _deployments(pool)
    assert {number for number, (_, failed) in told.items() if failed} == {"4"}
    assert {number for number, (kind, _) in told.items() if kind == "revert"} == {"6"}


HANDED_OVER = Catalog(
    teams=(Team(name="payments"), Team(name="discovery")),
    services=(
        Service(
            name="checkout",
            team="payments",
            earlier_teams=(
                Tenure(team="payments", until=at(24).date()),
                Tenure(team="discovery", until=at(48).date()),
            ),
            repositories=("acme/checkout",),
        ),
        Service(name="search", team="discovery", repositories=("acme/search",)),
        Service(name="mail", team="payments", repositories=("acme/mail",)),
    ),
)


@pytest.mark.parametrize(
    ("team", "window", "deployments", "redeploys"),
    [
        ("discovery", (0, 96), {"3", "4", "6"}, {"search": 1}),
        ("payments", (0, 96), {"1", "5", "7"}, {"checkout": 1}),
        ("discovery", (0, 24), {"6"}, {"search": 1}),
        ("discovery", (49, 96), set(), {}),
        ("payments", (26, 47), set(), {}),
    ],
    ids=["had it for a day", "had it before and has it now", "not yet", "not any more", "not then"],
)
async def test_what_happened_while_a_team_had_a_service_is_that_teams(
    pool: Pool, team: str, window: tuple[float, float], deployments: set[str], redeploys: dict[str, int]
) -> None:
    events = [
        *deployed(1, "a", 10),
        *deployed(2, "a", 11),
        *deployed(3, "b", 30),
        *deployed(4, "c", 40),
        *deployed(5, "d", 60),
        *deployed(6, "x", 5, repository="acme/search"),
        *deployed(8, "x", 6, repository="acme/search"),
        *deployed(7, "y", 80, repository="acme/mail"),
    ]
    await hand_over(pool, events, HANDED_OVER)
    app = api.build(Settings(), Pinned(HANDED_OVER), pool, checks={})
    query = {"team": team, "from": at(window[0]).isoformat(), "to": at(window[1]).isoformat()}

    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://metrics") as http:
        answer = (await http.get("/v1/dora", params=query)).json()
        daily = (await http.get("/v1/dora/deployment_frequency", params={**query, "bucket": "day"})).json()
        items = (await http.get("/v1/dora/deployment_frequency/items", params={**query, "limit": 2})).json()
        more = (
            items["next"]
            and (
                await http.get("/v1/dora/deployment_frequency/items", params={**query, "cursor": items["next"]})
            ).json()
        )

    [whole] = [r for r in answer["rows"] if (r["service"], r["metric"]) == ("", "deployment_frequency")]
    assert whole["n"] == len(deployments)
    assert sum(row["n"] for row in daily["rows"] if not row["service"]) == len(deployments)
    listed = [item["deployment_id"] for page in (items, more) if page for item in page["items"]]
    assert (len(listed), {*listed}) == (len(deployments), deployments)
    assert {each["service"]: each["redeploys"] for each in answer["excluded"] if each["redeploys"]} == redeploys
