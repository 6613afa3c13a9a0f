"""NHTSA crash test 10146 as a box would have felt it: a 2018 car into a rigid wall at 57.09 km/h.

Channels by the test's EV5 header: rear seat crossmember (the rear floor), left X 093 and, redundant, 099, Z 097; right
X 094 and 100, Z 098; top of the engine X 095, bottom 096, which has no valid data after 67 ms. 10 kHz, from 50 ms
before the impact to 300 ms after it; x forward, z down, in g. There is no Y.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Final

import numpy as np

from agent.core import vss
from agent.core.config import CollisionLimits, Detect
from agent.core.events import Collision, Event
from agent.core.signals import Series
from agent.detect.collision import CollisionDetector
from simulators.blows.chip import GRAVITY, Chip, Floats, sample
from simulators.blows.feed import Recording, watch

FOLDER: Final = "crash_test_nhtsa"
MOUNTS: Final[Mapping[str, str]] = {"093": "097", "099": "097", "094": "098", "100": "098"}  # X to Z of the same mount
ENGINE: Final = ("095", "096")
SPEED_KMH: Final = 57.09
REFERENCE_KMH: Final = 65.0  # over 150 ms the four mounts give 64.5 to 66.1
IMPACT_S: Final = 6.0  # of the recording: a level is known by then
_AFTER_S: Final = 0.3
_SEED: Final = 10_146
_NOISE_MPS2: Final = 0.3  # a driving car shakes
_BIAS_MPS2: Final = (0.3, -0.2, 0.1)


@dataclass(frozen=True, slots=True)
class Verdict:
    """What was told of one mount at one range; delta_v_own_kmh: the raw channel's own integral, largest in 300 ms."""

    channel: str
    rate_hz: int
    range_g: float
    events: tuple[Event, ...]
    delta_v_own_kmh: float

    @property
    def collision(self) -> Collision | None:
        """The collision told at the impact, where there is exactly one."""
        told = [event for event in self.events if isinstance(event, Collision)]
        return told[0] if len(told) == 1 and abs(told[0].t_ns / 1e9 - IMPACT_S) < 0.05 else None

    @property
    def error_pct(self) -> float:
        """Of the longitudinal delta-v against the test's; 100 where nothing was told."""
        event = self.collision
        if event is None or event.delta_v_longitudinal_kmh is None:
            return 100.0
        return abs(event.delta_v_longitudinal_kmh / -REFERENCE_KMH - 1) * 100


@lru_cache
def channel(path: Path) -> tuple[Floats, Floats]:
    """Seconds from the impact and m/s^2."""
    rows = np.loadtxt(path)
    return rows[:, 0], rows[:, 1] * GRAVITY


def judge(folder: Path, x: str, *, rate_hz: int = 400, range_g: float = 16.0) -> Verdict:
    """One mount through chip and detector."""
    limits = Detect(collision=CollisionLimits(sensor_range_mps2=range_g * GRAVITY))
    events = watch(CollisionDetector(limits), recording(folder, x, rate_hz=rate_hz, range_g=range_g))
    t_s, forward = channel(folder / f"v10146.{x}")
    own_kmh = float(np.cumsum(forward[t_s >= 0]).min()) * float(np.median(np.diff(t_s))) * 3.6
    return Verdict(x, rate_hz, range_g, tuple(events), own_kmh)


def recording(folder: Path, x: str, *, rate_hz: int, range_g: float) -> Recording:
    """Low-passed, sampled, then clipped (simulators.blows.chip). Where a channel has ended, its axis has too."""
    t_s, forward = channel(folder / f"v10146.{x}")
    step_s = float(np.median(np.diff(t_s)))
    grid_s = np.arange(0, IMPACT_S + _AFTER_S, step_s)
    force = np.zeros((len(grid_s), 3))
    force[:, 0] = np.interp(grid_s - IMPACT_S, t_s, forward, left=0.0)
    force[:, 2] = GRAVITY
    if x in MOUNTS:
        at_s, down = channel(folder / f"v10146.{MOUNTS[x]}")
        force[:, 2] -= np.interp(grid_s - IMPACT_S, at_s, down, left=0.0)
    chip = Chip(rate_hz=rate_hz, range_g=range_g, noise_mps2=_NOISE_MPS2, bias_mps2=_BIAS_MPS2)
    reading = sample(chip, np.random.default_rng(_SEED), grid_s, force)
    alive = reading.t_ns <= round((IMPACT_S + float(t_s[-1])) * 1e9)
    clipped = reading.clipped.nonzero()[0]
    told_s = np.arange(0, IMPACT_S, 0.1)
    return {
        vss.ACCELERATION_LONGITUDINAL: Series(reading.t_ns[alive], reading.values[alive, 0]),
        vss.ACCELERATION_LATERAL: Series(reading.t_ns, reading.values[:, 1].copy()),
        vss.ACCELERATION_VERTICAL: Series(reading.t_ns, reading.values[:, 2].copy()),
        vss.IMU_CLIPPED: Series(reading.t_ns[clipped], reading.clipped[clipped].astype(np.float64)),
        vss.SPEED: Series(np.rint(told_s * 1e9).astype(np.int64), np.full(len(told_s), SPEED_KMH)),
    }
