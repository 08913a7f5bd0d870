"""The local embedder: words, pairs of words and parts of words, hashed into 384 dimensions. Pure.

No model, no download, and the same bytes on every machine and Python: sums are integers, characters are those of
Unicode 3.2 (which every Python carries beside its own), and the one square root and division are exact by IEEE 754.
"""

import math
import struct
import unicodedata
from collections.abc import Iterator, Sequence
from functools import lru_cache
from hashlib import blake2b
from itertools import pairwise

from approvals_svc.document import Document

NAME = "lexical-1"  # changes with whatever changes a vector
DIMENSIONS = 384

WORD, PAIR, PART = 8, 3, 3
FIELDS = {
    "service": 22,
    "environment": 6,
    "action": 6,
    "label": 8,
    "path": 10,
    "author_class": 3,
    "size": 3,
    "hour": 1,
}
PARTS_OF = (3, 4)  # characters
WORDS_MAX = 400
_STOP_WORDS = (
    "a an and are as at be but by for from has have how i in into is it its not of on or our so than that the their "
    "then there this to us was we were what when where which who why will with you your merge pull request branch"
)
STOP_WORDS = frozenset(_STOP_WORDS.split())

_UNICODE = unicodedata.ucd_3_2_0


def vector(document: Document) -> tuple[float, ...]:
    """Of length 1, in single precision; all zeros for a document without a word."""
    sums = [0] * DIMENSIONS
    for feature, weight in _weighted(document).items():
        place, sign = _place(feature)
        sums[place] += sign * weight
    length = math.sqrt(sum(value * value for value in sums))
    scaled = [value / length if length else 0.0 for value in sums]
    return struct.unpack(f"<{DIMENSIONS}f", struct.pack(f"<{DIMENSIONS}f", *scaled))


def words_of(text: str) -> list[str]:
    """Runs of letters and digits, in lower case."""
    normal = _UNICODE.normalize("NFKC", text)
    spaced = "".join(c.lower() if _UNICODE.category(c)[0] in "LN" else " " for c in normal)
    return spaced.split()


def _weighted(document: Document) -> dict[str, int]:
    """A feature that comes again counts for more, but ever less so."""
    weights: dict[str, int] = {}
    counts: dict[str, int] = {}
    for feature, weight in _features(document):
        weights[feature] = weight
        counts[feature] = counts.get(feature, 0) + 1
    return {feature: weight * counts[feature].bit_length() for feature, weight in weights.items()}


def _features(document: Document) -> Iterator[tuple[str, int]]:
    words = [word for word in words_of(document.prose) if word not in STOP_WORDS][:WORDS_MAX]
    yield from _of_words(words)
    for field, value in document.facts:
        yield f"{field}:{' '.join(words_of(value))}", FIELDS[field]
        yield from ((f"w:{word}", WORD // 2) for word in words_of(value))


def _of_words(words: Sequence[str]) -> Iterator[tuple[str, int]]:
    for word in words:
        yield f"w:{word}", WORD
        edged = f"<{word}>"
        yield from ((f"p:{edged[at : at + n]}", PART) for n in PARTS_OF for at in range(len(edged) - n + 1))
    yield from ((f"2:{one} {next_one}", PAIR) for one, next_one in pairwise(words))


@lru_cache(maxsize=50_000)
def _place(feature: str) -> tuple[int, int]:
    """Dimension and sign."""
    number = int.from_bytes(blake2b(feature.encode(), digest_size=8).digest(), "big")
    return (number >> 1) % DIMENSIONS, 1 if number & 1 else -1
