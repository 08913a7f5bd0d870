"""Samples as one parcel of bytes, each as the eight of PostgreSQL's `float8send`: an array is read number by number."""

from array import array

import numpy as np


def packed(sample: str) -> str:
    """An aggregate of SQL, null of nothing; what is null or negative is left out."""
    return f"string_agg(float8send({sample}), '') FILTER (WHERE {sample} >= 0)"


def packed_in_order(sample: str) -> str:
    return f"coalesce(string_agg(float8send({sample}), '' ORDER BY {sample}) FILTER (WHERE {sample} >= 0), '')"


def unpacked(parcel: bytes | None) -> "array[float]":
    """They ascend."""
    samples = np.frombuffer(parcel or b"", ">f8").astype(np.float64)
    samples.sort()
    return array("d", samples.tobytes())
