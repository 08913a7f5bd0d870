"""What the policy may be told of what ships: only what is known of all of it."""

from typing import Any

import msgspec
import pytest

from approvals_svc.policy import Conditions, Facts, obstacle
from approvals_svc.shipping import Change, Commit, Shipment, Told, is_whole, told
from shared.catalog import Catalog

CATALOG = Catalog(bots=("renovate",), ai_agents=("devin",))


def commit(name: str, push: int, **fields: Any) -> Commit:
    """A push of its own, after that of the number before."""
    values: dict[str, Any] = {
        "title": "Work",
        "author": "ana",
        "trailers": (),
        "files": ("src/a.py",),
        "push_before": f"p{push - 1}",
        "push_after": f"p{push}",
        **fields,
    }
    return Commit(sha=name, position=push * 10_000, **values)


def change(number: int, name: str, **fields: Any) -> Change:
    values: dict[str, Any] = {
        "title": "Change",
        "author": "ana",
        "author_kind": "human",
        "head_ref": "x",
        "head_sha": f"h{number}",
        "additions": 5,
        "deletions": 2,
        "labels": ("payments",),
        "url": "",
        **fields,
    }
    return Change(number=number, merge_sha=name, **values)


WHOLE = Shipment(
    commits=(commit("a", 1), commit("b", 2, files=("docs/b.md",))),
    changes=(change(1, "a"), change(2, "b")),
    since="z",
    is_known=True,
)


def but(**fields: Any) -> Told:
    return told(msgspec.structs.replace(WHOLE, **fields), CATALOG)


def test_policy_is_told_of_all_that_ships() -> None:
    assert told(WHOLE, CATALOG) == Told(
        author_class="human", labels=("payments",), size=14, paths=("docs/b.md", "src/a.py")
    )


@pytest.mark.parametrize(
    "fields",
    [{"is_known": False}, {"is_cut": True}, {"is_back": True}, {"commits": (), "changes": ()}],
    ids=["no base", "too many", "back", "nothing"],
)
def test_nothing_is_told_of_a_part(fields: dict[str, Any]) -> None:
    assert but(**fields) == Told()


def test_commit_that_no_change_brought_makes_the_size_unknown_and_has_no_labels() -> None:
    found = but(commits=(*WHOLE.commits, commit("c", 3)))

    assert (found.size, found.labels, found.labels_vary) == (None, ("payments",), True)


def test_two_classes_of_authors_are_no_class() -> None:
    assert but(changes=(change(1, "a"), change(2, "b", author="renovate"))).author_class == ""
    assert but(changes=tuple(change(n, name, author="renovate") for n, name in ((1, "a"), (2, "b")))).author_class == (
        "bot"
    )


def test_help_of_an_assistant_shows_in_a_commit_of_the_changes_push() -> None:
    signed = commit("c", 1, trailers=("Co-authored-by: Claude <noreply@anthropic.com>",))

    assert but(commits=(signed, *WHOLE.commits), changes=(change(1, "a"),)).author_class == ""
    assert told(
        Shipment(commits=(signed, commit("a", 1)), changes=(change(1, "a"),), is_known=True), CATALOG
    ).author_class == ("ai_assisted")


@pytest.mark.parametrize("files", [None, ("../etc/passwd",), ("src//a",)])
def test_paths_are_unknown_where_one_commit_does_not_say_or_lies(files: tuple[str, ...] | None) -> None:
    assert but(commits=(commit("a", 1), commit("b", 2, files=files))).paths is None


def test_change_without_numbers_makes_the_size_unknown() -> None:
    assert but(changes=(change(1, "a"), change(2, "b", additions=None))).size is None


def line(*pushes: tuple[int, str, str, str]) -> list[Commit]:
    """(second of the push, commit, head before, head) of each, as they are read: the newest first."""
    return [commit(sha, push, push_before=before, push_after=after) for push, sha, before, after in reversed(pushes)]


BASE = commit("a", 1, push_before="z", push_after="a")


@pytest.mark.parametrize(
    ("base", "pushes"),
    [
        (BASE, []),
        (BASE, [(2, "b", "a", "c"), (2, "c", "a", "c"), (3, "d", "c", "d")]),
        (commit("a", 1, push_after="b"), [(1, "b", "z", "b"), (2, "c", "b", "c")]),  # in the middle of its push
        (BASE, [(2, "b", "a", "c")]),  # the commit that is asked is not the last of its push
    ],
    ids=["nothing", "two pushes", "base inside a push", "asked inside a push"],
)
def test_line_of_pushes_is_whole(base: Commit, pushes: list[tuple[int, str, str, str]]) -> None:
    assert is_whole(base, line(*pushes))


@pytest.mark.parametrize(
    "pushes",
    [
        [(3, "c", "b", "c")],
        [(2, "b", "a", "b"), (4, "d", "c", "d")],
        [(2, "b", "", "b")],
        [(2, "b", "a", "c"), (3, "d", "c", "d")],
    ],
    ids=["the first is missing", "one between is missing", "no word of what was before", "its list was cut short"],
)
def test_line_with_a_gap_is_not_whole(pushes: list[tuple[int, str, str, str]]) -> None:
    assert not is_whole(BASE, line(*pushes))


def test_label_of_one_change_asks_for_more_but_never_for_less() -> None:
    facts = Facts(action="deploy", labels=("migration", "safe"), labels_vary=True)

    assert obstacle(Conditions(labels=("migration",)), facts, unknown_holds=True) == ""
    assert obstacle(Conditions(labels=("other",)), facts, unknown_holds=True) != ""
    assert "same labels" in obstacle(Conditions(labels=("safe",)), facts, unknown_holds=False)
