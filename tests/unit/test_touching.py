"""Files that a commit of a push touches."""

from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest

from normalizer.touching import FILES_MAX, PUSH_BYTES_MAX, Touching, bounded
from shared.contracts.events.code import Commit


@pytest.mark.parametrize(
    ("commit", "files"),
    [
        ({}, None),
        ({"added": None, "modified": None, "removed": None}, None),
        ({"added": [], "modified": [], "removed": []}, ()),
        ({"added": ["b"], "modified": ["a", "b"], "removed": ["c", None, ""]}, ("a", "b", "c")),
        ({"modified": [str(n) for n in range(FILES_MAX + 1)]}, None),
    ],
    ids=["not listed", "null", "empty", "all lists", "too many"],
)
def test_files_are_those_of_all_lists(commit: dict[str, Any], files: tuple[str, ...] | None) -> None:
    assert msgspec.convert(commit, Touching).files() == files


@pytest.mark.parametrize(("length", "known"), [(PUSH_BYTES_MAX // 2, True), (PUSH_BYTES_MAX // 2 + 1, False)])
def test_a_push_that_touches_too_much_names_no_files(length: int, known: bool) -> None:
    commits = [Commit(sha=sha, authored_at=datetime(2026, 3, 2, tzinfo=UTC), files=(sha * length,)) for sha in "ab"]

    assert [commit.files is not None for commit in bounded(commits)] == [known, known]
