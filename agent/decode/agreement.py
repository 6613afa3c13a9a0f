"""How well two speed sources agree, once the lag between them is taken out."""

from dataclasses import dataclass
from typing import Final

import numpy as np

from agent.core.signals import Series

KMH_PER_MPS: Final = 3.6
SAMPLES_MIN: Final = 10


@dataclass(frozen=True, slots=True)
class Agreement:
    """lag_s: how much later the other source shows the same speed; rmse in m/s over `samples` of the other source.

    left_out counts its samples that the comparison does not rest on.
    """

    lag_s: float
    rmse: float
    samples: int
    left_out: int


def speed_agreement(
    reference: Series,
    other: Series,
    *,
    gated: int = 0,
    lag_max_s: float = 2.0,
    lag_step_s: float = 0.02,
    gap_max_s: float = 2.0,
) -> Agreement | None:
    """Compare two speeds in km/h; None where too few samples can be compared.

    The reference is interpolated linearly at the other's times moved by a lag; the lag of the least RMSE within
    +-lag_max_s counts. Samples of `other` are left out where the reference has a gap longer than gap_max_s or ends, for
    any lag: every lag is judged by the same samples. `gated` samples, left out before (by their own validity and
    accuracy fields), are only added to left_out.
    """
    if len(reference) < 2 or len(other) < SAMPLES_MIN:
        return None
    origin_ns = int(reference.t_ns[0])
    known_s = (reference.t_ns - origin_ns) / 1e9
    t_s = (other.t_ns - origin_ns) / 1e9
    early, late = t_s - lag_max_s, t_s + lag_max_s
    usable = (early >= known_s[0]) & (late <= known_s[-1])
    last = len(known_s) - 1
    gaps = np.concatenate([[0], np.cumsum(np.diff(known_s) > gap_max_s)])
    gaps_before = gaps[np.clip(known_s.searchsorted(early, side="right") - 1, 0, last)]
    usable &= gaps_before == gaps[np.clip(known_s.searchsorted(late), 0, last)]
    count = int(np.count_nonzero(usable))
    if count < SAMPLES_MIN:
        return None
    t_s, speed = t_s[usable], other.value[usable]
    steps = round(lag_max_s / lag_step_s)
    lags = np.arange(-steps, steps + 1) * lag_step_s
    errors = [float(np.mean((np.interp(t_s - lag, known_s, reference.value) - speed) ** 2)) for lag in lags]
    best = int(np.argmin(errors))
    return Agreement(float(lags[best]), float(np.sqrt(errors[best])) / KMH_PER_MPS, count, len(other) - count + gated)
