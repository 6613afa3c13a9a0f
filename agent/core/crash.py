"""A crash record put together again from its fragments: what desks, evidence and training read. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

Times = npt.NDArray[np.int64]
Values = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Trace:
    """Samples of one or more channels: t_ns int64[n], not decreasing, and values float64[n, k], NaN for none."""

    t_ns: Times
    values: Values


@dataclass(frozen=True, slots=True)
class CrashData:
    """One crash record as far as its fragments have come.

    t0_ns: time zero, monotonic ns of its boot. elements: the 563-like table, name -> value, list of values, or None
    where the car does not tell; empty while it is missing. imu: acceleration (forward, right, up, m/s^2, gravity
    included) and turning rates (roll, pitch, yaw, degrees/s), so values is float64[n, 6]. signals: by VSS path.
    complete: every fragment up to the end is here. withdrawn: it was no crash. missing: fragments with a gap before.
    """

    record: int
    t0_ns: int
    elements: Mapping[str, float | int | bool | str | list[float | None] | None]
    imu: Trace
    signals: Mapping[str, Trace] = field(default_factory=dict)
    complete: bool = False
    withdrawn: bool = False
    missing: tuple[int, ...] = ()
