"""Waits between tries: doubling, capped, jittered so that a fleet does not come back in step."""

from collections.abc import Callable, Iterator


def backoff_waits(uniform: Callable[[], float], *, first_s: float = 0.5, longest_s: float = 60.0) -> Iterator[float]:
    """Endless waits in seconds: full jitter over a doubling span, never below a tenth of it.

    uniform returns a float in [0, 1); it is an argument so that this stays pure and tests repeat.
    """
    span_s = first_s
    while True:
        yield span_s * (0.1 + 0.9 * uniform())
        span_s = min(span_s * 2, longest_s)
