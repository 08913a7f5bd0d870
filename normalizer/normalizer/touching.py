"""Which files a commit touches, as GitHub, GitLab and Gitea list them in a push."""

from collections.abc import Sequence

import msgspec

from shared.contracts.events.code import Commit

FILES_MAX = 1_000
PUSH_BYTES_MAX = 200_000  # all names of a push: an event must fit into a message


class Touching(msgspec.Struct, kw_only=True):
    """A commit of a push."""

    added: list[str | None] | None = None
    modified: list[str | None] | None = None
    removed: list[str | None] | None = None

    def files(self) -> tuple[str, ...] | None:
        """None where the platform lists none, or more than are worth keeping."""
        lists = [names for names in (self.added, self.modified, self.removed) if names is not None]
        files = {name for names in lists for name in names if name}
        return tuple(sorted(files)) if lists and len(files) <= FILES_MAX else None


def bounded(commits: Sequence[Commit]) -> tuple[Commit, ...]:
    """Of a push whose commits touch too much together, nobody knows the files."""
    names = sum(len(name.encode()) for commit in commits for name in commit.files or ())
    if names <= PUSH_BYTES_MAX:
        return tuple(commits)
    return tuple(msgspec.structs.replace(commit, files=None) for commit in commits)
