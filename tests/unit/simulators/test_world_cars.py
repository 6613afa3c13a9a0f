"""Kinds of cars, packs, pulses, weather and routes: the physics beside the one everyday drive."""

from typing import Any, get_args

import numpy as np
import numpy.typing as npt
import pytest

from agent.core import vss
from simulators.world import Drive, simulate
from simulators.world.cells import bled_percent, make_cells
from simulators.world.charging import CHARGE_POWER
from simulators.world.happening import CELL_COUNT, PulseShape
from simulators.world.happenings_pack import Charging
from simulators.world.pulses import PEAK, pulse, pulse_step
from simulators.world.route import legs_of
from simulators.world.scenario import Car, Collision, Curve, Driver, HarshBrake, Leg, Scenario, Stretch, Weather

Floats = npt.NDArray[np.float64]
LEGS = [Leg(at_s=1, speed_kmh=60, acceleration_mps2=2.2), Leg(at_s=45, speed_kmh=0)]


def drive(*events: Any, duration_s: float = 60, **keys: Any) -> Drive:
    return simulate(Scenario(name="x", description="", duration_s=duration_s, events=list(events), **keys), 5)


def values(drive: Drive, path: str, from_s: float = 0, until_s: float = 1e6) -> Floats:
    t_ns, series = drive.signals[path]
    return series[(t_ns >= from_s * 1e9) & (t_ns < until_s * 1e9)]


def test_an_engine_alone_idles_and_an_electric_car_has_none() -> None:
    hybrid, ice, ev = (drive(legs=LEGS, car=Car(kind=kind)) for kind in ("hybrid", "ice", "ev"))
    assert values(hybrid, vss.ENGINE_SPEED, 58).max() == 0
    assert values(ice, vss.ENGINE_SPEED, 58).mean() == pytest.approx(800, abs=100)
    assert values(ev, vss.ENGINE_SPEED).max() == 0
    assert np.abs(values(ice, vss.PACK_CURRENT)).max() < 1
    assert values(ev, vss.PACK_CURRENT).min() < values(hybrid, vss.PACK_CURRENT).min()
    assert values(ev, vss.PACK_CURRENT).max() > 100  # it brakes into the pack
    for path in (vss.SPEED, vss.ACCELERATION_LONGITUDINAL):
        np.testing.assert_array_equal(values(ice, path), values(ev, path))


def test_lfp_cells_are_flat_and_lower() -> None:
    rests = {}
    for chemistry in ("nmc", "lfp"):
        for soc in (40, 70):
            still = drive(duration_s=20, car=Car(chemistry=chemistry, soc_percent=soc))
            rests[chemistry, soc] = np.mean([values(still, vss.cell_voltage(cell))[-1] for cell in range(CELL_COUNT)])
    assert rests["lfp", 70] - rests["lfp", 40] < 0.06
    assert rests["nmc", 70] - rests["nmc", 40] > 0.2
    assert rests["lfp", 40] == pytest.approx(3.28, abs=0.02)


def test_an_old_pack_sags_twice_as_far_and_empties_sooner() -> None:
    new, old = drive(legs=LEGS), drive(legs=LEGS, car=Car(soh_percent=80))
    sag = [values(pack, vss.PACK_VOLTAGE)[0] - values(pack, vss.PACK_VOLTAGE).min() for pack in (new, old)]
    assert sag[1] == pytest.approx(2 * sag[0], rel=0.2)
    used = [np.ptp(values(pack, vss.STATE_OF_CHARGE, 0, 20)) for pack in (new, old)]
    assert used[1] == pytest.approx(used[0] / 0.8, rel=0.05)


def test_a_cell_recovers_slowly_after_a_load() -> None:
    """The RC element: volts still rise when the current has long gone."""
    tired = drive(legs=[Leg(at_s=1, speed_kmh=110, acceleration_mps2=3), Leg(at_s=40, speed_kmh=0)], duration_s=140)
    cell = values(tired, vss.cell_voltage(3))
    current = values(tired, vss.PACK_CURRENT, 75)
    assert np.abs(current - current.mean()).max() < 2
    late = [cell[int(s * 10) : int(s * 10) + 50].mean() for s in (76, 135)]
    assert 0.002 < abs(late[1] - late[0]) < 0.03


def test_balancing_bleeds_the_fullest_cells_only() -> None:
    cells = make_cells(Car(), 5, np.random.default_rng(1))
    charged_s = np.linspace(0, 40 * 3600, 1000)
    bled, busy = bled_percent(cells, charged_s)
    level = cells.offset - bled[:, -1]
    assert level.max() - level.min() <= 0.51 < np.ptp(cells.offset)
    assert bled[int(np.argmin(cells.offset))].max() == 0
    assert busy[1] == (cells.offset > cells.offset.min() + 0.5).sum()
    assert busy[-1] == 0
    assert bled_percent(cells, np.zeros(10))[1].max() == 0


def test_a_fast_charger_tapers_and_a_wall_box_does_not() -> None:
    for mode, last_kw in (("dc", 12 * (1 - 0.8 * 0.5)), ("ac", 12.0)):
        full = drive(Charging(at_s=1, power_kw=12, mode=mode), car=Car(soc_percent=90), duration_s=30)  # type: ignore[arg-type]  # in a loop
        assert values(full, CHARGE_POWER)[-1] == pytest.approx(last_kw, rel=0.05)


@pytest.mark.parametrize("shape", get_args(PulseShape))
def test_every_pulse_has_delta_v_1_and_its_peak(shape: PulseShape) -> None:
    t_s = np.arange(0, 0.5, 1e-5)
    force, gained = pulse(shape, t_s, 0.1, 0.12), pulse_step(shape, t_s, 0.1, 0.12)
    assert force.max() == pytest.approx(PEAK[shape] / 0.12, rel=1e-3)
    assert force.min() == 0
    np.testing.assert_allclose(np.cumsum(force) * 1e-5, gained, atol=2e-3)
    assert (gained[0], gained[-1]) == (0, 1)


def test_a_plateau_is_felt_as_one() -> None:
    hit = drive(Collision(at_s=12, delta_v_kmh=30, duration_ms=120, shape="plateau"), legs=LEGS)
    rows = (hit.imu.t_ns >= 12.03e9) & (hit.imu.t_ns < 12.09e9)
    assert hit.imu.acceleration[rows, 0].mean() == pytest.approx(-1.25 * 30 / 3.6 / 0.12, rel=0.05)
    (crash,) = [truth for truth in hit.truth if truth.kind == "collision"]
    assert crash.details["peak_mps2"] == pytest.approx(1.25 * 30 / 3.6 / 0.12, abs=0.1)


def test_a_slippery_bend_is_run_wide() -> None:
    bend = [Curve(at_s=20, duration_s=6, radius_m=40, turn="left")]
    dry, icy = (drive(legs=LEGS, curves=bend, weather=Weather(road=road)) for road in ("dry", "ice"))
    assert np.abs(values(dry, vss.ACCELERATION_LATERAL)).max() > 5
    assert np.abs(values(icy, vss.ACCELERATION_LATERAL)).max() < 0.12 * 9.81 + 0.3
    assert np.ptp(np.unwrap(icy.gnss.heading_deg, period=360)) < np.ptp(np.unwrap(dry.gnss.heading_deg, period=360))


def test_a_wet_road_lengthens_the_stop_and_a_headwind_costs_power() -> None:
    brake = HarshBrake(at_s=30, deceleration_mps2=9, duration_s=1.5)
    dry, wet = (drive(brake, legs=LEGS, weather=Weather(road=road)) for road in ("dry", "wet"))
    assert values(wet, vss.SPEED, 31.4)[0] > values(dry, vss.SPEED, 31.4)[0] + 8
    calm, windy = (drive(legs=LEGS, weather=Weather(headwind_kmh=wind)) for wind in (0, 60))
    assert values(windy, vss.ACCELERATOR_PEDAL, 30, 40).mean() > values(calm, vss.ACCELERATOR_PEDAL, 30, 40).mean() + 5


ROUTE = [
    Stretch(length_m=300, limit_kmh=30),
    Stretch(length_m=500, limit_kmh=60, stop_s=15),
    Stretch(length_m=200, limit_kmh=50),
]


def test_a_route_is_driven_to_its_end_within_its_limits() -> None:
    whole = drive(route=ROUTE, duration_s=150)
    metres = np.diff(values(whole, vss.TRAVELED_DISTANCE)[[0, -1]])[0]
    assert metres == pytest.approx(1000, rel=0.06)
    at_m = values(whole, vss.TRAVELED_DISTANCE) - values(whole, vss.TRAVELED_DISTANCE)[0]
    kmh = values(whole, vss.SPEED)
    assert 27 < kmh[at_m < 250].max() < 31
    assert 54 < kmh.max() < 60
    standing = np.flatnonzero((kmh == 0) & (at_m > 600) & (at_m < 850))
    assert len(standing) * 0.02 == pytest.approx(15, abs=5)
    assert kmh[-1] == 0
    assert [truth.kind for truth in whole.truth] == ["trip_started", "trip_ended"]


def test_a_short_stretch_is_not_driven_at_its_limit() -> None:
    hurried = Scenario(
        name="x", description="", duration_s=60, route=[Stretch(length_m=60, limit_kmh=120)], driver=Driver()
    )
    fastest = max(leg.speed_kmh for leg in legs_of(hurried))
    assert 3.6 * np.sqrt(60 * 1.75) == pytest.approx(fastest, rel=0.05)


def test_route_and_legs_exclude_each_other() -> None:
    with pytest.raises(ValueError, match="route and legs exclude each other"):
        Scenario(name="x", description="", duration_s=60, route=ROUTE, legs=LEGS)
