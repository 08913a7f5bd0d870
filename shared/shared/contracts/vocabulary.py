"""Closed vocabularies. On the wire they are plain strings, so that an older reader meets a new word unharmed."""

from typing import Literal, get_args

Origin = Literal["live", "spool", "replay", "backfill", "demo"]
Outcome = Literal["succeeded", "failed", "cancelled", "skipped", "unknown"]
ChangeState = Literal["open", "merged", "closed"]
ReviewState = Literal["approved", "changes_requested", "commented", "dismissed"]
ActorKind = Literal["human", "bot"]
IgnoredReason = Literal[
    "handshake", "no_fact", "unknown_event", "superseded", "unsupported_version", "own_bot"
]  # sources.md, section 6

ORIGINS: frozenset[str] = frozenset(get_args(Origin))


def acting_origins(*, demo: bool) -> frozenset[str]:
    """Origins whose messages may act (law 9); only a demo stack acts on the demo's."""
    return frozenset({"live", "spool", "demo"} if demo else {"live", "spool"})
