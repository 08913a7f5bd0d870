"""How lists are told: the first lines of each section, and the rest in the thread or as a count. Pure."""

from collections.abc import Iterator, Sequence

from notifier import mrkdwn
from notifier.blocks import listed
from notifier.fit import cut
from notifier.mrkdwn import URL_MAX_CHARACTERS, link, moment, text
from shared.contracts.events import Bulletin, Item, Section

TITLE_MAX_CHARACTERS = 200
SUBJECT_MAX_CHARACTERS = 120
DETAIL_MAX_CHARACTERS = 150
WHO_MAX_CHARACTERS = 60
URL_KEPT_CHARACTERS = URL_MAX_CHARACTERS // 10  # a longer one would push lines out
SECTIONS_MAX = 20
LINES_SHOWN = 10  # of a section
SECTION_MAX_CHARACTERS = 2_800  # Slack takes 3,000
LEAD_MAX_CHARACTERS = 8_000
NOTES_MAX = 10
NOTE_MAX_CHARACTERS = 3_000
REPLY_MAX_CHARACTERS = 3_900


def title(told: Bulletin) -> str:
    return text(told.title, characters_max=TITLE_MAX_CHARACTERS)


def in_short(sections: Sequence[Section]) -> str:
    """`3 waiting for a review · 1 untouched for long`."""
    named = (f"{each.n} {_title(each).lower()}" for each in sections[:SECTIONS_MAX] if each.n)
    return cut(listed(" · ", [*named]), 1_000)


def lead(sections: Sequence[Section]) -> list[str]:
    """Markup of each section that has a line, all together within a message; what does not fit is in `thread`."""
    return [markup for markup, _ in _pages(sections)]


def thread(sections: Sequence[Section]) -> list[str]:
    """Texts of the notes below the lead."""
    notes = [note for _, rest in _pages(sections) for note in rest]
    if len(notes) <= NOTES_MAX:
        return notes
    return [*notes[:NOTES_MAX], "… and more, which is too long for a thread"]


def reply(said: str, sections: Sequence[Section]) -> str:
    """One text of all: what an ephemeral answer takes."""
    opening = mrkdwn.lines(said, characters_max=REPLY_MAX_CHARACTERS).splitlines()
    lines = [*opening, *(line for each in sections[:SECTIONS_MAX] for line in _whole(each))]
    shown = lines[: _fitting(lines, REPLY_MAX_CHARACTERS - len("\n…"))]
    return "\n".join(shown if len(shown) == len(lines) else [*shown, "…"])


def _whole(section: Section) -> list[str]:
    more = _more(section, len(section.items))
    return [_heading(section), *map(_line, section.items), *([more] if more else [])]


def _pages(sections: Sequence[Section]) -> Iterator[tuple[str, list[str]]]:
    """Of each section with a line: what the lead shows of it, and notes with the rest."""
    left = LEAD_MAX_CHARACTERS
    for section in sections[:SECTIONS_MAX]:
        if not section.items:
            continue
        lines = [*map(_line, section.items)]
        fitting = _fitting(lines[:LINES_SHOWN], min(left, SECTION_MAX_CHARACTERS) - 200)
        rest, uncounted = lines[fitting:], _more(section, len(lines))
        below = f"and {len(rest)} more in the thread" if rest else uncounted
        markup = "\n".join(filter(None, [_heading(section), *lines[:fitting], below]))
        left -= len(markup)
        yield markup, [*_notes(_heading(section), [*rest, *([uncounted] if uncounted else [])])] if rest else []


def _notes(heading: str, lines: Sequence[str]) -> Iterator[str]:
    while lines:
        fitting = max(1, _fitting(lines, NOTE_MAX_CHARACTERS - len(heading)))
        yield "\n".join([heading, *lines[:fitting]])
        lines = lines[fitting:]


def _fitting(lines: Sequence[str], characters: int) -> int:
    """How many of the first lines have room."""
    for count, line in enumerate(lines):
        characters -= len(line) + 1
        if characters < 0:
            return count
    return len(lines)


def _heading(section: Section) -> str:
    return f"*{_title(section)}*" if section.n is None else f"*{_title(section)}*: {section.n}"


def _title(section: Section) -> str:
    return text(section.title, characters_max=TITLE_MAX_CHARACTERS).replace("*", "")


def _more(section: Section, shown: int) -> str:
    return f"and {section.n - shown} more" if section.n is not None and section.n > shown else ""


def _line(line: Item) -> str:
    subject = text(line.subject, characters_max=SUBJECT_MAX_CHARACTERS)
    if len(line.url) <= URL_KEPT_CHARACTERS:
        subject = link(line.url, line.subject, characters_max=SUBJECT_MAX_CHARACTERS)
    said = [
        text(line.detail, characters_max=DETAIL_MAX_CHARACTERS),
        text(line.who, characters_max=WHO_MAX_CHARACTERS),
        moment(line.at) if line.at else "",
    ]
    return f"• {listed(' · ', [subject, *said])}"
