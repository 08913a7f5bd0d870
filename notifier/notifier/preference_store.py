"""SQL of what people want of us."""

from collections.abc import Collection
from typing import Literal

import msgspec

from shared.db import Connection

Setting = Literal["mentions", "dms"]
_SET = {
    "mentions": """
        INSERT INTO preference (recipient, mentions) VALUES ($1, $2)
        ON CONFLICT (recipient) DO UPDATE SET mentions = excluded.mentions
    """,
    "dms": """
        INSERT INTO preference (recipient, dms) VALUES ($1, $2)
        ON CONFLICT (recipient) DO UPDATE SET dms = excluded.dms
    """,
}


class Preferences(msgspec.Struct, frozen=True, kw_only=True):
    """`mentions`: their name may be called in threads; `dms`: they may be told directly."""

    mentions: bool = True
    dms: bool = True


UNSAID = Preferences()


class OptedOut(msgspec.Struct, frozen=True, kw_only=True):
    """Slack users who want no mentions; and no direct messages."""

    mentions: frozenset[str] = frozenset()
    dms: frozenset[str] = frozenset()


async def of(tx: Connection, recipients: Collection[str]) -> dict[str, Preferences]:
    """Of those who said something; the others are `UNSAID`."""
    rows = await tx.fetch(
        "SELECT recipient, mentions, dms FROM preference WHERE recipient = ANY($1::text[])", list(recipients)
    )
    return {row["recipient"]: Preferences(mentions=row["mentions"], dms=row["dms"]) for row in rows}


async def opted_out(tx: Connection) -> OptedOut:
    """As it stands until the transaction ends."""
    rows = await tx.fetch("SELECT recipient, mentions, dms FROM preference WHERE NOT (mentions AND dms)")
    return OptedOut(
        mentions=frozenset(row["recipient"] for row in rows if not row["mentions"]),
        dms=frozenset(row["recipient"] for row in rows if not row["dms"]),
    )


async def say(tx: Connection, recipient: str, setting: Setting, *, wanted: bool) -> None:
    await tx.execute(_SET[setting], recipient, wanted)
