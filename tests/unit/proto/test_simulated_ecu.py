import pytest

from agent.core import vss
from agent.core.frames import Frame
from agent.proto import obd
from agent.proto.isotp import Reassembler, encode_flow_control, encode_frames
from simulators.ecu import CanEcu, Ecu, Faults

VALUES = {vss.SPEED: 72.4, vss.ENGINE_SPEED: 2150.0, vss.TRAVELED_DISTANCE: 123_456_700.0}


def make_ecu() -> Ecu:
    return Ecu(lambda: VALUES, faults=Faults(stored=("P0133", "U0100"), permanent=("B1A12",)))


def test_supported_pids_follow_the_chain_of_bitmaps() -> None:
    ecu = make_ecu()
    supported: set[int] = set()
    for base in range(0, 0x100, 0x20):
        reply = ecu.answer(bytes([1, base]))
        if reply is None:
            break
        supported |= obd.parse_supported(base, obd.parse_pids(reply, [base])[base])
    assert {p for p in supported if p % 0x20} == {0x0C, 0x0D, 0xA6}


def test_live_data_in_one_answer() -> None:
    reply = make_ecu().answer(obd.encode_request(1, [0x0D, 0x0C, 0x05, 0xA6]))
    assert reply is not None
    assert obd.parse_pids(reply, [0x0D, 0x0C, 0x05, 0xA6]) == {
        0x0D: b"\x48",
        0x0C: bytes.fromhex("2198"),
        0xA6: bytes.fromhex("0012d687"),
    }


def test_faults_and_information() -> None:
    ecu = make_ecu()
    assert obd.parse_dtcs(ecu.answer(b"\x03") or b"", 3) == ["P0133", "U0100"]
    assert obd.parse_dtcs(ecu.answer(b"\x07") or b"", 7) == []
    assert obd.parse_dtcs(ecu.answer(b"\x0a") or b"", 0x0A) == ["B1A12"]
    assert obd.parse_vin(ecu.answer(b"\x09\x02") or b"") == ecu.vin
    assert obd.parse_calibration_ids(ecu.answer(b"\x09\x04") or b"") == ["OUTRIDER-SIM"]


@pytest.mark.parametrize(("request_hex", "reply"), [("0105", None), ("09ff", None), ("04", "7f0411"), ("", None)])
def test_what_it_does_not_answer(request_hex: str, reply: str | None) -> None:
    answer = make_ecu().answer(bytes.fromhex(request_hex))
    assert (None if answer is None else answer.hex()) == reply


def test_on_the_bus_it_waits_for_flow_control() -> None:
    ecu = CanEcu(make_ecu())
    tester = Reassembler()
    [request] = encode_frames(obd.encode_request(9, [2]))
    [first] = ecu.receive(Frame(0, 0x7DF, request))
    assert first.can_id == 0x7E8
    received = tester.feed(first.can_id, first.data, 0)
    assert received.flow_control is not None
    rest = ecu.receive(Frame(1, 0x7E0, received.flow_control))
    messages = [tester.feed(frame.can_id, frame.data, 1).message for frame in rest]
    assert obd.parse_vin(messages[-1] or b"") == "LRDTESTCAR0000007"
    assert ecu.receive(Frame(2, 0x7E1, request)) == []


def test_on_the_bus_it_keeps_the_separation_time() -> None:
    ecu = CanEcu(make_ecu())
    ecu.receive(Frame(0, 0x7DF, encode_frames(b"\x09\x02")[0]))
    assert len(ecu.receive(Frame(0, 0x7E0, encode_flow_control(st_min_ms=5)))) == 1
    assert ecu.poll(4_999_999) == []
    assert ecu.next_ns == 5_000_000
    assert len(ecu.poll(5_000_000)) == 1
    assert ecu.next_ns is None


def test_on_the_bus_broken_frames_are_counted() -> None:
    ecu = CanEcu(make_ecu())
    assert ecu.receive(Frame(0, 0x7DF, b"")) == []
    assert ecu.bad == 1
