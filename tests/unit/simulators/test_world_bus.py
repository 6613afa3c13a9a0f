"""The slow messages of the bus: tyres, doors, belts, airbags, trims, insulation, charger; and who is silent on it."""

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from agent.core import vss
from agent.core.errors import InputError
from agent.core.frames import FrameBatch
from agent.core.paths import DBC
from agent.core.signals import Quality, SignalCatalog
from agent.decode.decode import decode_batch
from agent.decode.profile import load_profile
from agent.decode.table import build_table
from simulators.world import Drive, simulate
from simulators.world.body import (
    AIRBAG_LAMP,
    AIRBAGS,
    BELTS,
    CONTACTOR_POSITIVE,
    DOORS,
    ENGINE_LOAD,
    HVIL,
    TRIM_LONG,
    TRIM_SHORT,
    TYRES,
)
from simulators.world.charging import CABLE, CHARGE_POWER, CHARGER_STATE, GRID_VOLTAGE, IS_CHARGING
from simulators.world.diagnosis import DTC_COUNT, MIL
from simulators.world.frames import encode_drive, load_database
from simulators.world.happenings import AirbagFault, BeltOpen, DoorOpen, LeanMixture, Misfire, Restart, TyreLeak
from simulators.world.happenings_pack import ChargerFault, Charging, GridFault, HvilOpen, WaterIngress
from simulators.world.happenings_wires import BusMasquerade, BusReplay, EcuAsleep
from simulators.world.scenario import Car, Collision, IgnitionOff, Leg, PastCycle, Scenario
from simulators.world.simulation import BALANCING, STATE_OF_HEALTH

Floats = npt.NDArray[np.float64]
LEGS = [Leg(at_s=1, speed_kmh=80, acceleration_mps2=2.2)]


def drive(*events: Any, duration_s: float = 60, legs: list[Leg] = LEGS, **keys: Any) -> Drive:
    in_order = sorted(events, key=lambda event: event.at_s)
    return simulate(Scenario(name="x", description="", duration_s=duration_s, legs=legs, events=in_order, **keys), 5)


def decoded(frames: FrameBatch) -> dict[str, tuple[npt.NDArray[np.int64], Floats]]:
    """Valid values by path, as the agent gets them."""
    catalog = SignalCatalog()
    found = decode_batch(build_table(load_profile("simcar"), [DBC / "outrider_sim.dbc"], catalog), frames)
    assert found.bad == 0
    samples = found.samples
    valid = samples.quality == Quality.VALID
    rows = {spec.path: valid & (samples.signal == number) for number, spec in enumerate(catalog.specs)}
    return {path: (samples.t_ns[mine], samples.value[mine]) for path, mine in rows.items()}


def test_the_profile_gives_back_the_slow_signals() -> None:
    whole = drive(
        TyreLeak(at_s=5, wheel="front_right", kpa_per_min=60),
        DoorOpen(at_s=10, door="rear_left", duration_s=20),
        BeltOpen(at_s=12, seat="passenger", duration_s=30),
        AirbagFault(at_s=15, duration_s=10),
        LeanMixture(at_s=5, trim_percent=35),
        WaterIngress(at_s=10, halving_s=4),
        HvilOpen(at_s=40),
        Misfire(at_s=5),
        car=Car(soh_percent=87),
        past_cycles=[PastCycle(failed=["P0301"])],
    )
    told = decoded(encode_drive(whole))
    for path, tolerance in {
        **{f"{tyre}.Pressure": 0.3 for tyre in TYRES.values()},
        **{f"{tyre}.Temperature": 1.01 for tyre in TYRES.values()},
        TRIM_SHORT: 0.4,
        TRIM_LONG: 0.4,
        ENGINE_LOAD: 0.21,
        vss.INSULATION_RESISTANCE: 0.51,
        STATE_OF_HEALTH: 0.26,
        BALANCING: 0.0,
        **dict.fromkeys((*DOORS.values(), *BELTS.values(), *AIRBAGS.values(), AIRBAG_LAMP, HVIL, MIL, DTC_COUNT), 0.51),
    }.items():
        t_ns, values = told[path]
        assert len(t_ns) >= 59, path
        truth_ns, truth = whole.signals[path]
        assert np.abs(values - np.interp(t_ns, truth_ns, truth)).max() <= tolerance, path
    for path in (DOORS["rear_left"], BELTS["passenger"], AIRBAG_LAMP, HVIL, MIL):
        assert set(told[path][1].tolist()) == {0.0, 1.0}, path
    assert told[DTC_COUNT][1][-1] == 3  # interlock and insulation at once, the misfire with its past; P0171 is pending
    assert told[vss.INSULATION_RESISTANCE][1][-1] == 5


def test_the_slow_messages_are_slow() -> None:
    frames = encode_drive(drive())
    extra = [m for m in load_database().messages if m.name in {"AIRBAG", "DOORS", "TYRES", "ENGINE_2", "PACK_SAFETY"}]
    counts = {m.name: int((frames.can_id == m.frame_id).sum()) / 60 for m in extra}
    assert counts == pytest.approx({"AIRBAG": 10, "DOORS": 5, "TYRES": 1, "ENGINE_2": 5, "PACK_SAFETY": 5}, rel=0.01)


def test_a_charger_tells_of_its_grid_and_its_faults() -> None:
    whole = drive(
        Charging(at_s=5, power_kw=6.6, duration_s=100),
        GridFault(at_s=20, duration_s=10, volts=200),
        GridFault(at_s=40, duration_s=10, volts=150),
        ChargerFault(at_s=60, duration_s=10),
        duration_s=120,
        legs=[],
    )
    told = decoded(encode_drive(whole))

    def at(path: str, *seconds: float) -> list[float]:
        t_ns, values = told[path]
        return [round(float(values[t_ns.searchsorted(round(s * 1e9))]), 2) for s in seconds]

    assert at(CHARGER_STATE, 2, 10, 25, 45, 65, 75, 110) == [0, 2, 2, 1, 4, 2, 0]
    assert at(CHARGE_POWER, 2, 10, 25, 45, 65, 75) == [0, 6.6, 6.0, 0, 0, 6.6]
    assert at(GRID_VOLTAGE, 2, 10, 25, 45) == [0, 220, 200, 150]
    assert at(CABLE, 2, 45, 65, 110) == [0, 1, 1, 0]
    assert at(IS_CHARGING, 10, 45, 65, 75) == [1, 0, 0, 1]
    faults = [(t.t_ns / 1e9, t.details["fault"]) for t in whole.truth if t.kind == "charging_fault"]
    assert faults == [(40.0, "grid"), (60.0, "charger")]


def test_contactors_close_for_driving_and_charging_only() -> None:
    whole = drive(IgnitionOff(at_s=20), Charging(at_s=40, duration_s=10), duration_s=60, legs=[])
    t_ns, closed = whole.signals[CONTACTOR_POSITIVE]
    assert closed[t_ns.searchsorted([10e9, 30e9, 45e9, 55e9])].tolist() == [1, 0, 1, 0]


@pytest.mark.parametrize(
    ("collision", "fired"),
    [
        (Collision(at_s=30, delta_v_kmh=40), {"driver", "passenger"}),
        (Collision(at_s=30, delta_v_kmh=12), set()),
        (Collision(at_s=30, delta_v_kmh=25, pdof_deg=90), {"passenger"}),
        (Collision(at_s=30, delta_v_kmh=25, pdof_deg=270), {"driver"}),
        (Collision(at_s=30, delta_v_kmh=40, pdof_deg=180), set()),
    ],
)
def test_airbags_fire_where_they_should(collision: Collision, fired: set[str]) -> None:
    whole = drive(collision)
    told = decoded(encode_drive(whole))
    assert {seat for seat, path in AIRBAGS.items() if told[path][1][-1] == 1} == fired
    assert all(told[path][1][told[path][0] < 29.9e9].max() == 0 for path in AIRBAGS.values())
    assert told[AIRBAG_LAMP][1][-1] == bool(fired)


def test_a_sleeping_control_unit_says_nothing_and_the_others_go_on() -> None:
    quiet, asleep = encode_drive(drive()), encode_drive(drive(EcuAsleep(at_s=20, duration_s=10, node="ECM")))
    missing = set(quiet.can_id.tolist())
    span = (asleep.t_ns >= 20e9) & (asleep.t_ns < 30e9)
    missing -= set(asleep.can_id[span].tolist())
    assert {load_database().get_message_by_frame_id(number).name for number in missing} == {
        "ENGINE_1",
        "ENGINE_2",
        "CLIMATE",
    }
    with pytest.raises(InputError, match=r"x: ecu_asleep at 20 s: node: unknown 'ECU'; did you mean ECM\?"):
        encode_drive(drive(EcuAsleep(at_s=20, node="ECU")))


def test_a_masquerade_is_right_but_for_its_signal() -> None:
    lie = BusMasquerade(at_s=20, duration_s=10, message="STEERING", signal="SteeringAngle", value=45.0)
    frames, honest = encode_drive(drive(lie)), encode_drive(drive())
    assert (frames.t_ns == honest.t_ns).all()
    rows = frames.data[frames.can_id == 0x25].astype(int)
    np.testing.assert_array_equal((rows[:, :7].sum(axis=1) + 0x25 + 8) % 256, rows[:, 7])
    t_ns, angle = decoded(frames)[vss.STEERING_ANGLE]
    assert set(angle[(t_ns >= 20.001e9) & (t_ns < 29.999e9)].round(3).tolist()) == {45.0}
    assert np.abs(angle[t_ns < 20e9]).max() < 5
    with pytest.raises(InputError, match=r"x: bus_masquerade at \d+ s: signal: unknown 'Sped'; "):
        encode_drive(drive(BusMasquerade(at_s=2, message="SPEED", signal="Sped", value=1)))


def test_a_replay_beside_the_sender_doubles_the_message() -> None:
    number = load_database().get_message_by_name("SPEED").frame_id
    frames = encode_drive(drive(BusReplay(at_s=30, duration_s=10, message="SPEED", back_s=25, beside=True)))
    span = (frames.can_id == number) & (frames.t_ns >= 30e9) & (frames.t_ns < 40.01e9)
    assert int(span.sum()) == pytest.approx(1000, abs=2)
    assert (np.diff(frames.t_ns) >= 0).all()


def test_a_restart_turns_the_ignition_off_for_a_second() -> None:
    frames = encode_drive(drive(Restart(at_s=20), legs=[]))
    rows = frames.can_id == load_database().get_message_by_name("BODY").frame_id
    off_s = frames.t_ns[rows][(frames.data[rows][:, 0] & 1) == 0] / 1e9
    assert len(off_s) == 5
    assert 20 <= off_s.min() <= off_s.max() < 21


def test_a_car_with_an_engine_alone_has_no_pack_on_its_bus() -> None:
    frames = encode_drive(drive(car=Car(kind="ice")))
    said = {load_database().get_message_by_frame_id(number).name for number in set(frames.can_id.tolist())}
    assert not said & {"PACK", "PACK_EXTREMES", "PACK_SAFETY", "CELLS", "CHARGER"}
    assert "ENGINE_2" in said
