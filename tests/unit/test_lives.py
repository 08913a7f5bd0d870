"""Whatever happens to an approval in whatever order: one end, one effect, and an audit that tells it all again."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from approvals_svc.audit import SYSTEM, Actor, Chain, genesis
from approvals_svc.decision import (
    BreakGlass,
    Cancel,
    CastVote,
    ClaimEffect,
    Command,
    ConfirmEffect,
    Edit,
    Escalate,
    Expire,
    FailEffect,
    GiveUpEffect,
    Lapse,
    LetThrough,
    Remind,
    Revoke,
    Supersede,
    Thaw,
    Vote,
    allows,
)
from approvals_svc.eligibility import Account
from approvals_svc.freeze import Freeze, Period
from approvals_svc.model import Approval, Subject
from approvals_svc.policy import Facts, Requirement, Terms
from approvals_svc.quorum import All, Seats
from approvals_svc.replay import as_stored, told
from approvals_svc.tasks import GithubGate
from approvals_svc.transition import Draft
from shared.catalog import Catalog, Person
from shared.contracts.subjects import Subjects

START = datetime(2026, 5, 1, 12, tzinfo=UTC)
PEOPLE = ("ana", "bo", "cy", "di")
CATALOG = Catalog(people=tuple(Person(name=name, github=(f"{name}-k",)) for name in PEOPLE))
SUBJECTS = Subjects("test")
FROZEN = Freeze(name="noon", zone="UTC", window=Period(start=datetime(2026, 5, 1, 14), end=datetime(2026, 5, 1, 15)))
ENDS = {"rejected", "expired", "cancelled", "superseded", "executed", "dead", "revoked"}

person = st.sampled_from([*PEOPLE, ""])
commands: st.SearchStrategy[Command] = st.one_of(
    st.builds(
        lambda who, verb, reason, revision: CastVote(
            vote=Vote(person=who, verb=verb, reason=reason), revision=revision
        ),
        person,
        st.sampled_from(["approve", "approve", "approve", "reject"]),
        st.sampled_from(["", "why not"]),
        st.sampled_from([None, 1, 2]),
    ),
    st.builds(Edit, person=person),
    st.builds(BreakGlass, person=person, obstacle=st.sampled_from(["no", "no", ""])),
    st.builds(Cancel, person=person, by_right=st.booleans()),
    st.builds(LetThrough, revision=st.sampled_from([1, 2])),
    st.builds(Revoke, person=person, by_right=st.booleans()),
    st.sampled_from(
        [
            *(Lapse(), Supersede(), Remind(), Escalate(), Expire(), Thaw()),
            *(ClaimEffect(), ClaimEffect(), ConfirmEffect(), FailEffect(), GiveUpEffect()),
        ]
    ),
)
terms = st.builds(
    Terms,
    requires=st.sampled_from([Seats(), Seats(count=2), All((Seats(group="a", people=("bo", "cy")), Seats(group="b")))]),
    distinct_groups=st.booleans(),
    rejects=st.integers(1, 2),
    reason_required=st.booleans(),
    expires_after_s=st.just(4 * 3600),
    on_expire=st.sampled_from(["reject", "escalate", "approve"]),
    escalate_to=st.just(Seats(group="cto", people=("di",))),
)


def asked(requirement: Requirement, action: str) -> Approval:
    public_id = "00000000-0000-0000-0000-000000000007"
    return Approval(
        id=7,
        public_id=public_id,
        subject=Subject(
            source="github",
            action=action,
            subject="checkout",
            service="checkout",
            environment="production",
            repository="acme/checkout",
            sha="c0ffee",
            url="",
            requested_by="ana-k",
            involved=(Account(role="requester", platform="github", name="ana-k"),),
            payload={"run_id": "1", "installation_id": "2", "label": "old"},
            facts=Facts(action=action),
        ),
        requirement=requirement,
        content_hash="",
        origin="live",
        revision=1,
        version=0,
        status="pending",
        created_at=START,
        expires_at=START + timedelta(hours=4),
        audit_head=genesis(public_id),
    )


class Life:
    """An approval as its row would be after each transaction, with everything that was ever written of it."""

    def __init__(self, requirement: Requirement, action: str) -> None:
        self.approval = asked(requirement, action)
        self.entries: list[Any] = []
        self.added: list[tuple[int, str]] = []
        draft = self._draft(START)
        draft.open(Actor(person="", identity="ana-k", surface="github"))
        self._write(draft)

    def do(self, command: Command, now: datetime) -> None:
        draft = self._draft(now)
        patch = {"label": "new"} if isinstance(command, Edit) and self.approval.subject.action == "label" else None
        draft.do(command, _actor(command), {"effect": "github_gate"}, patch=patch)
        self._write(draft)

    def _draft(self, now: datetime) -> Draft:
        return Draft(self.approval, catalog=CATALOG, subjects=SUBJECTS, now=now)

    def _write(self, draft: Draft) -> None:
        if not self.approval.decision:  # afterwards the row is changed, never a second one added
            gates = [task for task in draft.effects if isinstance(task, GithubGate)]
            self.added += [(draft.approval.revision, task.state) for task in gates]
        self.approval = draft.approval
        self.entries += draft.entries


def _actor(command: Command) -> Actor:
    who = command.vote.person if isinstance(command, CastVote) else getattr(command, "person", "")
    return Actor(person=who, identity=who, surface="api") if who else SYSTEM


@given(
    st.sampled_from(["require", "require", "require", "auto", "deny"]),
    terms,
    st.booleans(),
    st.booleans(),
    st.sampled_from(["deploy", "label"]),
    st.lists(st.tuples(commands, st.integers(0, 90)), max_size=25),
)
def test_law_7_any_interleaving_ends_once_and_its_audit_tells_it_again(
    outcome: Any, terms: Terms, freezes: bool, asks_opa: bool, action: str, steps: Sequence[tuple[Command, int]]
) -> None:
    requirement = Requirement(
        rule="r",
        version=1,
        outcome=outcome,
        terms=terms,
        freezes=(FROZEN,) if freezes else (),
        asks_opa=asks_opa,
    )
    life, now, was_ended = Life(requirement, action), START, ""
    for command, minutes in steps:
        now += timedelta(minutes=minutes)
        life.do(command, now)
        approval = life.approval
        assert not was_ended or approval.status == was_ended
        was_ended = approval.status if approval.status in ENDS else ""
        assert (approval.status == "pending") == (not approval.decision)
        assert not {vote.person for vote in approval.votes} & {"ana", ""}
        assert told(life.entries) == as_stored(approval)
    assert [entry.verb for entry in life.entries].count("decided") <= 1
    assert len(life.added) == len({revision for revision, _ in life.added}) <= (action == "deploy")
    assert first_bad(life) == ""
    is_allowed = allows(life.approval.status, life.approval.decision) and not life.approval.broken_by
    if is_allowed and outcome == "require" and not asks_opa and terms.on_expire != "approve":
        approving = {vote.person for vote in life.approval.votes if vote.verb == "approve"}
        assert len(approving) >= (2 if terms.requires == Seats(count=2) or terms.distinct_groups else 1) or (
            terms.requires == Seats() and approving
        )


def first_bad(life: Life) -> str:
    chain, approval = Chain(life.approval.public_id), life.approval
    for entry in life.entries:
        texts = {name: msgspec.json.encode(getattr(entry, name)).decode() for name in ("actor", "detail")}
        if problem := chain.take({**msgspec.structs.asdict(entry), **texts}):
            return problem
    return chain.end(seq=approval.audit_seq, head=approval.audit_head, status=approval.status)


def test_patch_changes_the_content_and_makes_its_editor_a_requester() -> None:
    life = Life(Requirement(rule="r", version=1, terms=Terms(requires=Seats(count=2))), "label")
    life.do(CastVote(vote=Vote(person="cy", verb="approve")), START)

    life.do(Edit(person="bo"), START)
    life.do(CastVote(vote=Vote(person="bo", verb="approve")), START)

    approval = life.approval
    assert (approval.revision, approval.votes, approval.subject.payload["label"]) == (2, (), "new")
    assert approval.content_hash
    assert life.entries[-1].detail.get("new_label") == "new"


def test_glass_that_nobody_breaks_stays_whole() -> None:
    life = Life(Requirement(rule="r", version=1), "deploy")

    life.do(BreakGlass(person=""), START)

    assert (life.approval.status, life.added) == ("pending", [])


def test_revoked_yes_tells_the_gate_no() -> None:
    life = Life(Requirement(rule="r", version=1), "deploy")
    life.do(CastVote(vote=Vote(person="bo", verb="approve")), START)
    draft = Draft(life.approval, catalog=CATALOG, subjects=SUBJECTS, now=START)

    draft.do(Revoke(person="bo"), SYSTEM)

    assert life.added == [(1, "approved")]
    [task] = draft.effects
    assert isinstance(task, GithubGate)
    assert task.state == "rejected"
    assert "revoked before it was carried out" in task.comment
    assert msgspec.structs.asdict(draft.approval)["decision"] == "approved"
