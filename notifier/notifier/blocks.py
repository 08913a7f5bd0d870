"""Pieces of cards: Block Kit objects, and the few words that all cards share. Pure."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from notifier.mrkdwn import Mrkdwn, text

NAME_MAX_CHARACTERS = 80
REASON_MAX_CHARACTERS = 200
NAMES_MAX = 10

Block = dict[str, Any]


def section(markup: str) -> Block:
    return {"type": "section", "text": mrkdwn(markup)}


def context(parts: Sequence[str]) -> Block:
    return {"type": "context", "elements": [mrkdwn(listed(" · ", parts) or "–")]}


def mrkdwn(markup: str) -> Block:
    """`verbatim`: what merely looks like an address or a channel in a title becomes no link."""
    return {"type": "mrkdwn", "text": str(markup), "verbatim": True}


def button(label: str, *, action: str, value: str, style: str) -> Block:
    return {"type": "button", "action_id": action, "value": value, "style": style, "text": plain(label)}


def plain(label: str) -> Block:
    return {"type": "plain_text", "text": str(label)}


def listed(between: str, parts: Sequence[str], *, first: str = "") -> str:
    """The parts that say something, `first` before them if there are any."""
    joined = between.join(filter(None, parts))
    return f"{first}{joined}" if joined else ""


def name(value: str) -> Mrkdwn:
    return text(value, characters_max=NAME_MAX_CHARACTERS)


def reason(value: str) -> Mrkdwn:
    return text(value, characters_max=REASON_MAX_CHARACTERS)


def names(people: Sequence[str]) -> str:
    more = [f"and {len(people) - NAMES_MAX} more"] if len(people) > NAMES_MAX else []
    return ", ".join([*map(name, people[:NAMES_MAX]), *more])


def duration(length: timedelta) -> str:
    minutes, seconds = divmod(int(length.total_seconds()), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min {seconds} s" if minutes else f"{seconds} s"


def by(who: str) -> str:
    return f"by {name(who)}" if who else ""


def short_sha(sha: str) -> Mrkdwn:
    return text(sha[:7].replace("`", ""), characters_max=7 * len("&amp;"))


def code(sha: str) -> str:
    return f"`{short_sha(sha)}`" if short_sha(sha) else ""
