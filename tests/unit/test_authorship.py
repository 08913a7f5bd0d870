"""Who wrote a change, and by what it is told."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.catalog.authorship import TRAILER_MAX_LENGTH, TRAILERS_MAX, classify, trailers


def told(**fields: Any) -> tuple[str, tuple[str, ...]]:
    asked: dict[str, Any] = {
        "author": "ana",
        "author_kind": "human",
        "labels": (),
        "head_ref": "feature/x",
        "trailers": (),
        "bots": (),
        "ai_agents": (),
    }
    found = classify(**{**asked, **fields})
    return found.author_class, found.evidence


@pytest.mark.parametrize(
    ("fields", "author_class", "evidence"),
    [
        ({}, "human", ()),
        ({"author": "renovate[bot]", "author_kind": "bot"}, "bot", ("author: renovate[bot]",)),
        ({"author": "deploy-robot", "bots": ("deploy-robot",)}, "bot", ("catalog: bots has deploy-robot",)),
        ({"author": "copilot-swe-agent[bot]", "author_kind": "bot"}, "ai_agent", ("author: copilot-swe-agent[bot]",)),
        ({"author": "devin-ai-integration[bot]"}, "ai_agent", ("author: devin-ai-integration[bot]",)),
        ({"author": "claude[bot]", "author_kind": "bot"}, "ai_agent", ("author: claude[bot]",)),
        ({"author": "claude"}, "human", ()),
        ({"author": "claude-dupont"}, "human", ()),
        ({"author": "our-agent", "ai_agents": ("our-agent",)}, "ai_agent", ("catalog: ai_agents has our-agent",)),
        (
            {"author": "app[bot]", "author_kind": "bot", "head_ref": "codex/fix-it"},
            "ai_agent",
            ("author: app[bot]", "branch: codex/"),
        ),
        ({"head_ref": "codex/fix-it"}, "human", ()),  # a person may name a branch so
        (
            {"trailers": ("Co-Authored-By: Claude <noreply@anthropic.com>",)},
            "ai_assisted",
            ("trailer: Co-Authored-By: Claude <noreply@anthropic.com>",),
        ),
        ({"trailers": ("Assisted-by: GitHub Copilot",)}, "ai_assisted", ("trailer: Assisted-by: GitHub Copilot",)),
        ({"trailers": ("Co-authored-by: Claude Monet <claude@monet.example>",)}, "human", ()),
        ({"trailers": ("Co-authored-by: Claude <claude@monet.example>",)}, "human", ()),
        ({"labels": ("bug", "AI-assisted")}, "ai_assisted", ("label: AI-assisted",)),
        # a bot is no human that was helped
        ({"author": "renovate[bot]", "author_kind": "bot", "labels": ("ai",)}, "bot", ("author: renovate[bot]",)),
    ],
)
def test_class_and_evidence(fields: dict[str, Any], author_class: str, evidence: tuple[str, ...]) -> None:
    assert told(**fields) == (author_class, evidence)


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        ("Fix\n\nBody\n\nCo-authored-by: Bo <bo@x.y>\nSigned-off-by: Ana <a@x.y>\n", ("Co-authored-by: Bo <bo@x.y>",)),
        ("Fix\n\nCo-authored-by: Bo <bo@x.y>\n\nNot in the last paragraph", ()),
        ("Co-authored-by: alone", ("Co-authored-by: alone",)),
        ("Fix\r\n\r\nGenerated-with: Cursor\r\n", ("Generated-with: Cursor",)),
        ("", ()),
    ],
)
def test_trailers_are_those_of_the_last_paragraph(message: str, expected: tuple[str, ...]) -> None:
    assert trailers(message) == expected


@given(st.text() | st.builds(lambda key, rest: f"x\n\n{key}: {rest}" * 50, st.just("Co-authored-by"), st.text()))
def test_any_message_is_read_and_bounded(message: str) -> None:
    found = trailers(message)

    assert len(found) <= TRAILERS_MAX
    assert all(len(line) <= TRAILER_MAX_LENGTH for line in found)
    assert told(trailers=found)[0] in ("human", "ai_assisted")
