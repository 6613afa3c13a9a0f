"""The simulated car through the real decoder and detectors: what is reported is what happened."""

import asyncio
from collections.abc import Callable
from typing import Literal

import numpy as np
import pytest
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PublicKey
from msgspec.structs import replace

from agent.core.config import Detect
from agent.core.errors import EndOfSource
from agent.core.events import BatteryAlarm, Collision, Event, HarshDriving, RoadImpact, TripEnded, TripStarted
from agent.core.paths import DBC
from agent.core.ports import FrameSource, SampleSource
from agent.decode.profile import load_profile
from agent.pipeline import Pipeline
from simulators.clock import ManualClock
from simulators.hardware import open_car, open_hardware
from simulators.sweep import watch
from simulators.world import Drive, Truth, load_scenario, simulate, simulate_commute
from simulators.world.happenings_wires import ClockJump
from simulators.world.scenario import HarshBrake, Leg, Scenario

NS = 1_000_000_000
WINDOW_NS = NS // 4


class NoKey:
    device_id = "test"
    public_key = b""

    def sign(self, data: bytes) -> bytes:
        return data

    def agree(self, public_key: X25519PublicKey) -> bytes:
        return bytes(public_key.public_bytes_raw())


def notice(drive: Drive) -> list[Event]:
    """All events of a drive, fed in windows of a quarter second."""
    return [report.event for report in watch(drive, window_ns=WINDOW_NS)]


def told(drive: Drive, kind: str) -> list[Truth]:
    return [truth for truth in drive.truth if truth.kind == kind]


@pytest.mark.parametrize("name", ["commute", "healthy", "pothole", "harsh_brake", "parked_hit", "battery_hot"])
def test_what_is_reported_is_what_happened(name: str) -> None:
    drive = simulate(load_scenario(name), 7)
    events = notice(drive)
    for kind, event_type, apart_s in (
        ("trip_started", TripStarted, 0.2),
        ("trip_ended", TripEnded, 0.2),
        ("harsh_driving", HarshDriving, 0.3),
        ("road_impact", RoadImpact, 0.15),
        ("collision", Collision, 0.03),
    ):
        found = sorted(event.t_ns for event in events if isinstance(event, event_type))
        expected = [truth.t_ns for truth in told(drive, kind)]
        assert len(found) == len(expected), (kind, events)
        assert np.abs(np.array(found) - np.array(expected)).max(initial=0) < apart_s * NS, kind
    alarms: dict[str, int] = {event.alarm: event.t_ns for event in reversed(events) if isinstance(event, BatteryAlarm)}
    expected_alarms = {str(truth.details["alarm"]): truth.t_ns for truth in told(drive, "battery_alarm")}
    assert alarms.keys() == expected_alarms.keys()
    for alarm, t_ns in expected_alarms.items():
        assert abs(alarms[alarm] - t_ns) < 3 * NS, alarm  # half a degree of resolution


@pytest.mark.parametrize("rate_hz", [100, 400, 1600])
def test_the_collision_is_measured_as_it_was_made(rate_hz: Literal[100, 400, 1600]) -> None:
    scenario = load_scenario("commute")
    drive = simulate(replace(scenario, imu=replace(scenario.imu, rate_hz=rate_hz)), 11)
    assert len(drive.imu.t_ns) == scenario.duration_s * rate_hz + 1
    (collision,) = [event for event in notice(drive) if isinstance(event, Collision)]
    assert collision.delta_v_kmh == pytest.approx(25, abs=1)
    assert collision.pdof_deg is not None
    assert (collision.pdof_deg + 180) % 360 - 180 == pytest.approx(0, abs=3)
    assert not collision.stationary


@pytest.mark.parametrize("seed", [1, 2])
def test_a_healthy_commute_raises_no_alarm(seed: int) -> None:
    events = notice(simulate_commute(seed, 300))
    assert [type(event) for event in events] == [TripStarted, TripEnded]


EMERGENCY = Scenario(
    name="emergency",
    description="already rolling, an emergency stop, the end",
    duration_s=14,
    legs=[Leg(at_s=0, speed_kmh=60), Leg(at_s=7, speed_kmh=0)],
    events=[HarshBrake(at_s=6, deceleration_mps2=6.5, duration_s=2.3)],
)


async def drive_through_the_bus(
    seed: int, scenario: Scenario = EMERGENCY, clock: ManualClock | None = None
) -> list[Event]:
    """The whole way: frames over a virtual bus and the real driver, samples as time passes."""
    car = open_car(scenario, seed, clock or ManualClock(), pace=0, interface="virtual")
    hardware = open_hardware(car, keystore=NoKey())
    events: list[Event] = []
    pipeline = Pipeline(
        load_profile("simcar"),
        [DBC / "outrider_sim.dbc"],
        limits=Detect(),
        sample_sources=hardware.samples,
        on_events=events.extend,
        on_window=lambda _: None,
    )

    async def read(source: FrameSource | SampleSource, consume: Callable[..., None]) -> None:
        await source.open()
        try:
            while True:
                consume(await source.read_batch())
        except EndOfSource:
            await source.close()

    await asyncio.gather(
        *(read(source, pipeline.on_frames) for source in hardware.frames),
        *(
            read(source, lambda samples, name=source.name: pipeline.on_samples(name, samples))
            for source in hardware.samples
        ),
        car.run(),
    )
    pipeline.finish()
    return events


async def test_a_drive_over_a_bus_gives_the_same_events_every_time() -> None:
    first = await drive_through_the_bus(7)
    assert [event.kind for event in first] == ["trip_started", "harsh_driving", "trip_ended"]
    assert await drive_through_the_bus(7) == first


async def test_a_calendar_that_jumps_changes_no_event() -> None:
    jumps = [ClockJump(at_s=4, by_s=-3600), ClockJump(at_s=7, by_s=86_400)]
    clock = ManualClock(wall_start_ns=0)
    events = sorted([*EMERGENCY.events, *jumps], key=lambda event: event.at_s)
    assert await drive_through_the_bus(7, replace(EMERGENCY, events=events), clock) == await drive_through_the_bus(7)
    assert clock.wall_ns() - clock.monotonic_ns() == (86_400 - 3600) * NS


@pytest.mark.parametrize(
    "name",
    ["rain", "route_town", "electric_car", "engine_only", "aged_pack", "grid_sag", "dc_charging_taper", "winter_start"],
)
def test_what_is_odd_but_healthy_raises_no_alarm(name: str) -> None:
    drive = simulate(load_scenario(name), 3)
    assert {truth.kind for truth in drive.truth} <= {"trip_started", "trip_ended"}
    told = [event.kind for event in notice(drive) if event.kind != "charge_session"]
    assert told == [truth.kind for truth in drive.truth]
