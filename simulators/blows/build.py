"""From a plan to what the box reads: the car moves, the chip lies at some angle, bus and receiver tell the speed."""

from dataclasses import dataclass
from typing import Final

import numpy as np

from agent.core import vss
from agent.core.signals import Series
from simulators.blows.chip import Chip, Reading, sample
from simulators.blows.scene import SPAN_S, Conditions, Force, Mount, Plan, Scene, SpeedBy
from simulators.blows.shapes import rough
from simulators.mounting import random_rotation
from simulators.world.grid import Floats, times
from simulators.world.inertial import attitude, gravity, true_forces
from simulators.world.motion import Motion, move

_RATE_MIN_HZ: Final = 1600  # of the grid on which forces are made
_FINER: Final = 4  # than the chip's rate
_ISO: Final = np.array([1.0, -1.0, 1.0])  # lateral is right + here, left + in ISO 8855, in which chips are turned
_LEVEL_ERROR_DEG: Final = 1.5
_LEARNT_DEG: Final = 2.5  # `python -m simulators mounting`: 95 % within 5
_ON_PLASTIC: Final = 0.4  # share of boxes that are glued to something that swings
_OBD_S, _OBD_LATE_S = 0.5, 0.3
_GNSS_S, _GNSS_LATE_S = 0.2, 0.2
_BUS_S: Final = 0.05
_HEARD_S: Final = 0.02
_ACCELERATIONS: Final = (vss.ACCELERATION_LONGITUDINAL, vss.ACCELERATION_LATERAL, vss.ACCELERATION_VERTICAL)
_RATES: Final = (vss.ROLL_RATE, vss.PITCH_RATE, vss.YAW_RATE)


@dataclass(frozen=True, slots=True)
class Box:
    """One box in one car: its chip, where it truly lies and where it believes it lies (float64[3, 3], ISO to chip)."""

    chip: Chip
    mounted: Force
    believed: Force
    conditions: Conditions


def random_box(
    rng: np.random.Generator, *, rate_hz: int, mount: Mount | None = None, awake: bool = True, range_g: float = 0.0
) -> Box:
    """Draw a box. Most of the fleet's chips end at 16 g; range_g 0 draws that too."""
    kinds: tuple[Mount, ...] = ("known", "learnt", "unknown")
    kind = mount or kinds[int(rng.choice(3, p=(0.3, 0.45, 0.25)))]
    range_g = range_g or float(rng.choice((16.0, 32.0, 200.0), p=(0.6, 0.15, 0.25)))
    speed_by: SpeedBy = "none" if not awake else ("can", "obd", "none")[int(rng.choice(3, p=(0.5, 0.25, 0.25)))]
    mounted = random_rotation(int(rng.integers(1 << 31)))
    level = _small(rng, _LEVEL_ERROR_DEG)
    if kind == "unknown":
        raw = rng.random() < 1 / 3  # nobody even levelled the axes
        believed = np.eye(3) if raw else mounted @ level @ _yaw(rng.uniform(0, 2 * np.pi))
        heading_error_deg = 180.0
    else:
        heading_deg = 1.0 if kind == "known" else _LEARNT_DEG
        believed = mounted @ level @ _yaw(float(np.deg2rad(heading_deg * rng.standard_normal())))
        heading_error_deg = 2.0 if kind == "known" else float(rng.uniform(3, 9.5))
    chip = Chip(
        rate_hz=float(rate_hz),
        range_g=range_g,
        bandwidth=float(rng.uniform(0.25, 0.45)),
        noise_mps2=float(rng.uniform(0.02, 0.1)),
        bias_mps2=_three(rng.normal(0, 0.15, 3)),
        scale=_three(1 + rng.normal(0, 0.005, 3)),
        rate_error=float(rng.uniform(-0.015, 0.015)),
        resonance_hz=float(rng.uniform(40, 150)) if rng.random() < _ON_PLASTIC else 0.0,
        quality=float(rng.uniform(1, 5)),
    )
    conditions = Conditions(
        rate_hz=rate_hz,
        range_g=range_g,
        mount=kind,
        heading_error_deg=heading_error_deg,
        speed_by=speed_by,
        gnss=bool(rng.random() < (0.5 if awake else 0.15)),
        gyroscope=bool(rng.random() < 0.85),
        context=speed_by == "can" and bool(rng.random() < 0.7),
    )
    return Box(chip, mounted, believed, conditions)


def build(kind: str, seed: int, plan: Plan, box: Box, rng: np.random.Generator) -> Scene:
    """Let it happen."""
    scenario, rate_hz = plan.scenario, max(_RATE_MIN_HZ, _FINER * box.conditions.rate_hz)
    motion = move(scenario, seed)
    t_s = times(scenario.duration_s, 1 / rate_hz)
    engine_rpm = np.full(len(motion.t_s), rng.uniform(700, 3200) if plan.awake else 0.0)
    force, turning = true_forces(scenario, seed, motion, engine_rpm, t_s)
    if plan.roughness > 1:
        speed_mps = float(np.abs(motion.speed).max())
        rough(0.0, scenario.duration_s, plan.roughness - 1, speed_mps)(t_s, force, turning, rng)
    for add in plan.to_car:
        add(t_s, force, turning, rng)
    felt_by_car = force.copy()
    for add in plan.to_box:
        add(t_s, force, turning, rng)
    reading = sample(box.chip, rng, t_s, (force * _ISO) @ box.mounted.T)
    signals = _imu(box, reading, t_s, turning, rng)
    signals |= _speeds(box.conditions, motion, plan, rng)
    return Scene(
        kind=kind,
        seed=seed,
        duration_s=scenario.duration_s,
        signals={path: series for path, series in signals.items() if len(series)},
        blow=plan.blow,
        conditions=box.conditions,
        car_delta_v_kmh=_delta_v_kmh(plan, motion, t_s, felt_by_car),
        clipped=bool(reading.clipped.any()),
    )


def _imu(box: Box, reading: Reading, t_s: Floats, turning: Force, rng: np.random.Generator) -> dict[str, Series]:
    """What drivers.imu_iio tells, as it believes the box to lie."""
    turned = (reading.values @ box.believed) * _ISO
    signals = {path: Series(reading.t_ns, turned[:, axis].copy()) for axis, path in enumerate(_ACCELERATIONS)}
    if box.conditions.gyroscope:
        at_s = reading.t_ns / 1e9
        true = np.column_stack([np.interp(at_s, t_s, column) for column in turning.T])
        chip = np.clip(true @ box.mounted.T + rng.normal(0, 0.3, 3), -2000, 2000)
        rates = chip @ box.believed + 0.08 * rng.standard_normal(chip.shape)
        signals |= {path: Series(reading.t_ns, rates[:, axis].copy()) for axis, path in enumerate(_RATES)}
    rows = reading.clipped.nonzero()[0]
    signals[vss.IMU_CLIPPED] = Series(reading.t_ns[rows], reading.clipped[rows].astype(np.float64))
    told = reading.t_ns[:: box.conditions.rate_hz]
    signals[vss.IMU_HEADING_ERROR] = Series(told, np.full(len(told), box.conditions.heading_error_deg))
    return signals


def _speeds(conditions: Conditions, motion: Motion, plan: Plan, rng: np.random.Generator) -> dict[str, Series]:
    """Speed by the car's bus, its diagnostics or the receiver, and what else the bus tells."""
    signals: dict[str, Series] = {}
    end_s, kmh = float(motion.t_s[-1]), np.abs(motion.speed) * 3.6
    until_s = min(end_s, plan.bus_dies_s)

    def ask(every_s: float, late_s: float, to_s: float) -> tuple[Series, Floats]:
        asked = np.arange(rng.uniform(0, every_s), to_s - late_s, every_s)
        value = np.interp(asked, motion.t_s, kmh)
        return Series(np.rint((asked + late_s) * 1e9).astype(np.int64), value), value

    if conditions.speed_by == "can":
        series, value = ask(_BUS_S, _HEARD_S, until_s)
        wheel = np.where(value > 0.3, value + 0.05 * rng.standard_normal(len(value)), 0.0)
        signals[vss.SPEED] = Series(series.t_ns, np.maximum(np.round(wheel, 2), 0))
    elif conditions.speed_by == "obd":
        series, value = ask(_OBD_S, _OBD_LATE_S, until_s)
        signals[vss.SPEED] = Series(series.t_ns, np.floor(value))
    if conditions.gnss:
        series, value = ask(_GNSS_S, _GNSS_LATE_S, end_s)
        signals[vss.GNSS_SPEED] = Series(series.t_ns, np.abs(value + 0.25 * rng.standard_normal(len(value))))
    if conditions.context:
        at_s = np.arange(rng.uniform(0, 0.1), until_s - _HEARD_S, 0.1)
        for path, steps in (plan.context or {}).items():
            since, values = np.array([step[0] for step in steps]), np.array([step[1] for step in steps])
            row = np.maximum(np.searchsorted(since, at_s, side="right") - 1, 0)
            signals[path] = Series(np.rint((at_s + _HEARD_S) * 1e9).astype(np.int64), values[row].astype(np.float64))
    return signals


def _delta_v_kmh(plan: Plan, motion: Motion, t_s: Floats, force: Force) -> float:
    """The car's largest horizontal delta-v within 150 ms or less, without gravity's share at its true attitude."""
    still = gravity(*attitude(plan.scenario, motion))
    true = np.column_stack([force[:, axis] - np.interp(t_s, motion.t_s, still[:, axis]) for axis in (0, 1)])
    step_s = float(t_s[1] - t_s[0])
    velocity = np.vstack([np.zeros((1, 2)), np.cumsum((true[1:] + true[:-1]) * (step_s / 2), axis=0)])
    counts = [min(round(span_s / step_s), len(t_s) - 1) for span_s in np.linspace(SPAN_S / 10, SPAN_S, 10)]
    changes = [velocity[count:] - velocity[:-count] for count in counts]
    return max(float(np.hypot(change[:, 0], change[:, 1]).max()) for change in changes) * 3.6


def _small(rng: np.random.Generator, size_deg: float) -> Force:
    """A rotation by a small angle about a level axis."""
    roll, pitch = np.deg2rad(size_deg * rng.standard_normal(2) / np.sqrt(2))
    matrix = np.array([[1, 0, pitch], [0, 1, -roll], [-pitch, roll, 1.0]])
    q, r = np.linalg.qr(matrix)
    return np.asarray(q * np.sign(np.diag(r)))


def _yaw(angle: float) -> Force:
    c, s = np.cos(angle), np.sin(angle)
    return np.array([[c, -s, 0], [s, c, 0], [0, 0, 1.0]])


def _three(values: Force) -> tuple[float, float, float]:
    return float(values[0]), float(values[1]), float(values[2])
