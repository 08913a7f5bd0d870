"""How one change moved, told from its facts: who reviewed first, what was approved, how often it came back."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import msgspec
import pytest

from metrics_svc.change_flow import ChangeFlow, Push, Review, Told, flows_of, review_rounds
from shared.catalog import Catalog
from shared.catalog.changes import ticket_of
from tests.shipping import CATALOG, at, of_checkout


def review(hours: float, state: str = "commented", *, by: str = "ben", name: str = "", kind: str = "human") -> Review:
    return Review(id=name or f"r{hours}", at=at(hours), author=by, author_kind=kind, state=state)


def comment(hours: float, *, by: str = "ben", kind: str = "human") -> Review:
    return review(hours, by=by, name=f"comment {hours}", kind=kind)


def push(hours: float, *, by: str = "ana", trailers: Sequence[str] = ()) -> Push:
    return Push(at=at(hours), author=by, trailers=trailers)


def flow(*, catalog: Catalog = CATALOG, **fields: Any) -> ChangeFlow:
    """Of a change that was opened at 0 and is open still."""
    told: dict[str, Any] = {
        "id": "github:acme/checkout:7",
        "repository": "acme/checkout",
        "title": "Totals",
        "author": "ana",
        "author_kind": "human",
        "draft": False,
        "head_ref": "feature/totals",
        "labels": (),
        "opened_at": at(0),
        "ready_at": None,
        "merged_at": None,
        "ended_at": None,
        "additions": 40,
        "deletions": 2,
        "merge_trailers": (),
        "reviews": (),
        "pushes": (),
    }
    [flow] = flows_of(Told(**{**told, **fields}), catalog)
    return flow


# ---- the first reviewer ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("reviews", "expected"),
    [
        ([], None),
        ([review(2), review(1)], 1),
        ([comment(1), review(2)], 1),
        ([review(1, by="ana"), comment(1, by="Ana"), review(2)], 2),
        ([review(1, by="lint[bot]"), comment(1, by="helper", kind="bot"), review(2)], 2),
        ([review(1, by="deploy-robot"), review(2)], 2),
        ([review(1, by="our-agent"), review(2)], 2),
        ([review(-1), review(2)], 2),
        ([review(9), review(8)], None),
        ([review(5)], 5),
        ([review(1, by="")], 1),
        ([comment(1, by=""), review(2)], 2),
    ],
    ids=[
        *("nobody", "the earliest", "a comment counts", "not the author", "no bot", "no bot of the catalog"),
        *("no agent of the catalog", "not before it was opened", "not after it ended", "at its end"),
        *("a review without a name is not the author's", "a comment without a name may be the author's"),
    ],
)
def test_first_review_is_by_another_human_while_the_change_is_open(
    reviews: Sequence[Review], expected: float | None
) -> None:
    catalog = msgspec.structs.replace(CATALOG, bots=("deploy-robot",), ai_agents=("our-agent",))

    found = flow(catalog=catalog, reviews=reviews, ended_at=at(5), merged_at=at(5))

    assert found.first_review_at == (None if expected is None else at(expected))


# ---- approval ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("reviews", "expected"),
    [
        ([review(1), review(2, "changes_requested")], None),
        ([review(1, "approved"), review(3, "approved", by="cleo")], 3),
        ([review(1, "approved"), review(2, "dismissed")], None),
        ([review(1, "approved"), review(2, "dismissed"), review(3, "approved")], 3),
        ([review(1, "approved", by="cleo"), review(2, "approved"), review(3, "dismissed")], 1),
        ([review(1, "approved"), review(3, "changes_requested", by="cleo")], 1),
        ([review(1, "approved", by="ana"), review(1, "approved", by="lint[bot]")], None),
        ([review(1, "approved"), review(6, "approved", by="cleo")], 1),
    ],
    ids=[
        *("none", "the last of two", "taken back", "given again", "another's stands", "another asks for changes"),
        *("neither the author's nor a bot's", "not after the merge"),
    ],
)
def test_approval_is_the_last_one_that_was_not_taken_back(reviews: Sequence[Review], expected: float | None) -> None:
    found = flow(reviews=reviews, ended_at=at(5), merged_at=at(5))

    assert found.approved_at == (None if expected is None else at(expected))


# ---- ready, and in whose hands -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({}, at(0)),
        ({"ready_at": at(3)}, at(3)),
        ({"draft": True}, None),
        ({"draft": True, "ready_at": at(3)}, None),
        ({"opened_at": None}, None),
    ],
    ids=["since it was opened", "since it was no draft", "a draft", "a draft again", "nobody told when"],
)
def test_change_is_ready_while_it_is_no_draft(fields: dict[str, Any], expected: datetime | None) -> None:
    assert flow(**fields).ready_at == expected


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({}, 0),
        ({"pushes": [push(2)]}, 2),
        ({"reviews": [comment(3, by="ana")]}, 3),
        ({"reviews": [comment(3, by="lint[bot]")], "pushes": [push(4, by="renovate[bot]"), push(1)]}, 1),
        ({"reviews": [review(2)], "pushes": [push(9)], "ended_at": at(5)}, 2),
        ({"author": "renovate[bot]", "author_kind": "bot"}, 0),
    ],
    ids=[
        *("its opening", "a push", "the author answers", "bots touch nothing", "what came after its end"),
        "whoever opened it",
    ],
)
def test_last_activity_is_the_last_human_touch_while_it_was_open(fields: dict[str, Any], expected: float) -> None:
    assert flow(**fields).last_activity_at == at(expected)


# ---- rounds, size, ticket, author --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("asked", "pushes", "rounds"),
    [
        ([], [1], 0),
        ([1], [], 1),
        ([1, 1.5], [2], 1),
        ([1, 3], [2], 2),
        ([1, 3], [0.5, 2, 2.5, 4], 2),
        ([1, 2], [3], 1),
        ([1, 2], [2], 2),
    ],
    ids=[
        *("none", "unanswered", "two ask before a push", "again after a push", "many pushes are one answer"),
        *("asked twice", "asked with the push that answers"),
    ],
)
def test_round_is_what_is_asked_before_the_next_push(
    asked: Sequence[float], pushes: Sequence[float], rounds: int
) -> None:
    reviews = [review(hours, "changes_requested") for hours in asked] + [review(0.1), review(9, "approved")]

    assert review_rounds(reviews, [at(hours) for hours in pushes]) == rounds


def test_what_the_author_or_a_bot_asks_for_is_no_round() -> None:
    asked = [review(1, "changes_requested", by=name) for name in ("ana", "lint[bot]")]

    assert flow(reviews=asked).review_rounds == 0


@pytest.mark.parametrize(
    ("additions", "deletions", "size"),
    [
        (0, 0, "XS"),
        (10, 0, "XS"),
        (6, 5, "S"),
        (100, 0, "S"),
        (100, 1, "M"),
        (400, 0, "M"),
        (0, 401, "L"),
        (1000, 0, "L"),
        (1000, 1, "XL"),
        (None, 3, ""),
        (3, None, ""),
    ],
)
def test_size_is_by_lines_changed_up_to_and_with_its_limit(
    additions: int | None, deletions: int | None, size: str
) -> None:
    found = flow(additions=additions, deletions=deletions)

    assert found.size == size
    assert found.lines == (None if additions is None or deletions is None else additions + deletions)


@pytest.mark.parametrize(
    ("title", "head_ref", "ticket"),
    [
        ("CHK-12: totals", "feature/x", "CHK-12"),
        ("Totals (CHK-12, CHK-13)", "CHK-1", "CHK-12"),
        ("Totals", "feature/CHK-12-totals", "CHK-12"),
        ("Totals", "feature/x", ""),
        ("Use xCHK-12 and utf-8", "chk-12", ""),
        ("P2-1", "", "P2-1"),
        ("Make A-1 the default", "", ""),
    ],
)
def test_ticket_is_the_first_key_of_the_title_else_of_the_branch(title: str, head_ref: str, ticket: str) -> None:
    assert ticket_of(title, head_ref, frozenset()) == ticket


@pytest.mark.parametrize(
    ("title", "ticket"),
    [
        ("Read UTF-8 and SHA-256 (CHK-12)", "CHK-12"),
        ("Read UTF-8", ""),
        ("SHOP-3 and CHK-12", "SHOP-3"),
        ("XCHK-12", ""),
    ],
)
def test_where_the_catalog_names_projects_only_their_keys_are_tickets(title: str, ticket: str) -> None:
    catalog = of_checkout(ticket_projects={"jira": ("CHK", "Shop")})

    assert flow(catalog=catalog, title=title).ticket == ticket


def test_who_wrote_it_is_told_by_the_trailers_of_its_commits_and_of_its_merge() -> None:
    signed = "Co-authored-by: Claude <noreply@anthropic.com>"

    for fields in ({"pushes": [push(1), push(2, trailers=[signed])]}, {"merge_trailers": [signed]}):
        found = flow(**fields)
        assert (found.author_class, found.evidence) == ("ai_assisted", (f"trailer: {signed}",))


def test_change_belongs_to_the_service_of_its_repository() -> None:
    assert flow().service == "checkout"
    assert flow(repository="acme/ledger").service == "ledger"
