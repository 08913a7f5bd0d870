"""ICS files that an operator's file names, put in their place: so a version holds all that it means."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

FILE = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,99}\.ics")
FIELD = "ics"
CHARACTERS_MAX = 262_144


class NotInlined(ValueError):
    """`where` is the path of the field, as in `freezes.holidays.ics`."""

    def __init__(self, where: str, problem: str) -> None:
        super().__init__(problem)
        self.where = where


def inlined(text: str, directory: Path) -> str:
    """Each field `ics` that names a file beside it holds the file's content, on the same line. Raises NotInlined."""
    try:
        root = yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.YAMLError:
        return text  # which the reader tells better
    for where, value in reversed(list(_named(root, ""))):
        content = yaml.safe_dump(_content(where, directory / value.value), default_style='"', width=10**9)
        text = text[: value.start_mark.index] + content.rstrip("\n") + text[value.end_mark.index :]
    return text


def _named(node: Any, where: str) -> Iterator[tuple[str, Any]]:
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            path = f"{where}.{key.value}".lstrip(".")
            if key.value == FIELD and isinstance(value, yaml.ScalarNode) and FILE.fullmatch(value.value):
                yield path, value
            else:
                yield from _named(value, path)
    elif isinstance(node, yaml.SequenceNode):
        for index, value in enumerate(node.value):
            yield from _named(value, f"{where}[{index}]")


def _content(where: str, path: Path) -> str:
    try:
        content = path.read_bytes().decode("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise NotInlined(where, f"{path.name}: {getattr(error, 'strerror', None) or error}") from None
    if len(content) > CHARACTERS_MAX:
        raise NotInlined(where, f"{path.name}: longer than {CHARACTERS_MAX} characters")
    return content
