"""The state machine of an approval. Pure: state, command and the database's clock in, a transition or a no out.

`TABLE` is all of it: what it doesn't list is refused, and the table in docs/approvals.md is generated from it.
"""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Literal, NamedTuple, TypeAlias, get_args

import msgspec

from approvals_svc.eligibility import Cast, Electorate
from approvals_svc.freeze import Freeze, frozen_until
from approvals_svc.policy import Outcome, Terms
from approvals_svc.quorum import Seats
from approvals_svc.quorum import missing as missing_seats

Status = Literal[
    "pending",
    "auto_approved",
    "approved",
    "rejected",
    "expired",
    "cancelled",
    "superseded",
    "executing",
    "executed",
    "failed",
    "dead",
    "revoked",
]
STATUSES: tuple[Status, ...] = get_args(Status)
Verb = Literal["approve", "reject"]
RefusalReason = Literal[
    "decided", "superseded", "expired", "not_eligible", "reason_required", "not_due", "no_effect_due", "too_late"
]

OPENED: Mapping[Outcome, Status] = {"require": "pending", "auto": "auto_approved", "deny": "rejected"}
ALLOWING: frozenset[Status] = frozenset({"approved", "auto_approved"})


class Vote(msgspec.Struct, frozen=True, kw_only=True):
    person: str
    verb: Verb
    reason: str = ""
    slack_user: str = ""
    on_behalf_of: tuple[str, ...] = ()


class State(msgspec.Struct, frozen=True, kw_only=True):
    """`votes` holds at most one per person. `is_extended`: its time was up once, and it was escalated instead."""

    status: Status
    revision: int
    terms: Terms
    expires_at: datetime
    electorate: Electorate
    votes: tuple[Vote, ...] = ()
    freezes: tuple[Freeze, ...] = ()
    asks_opa: bool = False
    is_escalated: bool = False
    is_extended: bool = False


# ---- commands ------------------------------------------------------------------------------------------------------


class CastVote(msgspec.Struct, frozen=True, kw_only=True):
    """A vote. `revision` None: whichever is current (a typed command names none)."""

    vote: Vote
    revision: int | None = None


class Edit(msgspec.Struct, frozen=True, kw_only=True):
    """A typed edit: a new revision."""

    person: str
    revision: int | None = None


class Cancel(msgspec.Struct, frozen=True, kw_only=True):
    """Taken back. `by_right`: an admin, or the system because what asked is gone."""

    person: str = ""
    by_right: bool = False


class BreakGlass(msgspec.Struct, frozen=True, kw_only=True):
    """One person lets it through alone. `obstacle`: why the policy doesn't let them; "" where it does."""

    person: str
    obstacle: str = ""


class Lapse(msgspec.Struct, frozen=True):
    """What asked waits for no answer any more: its run is over, or it was answered at its platform."""


class Supersede(msgspec.Struct, frozen=True, kw_only=True):
    """The same was asked again with other content."""


class Remind(msgspec.Struct, frozen=True):
    """Part of the time is over."""


class Escalate(msgspec.Struct, frozen=True):
    """Most of the time is over."""


class Expire(msgspec.Struct, frozen=True):
    """The time is over."""


class Thaw(msgspec.Struct, frozen=True):
    """A freeze that held back a quorum ends."""


class LetThrough(msgspec.Struct, frozen=True, kw_only=True):
    """OPA allows what it was asked about: this revision."""

    revision: int


class Revoke(msgspec.Struct, frozen=True, kw_only=True):
    """A yes is taken back."""

    person: str = ""
    by_right: bool = False


class ClaimEffect(msgspec.Struct, frozen=True):
    """The effect is about to be carried out."""


class ConfirmEffect(msgspec.Struct, frozen=True):
    """The platform took our answer."""


class FailEffect(msgspec.Struct, frozen=True):
    """It may work later."""


class GiveUpEffect(msgspec.Struct, frozen=True):
    """It never will."""


Command: TypeAlias = (
    CastVote
    | Edit
    | Cancel
    | BreakGlass
    | Lapse
    | Supersede
    | Remind
    | Escalate
    | Expire
    | Thaw
    | LetThrough
    | Revoke
    | ClaimEffect
    | ConfirmEffect
    | FailEffect
    | GiveUpEffect
)

# ---- what comes of them --------------------------------------------------------------------------------------------


class Transition(msgspec.Struct, frozen=True, kw_only=True):
    """How it stands from now on. `recorded` is the vote to write; `thaw_at` when a freeze may let the quorum pass."""

    status: Status
    votes: tuple[Vote, ...]
    revision: int
    expires_at: datetime
    is_escalated: bool
    is_extended: bool
    recorded: Vote | None = None
    replaced: Vote | None = None
    thaw_at: datetime | None = None


class Replay(msgspec.Struct, frozen=True):
    """It is so already: the same answer, and nothing else happens."""


class Refusal(msgspec.Struct, frozen=True, kw_only=True):
    reason: RefusalReason
    detail: str


Decision: TypeAlias = Transition | Replay | Refusal


def decide(state: State, command: Command, now: datetime) -> Decision:
    row = next((row for row in TABLE if type(command) is row.command and state.status in row.before), None)
    if row is None:
        return Refusal(reason=_out_of_turn(command), detail=f"it is {state.status} already")
    found = row.rule(state, command, now)
    if isinstance(found, Transition) and found.status not in row.after:
        raise AssertionError(f"{row.name} leads from {state.status} to {found.status}, which the table does not allow")
    return found


def missing(state: State) -> tuple[Seats, ...]:
    """The seats that nobody has taken yet."""
    return _missing(state, state.votes)


def allows(status: Status, decision: str) -> bool:
    """Whether what was asked for may happen."""
    return decision in ALLOWING and status != "revoked"


def _out_of_turn(command: Command) -> RefusalReason:
    match command:
        case ClaimEffect() | ConfirmEffect() | FailEffect() | GiveUpEffect():
            return "no_effect_due"
        case Revoke():
            return "too_late"
        case _:
            return "decided"


# ---- while it is pending -------------------------------------------------------------------------------------------


def _vote(state: State, command: CastVote, now: datetime) -> Decision:
    vote = command.vote
    if refusal := _stale(state, command.revision, now):
        return refusal
    cast = _cast(state.votes)
    if obstacle := state.electorate.obstacle(vote.person, cast):
        return Refusal(reason="not_eligible", detail=obstacle)
    vote = msgspec.structs.replace(vote, on_behalf_of=state.electorate.behalf(vote.person, cast))
    before = next((each for each in state.votes if each.person == vote.person), None)
    if before and before.verb == vote.verb and {*vote.on_behalf_of} <= {*before.on_behalf_of}:
        return Replay()
    if vote.verb == "reject" and state.terms.reason_required and not vote.reason:
        return Refusal(reason="reason_required", detail="who declines has to say why")
    votes = (*(cast for cast in state.votes if cast.person != vote.person), vote)
    return _weigh(state, votes, now, recorded=vote, replaced=before)


def _weigh(state: State, votes: tuple[Vote, ...], now: datetime, **voted: Vote | None) -> Transition:
    """Votes count of people who may decide now, whatever was true when they voted."""
    if len(_people(state, votes, "reject")) >= state.terms.rejects:
        return _to(state, "rejected", votes=votes, **voted)
    if _missing(state, votes):
        return _to(state, "pending", votes=votes, **voted)
    if frozen := frozen_until(state.freezes, now):
        return _to(state, "pending", votes=votes, thaw_at=frozen[1], **voted)
    return _to(state, "approved", votes=votes, **voted)


def _edit(state: State, command: Edit, now: datetime) -> Decision:
    if refusal := _stale(state, command.revision, now):
        return refusal
    if command.person not in state.electorate.voters | state.electorate.requesters:
        return Refusal(reason="not_eligible", detail=state.electorate.obstacle(command.person))
    return _to(state, "pending", votes=(), revision=state.revision + 1)


def _cancel(state: State, command: Cancel, now: datetime) -> Decision:
    if not command.by_right and command.person not in state.electorate.requesters:
        return Refusal(reason="not_eligible", detail="only who asked for it may take it back")
    return _to(state, "cancelled")


def _break(state: State, command: BreakGlass, now: datetime) -> Decision:
    if refusal := _stale(state, None, now):
        return refusal
    if obstacle := command.obstacle or ("" if command.person else "nobody is named who breaks the glass"):
        return Refusal(reason="not_eligible", detail=obstacle)
    return _to(state, "approved")


def _lapse(state: State, command: Lapse, now: datetime) -> Decision:
    return _to(state, "cancelled")


def _supersede(state: State, command: Supersede, now: datetime) -> Decision:
    return _to(state, "superseded")


def _remind(state: State, command: Remind, now: datetime) -> Decision:
    return _to(state, "pending")


def _escalate(state: State, command: Escalate, now: datetime) -> Decision:
    return Replay() if state.is_escalated else _to(state, "pending", is_escalated=True)


def _expire(state: State, command: Expire, now: datetime) -> Decision:
    """A reject is no silence: where one stands, time alone approves nothing."""
    if now < state.expires_at:
        return Refusal(reason="not_due", detail="its time is not up")
    match state.terms.on_expire:
        case "escalate" if not state.is_extended:
            until = now + timedelta(seconds=state.terms.expires_after_s)
            return _to(state, "pending", is_escalated=True, is_extended=True, expires_at=until)
        case "approve" if not _people(state, state.votes, "reject") and not frozen_until(state.freezes, now):
            return _to(state, "approved")
        case _:
            return _to(state, "expired")


def _thaw(state: State, command: Thaw, now: datetime) -> Decision:
    if now >= state.expires_at:
        return Refusal(reason="expired", detail="its time was up before the freeze ended")
    found = _weigh(state, state.votes, now)
    return found if found.status != "pending" or found.thaw_at else Replay()


def _let_through(state: State, command: LetThrough, now: datetime) -> Decision:
    """Only where nobody objected meanwhile."""
    if not state.asks_opa:
        return Refusal(reason="not_eligible", detail="its rule doesn't let OPA decide")
    if refusal := _stale(state, command.revision, now):
        return refusal
    if _people(state, state.votes, "reject"):
        return Refusal(reason="not_eligible", detail="somebody declined it meanwhile")
    if frozen := frozen_until(state.freezes, now):
        return Refusal(reason="not_due", detail=f"frozen by {frozen[0]}")
    return _to(state, "auto_approved")


def _stale(state: State, revision: int | None, now: datetime) -> Refusal | None:
    if revision is not None and revision != state.revision:
        return Refusal(reason="superseded", detail=f"it is superseded by revision {state.revision}")
    if now >= state.expires_at:
        return Refusal(reason="expired", detail="its time was up before this vote")
    return None


def _missing(state: State, votes: tuple[Vote, ...]) -> tuple[Seats, ...]:
    terms, agreed = state.terms, _people(state, votes, "approve")
    members = state.electorate.seated(_cast(votes)).members
    return missing_seats(terms.requires, agreed, members, distinct=terms.distinct_groups)


def _people(state: State, votes: Sequence[Vote], verb: Verb) -> frozenset[str]:
    return frozenset(vote.person for vote in votes if vote.verb == verb) & state.electorate.seated(_cast(votes)).allowed


def _cast(votes: Sequence[Vote]) -> Cast:
    return {vote.person: vote.on_behalf_of for vote in votes}


# ---- once it is decided --------------------------------------------------------------------------------------------


def _revoke(state: State, command: Revoke, now: datetime) -> Decision:
    who = state.electorate
    if not command.by_right and command.person not in who.voters | who.requesters:
        return Refusal(reason="not_eligible", detail=who.obstacle(command.person))
    return _to(state, "revoked")


def _claim(state: State, command: ClaimEffect, now: datetime) -> Decision:
    return _to(state, "executing")


def _confirm(state: State, command: ConfirmEffect, now: datetime) -> Decision:
    return _to(state, "executed")


def _fail(state: State, command: FailEffect, now: datetime) -> Decision:
    return _to(state, "failed")


def _give_up(state: State, command: GiveUpEffect, now: datetime) -> Decision:
    return _to(state, "dead")


def _stay(state: State, command: Command, now: datetime) -> Decision:
    return _to(state, state.status)


def _unchanged(state: State, command: Command, now: datetime) -> Decision:
    return Replay()


def _to(state: State, status: Status, **changed: Any) -> Transition:
    stays = {name: getattr(state, name) for name in ("votes", "revision", "expires_at", "is_escalated", "is_extended")}
    return Transition(**{**stays, "status": status, **changed})


# ---- the table -----------------------------------------------------------------------------------------------------


class Row(NamedTuple):
    """From any of `before` the command leads to one of `after`, or is refused by the guard."""

    before: tuple[Status, ...]
    command: type
    after: tuple[Status, ...]
    guard: str
    rule: Callable[[State, Any, datetime], Decision]

    @property
    def name(self) -> str:
        return self.command.__name__


PENDING: tuple[Status, ...] = ("pending",)
YES: tuple[Status, ...] = ("approved", "auto_approved")
NO: tuple[Status, ...] = ("rejected", "expired", "cancelled", "revoked")

TABLE: tuple[Row, ...] = (
    Row(
        PENDING,
        CastVote,
        ("pending", "approved", "rejected"),
        "person eligible, not separated, revision current, time not up; the last seat approves unless a freeze holds; "
        "as many rejects as the rule asks for reject",
        _vote,
    ),
    Row(PENDING, Edit, PENDING, "requester or voter; the revision grows and its votes are void", _edit),
    Row(
        PENDING,
        BreakGlass,
        ("approved",),
        "person of the policy's break_glass group, with a reason, confirmed within 5 minutes; whatever votes, "
        "separation and freezes say; a review is opened",
        _break,
    ),
    Row(PENDING, Cancel, ("cancelled",), "requester, admin, or the system", _cancel),
    Row(PENDING, Lapse, ("cancelled",), "system: it is over, or answered, at its platform; nothing is told", _lapse),
    Row(PENDING, Supersede, ("superseded",), "the successor is another approval", _supersede),
    Row(PENDING, Remind, PENDING, "once", _remind),
    Row(PENDING, Escalate, PENDING, "once; the other group may take every seat", _escalate),
    Row(
        PENDING,
        Expire,
        ("expired", "approved", "pending"),
        "time is up by the database's clock; on_expire: reject, approve (no reject stands, no freeze), or escalate "
        "(once, with as much time again)",
        _expire,
    ),
    Row(PENDING, Thaw, ("pending", "approved", "rejected"), "the quorum is looked at again", _thaw),
    Row(
        PENDING,
        LetThrough,
        ("auto_approved",),
        "OPA, where the rule lets it; revision current, time not up, no reject stands, no freeze",
        _let_through,
    ),
    Row(YES, Revoke, ("revoked",), "voter, requester or admin, before the claim", _revoke),
    Row((*YES, "failed"), ClaimEffect, ("executing",), "by lease", _claim),
    Row(("executing",), ClaimEffect, ("executing",), "the lease of the claim before ran out", _unchanged),
    Row(("executing",), ConfirmEffect, ("executed",), "under the same lease", _confirm),
    Row(("executing",), FailEffect, ("failed",), "under the same lease; again after a pause", _fail),
    Row(("executing", "failed"), GiveUpEffect, ("dead",), "attempts exhausted, or refused for good", _give_up),
    Row(NO, ClaimEffect, NO, "a no is told to the platform too, which changes nothing", _unchanged),
    Row(NO, ConfirmEffect, NO, "as above", _stay),
    Row(NO, FailEffect, NO, "as above", _unchanged),
    Row(NO, GiveUpEffect, NO, "as above", _stay),
)
