"""Slack's limits and our budgets below them, kept in one place: whatever was rendered, what leaves fits. Pure.

Limits: https://docs.slack.dev/reference/block-kit/blocks. Cut between graphemes, never inside an entity or markup.
"""

import re
from collections.abc import Iterator, Sequence
from itertools import accumulate, takewhile
from typing import Any

from notifier.blocks import Block, context
from notifier.mrkdwn import ELLIPSIS, graphemes

TEXT_MAX = 3_900  # Slack splits one above 4,000 into several messages
BLOCKS_MAX = 50
ALL_BLOCKS_MAX = 12_000  # a message fails near 13,200 (bolt-js issue 2509)
SECTION_MAX = 2_800
CONTEXT_MAX = 2_000
FIELD_MAX = 2_000
HEADER_MAX = 150
FIELDS_MAX = 10
CONTEXT_ELEMENTS_MAX = 10
ACTIONS_MAX = 25
BUTTON_MAX = 75
CONFIRM_MAX = {"title": 100, "text": 300, "confirm": 30, "deny": 30}

# What is kept or left out as a whole: a link or mention, an entity, a code span, words in bold.
MARKUP = re.compile(r"<[^<>\n]*>|&(?:amp|lt|gt);|`[^`\n]{1,200}`|\*[^*\n]{1,400}\*")


def cut(markup: str, characters_max: int) -> str:
    """As much of the markup as fits, marked with `…` where it had to be cut."""
    if len(markup) <= characters_max:
        return str(markup)
    kept, left = [], characters_max - len(ELLIPSIS)
    for atom in _atoms(markup):
        left -= len(atom)
        if left < 0:
            break
        kept.append(atom)
    return "".join(kept).rstrip() + ELLIPSIS


def fitted(blocks: Sequence[Block]) -> tuple[Block, ...]:
    """At most so many blocks and characters; buttons stay where text has to go, and a line says how much went."""
    each = [_fitted(block) for block in blocks]
    actions = [block for block in each if block["type"] == "actions"]
    room = ALL_BLOCKS_MAX - sum(map(characters, actions))
    whole = len(each) <= BLOCKS_MAX and sum(map(characters, each)) <= ALL_BLOCKS_MAX
    if whole:
        return tuple(each)
    words = [block for block in each if block["type"] != "actions"]
    room -= characters(_more(len(words)))
    lengths = accumulate(map(characters, words))
    fits = sum(1 for _ in takewhile(lambda length: length <= room, lengths))
    kept = words[: min(fits, BLOCKS_MAX - len(actions) - 1)]
    return (*kept, _more(len(words) - len(kept)), *actions)


def characters(node: Any) -> int:
    """Of every text in it, as Slack counts what a reader would see."""
    if isinstance(node, list | tuple):
        return sum(map(characters, node))
    if not isinstance(node, dict):
        return 0
    own = len(node["text"]) if isinstance(node.get("text"), str) else 0
    return own + sum(map(characters, node.values()))


def _more(number: int) -> Block:
    return context([f"… and {number} more"])


def _atoms(markup: str) -> Iterator[str]:
    at = 0
    for found in MARKUP.finditer(markup):
        yield from graphemes(markup[at : found.start()])
        yield found[0]
        at = found.end()
    yield from graphemes(markup[at:])


def _fitted(block: Block) -> Block:
    match block["type"]:
        case "section":
            fields = [_text(field, FIELD_MAX) for field in block.get("fields", [])[:FIELDS_MAX]]
            text = {"text": _text(block["text"], SECTION_MAX)} if "text" in block else {}
            accessory = {"accessory": _element(block["accessory"])} if "accessory" in block else {}
            return {**block, **text, **({"fields": fields} if fields else {}), **accessory}
        case "header":
            return {**block, "text": _text(block["text"], HEADER_MAX)}
        case "context":
            return {**block, "elements": [_text(e, CONTEXT_MAX) for e in block["elements"][:CONTEXT_ELEMENTS_MAX]]}
        case "actions":
            return {**block, "elements": [_element(element) for element in block["elements"][:ACTIONS_MAX]]}
        case _:
            return block


def _element(element: Block) -> Block:
    text = {"text": _text(element["text"], BUTTON_MAX)} if "text" in element else {}
    confirm = {"confirm": _confirm(element["confirm"])} if "confirm" in element else {}
    return {**element, **text, **confirm}


def _confirm(confirm: Block) -> Block:
    return {**confirm, **{name: _text(confirm[name], most) for name, most in CONFIRM_MAX.items() if name in confirm}}


def _text(node: Block, characters_max: int) -> Block:
    """An image among a context's elements has no text."""
    return {**node, "text": cut(node["text"], characters_max)} if "text" in node else node
