"""The state machine of an approval. Pure: state, command and the database's clock in, a transition or a no out.

pending ── approve votes reach the quorum ──► approved ── effect confirmed ──► executed
   ├────── one reject vote ────────────────► rejected ── effect confirmed ──► rejected
   └────── time is up ─────────────────────► expired  ── effect confirmed ──► expired
approved, rejected, expired ── effect given up ──► dead
"""

from datetime import datetime
from typing import Literal, TypeAlias, assert_never

import msgspec

from approvals_svc.eligibility import Electorate

Status = Literal["pending", "approved", "rejected", "expired", "executed", "dead"]
Verb = Literal["approve", "reject"]
RefusalReason = Literal["decided", "superseded", "not_eligible", "not_due", "no_effect_due"]


class Vote(msgspec.Struct, frozen=True, kw_only=True):
    person: str
    verb: Verb
    reason: str = ""
    slack_user: str = ""


class State(msgspec.Struct, frozen=True, kw_only=True):
    """`votes` holds at most one per person; `required` people have to approve."""

    status: Status
    revision: int
    required: int
    expires_at: datetime
    electorate: Electorate
    votes: tuple[Vote, ...] = ()


class CastVote(msgspec.Struct, frozen=True, kw_only=True):
    """`revision` None: whichever is current (a typed command names none)."""

    vote: Vote
    revision: int | None = None


class Expire(msgspec.Struct, frozen=True):
    """The sweep found it overdue."""


class ConfirmEffect(msgspec.Struct, frozen=True):
    """The platform took our answer."""


class GiveUpEffect(msgspec.Struct, frozen=True):
    """The platform will never take our answer."""


Command: TypeAlias = CastVote | Expire | ConfirmEffect | GiveUpEffect


class Transition(msgspec.Struct, frozen=True, kw_only=True):
    """`recorded` is the vote to write; a vote that comes too late expires the approval and records nothing."""

    status: Status
    votes: tuple[Vote, ...]
    recorded: Vote | None = None
    replaced: Vote | None = None


class Replay(msgspec.Struct, frozen=True):
    """The same vote of the same person again: the same answer, and nothing else happens."""


class Refusal(msgspec.Struct, frozen=True, kw_only=True):
    reason: RefusalReason
    detail: str


Decision: TypeAlias = Transition | Replay | Refusal


def decide(state: State, command: Command, now: datetime) -> Decision:
    match command:
        case CastVote():
            return _vote(state, command, now)
        case Expire():
            return _expire(state, now)
        case ConfirmEffect():
            return _settle(state, "executed" if state.status == "approved" else state.status)
        case GiveUpEffect():
            return _settle(state, "dead")
        case _:
            assert_never(command)


def missing(state: State) -> int:
    """How many more people have to approve."""
    return max(0, state.required - len(_people(state.votes, "approve", state.electorate)))


def _vote(state: State, command: CastVote, now: datetime) -> Decision:
    vote = command.vote
    if state.status != "pending":
        return Refusal(reason="decided", detail=f"it is {state.status} already")
    if command.revision is not None and command.revision != state.revision:
        return Refusal(reason="superseded", detail=f"it is superseded by revision {state.revision}")
    if now >= state.expires_at:
        return Transition(status="expired", votes=state.votes)
    obstacle = state.electorate.obstacle(vote.person)
    if obstacle:
        return Refusal(reason="not_eligible", detail=obstacle)
    before = next((cast for cast in state.votes if cast.person == vote.person), None)
    if before and before.verb == vote.verb:
        return Replay()
    votes = (*(cast for cast in state.votes if cast.person != vote.person), vote)
    return Transition(status=_outcome(state, votes), votes=votes, recorded=vote, replaced=before)


def _outcome(state: State, votes: tuple[Vote, ...]) -> Status:
    """One reject ends it; approvals count people who may decide now, whatever was true when they voted."""
    if _people(votes, "reject", state.electorate):
        return "rejected"
    return "approved" if len(_people(votes, "approve", state.electorate)) >= state.required else "pending"


def _people(votes: tuple[Vote, ...], verb: Verb, electorate: Electorate) -> set[str]:
    return {vote.person for vote in votes if vote.verb == verb} & electorate.allowed


def _expire(state: State, now: datetime) -> Decision:
    if state.status != "pending":
        return Refusal(reason="decided", detail=f"it is {state.status} already")
    if now < state.expires_at:
        return Refusal(reason="not_due", detail="its time is not up")
    return Transition(status="expired", votes=state.votes)


def _settle(state: State, status: Status) -> Decision:
    if state.status not in ("approved", "rejected", "expired"):
        return Refusal(reason="no_effect_due", detail=f"it is {state.status}")
    return Transition(status=status, votes=state.votes)
