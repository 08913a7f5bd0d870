"""Deployments as platforms report them; what counts as production is asked of the catalog by the consumer."""

from collections.abc import Mapping

import msgspec

from shared.contracts.events.base import Event


class Gate(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A deployment that waits for our answer. `callback_url` came from outside: compared, never requested."""

    run_id: str
    callback_url: str
    installation_id: str = ""
    changes: tuple[int, ...] = ()


class Deployment(Event, frozen=True, kw_only=True):
    """`deployment_id` is the platform's; unique together with source and repository.

    What deploys an application and not a repository names it in `service_name`; its `repository` may be empty.
    `config_only`: what runs changed, the code did not. `commits` and `changes`: what the sender says it carries.
    Of several repositories, `revisions` maps each other one to its commit, and `other_changes` are theirs
    (`owner/name#12`).
    """

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
    service_name: str = ""
    images: tuple[str, ...] = ()
    rollback: bool = False
    config_only: bool = False
    commits: tuple[str, ...] = ()
    changes: tuple[int, ...] = ()
    revisions: Mapping[str, str] = {}
    other_changes: tuple[str, ...] = ()


class DeploymentRequested(Deployment, frozen=True, kw_only=True, tag="deployment.requested"):
    gate: Gate | None = None


class DeploymentReviewed(Event, frozen=True, kw_only=True, tag="deployment.reviewed"):
    """Somebody answered at the platform itself for deployments of a run; `environments` empty: it doesn't say which."""

    repository: str
    run_id: str
    state: str  # approved, rejected
    reviewer: str
    environments: tuple[str, ...] = ()
    comment: str = ""
    url: str = ""


class DeploymentStarted(Deployment, frozen=True, kw_only=True, tag="deployment.started"): ...


class DeploymentFinished(Deployment, frozen=True, kw_only=True, tag="deployment.finished"):
    outcome: str  # succeeded, failed, cancelled, skipped, unknown
    platform_outcome: str = ""
