"""Recordings as plain arrays, for the tests of detectors."""

import numpy as np
import numpy.typing as npt

from agent.core.config import Detect
from agent.core.signals import Series
from simulators.blows.feed import NS, Recording, Window, windows
from simulators.blows.feed import watch as run

__all__ = ["LIMITS", "NS", "Recording", "Window", "run", "series", "windows"]

LIMITS = Detect()

Floats = npt.NDArray[np.float64]


def series(t_s: npt.ArrayLike, value: npt.ArrayLike) -> Series:
    """Seconds and values to a Series; one value is spread over all times."""
    t_ns = np.rint(np.asarray(t_s, np.float64) * NS).astype(np.int64)
    return Series(t_ns, np.broadcast_to(np.asarray(value, np.float64), t_ns.shape).copy())
