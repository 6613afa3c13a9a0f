"""Any split of a recording into windows gives the same events, whatever is in the recording."""

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.core import vss
from agent.core.config import Detect
from agent.core.crash import assemble
from agent.core.events import Collision, CrashRecord, Event
from agent.core.signals import Series, SignalWindow
from agent.detect import Detector
from agent.detect.battery import BatteryDetector
from agent.detect.cells import CellDetector
from agent.detect.charging import ChargingDetector
from agent.detect.collision import CollisionDetector
from agent.detect.crash_record import CrashRecords
from agent.detect.driving import DrivingDetector
from agent.detect.engine import EngineDetector
from agent.detect.low_voltage import LowVoltageDetector
from agent.detect.pack_alarms import PackAlarmDetector
from agent.detect.trip import TripDetector
from tests.unit.detect.feed import LIMITS, NS, Recording, run, series

Floats = npt.NDArray[np.float64]

DURATION_S = 24.0

pulses = st.lists(
    st.tuples(
        st.floats(0, DURATION_S),  # when
        st.sampled_from([0.02, 0.06, 0.1, 0.2, 0.8, 2.0]),  # how long
        st.sampled_from([-200.0, -40.0, -7.0, -5.0, 5.0, 7.0, 12.0, 30.0, 90.0]),  # m/s^2
        st.sampled_from([0, 1, 2]),  # which axis
    ),
    max_size=6,
)
gaps = st.lists(st.tuples(st.floats(0, DURATION_S), st.sampled_from([0.05, 0.4, 1.5, 4.0, 12.0, 40.0])), max_size=2)
cuts = st.lists(st.integers(0, round((DURATION_S + 60) * NS)), max_size=30)


def _drive(
    seed: int, bumps: list[tuple[float, float, float, int]], holes: list[tuple[float, float]], rate_hz: int
) -> Recording:
    """An IMU with gravity and noise, and a speed that follows the longitudinal axis, 2-10 Hz and whole km/h."""
    rng = np.random.default_rng(seed)
    t_s = np.arange(0, DURATION_S, 1 / rate_hz) + rng.uniform(0, 0.3 / rate_hz, round(DURATION_S * rate_hz))
    force = rng.normal(0, 0.3, (len(t_s), 3)) + rng.normal(0, 0.4, 3) + np.array([0, 0, 9.81])
    for at_s, span_s, size, axis in bumps:
        force[(t_s >= at_s) & (t_s < at_s + span_s), axis] += size
    speed_hz = int(rng.integers(1, 12))
    speed_s = np.arange(0, DURATION_S, 1 / speed_hz) + rng.uniform(0, 0.2 / speed_hz, round(DURATION_S * speed_hz))
    gained = np.cumsum(np.clip(force[:, 0], -9, 9)) / rate_hz * 3.6
    speed = np.rint(np.clip(float(rng.choice([0.0, 12.0, 50.0])) + np.interp(speed_s, t_s, gained), 0, 200))
    for at_s, span_s in holes:
        t_s, speed_s = np.where(t_s > at_s, t_s + span_s, t_s), np.where(speed_s > at_s, speed_s + span_s, speed_s)
    recording = {
        vss.ACCELERATION_LONGITUDINAL: series(t_s, force[:, 0]),
        vss.ACCELERATION_LATERAL: series(t_s, force[:, 1]),
        vss.ACCELERATION_VERTICAL: series(t_s, force[:, 2]),
        vss.SPEED: series(speed_s, speed),
    }
    if seed % 3 == 0:
        recording[vss.YAW_RATE] = series(t_s, rng.normal(0, 20, len(t_s)))
    if seed % 2 == 0:
        rate = rng.normal(0, float(rng.choice([0.5, 20.0])), len(t_s))
        for at_s, span_s, size, axis in bumps:
            rate[(t_s >= at_s) & (t_s < at_s + span_s)] += 4 * size * (axis != 2)
        alive = t_s < (rng.uniform(0, DURATION_S) if seed % 11 == 0 else np.inf)
        recording[vss.ROLL_RATE] = series(t_s[alive] + (2e-4 if seed % 4 == 0 else 0.0), rate[alive])
    if seed % 5 == 0:
        del recording[vss.SPEED]
    if seed % 7 == 0:
        recording[vss.ACCELERATION_LATERAL] = series(t_s[::2] + 1e-4, force[::2, 1])
    return recording


def _pack(seed: int, bumps: list[tuple[float, float, float, int]]) -> Recording:
    """A few cells around their limits, with steps, at 1-4 Hz each and out of step with one another."""
    rng = np.random.default_rng(seed)
    recording: dict[str, Series] = {}
    for cell in range(int(rng.integers(1, 5))):
        t_s = np.arange(0, DURATION_S, 1 / int(rng.integers(1, 5))) + rng.uniform(0, 0.2)
        volt, celsius = 3.7 + rng.normal(0, 0.02, len(t_s)), 40 + rng.normal(0, 0.5, len(t_s))
        for at_s, span_s, size, axis in bumps:
            if axis == cell % 3:
                inside = (t_s >= at_s) & (t_s < at_s + 4 * span_s)
                volt[inside] += size / 60
                celsius[inside] += np.minimum((t_s[inside] - at_s) * abs(size) / 4, 30)
        recording[vss.cell_voltage(cell)] = series(t_s, volt)
        recording[vss.cell_temperature(cell)] = series(t_s, np.rint(celsius))
    recording[vss.PACK_TEMPERATURE_MAX] = series(np.arange(0, DURATION_S, 0.5), 41.0)
    return recording


def _whole_and_cut(
    make: Callable[[], Detector], recording: Recording, cuts_ns: list[int]
) -> tuple[list[Event], list[Event], list[Event]]:
    """Events of one window come in no promised order: a shock is judged a second after a crash that follows it."""
    whole, cut, live = (
        run(make(), recording, cuts_ns=[]),
        run(make(), recording, cuts_ns=cuts_ns),
        run(make(), recording, window_s=0.05),
    )
    return _in_order(whole), _in_order(cut), _in_order(live)


def _in_order(events: list[Event]) -> list[Event]:
    return sorted(events, key=lambda event: (event.t_ns, event.kind))


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**20), pulses, gaps, cuts, st.sampled_from([20, 100, 400]))
def test_collision_and_road_shock(
    seed: int,
    bumps: list[tuple[float, float, float, int]],
    holes: list[tuple[float, float]],
    cuts_ns: list[int],
    rate_hz: int,
) -> None:
    whole, cut, live = _whole_and_cut(lambda: CollisionDetector(LIMITS), _drive(seed, bumps, holes, rate_hz), cuts_ns)
    assert whole == cut == live


class _Recorded:
    """The detector of collisions with the records of them behind it, as a pipeline asks the two."""

    inputs = (*CollisionDetector.inputs, *CrashRecords.inputs)

    def __init__(self) -> None:
        records = CrashRecords(LIMITS)
        self._both: tuple[Detector, Detector] = (CollisionDetector(LIMITS, records), records)

    def configure(self, limits: Detect) -> None:
        for detector in self._both:
            detector.configure(limits)

    def update(self, window: SignalWindow) -> list[Event]:
        return [event for detector in self._both for event in detector.update(window)]

    def finish(self, t_ns: int) -> list[Event]:
        return [event for detector in self._both for event in detector.finish(t_ns)]


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**20), pulses, gaps, cuts, st.sampled_from([20, 100, 400]))
def test_crash_records(
    seed: int,
    bumps: list[tuple[float, float, float, int]],
    holes: list[tuple[float, float]],
    cuts_ns: list[int],
    rate_hz: int,
) -> None:
    whole, cut, live = _whole_and_cut(_Recorded, _drive(seed, bumps, holes, rate_hz), cuts_ns)
    assert whole == cut == live
    records = {event.record for event in whole if isinstance(event, CrashRecord)}
    for number in records:
        found = assemble(e for e in whole if isinstance(e, CrashRecord) and e.record == number)
        assert found.missing == ()
    told = {event.record for event in whole if isinstance(event, Collision)}
    assert told - {0} <= records


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**20), pulses, gaps, cuts, st.sampled_from([20, 100, 400]))
def test_driving(
    seed: int,
    bumps: list[tuple[float, float, float, int]],
    holes: list[tuple[float, float]],
    cuts_ns: list[int],
    rate_hz: int,
) -> None:
    whole, cut, live = _whole_and_cut(lambda: DrivingDetector(LIMITS), _drive(seed, bumps, holes, rate_hz), cuts_ns)
    assert whole == cut == live


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**20), pulses, gaps, cuts)
def test_trip(
    seed: int, bumps: list[tuple[float, float, float, int]], holes: list[tuple[float, float]], cuts_ns: list[int]
) -> None:
    trips_soon = LIMITS.__class__(trip=LIMITS.trip.__class__(end_after_s=10.0))
    whole, cut, live = _whole_and_cut(lambda: TripDetector(trips_soon), _drive(seed, bumps, holes, 20), cuts_ns)
    assert sorted(whole, key=_order) == sorted(cut, key=_order) == sorted(live, key=_order)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**20), pulses, cuts)
def test_battery(seed: int, bumps: list[tuple[float, float, float, int]], cuts_ns: list[int]) -> None:
    whole, cut, live = _whole_and_cut(lambda: BatteryDetector(LIMITS), _pack(seed, bumps), cuts_ns)
    assert whole == cut == live


def _many_cells(seed: int, bumps: list[tuple[float, float, float, int]]) -> Recording:
    """A dozen cells with a current for minutes, in step or not, with faults that come and go, and sentinels."""
    rng = np.random.default_rng(seed)
    together, seconds = seed % 2 == 0, 25 * DURATION_S
    rate_hz = float(rng.choice([0.2, 1.0, 2.0]))
    t_s = np.arange(0, seconds, 1 / rate_hz)
    ampere = 60 * np.sin(t_s / 7) - 20
    recording = {vss.PACK_CURRENT: series(t_s, ampere), vss.STATE_OF_CHARGE: series(t_s, 60.0)}
    for cell in range(12):
        volt = 3.8 + rng.normal(0, 0.004) + (0.0009 + rng.normal(0, 5e-5)) * ampere + rng.normal(0, 0.0005, len(t_s))
        for at_s, span_s, size, axis in bumps:
            if axis == cell % 3:
                inside = (t_s >= 25 * at_s) & (t_s < 25 * (at_s + 40 * span_s))
                volt[inside] += size / 2000 if size > 0 else size / 20_000 * ampere[inside]
        volt[rng.random(len(t_s)) < 0.01] = 65.535
        recording[vss.cell_voltage(cell)] = series(t_s if together else t_s + rng.uniform(0, 0.2), volt)
    return recording


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**20), pulses, st.lists(st.integers(0, round(25 * DURATION_S * NS)), max_size=30))
def test_cells(seed: int, bumps: list[tuple[float, float, float, int]], cuts_ns: list[int]) -> None:
    recording = _many_cells(seed, bumps)
    whole = run(CellDetector(LIMITS), recording, cuts_ns=[])
    assert whole == run(CellDetector(LIMITS), recording, cuts_ns=cuts_ns)
    assert whole == run(CellDetector(LIMITS), recording, window_s=1.7)


def _slow_signals(seed: int, bumps: list[tuple[float, float, float, int]]) -> Recording:
    """Pack, charger and 12 V for minutes, each at its own rate, some missing, with steps up and down."""
    rng = np.random.default_rng(seed)
    base = {
        vss.PACK_CURRENT: 20.0,
        vss.PACK_VOLTAGE: 350.0,
        vss.STATE_OF_CHARGE: 60.0,
        vss.CELL_VOLTAGE_MAX: 4.2,
        vss.INSULATION_RESISTANCE: 180.0,
        vss.HVIL_CLOSED: 1.0,
        vss.CONTACTORS[0]: 1.0,
        vss.ALARM_FLAGS: 0.0,
        vss.LOW_VOLTAGE: 12.3,
        vss.SPEED: 0.0,
        vss.CABLE_CONNECTED: 1.0,
        vss.CHARGER_STATE: 2.0,
        vss.GRID_VOLTAGE: 220.0,
        vss.PACK_TEMPERATURE_MAX: 30.0,
        vss.DCDC_TEMPERATURE: 90.0,
    }
    recording: dict[str, Series] = {}
    for number, (path, level) in enumerate(base.items()):
        if rng.random() < 0.2:
            continue
        t_s = np.arange(0, 40 * DURATION_S, 1 / float(rng.choice([0.1, 1.0, 4.0]))) + rng.uniform(0, 0.2)
        value = np.full(len(t_s), level)
        for at_s, span_s, size, axis in bumps:
            if axis == number % 3:
                inside = (t_s >= 40 * at_s) & (t_s < 40 * (at_s + 60 * span_s))
                value[inside] = max(0.0, level * (1 + size / 60)) if level > 4 else float(size > 0) * 3
        recording[path] = series(t_s, np.rint(value) if level in {0.0, 1.0} else value)
    return recording or {vss.SPEED: series([0.0], [0.0])}


@settings(max_examples=40, deadline=None)
@given(
    st.integers(0, 2**20),
    pulses,
    st.lists(st.integers(0, round(40 * DURATION_S * NS)), max_size=30),
    st.sampled_from([PackAlarmDetector, LowVoltageDetector, ChargingDetector]),
)
def test_slow_signals(
    seed: int, bumps: list[tuple[float, float, float, int]], cuts_ns: list[int], make: type[Detector]
) -> None:
    recording = _slow_signals(seed, bumps)
    whole = run(make(LIMITS), recording, cuts_ns=[])  # type: ignore[call-arg]  # the protocol says nothing of it
    assert whole == run(make(LIMITS), recording, cuts_ns=cuts_ns)  # type: ignore[call-arg]
    assert whole == run(make(LIMITS), recording, window_s=3.1)  # type: ignore[call-arg]


def _order(event: Event) -> tuple[int, str]:
    """Trips and harsh driving come from one detector, which judges them one after the other within a window."""
    return event.t_ns, event.kind


def _engine(seed: int, holes: list[tuple[float, float]]) -> Recording:
    """Twelve minutes at 0.3 to 3 Hz, each signal at its own, of an engine with faults of all kinds."""
    rng = np.random.default_rng(seed)
    shapes = {
        vss.ENGINE_SPEED: (2000.0, float(rng.choice([5.0, 120.0]))),
        vss.SPEED: (60.0, 0.5),
        vss.THROTTLE: (18.0, float(rng.choice([0.3, 12.0]))),
        vss.MASS_AIR_FLOW: (12.0, 6.0),
        vss.MANIFOLD_PRESSURE: (60.0, float(rng.choice([0.0, 20.0]))),
        vss.COOLANT_TEMPERATURE: (float(rng.choice([50.0, 89.0, 121.0])), 0.5),
        vss.LONG_TERM_FUEL_TRIM: (float(rng.choice([-25.0, 0.0, 26.0])), 1.0),
        vss.SHORT_TERM_FUEL_TRIM: (0.0, 3.0),
        vss.INTAKE_TEMPERATURE: (30.0, 0.0),
    }
    recording: dict[str, Series] = {}
    for path, (mean, spread) in shapes.items():
        hz = float(rng.uniform(0.3, 3))
        t_s = np.arange(0, 720, 1 / hz) + rng.uniform(0, 0.3 / hz)
        values = rng.normal(mean, spread, len(t_s)) if spread else np.full(len(t_s), mean)
        for at_s, span_s in holes:
            t_s = np.where(t_s > 20 * at_s, t_s + span_s, t_s)
        recording[path] = series(t_s, values)
    return recording


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 2**20), gaps, st.lists(st.integers(0, 760 * NS), max_size=30))
def test_engine(seed: int, holes: list[tuple[float, float]], cuts_ns: list[int]) -> None:
    recording = _engine(seed, holes)
    whole = run(EngineDetector(LIMITS), recording, cuts_ns=[])
    assert run(EngineDetector(LIMITS), recording, cuts_ns=cuts_ns) == whole
    assert run(EngineDetector(LIMITS), recording, window_s=0.7) == whole
