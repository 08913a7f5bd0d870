"""Rows of facts as one parameter of a statement."""

from collections.abc import Mapping, Sequence

import msgspec

from metrics_svc.facts import Row


def as_json(rows: Sequence[Row]) -> str:
    """PostgreSQL's texts can't hold a NUL."""
    return msgspec.json.encode(_without_nul(tuple(rows))).decode()


def _without_nul(value: object) -> object:
    if isinstance(value, tuple):
        return tuple(_without_nul(part) for part in value)
    if isinstance(value, Mapping):
        return {name: _without_nul(part) for name, part in value.items()}
    return value.replace("\x00", "") if isinstance(value, str) else value
