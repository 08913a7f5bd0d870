"""Cards of hostile words by the thousand, judged by Slack's own SDK: what a fuzz of all kinds finds."""

import random
import re
from collections.abc import Iterator
from typing import Any, TypeVar, get_args, get_origin, get_type_hints

import msgspec
from slack_sdk.errors import SlackObjectFormationError
from slack_sdk.models.blocks import ActionsBlock, Block, ContextBlock

from notifier.cards import Card, card
from notifier.fit import ALL_BLOCKS_MAX, BLOCKS_MAX, TEXT_MAX, characters
from notifier.living import SLOTS, ThingEvent
from notifier.render import Message, render
from shared.catalog import Catalog
from shared.contracts.examples import EXAMPLES

PIECES = (
    *("<!channel>", "<!here|x>", "<@U0EVIL>", "<#C1|x>", "<!subteam^S1>", "<https://evil.example|click>"),
    *("&lt;!here&gt;", "<!date^1^{date}^https://evil.example|x>", "&", "<", ">", "|", "`", "*", "_", "~"),
    *("\n", "\n\n", "\r\n", "\x00", "\u202e", "\ud800", "\u200d", "👩\u200d🚀", "🇩🇪", "e\u0301", "漢字"),
    *("{{ 7 * 7 }}", "{% raw %}", "checkout", "acme/web#7", " ", "a" * 60),
)
URLS = ("https://ok.example/run/7?a=1&b=2", "https://ok.example/<!here>|x", "javascript:alert(1)", "https://[", "x")
TAG = re.compile(r"<[^<>]*>")
DATE = re.compile(r"<!date\^\d+\^\{date_short_pretty\} \{time\}\|[0-9: -]+ UTC>")
LINK = re.compile(r"<(https?://(?:ok\.example|github\.com/acme)/[^<>|]*)\|[^<>|]+>")
THINGS = [event for event in EXAMPLES if type(event) in SLOTS]
KNOWN_USER = "U0KNOWN"

V = TypeVar("V")


class Fuzzed(msgspec.Struct, kw_only=True):
    """`over_limit`: messages that Slack would refuse or that break our budgets; `injected`: mentions and links."""

    payloads: int = 0
    over_limit: int = 0
    injected: int = 0
    examples: list[str] = []


def fuzz(payloads: int, *, seed: int = 0) -> Fuzzed:
    found = Fuzzed()
    for each in cards(payloads, random.Random(seed)):
        message = render(each)
        found.payloads += 1
        problem, smuggled = unfit(message), injected(message)
        found.over_limit += bool(problem)
        found.injected += len(smuggled)
        if problem or smuggled:
            found.examples.append(f"{problem} {smuggled} {each!r:.500}")
    return found


def cards(number: int, dice: random.Random) -> Iterator[Card]:
    """Of every kind in turn, each text of its event replaced by hostile ones."""
    for n in range(number):
        event: Any = _hostile(THINGS[n % len(THINGS)], dice)
        assert isinstance(event, ThingEvent)
        made = card({SLOTS[type(event)][0]: event}, Catalog())
        yield msgspec.structs.replace(made, mentioned=dice.choice(["", KNOWN_USER]))


def unfit(message: Message) -> str:
    """Why Slack's SDK or our budgets refuse it; empty where they don't."""
    blocks = list(message.blocks)
    if not message.text or len(message.text) > TEXT_MAX or len(blocks) > BLOCKS_MAX:
        return "text or blocks"
    if characters(blocks) > ALL_BLOCKS_MAX:
        return "characters"
    try:
        for block in Block.parse_all(blocks):
            block.to_dict()
            for element in block.elements if isinstance(block, ActionsBlock | ContextBlock) else ():
                element.to_dict()
    except SlackObjectFormationError as error:
        return str(error)
    return ""


def injected(message: Message) -> list[str]:
    """Mentions and links that are none of ours, and brackets that are no markup at all."""
    markup = "\n".join([message.text, *_texts(list(message.blocks))])
    ours = LINK.sub("", DATE.sub("", markup)).replace(f"<@{KNOWN_USER}>", "")
    return TAG.findall(ours) or re.findall("[<>]", ours)


def _texts(node: Any) -> Iterator[str]:
    if isinstance(node, dict):
        if isinstance(node.get("text"), str):
            yield node["text"]
        node = list(node.values())
    if isinstance(node, list):
        for child in node:
            yield from _texts(child)


def _hostile(value: V, dice: random.Random, name: str = "") -> V:
    """The same shape with other words: numbers, times and what is one of a few words stay."""
    if isinstance(value, str):
        return _words(name, dice)  # type: ignore[return-value]
    if isinstance(value, tuple):
        many = dice.choice([len(value), len(value), dice.randrange(40)]) if value else 0
        return tuple(_hostile(dice.choice(value), dice) for _ in range(many))  # type: ignore[return-value]
    if not isinstance(value, msgspec.Struct):
        return value
    hints = _hints(type(value))
    changed = {
        field: _hostile(getattr(value, field), dice, field)
        for field in value.__struct_fields__
        if not _is_closed(hints[field]) and dice.random() < 0.9
    }
    return msgspec.structs.replace(value, **changed)


def _words(name: str, dice: random.Random) -> str:
    if name == "url":
        return dice.choice(URLS)
    long = dice.choice([1, 3, 10, 10, 200])
    return "".join(dice.choice(PIECES) for _ in range(dice.randrange(long + 1)))


def _is_closed(hint: Any) -> bool:
    """One of a few words, by its type."""
    return "Literal" in str(get_origin(hint)) or any(_is_closed(part) for part in get_args(hint) if part is not hint)


_HINTS: dict[type, dict[str, Any]] = {}


def _hints(kind: type) -> dict[str, Any]:
    return _HINTS.setdefault(kind, _HINTS.get(kind) or get_type_hints(kind))
