"""Detectors on recordings made by others: a car trip without a collision, a crash test with one, a staged fall."""

from pathlib import Path

import pytest

from agent.core.events import TripEnded
from simulators.blows.chip import GRAVITY
from tests.eval.collision import measure
from tests.eval.crash_test import ENGINE, FOLDER, IMPACT_S, MOUNTS, judge
from tests.eval.drives import CAR_TRIP, car_trip
from tests.interop.figures import Figures

pytestmark = pytest.mark.interop


@pytest.mark.parametrize("name", CAR_TRIP)
def test_an_uneventful_car_trip_is_a_trip_and_no_collision(shared_data: Path, figures: Figures, name: str) -> None:
    events, metres = car_trip(shared_data, name)
    kinds = {event.kind for event in events}
    false_alarms = sum(event.kind in {"collision", "road_impact", "battery_alarm"} for event in events)
    figures("canedge_mf4", f"{name}: false collisions, impacts, battery alarms", false_alarms, 0)
    assert "collision" not in kinds
    assert "road_impact" not in kinds
    assert "battery_alarm" not in kinds
    trips = [event for event in events if isinstance(event, TripEnded)]
    if metres > 500:
        assert len(trips) == 1
        assert trips[0].distance_m == pytest.approx(metres, rel=0.03)
        assert 20 < trips[0].speed_max_kmh < 140


def test_the_windows_do_not_matter_to_a_real_recording(shared_data: Path) -> None:
    small, large = (car_trip(shared_data, CAR_TRIP[3], window_s=window_s)[0] for window_s in (0.05, 5.0))
    assert small == large


@pytest.mark.parametrize("channel", MOUNTS)
@pytest.mark.parametrize("rate_hz", [100, 400, 1600])
def test_a_frontal_crash_test_is_one_frontal_collision(
    shared_data: Path, figures: Figures, channel: str, rate_hz: int
) -> None:
    verdict = judge(shared_data / FOLDER, channel, rate_hz=rate_hz, range_g=200.0)
    event, own_kmh = verdict.collision, verdict.delta_v_own_kmh
    assert event is not None
    assert event.delta_v_longitudinal_kmh is not None
    # Against the 10 kHz integral (-66.1..-67.4 km/h at 112-115 ms). 49 CFR 563 asks for 10 %.
    delta_v = f"{event.delta_v_longitudinal_kmh:.1f} km/h of {own_kmh:.1f}"
    figures("crash_test_nhtsa", f"channel {channel} at {rate_hz} Hz: delta-v", delta_v, "3 %")
    assert event.delta_v_longitudinal_kmh == pytest.approx(own_kmh, rel=0.03)
    assert event.pdof_deg is not None
    assert min(event.pdof_deg, 360 - event.pdof_deg) < 5
    assert event.t_ns / 1e9 == pytest.approx(IMPACT_S, abs=0.02)
    # A low-pass of a quarter of the rate leaves less of the peaks the slower it samples.
    assert (15 if rate_hz == 100 else 35) * GRAVITY < event.peak_mps2 < (80 if rate_hz == 1600 else 50) * GRAVITY
    assert event.speed_before_kmh == 57.1
    assert not event.clipped
    assert not event.stationary


@pytest.mark.parametrize("channel", ENGINE)
@pytest.mark.parametrize("range_g", [16.0, 200.0])
def test_an_accelerometer_that_rings_and_breaks_off_ends_no_program(
    shared_data: Path, channel: str, range_g: float
) -> None:
    assert {event.kind for event in judge(shared_data / FOLDER, channel, range_g=range_g).events} <= {
        "collision",
        "device_shock",
        "road_impact",
    }


def test_the_evaluation_of_recordings_tells_its_figures(shared_data: Path, figures: Figures) -> None:
    told = measure(shared_data)
    for name, bar in {
        "nhtsa_detected": "1 (four mountings at 16 and 200 g)",
        "nhtsa_delta_v_error_pct": "10",
        "nhtsa_frontal": "1",
        "nhtsa_clipped_marked": "1",
        "canedge_collisions": "0",
        "escooter_false": "0",
        "escooter_found": "2",
    }.items():
        figures("collision", name, told[name], bar)
    assert told["nhtsa_detected"] == told["nhtsa_frontal"] == told["nhtsa_clipped_marked"] == 1
    assert told["nhtsa_delta_v_error_pct"] <= 10
    assert told["nhtsa_engine_channels_survived"] == 1
    assert told["canedge_collisions"] == 0
    assert told["escooter_found"] == told["escooter_staged"] == 2
    assert told["escooter_false"] == 0
