"""What the numbers of changes are computed from, by service and piece; the database sorts it. Pure."""

from array import array
from collections.abc import Mapping, Sequence

import msgspec
import numpy as np


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
    parts = [each.samples[part] for each in found]
    if len(parts) == 1:
        return parts[0]
    return array("d", np.sort(np.concatenate([np.asarray(each, np.float64) for each in (*parts, ())])).tobytes())
