"""How a past decision went, and what may be said of a few of them."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from approvals_svc.document import Document
from approvals_svc.precedents import Aftermath, Ending, ending, note, shared_facts, summary, wilson
from shared.contracts.events import Precedent

WINDOW = timedelta(hours=24)
FINISHED = datetime(2026, 5, 1, 12, tzinfo=UTC)


def after(hours: float) -> datetime:
    return FINISHED + timedelta(hours=hours)


def deployment(**changed: Any) -> dict[str, Any]:
    own = {"deployment_id": "d1", "sha": "c0ffee0" + "0" * 33, "ref": "main", "rollback": False}
    return {**own, "outcome": "succeeded", "finished_at": FINISHED, **changed}


def following(hours: float, **changed: Any) -> dict[str, Any]:
    return deployment(**{"deployment_id": "d2", "sha": "later", "finished_at": after(hours), **changed})


def incident(hours: float, recovered: float | None = None, **changed: Any) -> dict[str, Any]:
    end = None if recovered is None else after(recovered)
    return {"incident_id": "I1", "caused_by": "", "opened_at": after(hours), "recovered_at": end, **changed}


def went(hours: float = 48, *, decision: str = "approved", **known: Any) -> Ending:
    known.setdefault("deployment", deployment())
    return ending(decision, Aftermath(**known), window=WINDOW, as_of=after(hours))


def test_nothing_is_known_before_it_is_deployed_or_the_window_closed() -> None:
    assert went(deployment=None).outcome == "unknown"
    assert went(deployment=deployment(outcome="cancelled")).outcome == "unknown"
    assert went(hours=23.9).outcome == "unknown"
    assert went(hours=24).outcome == "healthy"


@pytest.mark.parametrize("decision", ["rejected", "expired"])
def test_what_was_not_let_through_did_not_ship(decision: str) -> None:
    assert went(decision=decision).outcome == "not_shipped"


@pytest.mark.parametrize(
    ("known", "outcome", "because"),
    [
        ({"deployment": deployment(outcome="failed")}, "failed", ("deployment d1",)),
        ({"incidents": [incident(1)]}, "incident", ("incident I1",)),
        ({"following": [following(1, rollback=True)]}, "rolled_back", ("deployment d2",)),
        ({"following": [following(1, sha="before")], "before": "before"}, "rolled_back", ("deployment d2",)),
        ({"following": [following(1, ref="hotfix/x")]}, "hotfixed", ("deployment d2",)),
        ({"following": [following(1)]}, "healthy", ("deployment d1",)),
        ({"following": [following(1)], "incidents": [incident(2)]}, "healthy", ("deployment d1",)),
        ({"following": [following(1)], "incidents": [incident(2, caused_by="d1")]}, "incident", ("incident I1",)),
        ({"following": [following(1)], "incidents": [incident(2, caused_by="C0FFEE0")]}, "incident", ("incident I1",)),
        ({"incidents": [incident(2, caused_by="d7")]}, "healthy", ("deployment d1",)),
        (
            {"following": [following(2, rollback=True)], "incidents": [incident(1)]},
            "rolled_back",
            ("deployment d2", "incident I1"),
        ),
    ],
    ids=[
        *("failed", "incident", "told rollback", "back to what ran", "hotfix", "another", "incident of another"),
        *("caused by id", "caused by commit", "caused by another", "incident and rollback"),
    ],
)
def test_outcome_follows_from_what_came_after(known: dict[str, Any], outcome: str, because: tuple[str, ...]) -> None:
    found = went(**known)

    assert (found.outcome, found.because) == (outcome, because)


def test_what_is_bad_is_known_before_the_window_closes() -> None:
    assert went(hours=2, incidents=[incident(1)]).outcome == "incident"


def test_recovery_is_told_once_all_of_it_is_over() -> None:
    assert went(incidents=[incident(1, 1.5), incident(1, 3)]).recovery_s == 7200
    assert went(incidents=[incident(1, 1.5), incident(1)]).recovery_s is None


def test_shared_facts_are_named() -> None:
    one = Document(title="a", service="checkout", labels=("payments", "x"), paths=("src/charge",), hour="night")
    other = Document(title="b", service="checkout", labels=("payments",), paths=("src/charge", "b"), hour="night")

    assert shared_facts(one, other) == ("service checkout", "label payments", "path src/charge")


def test_under_five_comparable_none_are_shown_and_it_is_said() -> None:
    assert note(5) == ""
    assert "only 4 comparable" in note(4)
    assert "no comparable" in note(0)


def past(outcome: str) -> Precedent:
    return Precedent(
        approval_id=1, subject="x", similarity=0.5, decision="approved", decided_at=FINISHED, outcome=outcome
    )


def test_no_rate_is_made_of_fewer_than_five_whose_end_is_known() -> None:
    four = summary([past("healthy")] * 3 + [past("failed"), past("unknown")])
    five = summary([past("healthy")] * 4 + [past("failed")])

    assert four == {"n": 5, "known": 4, "healthy": 3, "failed": 1}
    assert (five["healthy_rate"], five["interval"]) == (0.8, (0.376, 0.964))


def test_interval_stays_within_zero_and_one() -> None:
    assert wilson(5, 5)[1] == 1.0
    assert wilson(0, 5)[0] == 0.0
