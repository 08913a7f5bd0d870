"""Seven changes of the small service of `tests.shipping`: proposed, reviewed, sent back, merged, shipped; some not."""

from collections.abc import Sequence
from typing import Any

import msgspec

from metrics_svc.facts import Fact
from shared.contracts.events import ChangeClosed, ChangeMerged, ChangeOpened, ChangeReady
from tests.shipping import at, change, commented, deployed, pushed, reviewed

SIGNED = "Fix\n\nCo-authored-by: Claude <noreply@anthropic.com>"
BOT: dict[str, Any] = {"author": "renovate[bot]", "author_kind": "bot", "labels": ("dependencies",)}


def proposed(number: int, hours: float, *, authored: float, message: str = "", **fields: Any) -> list[Fact]:
    """A commit on the branch `x<number>`, and the change that proposes it."""
    push = pushed(authored, f"c{number}", branch=f"x{number}")
    said = [msgspec.structs.replace(commit, message=message) for commit in push.commits]
    return [
        msgspec.structs.replace(push, commits=tuple(said)),
        change(ChangeOpened, number, f"x{number}", hours, **fields),
    ]


def landed(number: int, hours: float, **fields: Any) -> list[Fact]:
    """Its merge, as `m<number>`."""
    merge: dict[str, Any] = {"merge_sha": f"m{number}", "merged_at": at(hours), **fields}
    return [change(ChangeMerged, number, f"x{number}", hours, **merge), pushed(hours, f"c{number}", f"m{number}")]


def elsewhere(events: Sequence[Any], repository: str) -> list[Fact]:
    return [msgspec.structs.replace(event, repository=repository) for event in events]


def reviewing() -> list[Fact]:
    """Four days."""
    return [
        pushed(-2, "base"),
        *deployed(100, "base", -1),  # the seed
        # ana's, with one round
        *proposed(1, 1, authored=0, title="CHK-1: one"),
        commented(1, 1.5, by="ana"),
        commented(1, 2, by="lint[bot]", kind="bot"),
        commented(1, 3),
        reviewed(1, "x1", 4, state="changes_requested"),
        pushed(5, "c1-2", branch="x1"),
        reviewed(1, "x1", 8),
        *landed(1, 10, title="CHK-1: one", additions=8, deletions=2),
        *deployed(101, "m1", 12),
        # a bot's
        *proposed(2, 13, authored=11, **BOT),
        reviewed(2, "x2", 13.5, by="cleo", **BOT),
        *landed(2, 14, additions=1, deletions=1, **BOT),
        *deployed(102, "m2", 20),
        # cleo's, with an assistant: a draft first, then two rounds
        *proposed(3, 20, authored=18, message=SIGNED, author="cleo", draft=True),
        change(ChangeReady, 3, "x3", 26, author="cleo"),
        reviewed(3, "x3", 30, state="changes_requested", author="cleo"),
        reviewed(3, "x3", 31, by="ana", state="changes_requested", author="cleo"),
        pushed(32, "c3-2", branch="x3"),
        reviewed(3, "x3", 33, state="changes_requested", author="cleo"),
        pushed(34, "c3-3", branch="x3"),
        reviewed(3, "x3", 40, by="ana", author="cleo"),
        reviewed(3, "x3", 41, author="cleo"),
        *landed(3, 42, author="cleo", additions=300, deletions=50),
        *deployed(103, "m3", 44),
        # open still, only its author said something
        *proposed(4, 50, authored=49, title="CHK-4: four"),
        commented(4, 52, by="ana"),
        # a draft
        *proposed(5, 60, authored=59, author="ben", draft=True),
        # given up
        *proposed(6, 70, authored=69),
        reviewed(6, "x6", 72, state="commented"),
        change(ChangeClosed, 6, "x6", 80, state="closed"),
        # merged by its author alone, of another repository, and nobody told how large
        *elsewhere([*proposed(7, 88, authored=87, author="ben"), *landed(7, 90, author="ben")], "acme/checkout-web"),
    ]
