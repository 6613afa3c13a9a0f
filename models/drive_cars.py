"""Petrol cars that nobody built, driven for 20 minutes each: what the drive model learns health from.

Each has its own mass, displacement, turbo, gears, thermostat, alternator, trims and quirks, so that the model does not
take another car for a fault. All cars of a batch are driven at once, a step a second. Amplitudes are ours; what a port
makes of the rows (steps, polls, what is missing) is models/drive_data.py's.
"""

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

GEARS: Final = 6
_RPM_MAX: Final = 6500.0
_AIR: Final = 1.184  # kg/m^3 at 25 degC
_KELVIN: Final = 273.15
_BARO_KPA: Final = 100.0
_HEAT_KW_PER_GPS: Final = 43.0 / 14.7 * 0.3  # into the coolant


@dataclass(frozen=True, slots=True)
class Cars:
    """What is a car's own, float64[cars] each unless said otherwise; open_share: of a stuck thermostat, 0 healthy."""

    mass_kg: Floats
    litres: Floats
    boost: Floats  # of full pressure over ambient
    idle_rpm: Floats
    rpm_per_kmh: Floats  # [cars, GEARS]
    slip_rpm: Floats
    shift_rpm: Floats
    temper: Floats
    town: Floats
    drag_kw: Floats
    closed_percent: Floats
    bend: Floats
    thermostat_c: Floats
    heat_kj_per_k: Floats
    radiator: Floats
    ambient_c: Floats
    start_c: Floats
    soak_k: Floats
    long_percent: Floats
    long_swing: Floats
    short_swing: Floats
    volts: Floats
    smart: Floats
    rough_rpm: Floats
    cut_rpm: Floats  # above it no fuel is given on the overrun
    before_s: Floats  # the engine ran before the rows begin
    open_share: Floats


@dataclass(slots=True)
class Driven:
    """Truth by second, float64[cars, seconds] each."""

    speed: Floats
    rpm: Floats
    throttle: Floats
    load: Floats
    map_kpa: Floats
    maf_gps: Floats
    coolant: Floats
    intake: Floats
    short: Floats
    long: Floats
    volts: Floats
    run_s: Floats


def draw_cars(count: int, rng: np.random.Generator, *, stuck_open: bool = False) -> Cars:
    """Cars at random; with stuck_open none of their thermostats closes any more."""

    def between(low: float, high: float) -> Floats:
        return rng.uniform(low, high, count)

    def some(share: float) -> npt.NDArray[np.bool_]:
        return rng.random(count) < share

    first = between(95, 150)
    step = between(0.62, 0.78)
    cvt = some(0.25)[:, None]
    ratios = first[:, None] * step[:, None] ** np.arange(GEARS)
    ratios = np.where(cvt, between(90, 110)[:, None] * 0.88 ** np.arange(GEARS), ratios)
    warm = some(0.5)
    ambient = np.clip(rng.normal(18, 12, count), -20, 42)
    thermostat = between(80, 104)
    return Cars(
        mass_kg=between(850, 2300),
        litres=between(0.9, 3.2),
        boost=np.where(some(0.3), between(0.3, 1.1), 0.0),
        idle_rpm=between(580, 950),
        rpm_per_kmh=ratios,
        slip_rpm=np.where(some(0.4), between(0, 900), 0.0),
        shift_rpm=between(1500, 2900),
        temper=between(0.5, 1.5),
        town=between(0.0, 1.0),
        drag_kw=between(0.5, 4.0),
        closed_percent=between(0, 20),
        bend=between(0.55, 1.1),
        thermostat_c=thermostat,
        heat_kj_per_k=between(30, 75),
        radiator=between(0.4, 1.5),
        ambient_c=ambient,
        start_c=np.where(warm, np.maximum(thermostat - between(-4, 25), ambient), ambient + between(0, 35)),
        soak_k=between(3, 30),
        long_percent=np.clip(rng.normal(0, 4.0, count), -10, 10),
        long_swing=between(0.0, 3.0),
        short_swing=between(0.3, 5.0),
        volts=between(13.3, 14.7),
        smart=np.where(some(0.4), between(0.3, 1.0), 0.0),
        rough_rpm=between(0.3, 18.0),
        cut_rpm=between(1100, 1800),
        before_s=np.where(warm, between(0, 3000), between(0, 20)),
        open_share=between(0.12, 1.0) if stuck_open else np.zeros(count),
    )


def drive_cars(cars: Cars, seconds: int, rng: np.random.Generator) -> Driven:
    """Drive them all, each on its own road."""
    count = len(cars.mass_kg)
    driven = Driven(**{name: np.zeros((count, seconds)) for name in Driven.__slots__})
    road = _Road(cars, rng)
    slow = _Slow(cars, rng)
    for second in range(seconds):
        _engine(cars, driven, second, road.step(), rng)
        slow.step(cars, driven, second, rng)
    return driven


class _Road:
    """What the drivers want: a speed for a while, then another."""

    def __init__(self, cars: Cars, rng: np.random.Generator) -> None:
        self._cars, self._rng = cars, rng
        count = len(cars.mass_kg)
        self._speed = rng.uniform(0, 60, count) * (rng.random(count) < 0.5)
        self._wanted = self._speed.copy()
        self._left_s = np.zeros(count)
        self._grade = np.zeros(count)
        self._jitter = np.zeros(count)
        self._idles = rng.random(count) < 0.08  # the engine runs, the car is going nowhere

    def step(self) -> tuple[Floats, Floats, Floats]:
        """km/h, m/s^2, grade of the next second."""
        cars, rng, count = self._cars, self._rng, len(self._speed)
        over = self._left_s <= 0
        kinds = np.array([0.0, 22.0, 50.0, 80.0, 110.0])
        draw = rng.random(count)
        town = np.where(draw < 0.3, 0, np.where(draw < 0.6, 1, 2))
        land = np.where(draw < 0.06, 0, np.where(draw < 0.2, 2, np.where(draw < 0.6, 3, 4)))
        kind = np.where(rng.random(count) < cars.town, town, land)
        fresh = kinds[kind] * rng.uniform(0.6, 1.35, count) * ~self._idles
        hold_s = rng.exponential(np.where(kind >= 3, 60, 22)) + 5
        self._wanted = np.where(over, fresh, self._wanted)
        self._left_s = np.where(over, hold_s, self._left_s - 1)
        self._jitter += -0.1 * self._jitter + rng.normal(0, 0.25, count)
        gap = self._wanted - self._speed + self._jitter * (self._wanted > 5)
        change = np.clip(0.25 * gap, -7.5 * cars.temper, 5.5 * cars.temper * (1 - self._speed / 260))
        before = self._speed
        self._speed = np.maximum(before + change, 0.0)
        self._speed[(self._wanted == 0) & (self._speed < 1.5)] = 0.0
        self._grade += -0.02 * self._grade + rng.normal(0, 0.004, count)
        return self._speed, (self._speed - before) / 3.6, self._grade


def _engine(
    cars: Cars, out: Driven, second: int, road: tuple[Floats, Floats, Floats], rng: np.random.Generator
) -> None:
    """Speed and air of an engine that gives what the road asks for."""
    speed, acceleration, grade = road
    count, mps = len(speed), speed / 3.6
    wheel_n = cars.mass_kg * (acceleration + 9.81 * (0.011 * (mps > 0) + grade)) + 0.42 * mps**2
    wheel_kw = wheel_n * mps / 1000
    hard = np.clip(wheel_kw / (18 * cars.litres), 0, 1.2)
    gears = speed[:, None] * cars.rpm_per_kmh
    fits = gears < (cars.shift_rpm * (1 + 0.9 * hard))[:, None]
    gear = np.where(fits.any(axis=1), fits.argmax(axis=1), GEARS - 1)
    turning = np.minimum(gears[np.arange(count), gear] + cars.slip_rpm * np.clip(hard, 0, 1), _RPM_MAX)
    before_c = out.coolant[:, second - 1] if second else cars.start_c
    cold_rpm = 9.0 * np.clip(50 - before_c, 0, 60) * np.exp(-(cars.before_s + second) / 90)
    idle = cars.idle_rpm + cold_rpm + rng.normal(0, 1, count) * cars.rough_rpm
    helped = 40 * (np.sin(second / 40 + cars.mass_kg) > 0.6)  # fan or compressor
    rpm = np.where(turning > idle, turning + rng.normal(0, 1, count) * cars.rough_rpm * 0.6, idle + helped)
    if second:
        rpm = 0.75 * rpm + 0.25 * out.rpm[:, second - 1]
    needed_kw = np.maximum(wheel_kw / 0.88, 0) + cars.drag_kw + 0.9 * cars.litres * (rpm / 1000) ** 1.3
    full_kw = cars.litres * rpm / 120 * _AIR * (1 + cars.boost) / 14.7 * 43 * 0.36
    share = np.clip(needed_kw / full_kw, 0.05, 1.0)
    overrun = (wheel_kw < -1) & (rpm > cars.cut_rpm)
    top_kpa = _BARO_KPA * (1 + cars.boost) - 2
    map_kpa = np.where(overrun, 20 + 3 * np.sin(cars.mass_kg), 13 + (top_kpa - 13) * share) * rng.normal(
        1, 0.015, count
    )
    if second:
        map_kpa = 0.7 * map_kpa + 0.3 * out.map_kpa[:, second - 1]
    intake_c = out.intake[:, second - 1] if second else cars.ambient_c + cars.soak_k
    filling = 0.78 + 0.14 * np.exp(-(((rpm - 3500) / 2500) ** 2)) + 0.04 * np.sin(cars.litres * 9)
    maf = filling * cars.litres * rpm / 120 * _AIR * map_kpa / _BARO_KPA * 298 / (intake_c + _KELVIN)
    ratio = np.clip(map_kpa / _BARO_KPA, 0.1, 0.98)
    area = maf / (cars.litres * 45) / np.sqrt(1 - ratio**2).clip(0.25)
    wide = np.clip(area, 0, 1) ** cars.bend
    out.speed[:, second], out.rpm[:, second], out.map_kpa[:, second] = speed, rpm, map_kpa
    out.maf_gps[:, second] = maf * rng.normal(1, 0.02, count)
    out.throttle[:, second] = cars.closed_percent + (100 - cars.closed_percent) * np.where(overrun, 0.0, wide)
    full_gps = 0.9 * cars.litres * rpm / 120 * _AIR * (1 + 0.5 * cars.boost)
    out.load[:, second] = np.clip(100 * maf / full_gps, 0, 100)


class _Slow:
    """Coolant, air, trims and voltage."""

    def __init__(self, cars: Cars, rng: np.random.Generator) -> None:
        count = len(cars.mass_kg)
        self._coolant = cars.start_c.copy()
        self._drift = rng.normal(0, 1, count) * cars.long_swing
        self._wave = np.zeros(count)
        self._loop_c = rng.uniform(15, 60, count)
        self._held_v = np.zeros(count)
        self._intake = cars.ambient_c + cars.soak_k * rng.uniform(0.2, 1.2, count)

    def step(self, cars: Cars, out: Driven, second: int, rng: np.random.Generator) -> None:
        """One second more."""
        count = len(self._coolant)
        speed, rpm, kpa = out.speed[:, second], out.rpm[:, second], out.map_kpa[:, second]
        opening = np.clip((self._coolant - cars.thermostat_c) / 8, 0, 1)
        opening = np.maximum(opening, cars.open_share)
        fan = (self._coolant > cars.thermostat_c + 9) * 1.0
        loss = (0.015 + cars.radiator * opening * (0.12 + 0.006 * speed + fan)) * (self._coolant - cars.ambient_c)
        self._coolant = self._coolant + (out.maf_gps[:, second] * _HEAT_KW_PER_GPS - loss) / cars.heat_kj_per_k
        out.coolant[:, second] = self._coolant
        wanted_c = cars.ambient_c + cars.soak_k * np.exp(-speed / 40)
        self._intake += (wanted_c - self._intake) / 120
        out.intake[:, second] = self._intake
        closed = (self._coolant > self._loop_c) | (cars.before_s + second > 90)
        overrun = (kpa < 25) & (rpm > 1200)
        self._drift += -0.01 * self._drift + 0.14 * cars.long_swing * rng.normal(0, 1, count)
        self._wave += -0.4 * self._wave + 0.8 * cars.short_swing * rng.normal(0, 1, count)
        cell = 1.5 * np.sin(cars.litres * 7 + kpa / 25) * cars.long_swing / 3
        out.long[:, second] = cars.long_percent + self._drift + cell
        out.short[:, second] = np.where(closed & ~overrun, self._wave - 0.3 * self._drift, 0.0)
        pulled = kpa > 55
        smart_v = np.where(overrun, 14.8, np.where(pulled, 12.6, cars.volts - 0.7))
        wanted_v = np.where(cars.smart > 0, cars.smart * smart_v + (1 - cars.smart) * cars.volts, cars.volts)
        wanted_v = wanted_v - 0.008 * (self._intake - 20) - 0.15 * (rng.random(count) < 0.05)
        self._held_v = wanted_v if second == 0 else self._held_v + 0.4 * (wanted_v - self._held_v)
        out.volts[:, second] = self._held_v + rng.normal(0, 0.03, count)
        out.run_s[:, second] = cars.before_s + second


def columns(driven: Driven) -> dict[str, Any]:
    """By name, as models/drive_data.py wants them."""
    return {name: getattr(driven, name) for name in Driven.__slots__}
