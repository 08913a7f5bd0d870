"""Slack's limits on blocks: what a message may not carry, said with a pointer as Slack says it."""

from collections.abc import Iterator
from typing import Any

BLOCKS_MAX = 50
ACTION_STYLES = ("primary", "danger")
# A message fails near 13.2k characters over all blocks (bolt-js issue 2509).
ALL_BLOCKS_CHARS_MAX = 13_200
# The 2,000 of section fields is not checked by Slack's SDK: unverified.
SECTION_FIELD_CHARS_MAX = 2_000
BUTTON_CHARS_MAX = {"value": 2_000, "url": 3_000, "action_id": 255}
SELECTS = ("static_select", "multi_static_select", "radio_buttons", "checkboxes", "overflow")
KNOWN_ELEMENTS = (*SELECTS, "button", "users_select", "conversations_select", "channels_select", "datepicker")
INPUT_ELEMENTS = (*SELECTS, "plain_text_input", "users_select", "datepicker")
KNOWN_BLOCKS = (
    "section",
    "header",
    "actions",
    "context",
    "divider",
    "image",
    "markdown",
    "rich_text",
    "input",
)

Node = dict[str, Any]


def violations(blocks: Any) -> list[str]:
    """Everything Slack would refuse, empty when the blocks can be posted."""
    if not isinstance(blocks, list):
        return [_error("must provide an array of blocks", "/blocks")]
    if len(blocks) > BLOCKS_MAX:
        return [_error(f"no more than {BLOCKS_MAX} items allowed", "/blocks")]
    found = [error for i, block in enumerate(blocks) for error in _of_block(block, f"/blocks/{i}")]
    return found + list(_repeated(blocks, "block_id", "/blocks"))


def view_violations(view: Any) -> list[str]:
    """As `violations`, of a modal."""
    if not isinstance(view, dict) or view.get("type") != "modal":
        return [_error("must be a modal", "/view/type")]
    titles = [name for name in ("title", "submit", "close") if name == "title" or name in view]
    found = [error for name in titles for error in _of_text(view.get(name), f"/view/{name}", 24, kinds=("plain_text",))]
    found += [*_too_long(view, "callback_id", 255, "/view"), *_too_long(view, "private_metadata", 3_000, "/view")]
    blocks = view.get("blocks")
    if isinstance(blocks, list) and any(b.get("type") == "input" for b in blocks) and "submit" not in view:
        found.append(_error("`submit` is required where there are inputs", "/view"))
    return found + violations(blocks)


def characters(node: Any) -> int:
    """Characters a reader would see, over all blocks."""
    if isinstance(node, list):
        return sum(characters(child) for child in node)
    if not isinstance(node, dict):
        return 0
    own = len(node["text"]) if isinstance(node.get("text"), str) else 0
    return own + sum(characters(child) for child in node.values())


def _of_block(block: Any, at: str) -> Iterator[str]:
    if not isinstance(block, dict) or block.get("type") not in KNOWN_BLOCKS:
        yield _error("unsupported type", f"{at}/type")
        return
    yield from _too_long(block, "block_id", 255, at)
    match block["type"]:
        case "section":
            yield from _of_section(block, at)
        case "header":
            yield from _of_text(block.get("text"), f"{at}/text", 150, kinds=("plain_text",))
        case "actions":
            yield from _of_elements(block, at, elements_max=25)
        case "context":
            yield from _of_elements(block, at, elements_max=10)
        case "image":
            yield from _of_image(block, at)
        case "markdown":
            yield from _of_markdown(block, at)
        case "input":
            yield from _of_input(block, at)


def _of_input(block: Node, at: str) -> Iterator[str]:
    yield from _of_text(block.get("label"), f"{at}/label", 2_000, kinds=("plain_text",))
    element = block.get("element")
    if not isinstance(element, dict) or element.get("type") not in INPUT_ELEMENTS:
        yield _error("unsupported type", f"{at}/element/type")
        return
    yield from _too_long(element, "action_id", 255, f"{at}/element")
    if not 0 <= element.get("min_length", 0) <= element.get("max_length", 3_000) <= 3_000:
        yield _error("must be at most 3000", f"{at}/element/max_length")


def _of_section(block: Node, at: str) -> Iterator[str]:
    if "text" not in block and "fields" not in block:
        yield _error("must define either `text` or `fields`", at)
    if "text" in block:
        yield from _of_text(block["text"], f"{at}/text", 3_000)
    fields = block.get("fields", [])
    if not isinstance(fields, list) or len(fields) > 10:
        yield _error("no more than 10 items allowed", f"{at}/fields")
        return
    for i, field in enumerate(fields):
        yield from _of_text(field, f"{at}/fields/{i}", SECTION_FIELD_CHARS_MAX)
    if "accessory" in block:
        yield from _of_element(block["accessory"], f"{at}/accessory")


def _of_elements(block: Node, at: str, *, elements_max: int) -> Iterator[str]:
    elements = block.get("elements")
    if not isinstance(elements, list) or not elements:
        yield _error("no fewer than 1 items allowed", f"{at}/elements")
        return
    if len(elements) > elements_max:
        yield _error(f"no more than {elements_max} items allowed", f"{at}/elements")
    for i, element in enumerate(elements):
        if block["type"] == "actions":
            yield from _of_element(element, f"{at}/elements/{i}")
        else:
            yield from _of_context_element(element, f"{at}/elements/{i}")
    yield from _repeated(elements, "action_id", f"{at}/elements")


def _of_element(element: Any, at: str) -> Iterator[str]:
    if isinstance(element, dict) and element.get("type") == "image":
        yield from _of_image(element, at)
        return
    if not isinstance(element, dict) or element.get("type") not in KNOWN_ELEMENTS:
        yield _error("unsupported type", f"{at}/type")
        return
    for name, chars_max in BUTTON_CHARS_MAX.items():
        yield from _too_long(element, name, chars_max, at)
    if element["type"] == "button":
        yield from _of_text(element.get("text"), f"{at}/text", 75, kinds=("plain_text",))
        if element.get("style") not in (None, *ACTION_STYLES):
            yield _error("must be a valid enum value", f"{at}/style")
    if element["type"] in SELECTS:
        yield from _of_options(element, at)
    if "confirm" in element:
        yield from _of_confirm(element["confirm"], f"{at}/confirm")


def _of_options(element: Node, at: str) -> Iterator[str]:
    options = element.get("options") or []
    options_max = 5 if element["type"] == "overflow" else 100
    if not isinstance(options, list) or len(options) > options_max:
        yield _error(f"no more than {options_max} items allowed", f"{at}/options")
        return
    for i, option in enumerate(options):
        if not isinstance(option, dict):
            yield _error("must be an object", f"{at}/options/{i}")
            continue
        yield from _of_text(option.get("text"), f"{at}/options/{i}/text", 75)
        yield from _too_long(option, "value", 150, f"{at}/options/{i}")


def _of_confirm(confirm: Any, at: str) -> Iterator[str]:
    if not isinstance(confirm, dict):
        yield _error("must be an object", at)
        return
    for name, chars_max in {"title": 100, "text": 300, "confirm": 30, "deny": 30}.items():
        if name in confirm:
            yield from _of_text(confirm[name], f"{at}/{name}", chars_max)


def _of_context_element(element: Any, at: str) -> Iterator[str]:
    if isinstance(element, dict) and element.get("type") == "image":
        yield from _of_image(element, at)
    else:
        yield from _of_text(element, at, 2_000)


def _of_image(node: Node, at: str) -> Iterator[str]:
    for name in ("image_url", "alt_text"):
        if name == "image_url" and "slack_file" in node:
            continue
        if not isinstance(node.get(name), str) or not node[name]:
            yield _error(f"missing required field: {name}", at)
    yield from _too_long(node, "image_url", 3_000, at)
    yield from _too_long(node, "alt_text", 2_000, at)


def _of_markdown(block: Node, at: str) -> Iterator[str]:
    if not isinstance(block.get("text"), str) or not block["text"]:
        yield _error("missing required field: text", at)
    yield from _too_long(block, "text", 12_000, at)


def _of_text(node: Any, at: str, chars_max: int, *, kinds: tuple[str, ...] = ("mrkdwn", "plain_text")) -> Iterator[str]:
    if not isinstance(node, dict) or node.get("type") not in kinds:
        yield _error(f"must be one of the text types {', '.join(kinds)}", at)
    elif not isinstance(node.get("text"), str) or not node["text"]:
        yield _error("must be more than 0 characters", f"{at}/text")
    else:
        yield from _too_long(node, "text", chars_max, at)


def _too_long(node: Node, name: str, chars_max: int, at: str) -> Iterator[str]:
    value = node.get(name)
    if value is not None and (not isinstance(value, str) or len(value) > chars_max):
        yield _error(f"must be less than {chars_max + 1} characters", f"{at}/{name}")


def _repeated(nodes: list[Any], name: str, at: str) -> Iterator[str]:
    given = [node[name] for node in nodes if isinstance(node, dict) and isinstance(node.get(name), str)]
    for repeated in sorted({value for value in given if given.count(value) > 1}):
        yield _error(f"`{name}` must be unique: {repeated}", at)


def _error(reason: str, pointer: str) -> str:
    return f"[ERROR] {reason} [json-pointer:{pointer}]"
