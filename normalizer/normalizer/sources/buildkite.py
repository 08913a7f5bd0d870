"""Buildkite: builds."""

from typing import Any

import msgspec

from normalizer.bodies import moment, read
from normalizer.disposition import Disposition, Events, Ignored
from normalizer.times import Spelling
from normalizer.words import branch_of, outcome, repository_of, sha_of
from shared.contracts.envelope import RawDelivery
from shared.contracts.events import BuildFinished, BuildStarted

STARTED = ("build.scheduled", "build.running")
FINISHED = "build.finished"
NO_FACT_FAMILIES = ("job.", "agent.", "build.", "cluster_token.")


class _Build(msgspec.Struct):
    id: str
    number: int | None = None
    state: str | None = None
    branch: str | None = None
    commit: str | None = None
    web_url: str | None = None
    created_at: Spelling = None
    scheduled_at: Spelling = None
    started_at: Spelling = None
    finished_at: Spelling = None


class _Pipeline(msgspec.Struct):
    slug: str | None = None
    name: str | None = None
    repository: str | None = None


class _Sender(msgspec.Struct):
    name: str | None = None


class _Body(msgspec.Struct):
    build: _Build
    pipeline: _Pipeline | None = None
    sender: _Sender | None = None


class _Head(msgspec.Struct):
    event: str | None = None


def translate(delivery: RawDelivery) -> Disposition:
    """The header and the body name the event alike. Raises Untranslatable."""
    name = read(delivery.body, _Head).event or delivery.event
    if name == "ping":
        return Ignored("handshake")
    if name in STARTED:
        return Events((_started(read(delivery.body, _Body), delivery),))
    if name == FINISHED:
        return Events((_finished(read(delivery.body, _Body), delivery),))
    return Ignored("no_fact" if name.startswith(NO_FACT_FAMILIES) else "unknown_event")


def _started(body: _Body, delivery: RawDelivery) -> BuildStarted:
    build = body.build
    at = moment("build.started_at", build.started_at) or moment("build.scheduled_at", build.scheduled_at)
    return BuildStarted(occurred_at=at or delivery.received_at, time_is_received=at is None, **_common(body))


def _finished(body: _Body, delivery: RawDelivery) -> BuildFinished:
    at = moment("build.finished_at", body.build.finished_at)
    return BuildFinished(
        occurred_at=at or delivery.received_at,
        time_is_received=at is None,
        outcome=outcome(body.build.state),
        platform_outcome=body.build.state or "",
        **_common(body),
    )


def _common(body: _Body) -> dict[str, Any]:
    """A build of the newest commit may call it `HEAD`."""
    build, pipeline = body.build, body.pipeline or _Pipeline()
    return {
        "repository": repository_of(pipeline.repository),
        "build_id": build.id,
        "name": pipeline.slug or pipeline.name or "",
        "branch": branch_of(build.branch),
        "sha": sha_of(build.commit),
        "actor": (body.sender and body.sender.name) or "",
        "started_at": moment("build.started_at", build.started_at),
        "url": build.web_url or "",
    }
