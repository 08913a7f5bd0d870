"""Slack's markup for people: as HTML on the page, as plain words on the terminal."""

import html
import re

from markupsafe import Markup, escape
from rich.emoji import Emoji

from em.demo.cast import PEOPLE

NAMES = {person.slack: person.name for person in PEOPLE}

LINK = re.compile(r"&lt;(https?://(?:[^|&\s]|&amp;)+)\|(.+?)&gt;")
PERSON = re.compile(r"&lt;@(\w+)(?:\|[^&]*)?&gt;")
PLACE = re.compile(r"&lt;[#!][^|&]*\|?([^&]*)&gt;")
STYLES = (
    (re.compile(r"`([^`]+)`"), "code"),
    (re.compile(r"\*([^*]+)\*"), "b"),
    (re.compile(r"(?<!\w)_([^_]+)_(?!\w)"), "i"),
)
TAG = re.compile(r"<[^>]*>")


def as_html(text: str) -> Markup:
    """Escaped before anything is added; what Slack escapes itself (``& < >``) is not escaped twice."""
    page = str(escape(Emoji.replace(text)))
    page = LINK.sub(r'<span class="link" title="\1">\2</span>', page)
    page = PERSON.sub(lambda found: f'<span class="at">@{escape(NAMES.get(found[1], found[1]))}</span>', page)
    page = PLACE.sub(r"\1", page)
    for pattern, tag in STYLES:
        page = pattern.sub(rf"<{tag}>\1</{tag}>", page)
    page = re.sub(r"&amp;(lt|gt|amp);", r"&\1;", page)
    return Markup(page)  # noqa: S704  escaped in the first line; only tags of our own were added


def as_text(text: str) -> str:
    return html.unescape(TAG.sub("", as_html(text)))
