"""Text of others in Slack's mrkdwn: cut, cleaned and escaped before it meets a template (slack.md, section 6). Pure."""

import re
import unicodedata
from collections.abc import Iterator
from datetime import UTC, datetime
from urllib.parse import urlsplit

from markupsafe import Markup

URL_MAX_CHARACTERS = 3000
ELLIPSIS = "…"
ENTITIES = {"&": "&amp;", "<": "&lt;", ">": "&gt;"}
# Control, bidi override and isolate, lone surrogate, private use: invisible, or able to turn a line round.
DROPPED_CATEGORIES = frozenset({"Cc", "Cs", "Co"})
BIDI = frozenset("\u200e\u200f\u061c\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\ufeff")
JOINER = "\u200d"
PERSON = re.compile(r"[UW][A-Z0-9]{1,30}", re.ASCII)


class Mrkdwn(Markup):
    """What may stand in a message as it is: escaped text of others, or markup of ours. Templates escape all else."""


def text(value: str, *, characters_max: int) -> Mrkdwn:
    """One line, escaped, at most so long after escaping; cut between graphemes and never inside an entity."""
    line = " ".join(_cleaned(value).split())
    kept, length = [], 0
    for grapheme in graphemes(line):
        escaped = "".join(ENTITIES.get(character, character) for character in grapheme)
        length += len(escaped)
        kept.append(escaped)
        if length > characters_max:
            return Mrkdwn(_shortened(kept, characters_max))
    return Mrkdwn("".join(kept))


def lines(value: str, *, characters_max: int) -> Mrkdwn:
    """As `text`, but lines stay lines; those that don't fit as a whole are left out."""
    kept, left = [], characters_max - len(ELLIPSIS)
    for line in (text(line, characters_max=characters_max) for line in value.splitlines()):
        left -= len(line) + 1
        if left < 0:
            kept.append(ELLIPSIS)
            break
        kept.append(line)
    return Mrkdwn("\n".join(kept))


def link(url: str, label: str, *, characters_max: int = 200) -> Mrkdwn:
    """A link where the address is one of the web, else the label alone."""
    shown = text(label.replace("|", " "), characters_max=characters_max)
    if not shown or not is_web_address(url):
        return shown
    return Mrkdwn(f"<{_encoded(url)}|{shown}>")


def mention(user: str) -> Mrkdwn:
    """Of the person with that Slack id; nothing for what is none."""
    return Mrkdwn(f"<@{user}>" if PERSON.fullmatch(user) else "")


def is_web_address(url: str) -> bool:
    if not url or len(_encoded(url)) > URL_MAX_CHARACTERS or not url.isprintable() or " " in url:
        return False
    try:
        parts = urlsplit(url)
    except ValueError:
        return False
    return parts.scheme in ("http", "https") and bool(parts.hostname)


def moment(at: datetime) -> Mrkdwn:
    """A time that Slack shows in the reader's own zone."""
    fallback = f"{at.astimezone(UTC):%Y-%m-%d %H:%M} UTC"
    return Mrkdwn(f"<!date^{int(at.timestamp())}^{{date_short_pretty}} {{time}}|{fallback}>")


def _cleaned(value: str) -> str:
    spaced = (" " if character.isspace() else character for character in value)
    return "".join(c for c in spaced if unicodedata.category(c) not in DROPPED_CATEGORIES and c not in BIDI)


def graphemes(line: str) -> Iterator[str]:
    """What is seen as one character: a base with its marks, joined emoji, a flag's two letters. Near enough to cut."""
    cluster = ""
    for character in line:
        if cluster and not _continues(cluster, character):
            yield cluster
            cluster = ""
        cluster += character
    if cluster:
        yield cluster


def _continues(cluster: str, character: str) -> bool:
    if (
        unicodedata.category(character).startswith("M")
        or character == JOINER
        or "\U0001f3fb" <= character <= "\U0001f3ff"
    ):
        return True
    if cluster.endswith(JOINER):
        return True
    return len(cluster) == 1 and _is_regional(cluster) and _is_regional(character)


def _is_regional(character: str) -> bool:
    return "\U0001f1e6" <= character <= "\U0001f1ff"


def _shortened(kept: list[str], characters_max: int) -> str:
    while kept and sum(map(len, kept)) > characters_max - len(ELLIPSIS):
        kept.pop()
    return "".join(kept).rstrip() + ELLIPSIS


def _encoded(url: str) -> str:
    return url.replace("<", "%3C").replace(">", "%3E").replace("|", "%7C").replace("&", "&amp;")
