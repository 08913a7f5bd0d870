"""What people write stays text in Markdown, and is cut whole."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from approvals_svc.markdown import clip, literal, page

HOSTILE = "**x** [a](http://evil) `b` <img src=x> &amp; ~~c~~ | # ! @org/team \\"


@pytest.mark.parametrize("special", list("\\`*_[]<>~|&#!"))
def test_no_special_character_keeps_its_meaning(special: str) -> None:
    assert literal(f"a{special}b") == f"a\\{special}b"


def test_nobody_is_mentioned() -> None:
    assert not re.search(r"@\w", literal("@ana and @acme/sre"))


@given(st.text(alphabet=HOSTILE + "\n", max_size=300), st.integers(1, 300))
def test_cut_text_is_short_enough_and_ends_with_no_half_escape(text: str, characters_max: int) -> None:
    cut = clip(literal(text), characters_max=characters_max)

    assert len(cut) <= characters_max
    kept = cut.removesuffix("…") if len(literal(text)) > characters_max else cut
    assert (len(kept) - len(kept.rstrip("\\"))) % 2 == 0 or not literal(text).startswith(kept)
    assert re.fullmatch(r"(?:[^\\]|\\.)*", kept, re.DOTALL)


@given(st.lists(st.text(alphabet="ab *`", min_size=1, max_size=80), min_size=1, max_size=20), st.integers(5, 400))
def test_page_holds_whole_lines(lines: list[str], characters_max: int) -> None:
    shown = page(lines, characters_max=characters_max)

    assert len(shown) <= characters_max
    whole = shown.split("\n")
    assert whole == lines or whole[:-1] == lines[: len(whole) - 1]
