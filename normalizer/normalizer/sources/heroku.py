"""Heroku: releases are deployments, builds are builds."""

from typing import Any

import msgspec

from normalizer.bodies import Count, moment, needed_moment, read
from normalizer.disposition import Disposition, Events, Ignored
from normalizer.times import Spelling
from normalizer.words import outcome
from shared.contracts.envelope import RawDelivery
from shared.contracts.events import (
    Build,
    BuildFinished,
    BuildStarted,
    Deployment,
    DeploymentFinished,
    DeploymentStarted,
)

RELEASE, BUILD = "release", "build"
PENDING = "pending"
NO_FACT = frozenset(
    {"addon", "addon-attachment", "app", "collaborator", "domain", "dyno", "formation", "sni-endpoint", "pipeline"}
)
ROLLBACK = "Rollback to v"
DEPLOYS = ("Deploy ", "Promote ", ROLLBACK, "Initial release")
ENVIRONMENT = "production"  # an app has one; the catalog says of apps that have another


class _App(msgspec.Struct):
    id: str
    name: str | None = None


class _Slug(msgspec.Struct):
    commit: str | None = None


class _User(msgspec.Struct):
    email: str | None = None


class _Release(msgspec.Struct):
    app: _App
    version: Count
    status: str | None = None
    description: str | None = None
    slug: _Slug | None = None
    user: _User | None = None
    created_at: Spelling = None
    updated_at: Spelling = None


class _Blob(msgspec.Struct):
    version: str | None = None


class _Build(msgspec.Struct):
    id: str
    app: _App
    status: str | None = None
    source_blob: _Blob | None = None
    user: _User | None = None
    created_at: Spelling = None
    updated_at: Spelling = None


class _ReleaseBody(msgspec.Struct):
    data: _Release
    actor: _User | None = None
    published_at: Spelling = None


class _BuildBody(msgspec.Struct):
    data: _Build
    published_at: Spelling = None


class _Head(msgspec.Struct):
    resource: str | None = None


def translate(delivery: RawDelivery) -> Disposition:
    """Raises Untranslatable."""
    resource = read(delivery.body, _Head).resource
    if resource == RELEASE:
        return Events((_deployment(read(delivery.body, _ReleaseBody)),))
    if resource == BUILD:
        return Events((_build(read(delivery.body, _BuildBody)),))
    return Ignored("no_fact" if resource in NO_FACT else "unknown_event")


def _deployment(body: _ReleaseBody) -> Deployment:
    """One release is told when created and when updated, under one key: the app and its version."""
    release = body.data
    description = release.description or ""
    email = (body.actor and body.actor.email) or (release.user and release.user.email) or ""
    common: dict[str, Any] = {
        "repository": "",
        "deployment_id": f"{release.app.id}:{release.version}",
        "environment": ENVIRONMENT,
        "sha": (release.slug and release.slug.commit) or "",
        "creator": email,
        "actor": email,
        "description": description,
        "service_name": release.app.name or release.app.id,
        "rollback": description.startswith(ROLLBACK),
        "config_only": bool(description) and not description.startswith(DEPLOYS),
    }
    if release.status == PENDING:
        return DeploymentStarted(
            occurred_at=needed_moment("data.created_at", release.created_at, body.published_at), **common
        )
    return DeploymentFinished(
        occurred_at=needed_moment("data.updated_at", release.updated_at, body.published_at),
        outcome=outcome(release.status),
        platform_outcome=release.status or "",
        **common,
    )


def _build(body: _BuildBody) -> Build:
    build = body.data
    common: dict[str, Any] = {
        "repository": "",
        "build_id": build.id,
        "name": build.app.name or build.app.id,
        "sha": (build.source_blob and build.source_blob.version) or "",
        "actor": (build.user and build.user.email) or "",
        "started_at": moment("data.created_at", build.created_at),
    }
    if build.status == PENDING:
        return BuildStarted(occurred_at=needed_moment("data.created_at", build.created_at, body.published_at), **common)
    return BuildFinished(
        occurred_at=needed_moment("data.updated_at", build.updated_at, body.published_at),
        outcome=outcome(build.status),
        platform_outcome=build.status or "",
        **common,
    )
