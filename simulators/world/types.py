"""What a simulated drive consists of."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from simulators.world.diagnosis import Memory
from simulators.world.scenario import Scenario

Times = npt.NDArray[np.int64]
Values = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class ImuData:
    """What the accelerometer and gyroscope read, in vehicle axes as the box believes them.

    acceleration float64[n, 3] in m/s^2, specific force: forward +, right +, up + (a standing car reads 0, 0, +9.81).
    rotation float64[n, 3] in degrees/s about the axes of ISO 8855: roll (right side down +), pitch (nose down +),
    yaw (to the left +).
    """

    t_ns: Times
    acceleration: Values
    rotation: Values


@dataclass(frozen=True, slots=True)
class GnssData:
    """What the receiver reads: degrees, m, km/h, degrees from north clockwise, m (68 %)."""

    t_ns: Times
    latitude: Values
    longitude: Values
    altitude_m: Values
    speed_kmh: Values
    heading_deg: Values
    accuracy_m: Values


@dataclass(frozen=True, slots=True)
class Truth:
    """What a perfect agent would report, and when it became true. kind is an event's tag, details its fields."""

    kind: str
    t_ns: int
    details: Mapping[str, float | int | str | bool]


@dataclass(frozen=True, slots=True)
class Drive:
    """One whole drive as arrays; a function of scenario and seed alone.

    signals: VSS path -> (t_ns int64[k], value float64[k] in the VSS unit), as the car's own sensors have them
    (noise, but neither the rounding nor the timing of the bus). sleep_ns: when the buses fall silent. memory: what the
    diagnostics port tells of faults.
    """

    scenario: Scenario
    seed: int
    duration_ns: int
    sleep_ns: int
    signals: Mapping[str, tuple[Times, Values]]
    imu: ImuData
    gnss: GnssData
    memory: tuple[Memory, ...]
    truth: tuple[Truth, ...]
