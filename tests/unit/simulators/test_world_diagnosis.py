"""Two drive cycles to a lamp, three to put it out, forty warm-ups to forget: and what the port tells of it."""

import pytest

from agent.core import vss
from agent.proto import obd
from simulators.clock import ManualClock
from simulators.drive import CarDrive
from simulators.ecu import Ecu, Faults
from simulators.world import Drive, load_scenario, simulate
from simulators.world.diagnosis import DTC_COUNT, GOOD_CYCLES, MIL, WARM_UPS, Diagnosis

CODE = "P0301"


def lived(*cycles: str) -> Diagnosis:
    """A memory after drive cycles: `bad` finds the fault, `good` looks and finds none, `short` has no time to look."""
    diagnosis = Diagnosis()
    for cycle in cycles:
        if cycle == "bad":
            diagnosis.fail(CODE, 5)
        diagnosis.end_cycle(ran=cycle != "short", warm_up=True)
    return diagnosis


@pytest.mark.parametrize(
    ("cycles", "pending", "confirmed", "lamp"),
    [
        (["bad"], True, False, False),
        (["bad", "good"], False, False, False),
        (["bad", "good", "bad"], True, False, False),
        (["bad", "short", "bad"], True, True, True),
        (["bad", "bad"], True, True, True),
        (["bad", "bad", "good"], False, True, True),
        (["bad", "bad", "good", "good"], False, True, True),
        (["bad", "bad", "good", "good", "short", "good"], False, True, False),
        (["bad", "bad", "good", "good", "bad", "good", "good"], False, True, True),
    ],
)
def test_drive_cycles_decide(cycles: list[str], *, pending: bool, confirmed: bool, lamp: bool) -> None:
    memory = lived(*cycles).memory(0)
    assert memory.pending == ((CODE,) if pending else ())
    assert memory.confirmed == ((CODE,) if confirmed else ())
    assert memory.lamp is lamp
    assert memory.permanent == ((CODE,) if lamp else ())
    assert bool(memory.frozen) is (pending or confirmed)


def test_a_code_is_forgotten_forty_warm_ups_after_the_lamp_went_out() -> None:
    healed = ["bad", "bad", *["good"] * GOOD_CYCLES]
    assert lived(*healed, *["good"] * (WARM_UPS - 1)).memory(0).confirmed == (CODE,)
    assert lived(*healed, *["good"] * WARM_UPS).memory(0) == Diagnosis().memory(0)


def test_faults_of_the_high_voltage_system_need_one_cycle() -> None:
    diagnosis = Diagnosis()
    assert diagnosis.fail("P0AA6", 7)
    assert not diagnosis.fail("P0AA6", 9)
    assert diagnosis.memory(7).confirmed == ("P0AA6",)
    assert diagnosis.memory(7).frozen == (("P0AA6", 7),)


def at(drive: Drive, path: str, t_s: float) -> float:
    t_ns, values = drive.signals[path]
    return float(values[t_ns.searchsorted(round(t_s * 1e9))])


def codes_told(name: str) -> list[tuple[float, str, str]]:
    truths = [truth for truth in simulate(load_scenario(name), 7).truth if truth.kind == "dtc"]
    return [(truth.t_ns / 1e9, str(truth.details["code"]), str(truth.details["state"])) for truth in truths]


def test_the_same_misfire_is_pending_first_and_confirmed_after() -> None:
    assert codes_told("misfire_pending") == [(55.0, "P0301", "pending")]
    assert codes_told("misfire") == [(55.0, "P0301", "confirmed")]
    first, second = codes_told("misfire_two_cycles")
    assert (first[1:], second[1:]) == (("P0302", "pending"), ("P0302", "confirmed"))
    assert first[0] < 82 < second[0]


def test_a_third_good_cycle_puts_out_the_lamp_and_keeps_the_code() -> None:
    drive = simulate(load_scenario("misfire_healed"), 7)
    assert codes_told("misfire_healed") == []
    assert [at(drive, MIL, t_s) for t_s in (50, 110)] == [1, 0]
    assert [at(drive, DTC_COUNT, t_s) for t_s in (50, 110)] == [1, 1]


async def test_the_port_tells_lamp_codes_and_freeze_frame_as_the_drive_goes_on() -> None:
    drive = simulate(load_scenario("misfire_two_cycles"), 7)
    clock = ManualClock()
    car = CarDrive(drive, clock, pace=0)
    ecu = Ecu(car.values, faults=car.faults)

    def ask(*request: int) -> bytes:
        return ecu.answer(bytes(request)) or b""

    assert obd.parse_dtcs(ask(7), 7) == []
    assert obd.parse_freeze_frame(ask(2, 2, 0), 2) == b"\0\0"
    assert ask(2, 0x0D, 0) == b""
    await clock.advance_to(60_000_000_000)
    assert (obd.parse_dtcs(ask(3), 3), obd.parse_dtcs(ask(7), 7)) == ([], ["P0302"])
    assert obd.parse_pids(ask(1, 1), [1])[1][0] == 0
    await clock.advance_to(120_000_000_000)
    assert [obd.parse_dtcs(ask(service), service) for service in (3, 7, 10)] == [["P0302"]] * 3
    assert obd.parse_pids(ask(1, 1), [1])[1][0] == 0x81  # the lamp, and one code
    assert obd.parse_freeze_frame(ask(2, 2, 0), 2) == obd.encode_dtc("P0302")
    frozen_kmh = obd.parse_freeze_frame(ask(2, 0x0D, 0), 0x0D)[0]
    assert frozen_kmh == round(at(drive, vss.SPEED, 35.0))
    supported = obd.parse_supported(0, obd.parse_freeze_frame(ask(2, 0, 0), 0))
    assert {2, 4, 6, 7, 0x0C, 0x0D} <= supported
    assert ask(2, 0x0D, 1) == b""


def test_freeze_frames_of_several_pids_come_in_one_answer() -> None:
    ecu = Ecu(dict, faults=Faults(stored=("P0171",), frozen=[("P0171", {vss.SPEED: 50.0, vss.ENGINE_SPEED: 2000.0})]))
    assert ecu.answer(bytes.fromhex("02 0200 0d00 0c00")) == bytes.fromhex("42 02000171 0d0032 0c001f40")
