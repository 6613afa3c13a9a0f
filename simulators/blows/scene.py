"""Short scenes around one blow, or around what only looks like one: what the box reads, and what truly happened."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np
import numpy.typing as npt

from agent.core.config import CollisionLimits, Detect
from agent.core.signals import Series
from simulators.world.grid import Floats
from simulators.world.scenario import Scenario

TRIGGER_KMH: Final = 8.0
STANDING_TRIGGER_KMH: Final = 3.0
# No instrument tells 7.9 from 8.1 km/h (49 CFR 563 allows 10 %): what is called no collision stays below this share.
CLEARLY_BELOW: Final = 0.9
SPAN_S: Final = 0.15

Force = npt.NDArray[np.float64]
Mount = Literal["known", "learnt", "unknown"]
SpeedBy = Literal["can", "obd", "none"]
# Adds to specific force (n, 3) and turning rates (n, 3) in place, at the times t_s.
Add = Callable[[Floats, Force, Force, np.random.Generator], None]


@dataclass(frozen=True, slots=True)
class Blow:
    """A collision as it truly was. t_ns: its onset; pdof_deg: 0 from ahead, 90 from the right."""

    t_ns: int
    delta_v_kmh: float
    pdof_deg: float
    duration_ms: float
    shape: str
    parked: bool


@dataclass(frozen=True, slots=True)
class Conditions:
    """How the box is built in and what it can know. heading_error_deg: what the IMU tells of its axes."""

    rate_hz: int
    range_g: float
    mount: Mount
    heading_error_deg: float
    speed_by: SpeedBy
    gnss: bool
    gyroscope: bool
    context: bool  # the bus tells of brakes, belts, doors and air bags


@dataclass(frozen=True, slots=True)
class Plan:
    """What a class of scenes draws: the world's scenario, and what it has no event for.

    to_car: felt by the car and so by the box; to_box: by the box alone, which no truth about the car counts. roughness:
    how many times as rough as the world's roads. awake: the ignition is on. context: what the bus tells beyond speed,
    path -> steps of (second, value).
    """

    scenario: Scenario
    blow: Blow | None = None
    to_car: tuple[Add, ...] = ()
    to_box: tuple[Add, ...] = ()
    roughness: float = 1.0
    awake: bool = True
    context: Mapping[str, tuple[tuple[float, float], ...]] | None = None
    bus_dies_s: float = float("inf")


@dataclass(frozen=True, slots=True)
class Scene:
    """One scene as a SignalWindow would give it, by VSS path; blow None: nothing hit the car.

    car_delta_v_kmh: the largest horizontal delta-v of the car within up to 150 ms, gravity taken out, as it truly was.
    """

    kind: str
    seed: int
    duration_s: float
    signals: Mapping[str, Series]
    blow: Blow | None
    conditions: Conditions
    car_delta_v_kmh: float
    clipped: bool

    def limits(self) -> Detect:
        """The defaults, and the end of this box's range as its config would have it."""
        return Detect(collision=CollisionLimits(sensor_range_mps2=self.conditions.range_g * 9.80665))
