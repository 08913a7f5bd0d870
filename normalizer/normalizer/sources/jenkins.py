"""Jenkins: builds, told by the Notification plugin or by a step with the same names."""

from typing import Any

import msgspec

from normalizer.bodies import moment, read
from normalizer.disposition import Disposition, Events, Ignored
from normalizer.times import Spelling
from normalizer.words import branch_of, outcome, repository_of
from shared.contracts.envelope import RawDelivery
from shared.contracts.events import BuildFinished, BuildStarted

STARTED = "STARTED"
ENDED = ("COMPLETED", "FINALIZED")  # both tell of the same end; the build's key makes it once
QUEUED = "QUEUED"


class _Scm(msgspec.Struct):
    url: str | None = None
    branch: str | None = None
    commit: str | None = None


class _Build(msgspec.Struct):
    number: int
    phase: str | None = None
    status: str | None = None
    full_url: str | None = None
    timestamp: Spelling = None
    duration: int | float | None = None
    scm: _Scm | None = None


class _Body(msgspec.Struct):
    build: _Build
    name: str
    display_name: str | None = None


class _Phase(msgspec.Struct):
    phase: str | None = None


class _Head(msgspec.Struct):
    build: _Phase | None = None


def translate(delivery: RawDelivery) -> Disposition:
    """Raises Untranslatable."""
    head = read(delivery.body, _Head)
    phase = (head.build and head.build.phase) or ""
    if phase == QUEUED:
        return Ignored("no_fact")
    if phase != STARTED and phase not in ENDED:
        return Ignored("unknown_event")
    body = read(delivery.body, _Body)
    started_at = moment("build.timestamp", body.build.timestamp)
    if phase == STARTED:
        at = started_at or delivery.received_at
        return Events((BuildStarted(occurred_at=at, time_is_received=started_at is None, **_common(body, delivery)),))
    return Events((_finished(body, delivery),))


def _finished(body: _Body, delivery: RawDelivery) -> BuildFinished:
    """No version of the plugin tells when a build ended: that is when it is said."""
    return BuildFinished(
        occurred_at=delivery.received_at,
        time_is_received=True,
        outcome=outcome(body.build.status),
        platform_outcome=body.build.status or "",
        **_common(body, delivery),
    )


def _common(body: _Body, delivery: RawDelivery) -> dict[str, Any]:
    """Numbers count per job of one server, which only the URL names."""
    build, scm = body.build, body.build.scm or _Scm()
    server = (build.full_url or "").partition("/job/")[0]
    return {
        "repository": repository_of(scm.url),
        "build_id": f"{server}:{body.name}:{build.number}" if server else f"{body.name}:{build.number}",
        "name": body.display_name or body.name,
        "branch": branch_of(scm.branch),
        "sha": scm.commit or "",
        "started_at": moment("build.timestamp", build.timestamp),
        "url": build.full_url or "",
    }
