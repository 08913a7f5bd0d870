"""Text of people inside Markdown: it stays text, and cutting it leaves no half of anything. Pure."""

import re
from collections.abc import Sequence

# A backslash before any of these makes it an ordinary character; `&` begins an entity, `<` a tag or a comment.
SPECIAL = re.compile(r"([\\`*_\[\]<>~|&#!])")
UNSEEN = "\u200b"  # between @ and a name: nobody is mentioned
ELLIPSIS = "…"


def literal(text: str) -> str:
    return SPECIAL.sub(r"\\\1", text).replace("@", f"@{UNSEEN}")


def clip(text: str, *, characters_max: int) -> str:
    """Of literal text: never between a backslash and what it is for."""
    if len(text) <= characters_max:
        return text
    kept = text[: characters_max - len(ELLIPSIS)]
    trailing = len(kept) - len(kept.rstrip("\\"))
    return (kept[:-1] if trailing % 2 else kept) + ELLIPSIS


def page(lines: Sequence[str], *, characters_max: int) -> str:
    """Whole lines as long as they fit, and an ellipsis for the rest; of a first line too long, its beginning."""
    whole = "\n".join(lines)
    if len(whole) <= characters_max:
        return whole
    kept: list[str] = []
    for line in lines:
        if len("\n".join([*kept, line, ELLIPSIS])) > characters_max:
            break
        kept.append(line)
    return "\n".join([*kept, ELLIPSIS]) if kept else clip(lines[0], characters_max=characters_max)
