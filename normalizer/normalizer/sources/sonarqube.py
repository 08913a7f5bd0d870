"""SonarQube: what the quality gate says of an analysis."""

from typing import Any

import msgspec

from normalizer.bodies import moment, read
from normalizer.disposition import Disposition, Events, Ignored
from normalizer.times import Spelling
from normalizer.words import sha_of
from shared.contracts.envelope import RawDelivery
from shared.contracts.events import Condition, QualityReported

GATES = {"OK": "passed", "WARN": "warning", "ERROR": "failed"}
NO_GATE = "none"
PULL_REQUEST = "PULL_REQUEST"
COVERAGE = "coverage"


class _Project(msgspec.Struct):
    key: str | None = None
    name: str | None = None
    url: str | None = None


class _Branch(msgspec.Struct):
    name: str | None = None
    type: str | None = None
    url: str | None = None


class _Condition(msgspec.Struct):
    metric: str
    status: str | None = None
    value: str | None = None
    errorThreshold: str | None = None  # noqa: N815  # SonarQube's spelling


class _Gate(msgspec.Struct):
    status: str | None = None
    conditions: list[_Condition] | None = None


class _Body(msgspec.Struct):
    project: _Project
    status: str | None = None
    branch: _Branch | None = None
    revision: str | None = None
    analysedAt: Spelling = None  # noqa: N815
    changedAt: Spelling = None  # noqa: N815
    qualityGate: _Gate | None = None  # noqa: N815


class _Head(msgspec.Struct):
    project: Any = None


def translate(delivery: RawDelivery) -> Disposition:
    """An analysis that failed has no gate, and may tell neither its commit nor when it was. Raises Untranslatable."""
    if read(delivery.body, _Head).project is None:
        return Ignored("unknown_event")
    body = read(delivery.body, _Body)
    gate = body.qualityGate or _Gate()
    branch = body.branch or _Branch()
    at = moment("changedAt", body.changedAt) or moment("analysedAt", body.analysedAt)
    conditions = sorted(gate.conditions or (), key=lambda each: each.metric)  # their order means nothing
    is_change = branch.type == PULL_REQUEST
    return Events(
        (
            QualityReported(
                occurred_at=at or delivery.received_at,
                time_is_received=at is None,
                project=body.project.key or body.project.name or "",
                branch="" if is_change else branch.name or "",
                sha=sha_of(body.revision),
                number=_number(branch.name) if is_change else None,
                coverage=_coverage(conditions),
                gate=GATES.get(gate.status or "", NO_GATE),
                conditions=tuple(
                    Condition(
                        metric=each.metric,
                        status=GATES.get(each.status or "", NO_GATE),
                        value=each.value or "",
                        threshold=each.errorThreshold or "",
                    )
                    for each in conditions
                ),
                url=branch.url or body.project.url or "",
            ),
        )
    )


def _coverage(conditions: list[_Condition]) -> float | None:
    told = next((each.value for each in conditions if each.metric == COVERAGE and each.value), "")
    try:
        percent = float(told)
    except ValueError:
        return None
    return percent if 0 <= percent <= 100 else None


def _number(name: str | None) -> int | None:
    text = name or ""
    return int(text) if text.isascii() and text.isdecimal() and len(text) < 10 else None
