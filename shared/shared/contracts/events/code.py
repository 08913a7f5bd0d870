"""Commits, builds and releases."""

import msgspec

from shared.contracts.events.base import Event, Instant


class Commit(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """`authored_at` is the author's clock and zone. `files` it touches; None where nothing says which, or too many."""

    sha: str
    authored_at: Instant
    author: str = ""
    message: str = ""
    files: tuple[str, ...] | None = None


class CommitsPushed(Event, frozen=True, kw_only=True, tag="commits.pushed"):
    """A push: `commits` in the order of the branch, oldest first; `branch` is empty for a tag."""

    repository: str
    ref: str
    branch: str
    before: str
    after: str
    default_branch: str = ""
    forced: bool = False
    actor: str = ""
    commits: tuple[Commit, ...] = ()


class Build(Event, frozen=True, kw_only=True):
    """A CI run; `job` is set when it is one job of a run and not a build of its own."""

    repository: str
    build_id: str
    attempt: int = 1
    name: str = ""
    job: str = ""
    branch: str = ""
    sha: str = ""
    actor: str = ""
    started_at: Instant | None = None
    url: str = ""


class BuildStarted(Build, frozen=True, kw_only=True, tag="build.started"): ...


class BuildFinished(Build, frozen=True, kw_only=True, tag="build.finished"):
    outcome: str
    platform_outcome: str = ""


class ReleasePublished(Event, frozen=True, kw_only=True, tag="release.published"):
    repository: str
    tag: str
    name: str = ""
    target: str = ""
    prerelease: bool = False
    author: str = ""
    url: str = ""
