"""YAML as operators write it: no field twice, and what looks like a moment stays text."""

from collections.abc import Hashable
from typing import Any

import yaml


class NotRead(ValueError):
    """`line 7: service comes twice`."""


class _Loader(yaml.SafeLoader):
    """Moments stay text, for they are wall times of a zone; a field that comes twice is a mistake."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        names = [key.value for key, _ in node.value]
        for key, _ in reversed(node.value):
            if names.count(key.value) > 1:
                raise yaml.MarkedYAMLError(problem=f"{key.value} comes twice", problem_mark=key.start_mark)
        return super().construct_mapping(node, deep)


_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag != "tag:yaml.org,2002:timestamp"]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}


def load(text: str) -> Any:
    """Raises NotRead."""
    try:
        return yaml.load(text, _Loader)  # noqa: S506  a SafeLoader
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise NotRead(f"line {line}: {error.problem}") from None
    except yaml.YAMLError as error:
        raise NotRead(f"not YAML: {error}") from None
