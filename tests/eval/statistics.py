"""What few counts are worth: upper bounds of Poisson rates."""

from collections.abc import Sequence
from math import exp, lgamma, log


def poisson_upper(count: int, *, confidence: float = 0.95) -> float:
    """The mean that so few events, or fewer, would come from with a chance of 1 - confidence: 3.0 for none of them."""
    return weighted_upper([(count, 1.0)], confidence=confidence)


def weighted_upper(counts: Sequence[tuple[int, float]], *, confidence: float = 0.95) -> float:
    """Upper bound of a sum of Poisson means, each with a weight, of (count, weight): Fay and Feuer's gamma interval.

    Exact for one weight; where weights differ, never below what the largest would give for no events at all.
    """
    total = sum(count * weight for count, weight in counts)
    spread = sum(count * weight**2 for count, weight in counts)
    largest = max(weight for _, weight in counts)
    scale = (spread + largest**2) / (total + largest)
    shape = (total + largest) / scale
    low, high = 0.0, 10.0 * (shape + 10)
    for _ in range(80):
        middle = (low + high) / 2
        low, high = (middle, high) if _gamma_share(shape, middle) < confidence else (low, middle)
    return high * scale


def _gamma_share(shape: float, x: float) -> float:
    """Share of a gamma distribution of scale 1 below x, by its power series."""
    if x <= 0:
        return 0.0
    term = total = 1 / shape
    n = shape
    while term > total * 1e-15:
        n += 1
        term *= x / n
        total += term
    return min(1.0, total * exp(shape * log(x) - x - lgamma(shape)))


def percentile(values: Sequence[float], share: float) -> float | None:
    """The smallest value that so large a share does not exceed; None of nothing."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))] if ordered else None


def within(values: Sequence[float], limit: float) -> float | None:
    """Share of values that do not exceed the limit; None of nothing."""
    return sum(value <= limit for value in values) / len(values) if values else None
