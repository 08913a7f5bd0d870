"""What would ship, and what of it the policy may be told: unknown stays unknown. Pure."""

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from approvals_svc.facts import POSITIONS_PER_SECOND
from shared.catalog import Catalog
from shared.catalog.authorship import classify


class Commit(msgspec.Struct, frozen=True, kw_only=True):
    sha: str
    position: int
    title: str
    author: str
    trailers: tuple[str, ...]
    files: tuple[str, ...] | None
    push_before: str
    push_after: str

    @property
    def push(self) -> int:
        """A second has one push to a branch."""
        return self.position // POSITIONS_PER_SECOND


class Change(msgspec.Struct, frozen=True, kw_only=True):
    number: int
    title: str
    author: str
    author_kind: str
    head_ref: str
    head_sha: str
    merge_sha: str | None
    additions: int | None
    deletions: int | None
    labels: tuple[str, ...]
    url: str

    @property
    def lines(self) -> int | None:
        if self.additions is None or self.deletions is None:
            return None
        return self.additions + self.deletions


class Shipment(msgspec.Struct, frozen=True, kw_only=True):
    """`is_known`: pushes told of all that lies between `since` and what is asked; `is_cut`: more than we list.

    `is_back`: what is asked is older than what runs.
    """

    commits: tuple[Commit, ...] = ()
    changes: tuple[Change, ...] = ()
    since: str = ""
    is_known: bool = False
    is_cut: bool = False
    is_back: bool = False

    @property
    def direct(self) -> tuple[Commit, ...]:
        """Commits that no change brought: their push holds none of a change."""
        by_changes = self._pushes_of_changes.keys()
        return tuple(commit for commit in self.commits if commit.push not in by_changes)

    @property
    def _pushes_of_changes(self) -> Mapping[int, Change]:
        brought = {sha: change for change in self.changes for sha in (change.merge_sha, change.head_sha) if sha}
        return {commit.push: brought[commit.sha] for commit in self.commits if commit.sha in brought}

    def trailers_of(self, change: Change) -> list[str]:
        pushes = {push for push, each in self._pushes_of_changes.items() if each is change}
        return sorted({line for commit in self.commits if commit.push in pushes for line in commit.trailers})


class Told(msgspec.Struct, frozen=True, kw_only=True):
    """What the policy may be told of a shipment; "" and None: unknown. `labels_vary`: not all changes have the same."""

    author_class: str = ""
    labels: tuple[str, ...] | None = None
    labels_vary: bool = False
    size: int | None = None
    paths: tuple[str, ...] | None = None


def is_whole(base: Commit, commits: Sequence[Commit]) -> bool:
    """Whether no push is missing between the base and the newest of these, which come newest first.

    GitHub never sends a push again: of one that we didn't hear of, nobody knows what it brought. A push begins where
    the one before ended, and what a platform lists of it ends with its head.
    """
    listed = {commit.sha for commit in commits} | {base.sha}
    before = base
    for commit in reversed(commits):
        is_next_push = (commit.push, commit.push_after) != (before.push, before.push_after)
        if is_next_push and (commit.push_before != before.push_after or before.push_after not in listed):
            return False
        before = commit
    return True


def told(shipment: Shipment, catalog: Catalog) -> Told:
    """Of a part nothing is concluded; what goes back undoes what nobody lists here."""
    if not shipment.is_known or shipment.is_cut or shipment.is_back or not shipment.commits:
        return Told()
    classes = {author_class(change, shipment, catalog) for change in shipment.changes}
    classes |= {_class_of_commit(commit, catalog) for commit in shipment.direct}
    sizes = [change.lines for change in shipment.changes]
    labels = {change.labels for change in shipment.changes} | {() for _ in shipment.direct}
    files = [commit.files for commit in shipment.commits]
    return Told(
        author_class=classes.pop() if len(classes) == 1 else "",
        labels=tuple(sorted({label for each in labels for label in each})),
        labels_vary=len(labels) > 1,
        size=None if shipment.direct or None in sizes else sum(size or 0 for size in sizes),
        paths=_paths(files),
    )


def _paths(files: Sequence[tuple[str, ...] | None]) -> tuple[str, ...] | None:
    """None where a commit doesn't say, and where a path doesn't lead down from the repository's root."""
    paths = sorted({path for each in files for path in each or ()})
    is_unsafe = any({"", ".", ".."} & set(path.split("/")) for path in paths)
    return None if None in files or is_unsafe else tuple(paths)


def author_class(change: Change, shipment: Shipment, catalog: Catalog) -> str:
    return classify(
        author=change.author,
        author_kind=change.author_kind,
        labels=change.labels,
        head_ref=change.head_ref,
        trailers=shipment.trailers_of(change),
        bots=catalog.bots,
        ai_agents=catalog.ai_agents,
    ).author_class


def lines_of(shipment: Shipment) -> int | None:
    """All of it, where every part says how large it is."""
    sizes = [change.lines for change in shipment.changes]
    if not shipment.is_known or shipment.is_cut or shipment.direct or None in sizes:
        return None
    return sum(size or 0 for size in sizes)


def shipment_of(
    commits: Sequence[Mapping[str, Any]],
    changes: Sequence[Mapping[str, Any]],
    *,
    base: Commit | None,
    since: str,
    position: int | None,
    limit: int,
) -> Shipment:
    """Of rows, the commits newest first; what is above the limit is cut off. `position`: of what is asked."""
    known = msgspec.convert(commits, tuple[Commit, ...])
    return Shipment(
        commits=known[:limit],
        changes=msgspec.convert(changes, tuple[Change, ...]),
        since=since,
        is_known=base is not None and is_whole(base, known),
        is_cut=len(known) > limit,
        is_back=base is not None and position is not None and base.position > position,
    )


def _class_of_commit(commit: Commit, catalog: Catalog) -> str:
    return classify(
        author=commit.author,
        author_kind="human",
        labels=(),
        head_ref="",
        trailers=commit.trailers,
        bots=catalog.bots,
        ai_agents=catalog.ai_agents,
    ).author_class
