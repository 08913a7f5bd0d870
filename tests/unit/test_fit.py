"""Slack's limits: whatever was rendered, what leaves fits, and is cut only where a reader would."""

import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from em.sandbox.blocks import characters, violations
from notifier.blocks import Block, button, context, plain, section
from notifier.fit import cut, fitted

ACTIONS: Block = {"type": "actions", "elements": [button("Yes", action="yes", value="1", style="primary")]}


@given(
    words=st.lists(
        st.sampled_from(["a", "é", "&amp;", "<@U1>", "<https://x.example|it>", "👩\u200d🚀", "`c d`", "*b c*", " "])
    )
)
@pytest.mark.parametrize("most", [1, 5, 12, 40])
def test_markup_is_kept_or_left_out_as_a_whole(words: list[str], most: int) -> None:
    whole = "".join(words)

    kept = cut(whole, most)

    assert len(kept) <= most
    assert kept == whole or kept.endswith("…")
    assert not re.search(r"[<>&`*]", re.sub(r"<[^<>]*>|&amp;|`[^`]*`|\*[^*]*\*", "", kept))
    assert not kept.removesuffix("…").endswith("\u200d")


LONG: dict[str, Block] = {
    "section": section("x " * 3_000),
    "fields": {"type": "section", "fields": [plain("x" * 3_000)] * 12},
    "header": {"type": "header", "text": plain("x" * 200)},
    "context": {"type": "context", "elements": [plain("x" * 3_000)] * 2},
    "elements": {"type": "context", "elements": [plain("x")] * 12},
    "actions": {
        "type": "actions",
        "elements": [button("x" * 99, action=str(n), value="1", style="danger") for n in range(30)],
    },
    "confirm": {
        "type": "actions",
        "elements": [
            {
                **button("x", action="1", value="1", style="danger"),
                "confirm": {name: plain("x" * 400) for name in ("title", "text", "confirm", "deny")},
            }
        ],
    },
    "accessory": {**section("x"), "accessory": button("x" * 99, action="1", value="1", style="danger")},
}


@pytest.mark.parametrize("name", sorted(LONG))
def test_a_block_beyond_a_limit_is_cut_to_it(name: str) -> None:
    assert violations([LONG[name]])
    assert violations(list(fitted([LONG[name]]))) == []


def test_a_block_within_the_limits_stays_as_it_is() -> None:
    blocks = [section("*x*"), context(["a", "b"]), ACTIONS, {"type": "divider"}]

    assert fitted(blocks) == tuple(blocks)


@pytest.mark.parametrize("blocks", [[section("x")] * 60, [section("x" * 2_000)] * 20])
def test_what_is_too_much_is_left_out_and_counted_but_buttons_stay(blocks: list[Block]) -> None:
    kept: list[Any] = list(fitted([*blocks, ACTIONS]))

    left = len(blocks) - (len(kept) - 2)
    assert violations(kept) == [] and characters(kept) <= 12_000
    assert kept[-2:] == [context([f"… and {left} more"]), ACTIONS]
