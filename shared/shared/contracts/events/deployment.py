"""Deployments as platforms report them; what counts as production is asked of the catalog by the consumer."""

import msgspec

from shared.contracts.events.base import Event


class Gate(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A deployment that waits for our answer. `callback_url` came from outside: compared, never requested."""

    run_id: str
    callback_url: str
    installation_id: str = ""
    changes: tuple[int, ...] = ()


class Deployment(Event, frozen=True, kw_only=True):
    """`deployment_id` is the platform's; unique together with source and repository."""

    repository: str
    deployment_id: str
    environment: str
    sha: str = ""
    ref: str = ""
    task: str = ""
    creator: str = ""
    actor: str = ""
    description: str = ""
    url: str = ""


class DeploymentRequested(Deployment, frozen=True, kw_only=True, tag="deployment.requested"):
    gate: Gate | None = None


class DeploymentStarted(Deployment, frozen=True, kw_only=True, tag="deployment.started"): ...


class DeploymentFinished(Deployment, frozen=True, kw_only=True, tag="deployment.finished"):
    outcome: str  # succeeded, failed, cancelled, skipped, unknown
    platform_outcome: str = ""
