"""What a day's quota had no room for: one message per channel, on the next day. Pure."""

from collections.abc import Sequence
from datetime import date, datetime, time, timedelta

from notifier.limiter import Terms
from notifier.render import Message

OVERFLOW = "overflow:"  # how the keys of these messages begin
TOLD_AT = time(8)  # in the time zone of the quota
LINES_MAX = 100
LINE_MAX = 110
SECTION_LINES = 20


def key_of(day: date, channel: str) -> str:
    return f"{OVERFLOW}{day.isoformat()}@{channel}"


def day_of(key: str) -> date:
    return date.fromisoformat(key.removeprefix(OVERFLOW).partition("@")[0])


def told_at(day: date, terms: Terms) -> datetime:
    return datetime.combine(day + timedelta(days=1), TOLD_AT, terms.timezone)


def digest(texts: Sequence[str], day: date) -> Message:
    """`texts`: of the messages as they would be now, in Slack's markup, oldest first; mentions mention nobody here."""
    head = f"{len(texts)} messages of {day.isoformat()} that the daily quota had no room for"
    shown = [_line(text) for text in texts[:LINES_MAX]]
    if len(texts) > LINES_MAX:
        shown.append(f"… and {len(texts) - LINES_MAX} more: `GET /v1/notifications?state=digested`")
    parts = [[head], *(shown[start : start + SECTION_LINES] for start in range(0, len(shown), SECTION_LINES))]
    blocks = tuple({"type": "section", "text": {"type": "mrkdwn", "text": "\n".join(lines)}} for lines in parts)
    return Message(text=head, blocks=blocks)


def _line(text: str) -> str:
    """Markup that would be cut in two, or mention somebody, is left out with all after it."""
    first = text.split("\n", 1)[0].replace("<@", "@").replace("<!", "!")
    if len(first) <= LINE_MAX:
        return f"• {first}"
    cut = first[:LINE_MAX]
    for opened, closed in (("<", ">"), ("&", ";")):
        if cut.rfind(opened) > cut.rfind(closed):
            cut = cut[: cut.rfind(opened)]
    return f"• {cut}…"
