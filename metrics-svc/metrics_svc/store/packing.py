"""Samples as one parcel of bytes: asyncpg reads an array number by number.

What a statement aggregates is the binary form of an array (`array_send`), which is less work for PostgreSQL than
joining as many small parcels. What is stored is the numbers alone, each as the eight bytes of `float8send`.
"""

from array import array
from typing import Any

import numpy as np

_SECOND = 1_000_000
_FROM_1970_TO_2000 = 946_684_800 * _SECOND
# The number of dimensions, whether there are nulls, the type; of the only dimension its length and lower bound.
_HEADER_BYTES = 20


def packed(sample: str) -> str:
    """An aggregate of SQL, null of nothing; what is null or negative is left out."""
    return f"array_send(array_agg({sample}) FILTER (WHERE {sample} >= 0))"


def packed_moments(moment: str) -> str:
    """The same of a timestamptz: seconds of each are more work for PostgreSQL than all the rest."""
    return f"array_send(array_agg({moment}) FILTER (WHERE {moment} IS NOT NULL))"


def packed_in_order(sample: str) -> str:
    return f"coalesce(string_agg(float8send({sample}), '' ORDER BY {sample}) FILTER (WHERE {sample} >= 0), '')"


def unpacked(parcel: bytes | None) -> "array[float]":
    """They ascend."""
    return _ascending(_elements(parcel, ">f8"))


def unpacked_moments(parcel: bytes | None) -> "array[float]":
    """They ascend, as seconds since 1970."""
    return _ascending((_elements(parcel, ">i8") + _FROM_1970_TO_2000) / _SECOND)


def unpacked_stored(parcel: bytes | None) -> "array[float]":
    """They ascend."""
    return _ascending(np.frombuffer(parcel or b"", ">f8"))


def _elements(parcel: bytes | None, kind: str) -> np.ndarray[Any, Any]:
    """Each is preceded by its length."""
    if parcel is None:
        return np.empty(0, kind)
    return np.frombuffer(parcel, [("length", ">i4"), ("value", kind)], offset=_HEADER_BYTES)["value"]


def _ascending(samples: np.ndarray[Any, Any]) -> "array[float]":
    return array("d", np.sort(samples.astype(np.float64)).tobytes())
