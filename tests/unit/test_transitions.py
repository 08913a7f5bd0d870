"""Per kind and transition: what happens in Slack."""

import pytest

from notifier.living import ThingKind
from notifier.transitions import ANY, TABLE, Does, row


@pytest.mark.parametrize(
    ("kind", "before", "after", "does"),
    [
        ("deployment", "", "started", ("post",)),
        ("deployment", "", "failed", ("post",)),
        ("deployment", "started", "succeeded", ("edit",)),
        ("deployment", "started", "failed", ("edit", "note", "mention")),
        ("deployment", "failed", "succeeded", ("edit",)),
        ("incident", "", "open", ("post",)),
        ("incident", "open", "acknowledged", ("edit",)),
        ("incident", "acknowledged", "resolved", ("edit", "note")),
        ("incident", "resolved", "open", ("edit", "note")),
        ("approval", "", "pending", ("dm",)),
        ("approval", "", "auto_approved", ("post", "dm")),
        ("approval", "pending", "reminded", ("edit", "note", "mention")),
        ("approval", "pending", "escalated", ("edit", "dm")),
        ("approval", "pending", "approved", ("edit", "dm")),
        ("approval", "pending", "expired", ("edit", "dm")),
        ("approval", "pending", "superseded", ("edit",)),
        ("approval", "approved", "executed", ("edit",)),
        ("approval", "approved", "dead", ("edit", "note", "dm")),
        ("nudge", "", "told", ("post",)),
        ("summary", "", "told", ("post",)),
    ],
)
def test_each_transition_does_this(kind: ThingKind, before: str, after: str, does: tuple[Does, ...]) -> None:
    found = row(kind, before, after)

    assert found is not None
    assert found.does == does


def test_no_transition_does_nothing() -> None:
    assert row("incident", "open", "open") is None


def test_every_row_can_be_reached() -> None:
    states = {"started", "open", "acknowledged"} | {each for r in TABLE for each in (r.before, r.after)} - {ANY}

    reached = {row(r.kind, before, after) for r in TABLE for before in states for after in states - {""}}

    assert set(TABLE) <= reached
