"""What few counts are worth: exact upper bounds of a Poisson rate."""

from collections.abc import Sequence
from math import exp


def poisson_upper(count: int, *, confidence: float = 0.95) -> float:
    """The mean that so few events, or fewer, would come from with a chance of 1 - confidence: 3.0 for none of them."""
    low, high = float(count), 10.0 + 3.0 * count
    for _ in range(80):
        mean = (low + high) / 2
        if _at_most(count, mean) > 1 - confidence:
            low = mean
        else:
            high = mean
    return high


def _at_most(count: int, mean: float) -> float:
    term = total = exp(-mean)
    for k in range(1, count + 1):
        term *= mean / k
        total += term
    return total


def percentile(values: Sequence[float], share: float) -> float | None:
    """The smallest value that so large a share does not exceed; None of nothing."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))] if ordered else None


def within(values: Sequence[float], limit: float) -> float | None:
    """Share of values that do not exceed the limit; None of nothing."""
    return sum(value <= limit for value in values) / len(values) if values else None
