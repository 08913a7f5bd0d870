"""Samples as one parcel of bytes, each as the eight of PostgreSQL's `float8send`: an array is read number by number."""

import sys
from array import array


def packed(sample: str) -> str:
    """An aggregate of SQL, null of nothing; what is null or negative is left out."""
    return f"string_agg(float8send({sample}), '') FILTER (WHERE {sample} >= 0)"


def packed_in_order(sample: str) -> str:
    return f"coalesce(string_agg(float8send({sample}), '' ORDER BY {sample}) FILTER (WHERE {sample} >= 0), '')"


def unpacked(parcel: bytes | None) -> list[float]:
    """They ascend: sorting merges what does in parts."""
    samples = array("d", parcel or b"")
    if sys.byteorder == "little":
        samples.byteswap()
    found = samples.tolist()
    found.sort()
    return found
