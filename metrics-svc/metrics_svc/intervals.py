"""How sure a number is: 90 % confidence intervals. Pure."""

import math
from collections.abc import Sequence

Z_90 = 1.6448536269514722  # standard normal quantile of 0.95


def share(part: int, whole: int) -> tuple[float | None, float | None]:
    """Wilson's score interval of a proportion (Wilson 1927); (None, None) of nothing."""
    if not whole:
        return None, None
    p, z2 = part / whole, Z_90 * Z_90
    centre = (p + z2 / (2 * whole)) / (1 + z2 / whole)
    spread = Z_90 / (1 + z2 / whole) * math.sqrt(p * (1 - p) / whole + z2 / (4 * whole * whole))
    return max(0.0, centre - spread), min(1.0, centre + spread)


def median(ordered: Sequence[float]) -> tuple[float | None, float | None]:
    """By order statistics, without any assumption of the distribution (normal approximation of the binomial ranks).

    `ordered` ascends. (None, None) under five samples: no two of them would bound it.
    """
    n = len(ordered)
    if n < 5:
        return None, None
    spread = Z_90 * math.sqrt(n) / 2
    low = max(0, math.floor(n / 2 - spread))
    high = min(n - 1, math.ceil(n / 2 + spread) - 1)
    return ordered[low], ordered[high]
