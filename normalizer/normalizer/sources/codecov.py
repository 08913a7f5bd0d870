"""Codecov: the coverage of a commit. Several come while reports are uploaded; the latest one stands."""

import math
from typing import Any

import msgspec

from normalizer.bodies import read
from normalizer.disposition import Disposition, Events, Ignored, Untranslatable
from shared.contracts.envelope import RawDelivery
from shared.contracts.events import QualityReported

NUMBER_MAX = 2**31 - 1


class _Owner(msgspec.Struct):
    username: str | None = None


class _Repo(msgspec.Struct):
    name: str
    url: str | None = None


class _Totals(msgspec.Struct):
    coverage: str | float | None = None


class _Commit(msgspec.Struct):
    commitid: str | None = None
    branch: str | None = None
    url: str | None = None
    totals: _Totals | None = None


class _Pull(msgspec.Struct):
    number: str | int | None = None


class _Body(msgspec.Struct):
    repo: _Repo
    head: _Commit
    owner: _Owner | None = None
    base: _Commit | None = None
    pull: _Pull | None = None


class _Head(msgspec.Struct):
    repo: Any = None
    head: Any = None


def translate(delivery: RawDelivery) -> Disposition:
    """Numbers come as texts; groups of GitLab are joined by colons. No time of the upload is told."""
    head = read(delivery.body, _Head)
    if head.repo is None or head.head is None:
        return Ignored("unknown_event")
    body = read(delivery.body, _Body)
    owner = ((body.owner and body.owner.username) or "").replace(":", "/")
    repository = f"{owner}/{body.repo.name}" if owner else body.repo.name
    coverage = _percent(body.head)
    return Events(
        (
            QualityReported(
                occurred_at=delivery.received_at,
                time_is_received=True,
                project=repository,
                repository=repository,
                branch=body.head.branch or "",
                sha=body.head.commitid or "",
                number=_number(body.pull),
                coverage=coverage,
                coverage_base=_percent(body.base) if body.base else None,
                url=body.head.url or "",
            ),
        )
    )


def _percent(commit: _Commit) -> float | None:
    """Null after an upload that failed. Raises Untranslatable."""
    told = commit.totals.coverage if commit.totals else None
    if told is None or told == "":
        return None
    try:
        percent = float(told)
    except ValueError:
        raise Untranslatable(f"coverage: {str(told)[:40]!r} is no number") from None
    if not math.isfinite(percent):
        raise Untranslatable("coverage is not finite")
    return percent


def _number(pull: _Pull | None) -> int | None:
    text = str(pull.number) if pull and pull.number is not None else ""
    number = int(text) if text.isascii() and text.isdecimal() and len(text) < 11 else None
    return number if number is None or number <= NUMBER_MAX else None
