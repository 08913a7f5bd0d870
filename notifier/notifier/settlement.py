"""What becomes of a message after a call: the posting protocol's decisions (slack.md, section 7). Pure."""

import math
from typing import Any, Literal, assert_never

import msgspec

from notifier.errors import Failure

Job = Literal["post", "update", "reconcile"]
State = Literal["ready", "unknown", "shown", "dry_run", "dead"]
Doubt = Literal["hold_approvals", "hold", "resend"]

UPDATE_INTERVAL_S = 1.0  # between two updates of one message: what changes in between is shown at once
BACKOFF_MAX_S = 60.0
UNRECOGNISED_MAX = 5
MISSES_MAX = 2
AUTH_WAIT_S = 5.0
UNREADABLE_WAIT_S = 3600.0  # until somebody gives us the scope or the channel


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """`grace_s`: from the start of a call until its effect must be seen; `pause_s`: between two looks. `doubt`: what
    becomes of a post that may have happened where nobody can look.
    """

    timeout_s: float
    grace_s: float
    pause_s: float
    doubt: Doubt = "hold_approvals"


class Trial(msgspec.Struct, frozen=True, kw_only=True):
    """What a decision needs to know of the message and the call that was made for it. `approves`: it asks for that."""

    job: Job
    approves: bool = False
    failures: int = 0
    misses: int = 0
    text_only: bool = False


class Settlement(msgspec.Struct, frozen=True, kw_only=True):
    """`wait_s`: until the message may be called for again; `channel_wait_s`: until others of its channel may.

    `refused`: too many calls for Slack. `unsent`: nothing was posted, for sure. `in_doubt`: it may have happened.
    `bars`: its channel takes nothing any more. `afresh`: its post is gone for good,
    the next one is another. `stops`: the token is no use for anything.
    """

    state: State
    wait_s: float = 0.0
    channel_wait_s: float = 0.0
    failures: int = 0
    misses: int = 0
    text_only: bool = False
    refused: bool = False
    unsent: bool = False
    in_doubt: bool = False
    bars: bool = False
    afresh: bool = False
    stops: bool = False
    error: str = ""


def succeeded(trial: Trial) -> Settlement:
    return Settlement(state="shown", wait_s=UPDATE_INTERVAL_S, text_only=trial.text_only)


def not_found(trial: Trial, limits: Limits) -> Settlement:
    """Looked for twice and not there: it is sent again under the same id."""
    misses = trial.misses + 1
    if misses < MISSES_MAX:
        return _same(trial, state="unknown", wait_s=limits.pause_s, misses=misses, error="not found once")
    return _same(trial, state="ready", misses=0, error="not found")


def failed(trial: Trial, failure: Failure, limits: Limits) -> Settlement:
    if trial.job == "reconcile":
        return _not_reconciled(trial, failure)
    settlement = _failed(trial, failure, limits)
    unsent = trial.job == "post" and failure.kind not in ("ambiguous", "unrecognised")
    return msgspec.structs.replace(settlement, unsent=unsent)


def _failed(trial: Trial, failure: Failure, limits: Limits) -> Settlement:
    match failure.kind:
        case "rate":
            channel_wait_s = failure.wait_s if trial.job == "post" else 0.0
            return _again(trial, failure, failure.wait_s, channel_wait_s=channel_wait_s, refused=True)
        case "soft_cap":
            return _again(trial, failure, failure.wait_s, channel_wait_s=failure.wait_s)
        case "not_sent":
            return _later(trial, failure)
        case "ambiguous":
            return _in_doubt(trial, failure, limits)
        case "unrecognised":
            final = trial.failures + 1 >= UNRECOGNISED_MAX
            return _dead(trial, failure) if final else _in_doubt(trial, failure, limits)
        case "destination":
            return msgspec.structs.replace(_dead(trial, failure), bars=True)
        case "payload":
            return _dead(trial, failure) if trial.text_only else _again(trial, failure, 0.0, text_only=True)
        case "gone":
            return _again(trial, failure, 0.0, afresh=True) if trial.job == "update" else _dead(trial, failure)
        case "auth":
            return _again(trial, failure, AUTH_WAIT_S, stops=True)
        case _:
            assert_never(failure.kind)


def failed_by_webhook(trial: Trial, failure: Failure, limits: Limits) -> Settlement:
    """A webhook has no history to look in: what may have been posted is held for a person, or posted again."""
    if failure.kind not in ("ambiguous", "unrecognised"):
        return failed(trial, failure, limits)
    holds = limits.doubt == "hold" or (limits.doubt == "hold_approvals" and trial.approves)
    settlement = _dead(trial, failure) if holds or trial.failures + 1 >= UNRECOGNISED_MAX else _later(trial, failure)
    return msgspec.structs.replace(settlement, in_doubt=True)


def whisper_failed(failure: Failure, failures: int) -> Settlement:
    """An ephemeral message stands in no history: what may have been shown is flagged, not shown again."""
    match failure.kind:
        case "rate" | "soft_cap":
            return Settlement(state="ready", wait_s=failure.wait_s, failures=failures, error=failure.code)
        case "not_sent":
            wait_s = backoff_s(failures)
            return Settlement(state="ready", wait_s=wait_s, failures=failures + 1, error=failure.code)
        case "auth":
            return Settlement(state="ready", wait_s=AUTH_WAIT_S, failures=failures, error=failure.code, stops=True)
        case "ambiguous" | "unrecognised":
            return Settlement(state="unknown", error=failure.code)
        case "destination" | "payload" | "gone":
            return Settlement(state="dead", error=failure.code)
        case _:
            assert_never(failure.kind)


def backoff_s(failures: int) -> float:
    return min(BACKOFF_MAX_S, math.pow(2, min(failures, 10)))


def _in_doubt(trial: Trial, failure: Failure, limits: Limits) -> Settlement:
    """A post is looked for once it must be there; an update is made again, which changes nothing twice."""
    if trial.job == "update":
        return _later(trial, failure)
    wait_s, failures = limits.timeout_s + limits.grace_s, trial.failures + 1
    return _same(trial, state="unknown", wait_s=wait_s, failures=failures, misses=0, in_doubt=True, error=failure.code)


def _not_reconciled(trial: Trial, failure: Failure) -> Settlement:
    """As long as the history can't be read nothing is posted: doubled is worse than late, and the state says why."""
    error = f"outcome unknown: {failure.code}"
    if failure.kind == "auth" and failure.code != "missing_scope":
        return _same(trial, state="unknown", wait_s=AUTH_WAIT_S, stops=True, error=error)
    if failure.kind == "rate":
        return _same(trial, state="unknown", wait_s=failure.wait_s, error=error)
    if failure.kind in ("not_sent", "ambiguous"):
        wait_s = backoff_s(trial.failures)
        return _same(trial, state="unknown", wait_s=wait_s, failures=trial.failures + 1, error=error)
    return _same(trial, state="unknown", wait_s=UNREADABLE_WAIT_S, error=error)


def _later(trial: Trial, failure: Failure) -> Settlement:
    return _again(trial, failure, backoff_s(trial.failures), failures=trial.failures + 1)


def _again(trial: Trial, failure: Failure, wait_s: float, **changes: Any) -> Settlement:
    return _same(trial, state="ready", wait_s=wait_s, error=failure.code, **changes)


def _dead(trial: Trial, failure: Failure) -> Settlement:
    return _same(trial, state="dead", error=f"{failure.kind}: {failure.code}")


def _same(trial: Trial, **changes: Any) -> Settlement:
    """What was counted stays counted, but for the changes."""
    kept = {"failures": trial.failures, "misses": trial.misses, "text_only": trial.text_only}
    return Settlement(**{**kept, **changes})
