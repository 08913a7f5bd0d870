"""One message for many things: counted, in a fixed order, and no longer than people read. Pure."""

from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple, get_args

from notifier import fit
from notifier.blocks import Block, context, section
from notifier.cards import Card
from notifier.living import ThingKind
from notifier.render import Message, render
from notifier.routes import About
from notifier.templates import Templates

LINES_MAX = 40
SECTION_LINES = 10
LINE_MAX_CHARACTERS = 240
TITLES = {"group": "Together", "quiet": "While it was quiet", "digest": "Today's digest"}
KINDS: tuple[str, ...] = get_args(ThingKind)
PLURALS = {"quality": "quality gates"}


class Line(NamedTuple):
    key: str
    about: About
    card: Card


def render_list(how: str, lines: Sequence[Line], templates: Templates) -> Message:
    """The same for the same things in any order."""
    ordered = sorted(lines, key=lambda each: (KINDS.index(each.about.kind), each.about.service, each.key))
    title = f"{TITLES[how]}: {in_short(ordered)}"
    said = [f"• {fit.cut(render(line.card, templates).text, LINE_MAX_CHARACTERS)}" for line in ordered[:LINES_MAX]]
    more = len(ordered) - len(said)
    blocks: list[Block] = [section(f"*{title}*")]
    blocks += [section("\n".join(said[at : at + SECTION_LINES])) for at in range(0, len(said), SECTION_LINES)]
    if more:
        blocks.append(context([f"and {more} more"]))
    return Message(text=fit.cut(title, fit.TEXT_MAX), blocks=fit.fitted(blocks))


def in_short(lines: Sequence[Line]) -> str:
    """`3 changes merged · 1 build failed`."""
    counts = Counter((line.about.kind, line.about.state) for line in lines)
    ordered = sorted(counts.items(), key=lambda item: (KINDS.index(item[0][0]), item[0][1]))
    return " · ".join(f"{count} {_named(kind, count)} {state}".rstrip() for (kind, state), count in ordered)


def _named(kind: str, count: int) -> str:
    many = PLURALS.get(kind, f"{kind}s")
    return kind if count == 1 else many
