"""Events of one small service, made by hand, and the story that they tell."""

import hashlib
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import yaml

from metrics_svc.facts import Fact
from metrics_svc.handlers import Facts
from shared.catalog import Catalog, Service, Team
from shared.contracts.events import (
    ChangeCommented,
    ChangeMerged,
    ChangeOpened,
    ChangeReviewed,
    CommitsPushed,
    DeploymentFinished,
    DeploymentStarted,
    IncidentOpened,
    IncidentReopened,
    IncidentResolved,
)
from shared.contracts.events.code import Commit
from shared.db import Pool
from shared.db.catalogs import Pinned

START = datetime(2026, 3, 2, tzinfo=UTC)
HOUR = 3600.0
REPOSITORY = "acme/checkout"
WEB = "acme/checkout-web"
CATALOG = Catalog(
    teams=(Team(name="payments"),),
    services=(
        Service(
            name="checkout",
            team="payments",
            repositories=(REPOSITORY, WEB),
            incident_services={"pagerduty": ("P1",)},
        ),
    ),
)


def of_checkout(**fields: Any) -> Catalog:
    """The same, but for these fields of its service."""
    return msgspec.structs.replace(CATALOG, services=(msgspec.structs.replace(CATALOG.services[0], **fields),))


MONOREPO = Catalog(
    services=(
        Service(name="checkout", repositories=("acme/checkout",), paths=("services/checkout/**", "libs/money")),
        Service(
            name="search",
            repositories=("acme/checkout",),
            paths=("services/search/**",),
            production=("^search-production$",),
        ),
    )
)
REGIONS = of_checkout(regions={"production": ("production-eu", "production-us")})


def write_catalog(path: Path, catalog: Catalog) -> Path:
    path.write_text(yaml.safe_dump(msgspec.to_builtins(catalog)))
    return path


def at(hours: float) -> datetime:
    return START + timedelta(hours=hours)


def stamped(event: Any, source: str = "github") -> Any:
    """A delivery of its own for each event, the same in every run."""
    digest = hashlib.sha256(msgspec.json.encode(event)).hexdigest()
    return event.stamped(id=digest, source=source, delivery=f"{event.kind} {digest}", origin="live", received_at=START)


def pushed(
    hours: float,
    *shas: str,
    branch: str = "main",
    authored: Sequence[float] = (),
    messages: Mapping[str, str] = {},
    files: Mapping[str, tuple[str, ...]] = {},
    repository: str = REPOSITORY,
) -> CommitsPushed:
    times = authored or [hours] * len(shas)
    push: CommitsPushed = stamped(
        CommitsPushed(
            occurred_at=at(hours),
            repository=repository,
            ref=f"refs/heads/{branch}",
            branch=branch,
            before="0" * 40,
            after=shas[-1],
            default_branch="main",
            commits=tuple(
                Commit(sha=sha, authored_at=at(t), message=messages.get(sha, ""), files=files.get(sha))
                for sha, t in zip(shas, times, strict=True)
            ),
        )
    )
    return push


def change(
    kind: type[Any], number: int, branch: str, hours: float, *, repository: str = REPOSITORY, **fields: Any
) -> Any:
    state = "merged" if "merged_at" in fields else "open"
    values: dict[str, Any] = {
        "title": f"Change {number}",
        "author": "ana",
        "state": state,
        "head_ref": branch,
        **fields,
    }
    return stamped(kind(occurred_at=at(hours), repository=repository, number=number, **values))


def merged(
    number: int,
    branch: str,
    hours: float,
    *,
    authored: Sequence[float],
    repository: str = REPOSITORY,
    **fields: Any,
) -> list[Fact]:
    """A branch's push, the change, its merge and the push of the merge commit `m<number>`."""
    fields |= {"repository": repository}
    shas = [f"c{number}-{index}" for index in range(len(authored))]
    return [
        pushed(max(authored) + 0.25, *shas, branch=branch, authored=authored, repository=repository),
        change(ChangeOpened, number, branch, max(authored) + 0.3, **fields),
        change(ChangeMerged, number, branch, hours, merge_sha=f"m{number}", merged_at=at(hours), **fields),
        pushed(hours, *shas, f"m{number}", authored=[*authored, hours], repository=repository),
    ]


def reviewed(
    number: int, branch: str, hours: float, *, by: str = "ben", state: str = "approved", name: str = "", **fields: Any
) -> Any:
    """`name` is the review's own: it is told of again under that when it is dismissed."""
    said = {"review_id": name or f"r{number}-{hours}", "reviewer": by, "review_state": state}
    return change(ChangeReviewed, number, branch, hours, **said, **fields)


def commented(number: int, hours: float, *, by: str = "ben", kind: str = "human") -> Any:
    fields: Any = {"comment_id": f"c{number}-{hours}", "author": by, "author_kind": kind}
    return stamped(ChangeCommented(occurred_at=at(hours), repository="acme/checkout", number=number, **fields))


def deployed(
    number: int,
    sha: str,
    hours: float,
    *,
    environment: str = "production",
    outcome: str = "succeeded",
    repository: str = REPOSITORY,
    source: str = "github",
    service_name: str = "",
    said: Mapping[str, Any] = {},
) -> list[Fact]:
    fields: Any = {"repository": repository, "deployment_id": str(number), "environment": environment, "sha": sha}
    fields |= {"service_name": service_name, **said}
    return [
        stamped(DeploymentStarted(occurred_at=at(hours - 0.1), **fields), source),
        stamped(DeploymentFinished(occurred_at=at(hours), outcome=outcome, **fields), source),
    ]


def incident(kind: type[Any], name: str, hours: float, *, service_id: str = "P1", **fields: Any) -> Any:
    event = kind(occurred_at=at(hours), incident_id=name, title="Slow", service_id=service_id, **fields)
    return stamped(event, source="pagerduty")


def alert(kind: type[Any], name: str, hours: float, *, rule: str) -> Any:
    event = kind(occurred_at=at(hours), alert_id=name, title="Latency", rule=rule, fired_at=None)
    return stamped(event, source="prometheus")


def story() -> list[Fact]:
    """Four days of one service."""
    return [
        *merged(1, "feature/one", 0.5, authored=[-5]),
        *deployed(100, "m1", 1),  # the seed
        *merged(2, "feature/two", 10, authored=[3, 2]),
        *deployed(101, "m2", 11, environment="staging"),
        *deployed(102, "m2", 12),
        *merged(3, "feature/three", 14, authored=[13]),
        *deployed(103, "m3", 16),  # fails
        incident(IncidentOpened, "Q1", 17),
        *deployed(104, "m2", 19),  # rollback
        incident(IncidentResolved, "Q1", 20),
        incident(IncidentReopened, "Q1", 20.5),
        incident(IncidentResolved, "Q1", 22),
        *merged(4, "feature/four", 30, authored=[26]),
        *deployed(105, "m4", 32),  # fails
        *merged(5, "hotfix/five", 34, authored=[33]),
        *deployed(106, "m5", 36),  # hotfix
        *deployed(107, "m5", 40),  # redeploy
        *merged(6, "feature/six", 50, authored=[41]),
        *deployed(108, "m6", 51, outcome="failed"),
        *deployed(109, "m6", 52),
        *merged(7, "feature/seven", 60, authored=[59]),  # not deployed
        incident(IncidentOpened, "Q2", 80),  # more than a day after any deployment
    ]


async def hand_over(pool: Pool, events: Sequence[Fact], catalog: Catalog = CATALOG) -> None:
    async with pool.acquire() as tx, tx.transaction():
        await Facts(Pinned(catalog)).on_facts(events, tx)


def one_change(
    number: int, hours: float, *, branch: str = "", merge_sha: str = "", repository: str = REPOSITORY
) -> list[Fact]:
    """Merged as `m<number>`; what was pushed is not told."""
    fields: Any = {"merge_sha": merge_sha or f"m{number}", "merged_at": at(hours), "repository": repository}
    return [change(ChangeMerged, number, branch or f"feature/{number}", hours, **fields)]


def shifted(events: Sequence[Fact], by: timedelta) -> list[Fact]:
    """The same events at another time."""
    return [msgspec.convert(_shifted(msgspec.to_builtins(event), by), type(event)) for event in events]


def _shifted(value: Any, by: timedelta) -> Any:
    if isinstance(value, dict):
        return {name: _shifted(inner, by) for name, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_shifted(inner, by) for inner in value]
    if isinstance(value, str) and value.startswith("2026-"):
        return (datetime.fromisoformat(value) + by).isoformat()
    return value
