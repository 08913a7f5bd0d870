"""Where a field stands in a YAML text: for errors that name the line."""

import re
from typing import Any

import yaml


def line_of(text: str, where: str) -> int:
    """Line (from 1) of the deepest node on the way to a path like `services[1].team`."""
    node: Any = yaml.compose(text, Loader=yaml.SafeLoader)
    for step in re.findall(r"[^.\[\]]+", where):
        inner = _child(node, step)
        if inner is None:
            break
        node = inner
    return int(node.start_mark.line) + 1 if node is not None else 1


def _child(node: Any, step: str) -> Any:
    if isinstance(node, yaml.MappingNode):
        return next((value for key, value in node.value if key.value == step), None)
    if isinstance(node, yaml.SequenceNode) and step.isdigit() and int(step) < len(node.value):
        return node.value[int(step)]
    return None
