"""What the numbers of changes are computed from, by service and piece; the database sorts it. Pure."""

from collections.abc import Mapping, Sequence
from itertools import chain

import msgspec


class ChangeSamples(msgspec.Struct, frozen=True, kw_only=True):
    """Of the changes of a service in a piece of the window, `n` in all.

    `samples` ascend, by the part of the metric; a change that lacks one of them is in `n` alone. `counts` are how many
    are of a part.
    """

    service: str
    piece: int
    n: int
    samples: Mapping[str, Sequence[float]] = {}
    counts: Mapping[str, int] = {}


def samples_of(found: Sequence[ChangeSamples], part: str = "") -> Sequence[float]:
    """Of all together, ascending."""
    return found[0].samples[part] if len(found) == 1 else sorted(chain.from_iterable(e.samples[part] for e in found))
