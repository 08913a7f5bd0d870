"""Text from outside, made fit for a column, a card and a comment."""

REASON_MAX_CHARACTERS = 1000


def plain(text: str, *, characters_max: int) -> str:
    """No control characters (PostgreSQL refuses NUL), one line, cut with an ellipsis."""
    line = " ".join("".join(c if c.isprintable() else " " for c in text).split())
    return line if len(line) <= characters_max else line[: characters_max - 1] + "…"
