import numpy as np
import pytest

from agent.core import vss
from agent.core.config import Detect, Trip
from agent.core.events import Event, HarshDriving, TripEnded, TripStarted
from agent.core.signals import Series
from agent.detect.trip import TripDetector
from tests.unit.detect.feed import LIMITS, NS, Recording, Window, run, series

SOON = Detect(trip=Trip(end_after_s=30.0))


def _speed(*parts: tuple[float, float, float], hz: float = 2.0) -> Series:
    """Stretches of (from s, to s, km/h), in time order; nothing between them."""
    t_s = np.concatenate([np.arange(a, b, 1 / hz) for a, b, _ in parts])
    kmh = np.concatenate([np.full(len(np.arange(a, b, 1 / hz)), v) for a, b, v in parts])
    return series(t_s, kmh)


def _trips(recording: Recording, limits: Detect = LIMITS) -> list[Event]:
    """Without the harsh driving that steps of speed look like."""
    events = run(TripDetector(limits), recording, window_s=0.5)
    return [event for event in events if not isinstance(event, HarshDriving)]


def test_a_trip_has_its_length_time_and_highest_speed() -> None:
    recording = {vss.SPEED: _speed((0, 10, 0), (10, 70, 36), (70, 130, 72), (130, 180, 0))}
    started, ended = _trips(recording, SOON)
    assert started == TripStarted(t_ns=10 * NS)
    assert isinstance(ended, TripEnded)
    assert ended.t_ns == 129.5 * NS
    assert ended.started_ns == 10 * NS
    assert ended.duration_s == 119.5
    assert ended.distance_m == pytest.approx(600 + 1200, abs=10)
    assert ended.speed_max_kmh == 72


def test_a_red_light_does_not_end_a_trip() -> None:
    recording = {vss.SPEED: _speed((0, 60, 50), (60, 85, 0), (85, 120, 50))}
    assert [e.kind for e in _trips(recording, SOON)] == ["trip_started", "trip_ended"]


def test_recordings_hours_apart_are_two_trips() -> None:
    recording = {vss.SPEED: _speed((0, 60, 50), (9000, 9060, 40))}
    events = _trips(recording)
    assert [(e.kind, e.t_ns / NS) for e in events] == [
        ("trip_started", 0),
        ("trip_ended", 59.5),
        ("trip_started", 9000),
        ("trip_ended", 9059.5),
    ]


def test_a_hole_in_the_data_is_not_measured() -> None:
    whole = run(TripDetector(LIMITS), {vss.SPEED: _speed((0, 100, 36))})[-1]
    holed = run(TripDetector(LIMITS), {vss.SPEED: _speed((0, 40, 36), (60, 100, 36))})[-1]
    assert isinstance(whole, TripEnded)
    assert isinstance(holed, TripEnded)
    assert whole.distance_m - holed.distance_m == pytest.approx(200, abs=10)
    assert holed.duration_s == whole.duration_s


def test_one_wrong_sample_starts_no_trip() -> None:
    speed = _speed((0, 20, 0))
    speed.value[20] = 180.0
    assert run(TripDetector(LIMITS), {vss.SPEED: speed}) == []


def test_creeping_is_no_trip() -> None:
    assert run(TripDetector(LIMITS), {vss.SPEED: _speed((0, 100, 7.9))}) == []


def test_time_ends_a_trip_when_the_bus_is_asleep() -> None:
    recording = {vss.SPEED: _speed((0, 20, 50)), vss.LOW_VOLTAGE: series(np.arange(0, 100, 1.0), 12.6)}
    detector = TripDetector(SOON)
    assert [e.kind for e in detector.update(Window(recording, -1, 40 * NS))] == ["trip_started"]
    assert [(e.kind, e.t_ns / NS) for e in detector.update(Window(recording, 40 * NS, 60 * NS))] == [
        ("trip_ended", 19.5)
    ]
    assert detector.finish(100 * NS) == []


def test_harsh_driving_is_told_and_counted_in_its_trip() -> None:
    t_s = np.arange(0, 60, 0.1)
    kmh = 70 - 20 * np.clip(t_s - 20, 0, 1.5) + 15 * np.clip(t_s - 40, 0, 2.0)
    events = run(TripDetector(LIMITS), {vss.SPEED: series(t_s, kmh)})
    assert [e.maneuver for e in events if isinstance(e, HarshDriving)] == ["braking"]
    ended = events[-1]
    assert isinstance(ended, TripEnded)
    assert (ended.harsh_braking_count, ended.harsh_acceleration_count, ended.harsh_cornering_count) == (1, 0, 0)


def test_a_new_end_limit_holds_for_the_trip_under_way() -> None:
    recording = {vss.SPEED: _speed((0, 60, 12), (60, 200, 0))}
    detector = TripDetector(LIMITS)
    detector.update(Window(recording, -1, 80 * NS))
    detector.configure(SOON)
    assert [e.kind for e in detector.update(Window(recording, 80 * NS, 95 * NS))] == ["trip_ended"]
