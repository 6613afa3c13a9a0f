"""A crash leaves a record in fragments: when each comes, what it holds, and when there is none."""

import msgspec
import numpy as np
import pytest

from agent.core import vss
from agent.core.config import CollisionLimits, Detect
from agent.core.crash import ELEMENTS, IMU_PATHS, CrashData, assemble
from agent.core.events import Collision, CrashRecord, Event, Rollover
from agent.core.records import EVENT_SIZE_MAX, Position, encode_event
from agent.core.signals import Series
from agent.detect.collision import CollisionDetector
from agent.detect.crash_elements import Impact
from agent.detect.crash_record import CrashRecords
from agent.detect.crash_samples import RECORDED
from agent.detect.pulse import MS, Mounting
from tests.unit.detect.feed import LIMITS, NS, Recording, series, windows

G = 9.80665
CRASH_S = 25.0


def ride(
    *blows: tuple[float, float, float],
    rate_hz: float = 400,
    end_s: float = 45.0,
    dead_s: float = 1e9,
    axis: int = 0,
    begin_s: float = 0.0,
) -> dict[str, Series]:
    """A drive at 50 km/h; blows of (at s, length s, delta-v in km/h), the IMU dead from dead_s on."""
    rng = np.random.default_rng(3)
    t_s = np.arange(begin_s, end_s, 1 / rate_hz)
    values = rng.normal(0, 0.3, (len(t_s), 6)) + np.array([0, 0, G, 0, 0, 0])
    for at_s, length_s, delta_v_kmh in blows:
        phase = np.clip((t_s - at_s) / length_s, 0, 1)
        values[:, axis] += (1 - np.cos(2 * np.pi * phase)) / length_s * delta_v_kmh / 3.6
    alive = t_s < dead_s
    recording = {path: series(t_s[alive], values[alive, k]) for k, path in enumerate(IMU_PATHS)}
    slow_s = np.arange(begin_s, end_s, 0.1)
    recording[vss.SPEED] = series(slow_s, 50.0)
    recording[vss.BRAKE_PEDAL] = series(slow_s, np.where(slow_s > CRASH_S - 2, 40.0, 0.0))
    recording[vss.seat_belted(vss.SEATS[0])] = series(np.arange(begin_s, end_s, 1.0), 1.0)
    recording[vss.airbag_deployed(vss.SEATS[0])] = series(slow_s, np.where(slow_s > CRASH_S + 0.15, 1.0, 0.0))
    return recording


def told(recording: Recording, limits: Detect = LIMITS, *, window_s: float = 0.02) -> list[tuple[int, Event]]:
    """(end of the window, event), as a pipeline would ask both detectors."""
    records = CrashRecords(limits)
    collisions = CollisionDetector(limits, records)
    events: list[tuple[int, Event]] = []
    end_ns = max(int(s.t_ns[-1]) for s in recording.values())
    for window in windows(recording, range(0, end_ns, round(window_s * NS))):
        for detector in (collisions, records):
            if any(len(window.new(path)) for path in detector.inputs):
                events += [(window.t_ns, event) for event in detector.update(window)]
    for detector in (collisions, records):
        events += [(end_ns, event) for event in detector.finish(end_ns)]
    return events


def fragments_of(events: list[tuple[int, Event]], record: int = 1) -> list[CrashRecord]:
    return [e for _, e in events if isinstance(e, CrashRecord) and e.record == record]


def one(recording: Recording, limits: Detect = LIMITS) -> tuple[Collision, CrashData]:
    events = told(recording, limits)
    (collision,) = [event for _, event in events if isinstance(event, Collision)]
    return collision, assemble(fragments_of(events, collision.record))


def test_a_crash_leaves_a_complete_record() -> None:
    collision, found = one(ride((CRASH_S, 0.12, -30.0)))
    elements = found.elements
    assert (found.complete, found.withdrawn, found.t0_ns) == (True, False, collision.t_ns)
    after_s = (found.imu.t_ns - found.t0_ns) / NS
    assert (after_s[0], after_s[-1]) == (pytest.approx(-15, abs=0.01), pytest.approx(15, abs=0.01))
    assert len(after_s) == 30 * 400
    assert not np.isnan(found.imu.values).any()
    assert found.imu.values[:, 2].mean() == pytest.approx(G, abs=0.05)
    speed_s = (found.signals[vss.SPEED].t_ns - found.t0_ns) / NS
    assert (speed_s[0], speed_s[-1]) == (pytest.approx(-20, abs=0.1), pytest.approx(5, abs=0.1))
    curve = elements["delta_v_longitudinal_kmh"]
    assert isinstance(curve, list)
    assert len(curve) == 26
    assert curve[0] == 0.0
    assert curve[-1] == pytest.approx(collision.delta_v_longitudinal_kmh, abs=0.5)
    assert elements["delta_v_max_resultant_kmh"] == pytest.approx(collision.delta_v_kmh, abs=0.3)
    assert elements["speed_kmh_5s"] == [50.0] * 11
    assert elements["speed_kmh_20s"] == [50.0] * 201
    assert elements["service_brake_5s"] == [0] * 7 + [1] * 4
    assert (elements["belt_driver"], elements["belt_passenger"]) == (True, None)
    assert elements["airbag_driver_ms"] == pytest.approx(200, abs=101)
    assert (elements["locked"], elements["locked_by"]) == (True, "airbag")
    assert (elements["events"], elements["imu_rate_hz"], elements["clipped"]) == (1, 400, False)
    assert (elements["complete"], elements["incomplete_because"]) == (True, None)


def test_every_element_is_there_in_the_table_as_in_the_end() -> None:
    fragments = fragments_of(told(ride((CRASH_S, 0.12, -30.0))))
    table, end = (msgspec.json.decode(f.elements) for f in fragments if f.elements)
    assert table.keys() == end.keys() == set(ELEMENTS)
    assert (table["complete"], end["complete"]) == (False, True)


def test_what_matters_most_is_told_first_and_at_once() -> None:
    events = [(at_ns, e) for at_ns, e in told(ride((CRASH_S, 0.12, -30.0))) if isinstance(e, CrashRecord)]
    t0_ns = events[0][1].t_ns
    late_ms = [(at_ns - t0_ns) / MS for at_ns, _ in events]
    parts = [e.part for _, e in events]
    assert parts[:3] == ["trigger", "table", "imu"]
    assert late_ms[0] < 120
    assert late_ms[1] < 250 + 2.5 + 20
    assert events[2][1].until_ns == t0_ns
    before = [e.until_ns for _, e in events if e.part == "imu" and e.until_ns <= t0_ns]
    assert before == sorted(before, reverse=True)
    assert max(late for late, (_, e) in zip(late_ms, events, strict=True) if e.until_ns <= t0_ns) < 1300
    for late, (_, e) in zip(late_ms, events, strict=True):
        if e.part == "imu" and e.until_ns > t0_ns + NS:
            assert late <= (e.until_ns - t0_ns) / MS + 2.5 + 20
    assert parts[-1] == "end"


def test_a_window_has_little_to_tell() -> None:
    ends = [at_ns for at_ns, e in told(ride((CRASH_S, 0.12, -30.0))) if isinstance(e, CrashRecord)]
    assert max(ends.count(end) for end in ends) <= 2


@pytest.mark.parametrize("rate_hz", [100, 1600, 6400])
def test_fragments_fit_into_an_event_at_any_rate(rate_hz: float) -> None:
    fragments = fragments_of(told(ride((CRASH_S, 0.12, -30.0), rate_hz=rate_hz, end_s=41.0)))
    sizes = [
        len(encode_event(f, position=Position(1, 1), wall_offset_ns=10**18, agent_version="1.0.0")) for f in fragments
    ]
    assert max(sizes) < EVENT_SIZE_MAX
    found = assemble(fragments)
    assert found.complete
    assert len(found.imu.t_ns) == pytest.approx(30 * rate_hz, abs=2)


def test_a_glitch_is_withdrawn() -> None:
    recording = ride()
    row = int(np.searchsorted(recording[IMU_PATHS[0]].t_ns, 25 * NS))
    recording[IMU_PATHS[0]].value[row : row + 2] = -900.0
    fragments = fragments_of(told(recording))
    assert [f.part for f in fragments] == ["trigger", "withdrawn"]
    assert assemble(fragments).withdrawn


def test_beyond_the_limit_only_crashes_get_a_record() -> None:
    recording = ride((40.0, 0.12, -40.0), end_s=46.0)
    for at_s in (20.0, 23.0, 26.0, 29.0):
        row = int(np.searchsorted(recording[IMU_PATHS[0]].t_ns, at_s * NS))
        recording[IMU_PATHS[0]].value[row : row + 2] = -900.0
    events = told(recording, Detect(collision=CollisionLimits(records_per_hour=2)))
    assert sum(isinstance(e, CrashRecord) and e.part == "withdrawn" for _, e in events) == 2
    (collision,) = [e for _, e in events if isinstance(e, Collision)]
    late = fragments_of(events, collision.record)
    assert [f.part for f in late[:3]] == ["trigger", "table", "imu"]
    assert not {f.part for f in late} & {"withdrawn"}


def test_a_second_impact_has_a_record_of_its_own() -> None:
    events = told(ride((CRASH_S, 0.12, -30.0), (CRASH_S + 2, 0.12, -15.0)))
    first, second = [e for _, e in events if isinstance(e, Collision)]
    records = [assemble(fragments_of(events, e.record)) for e in (first, second)]
    assert [r.complete for r in records] == [True, True]
    assert [r.t0_ns for r in records] == [first.t_ns, second.t_ns]
    assert records[1].elements["since_first_s"] == records[1].elements["since_previous_s"] == second.since_first_s
    assert (records[0].elements["events"], records[1].elements["events"]) == (1, 2)


def test_an_accelerometer_that_dies_leaves_what_there_is() -> None:
    recording = ride((CRASH_S, 0.12, -30.0), dead_s=CRASH_S + 0.1)
    collision, found = one(recording)
    assert found.imu.t_ns[-1] == pytest.approx((CRASH_S + 0.1) * NS, abs=3 * MS)
    assert (found.complete, found.missing) == (False, ())
    assert found.elements["incomplete_because"] == "the accelerometer fell silent"
    assert found.signals[vss.SPEED].t_ns[-1] > collision.t_ns + 4 * NS


def test_the_end_of_the_data_ends_the_record_with_all_there_is() -> None:
    _, found = one(ride((CRASH_S, 0.12, -30.0), end_s=CRASH_S + 0.6))
    assert not found.complete
    assert found.elements["incomplete_because"] == "the data ended"
    assert (found.imu.t_ns[0] - found.t0_ns) / NS == pytest.approx(-15, abs=0.01)
    assert found.imu.t_ns[-1] == pytest.approx((CRASH_S + 0.6) * NS, abs=3 * MS)
    assert found.elements["delta_v_max_resultant_kmh"] == pytest.approx(30, abs=1)


def test_a_record_that_begins_with_the_engine_says_so() -> None:
    _, found = one(ride((CRASH_S, 0.12, -30.0), begin_s=CRASH_S - 6))
    assert (found.complete, found.elements["incomplete_because"]) == (False, "the history begins later")


def test_where_forward_is_not_known_only_the_resultant_is_told() -> None:
    recording = ride((CRASH_S, 0.12, -30.0)) | {vss.IMU_HEADING_ERROR: series([0.5], 180.0)}
    _, found = one(recording)
    assert found.elements["mounting_known"] is False
    assert found.elements["delta_v_longitudinal_kmh"] is None
    assert found.elements["delta_v_max_resultant_kmh"] == pytest.approx(30, abs=1)


def test_a_sensor_at_its_end_is_told() -> None:
    recording = ride((CRASH_S, 0.12, -60.0))
    clipped = Series(recording[IMU_PATHS[0]].t_ns, np.clip(recording[IMU_PATHS[0]].value, -156.9, 156.9))
    _, found = one(recording | {IMU_PATHS[0]: clipped})
    assert found.elements["clipped"] is True
    assert found.elements["clipped_ms"] == pytest.approx(30, abs=20)


def test_fast_signals_are_thinned_and_where_the_car_was_is_no_part() -> None:
    recording = ride((CRASH_S, 0.12, -30.0))
    fast_s = np.arange(0, 45, 0.001)
    _, found = one(recording | {vss.ENGINE_SPEED: series(fast_s, 2000.0), vss.LATITUDE: series([20.0], 48.0)})
    assert len(found.signals[vss.ENGINE_SPEED].t_ns) == pytest.approx(2500, abs=2)
    assert vss.LATITUDE not in found.signals
    assert not any("Location" in path for path in RECORDED)


def tumble(degrees: float, *, speed_kmh: float = 60.0) -> dict[str, Series]:
    """A car that turns by so much about its long axis, from CRASH_S on, in two seconds."""
    recording = ride()
    t_s = recording[IMU_PATHS[0]].t_ns / NS
    phase = np.clip((t_s - CRASH_S) / 2, 0, 1)
    angle = np.deg2rad(degrees * (phase - np.sin(2 * np.pi * phase) / (2 * np.pi)))
    for path, share in ((vss.ACCELERATION_LATERAL, -np.sin(angle)), (vss.ACCELERATION_VERTICAL, np.cos(angle))):
        recording[path] = Series(recording[path].t_ns, share * G)
    recording[vss.ROLL_RATE] = Series(recording[vss.ROLL_RATE].t_ns, np.rad2deg(np.gradient(angle, t_s)))
    return recording | {vss.SPEED: series(np.arange(0, 45, 0.1), speed_kmh)}


def test_a_car_that_turns_over_has_a_record_before_it_lies_still() -> None:
    events = told(tumble(180.0))
    (rollover,) = [e for _, e in events if isinstance(e, Rollover)]
    at_ns, trigger = next((at_ns, e) for at_ns, e in events if isinstance(e, CrashRecord))
    assert (trigger.part, trigger.record, trigger.t_ns) == ("trigger", 2, rollover.t_ns)
    assert at_ns < CRASH_S * NS + 1.3 * NS
    found = assemble(fragments_of(events, 2))
    assert (found.complete, found.elements["trigger"], found.elements["events"]) == (True, "rollover", None)
    assert found.elements["delta_v_max_resultant_kmh"] is None
    roll = found.elements["roll_deg"]
    assert isinstance(roll, list)
    assert roll[-1] == pytest.approx(180, abs=5)


def test_a_box_that_is_turned_in_a_standing_car_is_withdrawn() -> None:
    events = told(tumble(180.0, speed_kmh=0.0))
    assert not [e for _, e in events if isinstance(e, Rollover)]
    assert fragments_of(events, 2)[-1].part == "withdrawn"


def test_a_car_that_turns_over_very_slowly_has_a_record_that_ends() -> None:
    records = CrashRecords(LIMITS)
    late_ns = round((CRASH_S + 16) * NS)
    events: list[Event] = []
    for window in windows(ride(end_s=60.0), range(0, 60 * NS, NS // 5)):
        if late_ns - NS // 5 <= window.t_ns < late_ns:
            records.open(Impact(round(CRASH_S * NS), window.t_ns, "rollover", np.zeros(3), Mounting()))
            records.close(round(CRASH_S * NS), window.t_ns, crash=True, trigger="rollover")
        events += records.update(window)
    fragments = [e for e in events if isinstance(e, CrashRecord)]
    assert [f.part for f in fragments][:2] == ["trigger", "table"]
    assert fragments[-1].part == "end"
    assert assemble(fragments).imu.t_ns[-1] > (CRASH_S + 14.9) * NS
