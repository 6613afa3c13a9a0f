"""Every kind of happening does in the signals what its truth says."""

import os
import subprocess
import sys
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from agent.core import vss
from agent.core.errors import InputError
from simulators.world import Drive, load_scenario, scenario_names, simulate
from simulators.world.body import ABS, DOORS, HVIL, TRIM_LONG, TYRES
from simulators.world.diagnosis import MIL
from simulators.world.frames import encode_drive, load_database
from simulators.world.happenings import (
    AlternatorFault,
    Crank,
    DoorOpen,
    Drop,
    Grip,
    Hill,
    LeanMixture,
    Misfire,
    Rollover,
    TyreLeak,
)
from simulators.world.happenings_pack import Charging, HvilOpen, Runaway
from simulators.world.happenings_wires import (
    BusFlood,
    BusFuzz,
    BusReplay,
    BusSilence,
    GnssOutage,
    GnssSpoof,
    SensorFault,
)
from simulators.world.motion import GRAVITY
from simulators.world.scenario import Car, HarshBrake, Leg, Scenario

LEGS = [Leg(at_s=1, speed_kmh=60, acceleration_mps2=2.2)]


def drive(*events: Any, duration_s: float = 60, legs: list[Leg] = LEGS, car: Car | None = None) -> Drive:
    scenario = Scenario(
        name="x", description="", duration_s=duration_s, legs=legs, events=list(events), car=car or Car()
    )
    return simulate(scenario, 5)


def at(drive: Drive, path: str, t_s: float) -> float:
    t_ns, values = drive.signals[path]
    return float(np.interp(t_s * 1e9, t_ns, values))


def imu(drive: Drive, from_s: float, until_s: float) -> npt.NDArray[np.float64]:
    rows = (drive.imu.t_ns >= from_s * 1e9) & (drive.imu.t_ns < until_s * 1e9)
    return drive.imu.acceleration[rows]


def told(drive: Drive) -> list[tuple[str, float]]:
    return [(truth.kind, truth.t_ns / 1e9) for truth in drive.truth if not truth.kind.startswith("trip")]


@pytest.mark.parametrize("name", scenario_names())
def test_every_shipped_scenario_has_a_truth_within_its_time(name: str) -> None:
    scenario = load_scenario(name)
    whole = simulate(scenario, 3)
    assert all(0 <= truth.t_ns <= whole.duration_ns for truth in whole.truth)
    assert [truth.t_ns for truth in whole.truth] == sorted(truth.t_ns for truth in whole.truth)
    assert all(np.isfinite(values).all() for _, values in whole.signals.values())
    assert np.isfinite(whole.imu.acceleration).all()


def test_a_hill_tilts_gravity_and_asks_for_more_power() -> None:
    flat, steep = drive(), drive(Hill(at_s=15, grade_percent=10))
    assert imu(steep, 30, 40)[:, 0].mean() - imu(flat, 30, 40)[:, 0].mean() == pytest.approx(0.1 * GRAVITY, rel=0.15)
    assert at(steep, vss.ACCELERATOR_PEDAL, 35) > at(flat, vss.ACCELERATOR_PEDAL, 35) + 10
    climbed = steep.gnss.altitude_m[-1] - flat.gnss.altitude_m[-1]
    assert climbed == pytest.approx(0.1 * 45 * 60 / 3.6, rel=0.15)


def test_ice_holds_no_emergency_stop() -> None:
    brake = HarshBrake(at_s=20, deceleration_mps2=8, duration_s=2, antilock=True)
    dry, icy = drive(brake), drive(Grip(at_s=15, friction=0.1), brake)
    assert at(dry, vss.SPEED, 22) < 15
    assert at(icy, vss.SPEED, 22) > 45
    assert [kind for kind, _ in told(dry)] == ["harsh_driving"]
    assert told(icy) == []
    assert at(dry, ABS, 21) == 1
    assert at(dry, ABS, 30) == 0


def test_a_rolled_car_lies_on_its_roof() -> None:
    rolled = drive(Rollover(at_s=20, turns=0.5))
    assert imu(rolled, 40, 50)[:, 2].mean() == pytest.approx(-GRAVITY, abs=0.3)
    assert told(rolled) == [("rollover", 20.0)]
    assert at(rolled, vss.SPEED, 50) == 0


def test_a_falling_box_is_weightless_then_hits_the_floor() -> None:
    fallen = drive(Drop(at_s=20, height_m=1.0), legs=[])
    assert np.abs(imu(fallen, 20.05, 20.4)).max() < 0.6
    assert np.abs(imu(fallen, 20.4, 20.6)).max() > 10 * GRAVITY
    assert told(fallen) == [("device_moved", 20.0)]


def test_a_leaking_tyre_is_told_when_a_quarter_is_gone_and_the_others_warm_up() -> None:
    leaking = drive(TyreLeak(at_s=10, wheel="rear_left", kpa_per_min=90))
    ((kind, t_s),) = told(leaking)
    assert kind == "tyre_alarm"
    assert at(leaking, f"{TYRES['rear_left']}.Pressure", t_s) == pytest.approx(180, abs=1)
    assert at(leaking, f"{TYRES['front_left']}.Pressure", 59) > 240
    assert at(leaking, f"{TYRES['front_left']}.Temperature", 59) > 24


def test_12_volts_dip_at_the_crank_and_fall_without_an_alternator() -> None:
    faulty = drive(Crank(at_s=0.5, lowest_v=8.0), AlternatorFault(at_s=10, volts_per_min=2))
    assert at(faulty, vss.LOW_VOLTAGE, 0.5) == pytest.approx(8.0, abs=0.3)
    assert at(faulty, vss.LOW_VOLTAGE, 5) > 13.5
    assert [kind for kind, _ in told(faulty)] == ["low_voltage_alarm"] * 3
    assert at(faulty, vss.LOW_VOLTAGE, told(faulty)[-1][1] + 1) < 11.9


def test_cabin_and_interlock_are_signals() -> None:
    odd = drive(DoorOpen(at_s=0, duration_s=30), HvilOpen(at_s=40))
    assert [at(odd, DOORS["driver"], t_s) for t_s in (10, 50)] == [1, 0]
    assert [at(odd, HVIL, t_s) for t_s in (10, 50)] == [1, 0]
    assert [kind for kind, _ in told(odd)] == ["door_open", "battery_alarm", "dtc"]


def test_a_lean_engine_shows_in_its_trims_and_sets_its_code() -> None:
    sick = drive(LeanMixture(at_s=5), Misfire(at_s=20, cylinder=3), duration_s=90)
    assert at(sick, TRIM_LONG, 80) > 25
    assert [truth.details for truth in sick.truth if truth.kind == "dtc"] == [
        {"code": "P0303", "state": "pending"},
        {"code": "P0171", "state": "pending"},
    ]
    assert [at(sick, MIL, t_s) for t_s in (10, 80)] == [0, 0]


def test_a_fire_spreads_to_the_neighbours_and_their_voltage_collapses() -> None:
    burning = drive(Runaway(at_s=5, cell=6, rate_kps=15, propagation_s=5), duration_s=60, legs=[])
    hottest = [at(burning, vss.cell_temperature(cell), 59) for cell in range(24)]
    assert {cell for cell, celsius in enumerate(hottest) if celsius > 120} >= {5, 6, 7}
    assert hottest[20] < 40
    assert at(burning, vss.cell_voltage(6), 50) < 1
    assert ("battery_alarm", 7.0) in told(burning)  # 28 + 2 s at 15 K/s: hot; three seconds steady come a second later


def test_a_charger_stops_at_a_full_pack_unless_told_not_to() -> None:
    full = Car(soc_percent=99.9)
    good = drive(Charging(at_s=1, power_kw=20), legs=[], car=full)
    bad = drive(Charging(at_s=1, power_kw=20, overcharge=True), legs=[], car=full)
    assert at(good, vss.PACK_CURRENT, 50) < 0
    assert at(bad, vss.PACK_CURRENT, 50) > 150
    assert [truth.details["alarm"] for truth in bad.truth] == ["cell_over_voltage", "overcharge"]


def test_sensors_lie_as_told() -> None:
    honest = drive()
    stuck = drive(SensorFault(at_s=20, signal=vss.SPEED, fault="stuck", duration_s=10))
    t_ns, kmh = stuck.signals[vss.SPEED]
    assert len(set(kmh[(t_ns >= 20e9) & (t_ns < 30e9)])) == 1
    drifting = drive(SensorFault(at_s=20, signal=vss.COOLANT_TEMPERATURE, fault="drift", amount=0.5))
    path = vss.COOLANT_TEMPERATURE
    assert at(drifting, path, 40) - at(honest, path, 40) == pytest.approx(10, abs=0.3)
    with pytest.raises(
        InputError, match=r"x: sensor_fault at 20 s: signal: unknown 'Vehicle\.Sped'; did you mean Vehicle\.Speed\?"
    ):
        drive(SensorFault(at_s=20, signal="Vehicle.Sped", fault="stuck"))


def test_a_coarse_signal_steps_when_the_fault_begins_and_ends_and_not_before() -> None:
    path = vss.cell_temperature(9)
    t_ns, celsius = drive(SensorFault(at_s=20.2, signal=path, fault="offset", amount=30.0, duration_s=5)).signals[path]
    told = np.interp([20.199e9, 20.2e9, 25.199e9, 25.2e9], t_ns, celsius)
    assert np.diff(told) == pytest.approx([30, 0, -30], abs=0.2)


def test_gnss_is_lost_and_led_astray() -> None:
    honest = drive()
    lost = drive(GnssOutage(at_s=20, duration_s=10))
    assert not ((lost.gnss.t_ns >= 20e9) & (lost.gnss.t_ns < 30e9)).any()
    led = drive(GnssSpoof(at_s=20, speed_mps=50, bearing_deg=0))
    assert (led.gnss.latitude[-1] - honest.gnss.latitude[-1]) * 111_320 == pytest.approx(2000, rel=0.01)
    assert told(led) == [("gnss_spoofed", 20.0)]


def test_the_bus_is_flooded_fuzzed_and_silenced() -> None:
    quiet = encode_drive(drive())
    flooded = encode_drive(drive(BusFlood(at_s=20, duration_s=10, frames_per_s=2000, lost_share=0.5)))
    span = (flooded.t_ns >= 20e9) & (flooded.t_ns < 30e9)
    usual = int(((quiet.t_ns >= 20e9) & (quiet.t_ns < 30e9)).sum())
    assert int((flooded.can_id[span] == 0).sum()) == 20_000
    assert int((flooded.can_id[span] != 0).sum()) == pytest.approx(usual / 2, rel=0.1)
    fuzzed = encode_drive(drive(BusFuzz(at_s=20, duration_s=10, frames_per_s=300)))
    assert len(fuzzed) == len(quiet) + 3000
    assert (np.diff(fuzzed.t_ns) >= 0).all()
    off = encode_drive(drive(BusSilence(at_s=20, duration_s=10)))
    assert len(off) == len(quiet) - usual
    with pytest.raises(InputError, match="x: bus_silence at 20 s: message: unknown 'SPED'; did you mean SPEED"):
        encode_drive(drive(BusSilence(at_s=20, message="SPED")))


def test_a_masquerading_node_says_what_the_message_said_before() -> None:
    number = load_database().get_message_by_name("SPEED").frame_id
    honest, lying = encode_drive(drive()), encode_drive(drive(BusReplay(at_s=40, message="SPEED", back_s=38.5)))
    assert (honest.t_ns == lying.t_ns).all()
    changed = (honest.data != lying.data).any(axis=1)
    assert set(lying.can_id[changed].tolist()) == {number}
    assert lying.t_ns[changed].min() >= 40e9
    rows = lying.can_id == number
    t_s = lying.t_ns[rows] / 1e9
    first, again = lying.data[rows][np.searchsorted(t_s, 1.6)], lying.data[rows][np.searchsorted(t_s, 40.1)]
    assert first[:4].tolist() == again[:4].tolist()


def test_a_seed_gives_the_same_frames_in_another_process() -> None:
    code = (
        "import hashlib\n"
        "from simulators.world import load_scenario, simulate\n"
        "from simulators.world.frames import encode_drive\n"
        "whole = hashlib.sha256()\n"
        "for name in ('bus_fuzz', 'runaway_spreads', 'loose_mount', 'gnss_spoofed', 'misfire'):\n"
        "    drive = simulate(load_scenario(name), 11)\n"
        "    frames = encode_drive(drive)\n"
        "    for array in (frames.t_ns, frames.data, drive.imu.acceleration, drive.gnss.longitude):\n"
        "        whole.update(array.tobytes())\n"
        "    whole.update(repr(drive.truth).encode())\n"
        "print(whole.hexdigest())"
    )
    hashes = [
        subprocess.run(
            [sys.executable, "-c", code],
            capture_output=True,
            text=True,
            check=True,
            env=os.environ | {"PYTHONHASHSEED": s},
        ).stdout
        for s in ("1", "2")
    ]
    assert hashes[0] == hashes[1]
