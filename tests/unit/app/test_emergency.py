import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from agent.core import vss
from agent.core.config import Vehicle
from agent.core.events import Collision, EmergencyData, Event, RoadImpact, Rollover
from agent.core.signals import SignalCatalog, SignalSpec, samples_from
from agent.decode.history import History
from agent.emergency import Emergency
from agent.proto.msd import NO_VIN, Msd, decode_msd, degrees_of
from simulators.clock import ManualClock

NS = 10**9
WALL_NS = 1_790_000_000 * NS
VEHICLE = Vehicle(vin="WVWZZZ1KZAW000001", category="N1", propulsion=["diesel", "electric"])


def crash(t_ns: int, **fields: object) -> Collision:
    return Collision(t_ns=t_ns, delta_v_kmh=20, duration_ms=90, peak_mps2=99, stationary=False, **fields)  # type: ignore[arg-type]  # a field or two


class Car:
    """Fixes in, minimum sets of data out."""

    def __init__(self, vehicle: Vehicle = VEHICLE, *, enabled: bool = True) -> None:
        self.clock = ManualClock(wall_start_ns=WALL_NS)
        self.told: list[Event] = []
        self.emergency = Emergency(vehicle, self.clock, emit=self.told.append, enabled=lambda: enabled)
        self._catalog = SignalCatalog([SignalSpec(path, stale_after_s=3.0) for path in (vss.LATITUDE, vss.LONGITUDE)])
        self._history = History(self._catalog)

    def fix(self, t_s: float, latitude: float, longitude: float, **more: float) -> None:
        names = {"accuracy": vss.HORIZONTAL_ACCURACY, "heading": vss.HEADING, "speed": vss.GNSS_SPEED}
        values = {vss.LATITUDE: latitude, vss.LONGITUDE: longitude, **{names[name]: more[name] for name in more}}
        samples = samples_from(self._catalog, round(t_s * NS), values)
        self._history.extend(samples)
        self.emergency.on_window(self._history.window(samples, round(t_s * NS)))

    def drive(self, until_s: int, **more: float) -> None:
        """To the north, 0.0001 degrees a second."""
        for t_s in range(until_s + 1):
            self.fix(t_s, 48 + t_s / 10_000, 11.5, **({"accuracy": 4.0, "heading": 90.4, "speed": 50.0} | more))

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        task = asyncio.create_task(self.emergency.run())
        yield
        task.cancel()
        await asyncio.wait([task])

    async def sets(self, *events: Event) -> list[Msd]:
        """What is told within seconds of these events."""
        async with self.running():
            for event in events:
                self.emergency.on_event(event)
            await self.clock.advance(10)
            told, self.told = self.told, []
        assert all(isinstance(event, EmergencyData) for event in told)
        return [decode_msd(event.msd) for event in told if isinstance(event, EmergencyData)]


async def test_a_crash_is_told_with_all_that_is_known() -> None:
    car = Car()
    car.drive(30)
    (msd,) = await car.sets(crash(30 * NS + 1, belted=3))
    assert msd.place is not None
    assert degrees_of(msd.place) == pytest.approx((48.003, 11.5), abs=1e-6)
    assert msd.recent == ((-18, 0), (-18, 0))  # five seconds each: 0.0005 degrees are 1.8 seconds of arc
    assert (msd.trusted, msd.direction_deg, msd.passengers) == (True, 90, 3)
    assert (msd.vin, msd.category) == (VEHICLE.vin, "N1")
    assert msd.propulsion == {"diesel", "electric"}
    assert msd.timestamp_s == 1_790_000_030
    assert (msd.automatic, msd.test) == (True, False)


async def test_only_the_first_impact_and_a_rollover_are_told() -> None:
    car = Car()
    lesser = [crash(3, multi_event=2, since_first_s=0.5), RoadImpact(t_ns=4, peak_mps2=20.0)]
    assert len(await car.sets(crash(1), *lesser, Rollover(t_ns=5))) == 2


async def test_the_notice_goes_first_and_what_waits_at_the_end_is_told() -> None:
    car = Car()
    async with car.running():
        car.emergency.on_event(crash(1))
        await car.clock.advance(0.4)
        assert car.told == []
    assert [event.t_ns for event in car.told] == [1]


async def test_an_old_place_is_not_trusted_and_a_very_old_one_not_told() -> None:
    car = Car()
    car.drive(10)
    first, second = await car.sets(crash(15 * NS), crash(100 * NS))
    assert first.place is not None
    assert (first.trusted, second.place, second.trusted) == (False, None, False)


@pytest.mark.parametrize(("accuracy", "trusted"), [(150.0, True), (151.0, False)])
async def test_a_place_is_trusted_within_150_m(accuracy: float, *, trusted: bool) -> None:
    car = Car()
    car.drive(10, accuracy=accuracy)
    (msd,) = await car.sets(crash(11 * NS))
    assert msd.trusted is trusted


async def test_a_standing_car_keeps_the_direction_it_came_in() -> None:
    car = Car()
    car.drive(5)
    car.fix(6, 48.0, 11.5, heading=200.0, speed=0.5)
    (msd,) = await car.sets(crash(7 * NS))
    assert msd.direction_deg == 90


async def test_what_nobody_knows_is_told_as_unknown() -> None:
    car = Car(Vehicle())
    (msd,) = await car.sets(crash(1))
    assert msd == Msd(timestamp_s=1_790_000_000)
    assert msd.vin == NO_VIN


async def test_without_consent_to_claims_nothing_is_made() -> None:
    assert await Car(enabled=False).sets(crash(1)) == []
