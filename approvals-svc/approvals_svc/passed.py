"""What went on at a platform without us. Pure: events in, what waits no more and why out."""

from collections.abc import Sequence
from datetime import datetime
from typing import TypeAlias

import msgspec

from approvals_svc import github_gate, gitlab_gate
from approvals_svc.gate_rules import change_reference, deployment_reference, run_reference
from approvals_svc.plain import plain
from shared.contracts.events import BuildFinished, ChangeClosed, ChangeMerged, DeploymentFinished, DeploymentStarted

TEXT_MAX_CHARACTERS = 255

Passing: TypeAlias = BuildFinished | DeploymentStarted | DeploymentFinished | ChangeMerged | ChangeClosed


class Passed(msgspec.Struct, frozen=True, kw_only=True):
    """From `at` on nothing of `reference` waits. `actor` is an account there."""

    source: str
    repository: str
    reference: str
    at: datetime
    actor: str
    cause: str


def passed(events: Sequence[Passing]) -> list[Passed]:
    """A job of a run ends none; a deployment that begins was let through, by whomever."""
    return [found for event in events if (found := _passed(event))]


def _passed(event: Passing) -> Passed | None:
    match event:
        case ChangeMerged() | ChangeClosed() if event.source != gitlab_gate.SOURCE:
            return None
        case ChangeMerged():
            return _of(event, change_reference(event.number), "it was merged without an answer from here")
        case ChangeClosed():
            return _of(event, change_reference(event.number), "the merge request is closed")
        case BuildFinished() if event.job or event.source != github_gate.SOURCE:
            return None
        case BuildFinished():
            return _of(event, run_reference(event.build_id), f"its run is over: {event.platform_outcome}")
        case DeploymentStarted():
            return _of(event, deployment_reference(event.deployment_id), "it went ahead without an answer from here")
        case DeploymentFinished():
            cause = f"the deployment is over: {event.platform_outcome or event.outcome}"
            return _of(event, deployment_reference(event.deployment_id), cause)


def _of(event: Passing, reference: str, cause: str) -> Passed:
    def text(value: str) -> str:
        return plain(value, characters_max=TEXT_MAX_CHARACTERS)

    return Passed(
        source=event.source,
        repository=text(event.repository),
        reference=text(reference),
        at=event.occurred_at,
        actor=text(event.actor),
        cause=text(cause),
    )
