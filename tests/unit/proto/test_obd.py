import math
from pathlib import Path

import pytest

from agent.core import vss
from agent.core.errors import ConfigError, ProtocolError
from agent.core.paths import OBD_PIDS
from agent.core.toml import load_toml, parse_toml
from agent.proto import obd

TABLE = load_toml(OBD_PIDS, obd.PidTable).pids


def spec(path: str) -> obd.PidSpec:
    return next(s for s in TABLE if s.path == path)


@pytest.mark.parametrize(
    ("path", "data", "value"),
    [
        (vss.SPEED, "32", 50.0),
        (vss.ENGINE_SPEED, "1af8", 1726.0),
        (vss.COOLANT_TEMPERATURE, "7b", 83.0),
        (vss.MASS_AIR_FLOW, "0514", 13.0),
        (vss.THROTTLE, "ff", 100.0),
        (vss.LOW_VOLTAGE, "36b0", 14.0),
        (vss.TRAVELED_DISTANCE, "0012d687", 123_456_700.0),  # 123456.7 km
        (vss.AIR_TEMPERATURE, "00", -40.0),
        ("Vehicle.Private.OBD.ShortTermFuelTrim1", "70", -12.5),
        ("Vehicle.Private.OBD.IsMILOn", "83000000", 1.0),
        ("Vehicle.Diagnostics.DTCCount", "83000000", 3.0),
    ],
)
def test_values(path: str, data: str, value: float) -> None:
    assert spec(path).value(bytes.fromhex(data)) == pytest.approx(value)


def test_every_pid_has_a_known_length_and_fits_in_it() -> None:
    for each in TABLE:
        assert obd.data_lengths(each.pid), hex(each.pid)
        assert each.byte_count <= obd.data_lengths(each.pid)[0], hex(each.pid)


def test_every_raw_value_lies_in_the_range() -> None:
    for each in TABLE:
        half = 1 << (each.bit_length - 1)
        low, high = (-half, half - 1) if each.signed else (0, 2 * half - 1)
        high -= each.path.endswith(".ShortTermFuelTrim")  # FF: this oxygen sensor is not used for it
        assert low * each.scale + each.offset >= each.minimum, each.path
        assert high * each.scale + each.offset <= each.maximum, each.path


def test_a_signal_the_car_has_not_is_no_number() -> None:
    second = next(each for each in TABLE if each.path.endswith("OBD.CoolantTemperature2"))
    assert math.isnan(second.value(bytes.fromhex("01 7b 00")))
    assert second.value(bytes.fromhex("03 7b 50")) == 40


def test_an_unused_oxygen_sensor_trim_is_out_of_range() -> None:
    trim = next(each for each in TABLE if each.path.endswith("O2.Sensor2.ShortTermFuelTrim"))
    assert not trim.minimum <= trim.value(b"\x90\xff") <= trim.maximum


def test_a_freeze_frame_tells_which_it_is() -> None:
    assert obd.parse_freeze_frame(bytes.fromhex("42 0c 00 1a f8"), 0x0C) == b"\x1a\xf8"
    for message in ("42", "42 0c", "42 0d 00 1a", "42 0c 01 1a", "41 0c 1a f8"):
        with pytest.raises(ProtocolError):
            obd.parse_freeze_frame(bytes.fromhex(message), 0x0C)
    with pytest.raises(obd.NegativeResponse):
        obd.parse_freeze_frame(bytes.fromhex("7f 02 12"), 0x0C)


def test_raw_undoes_value_and_clamps() -> None:
    assert spec(vss.ENGINE_SPEED).raw(1726.0) == 0x1AF8
    assert spec(vss.SPEED).raw(400) == 255
    signed = obd.PidSpec(pid=1, path="Vehicle.X", signed=True)
    assert signed.value(bytes([signed.raw(-3)])) == -3
    assert signed.raw(-1000) == 0x80


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("pid = 1\npath = 'Vehicle.X'\nscal = 2", "unknown key"),
        ("pid = 256\npath = 'Vehicle.X'", "<= 255"),
        ("pid = 1\npath = 'Vehicle.X'\nbit_start = 500\nbit_length = 32", "beyond its data"),
        ("pid = 1\npath = 'Vehicle.X'\nscale = 0.0", "cannot be computed"),
        ("pid = 1\npath = 'Vehicle.X'\npresent_bit = 0", "does not come before"),
        ("pid = 1\npath = 'Vehicle.X'\nminimum = 2.0\nmaximum = 1.0", "above maximum"),
        ("pid = 1\npath = 'Vehicle.X'\n[[pids]]\npid = 2\npath = 'Vehicle.X'", "given twice"),
    ],
)
def test_a_wrong_table_says_what_is_wrong(text: str, says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        parse_toml(f"[[pids]]\n{text}", obd.PidTable, path=Path("pids.toml"))


@pytest.mark.parametrize(
    "request_hex",
    ["", "04", "05", "06", "08", "10", "1003", "11", "14ffffff", "27", "2e", "2f", "31", "34", "85", "41",
     "01", "0100010203040506", "03ff", "0902ff", "02", "0202"],
)  # fmt: skip
def test_anything_but_a_read_is_refused(request_hex: str) -> None:
    with pytest.raises(obd.RequestRefused):
        obd.check_request(bytes.fromhex(request_hex))


def test_no_service_outside_the_list_can_be_encoded() -> None:
    passed = set()
    for service in range(256):
        for parameters in ((), (2,), (2, 0)):
            try:
                obd.encode_request(service, parameters)
            except obd.RequestRefused:
                continue
            passed.add(service)
    assert passed == {1, 2, 3, 7, 9, 0x0A}


def test_several_pids_in_one_answer_in_any_order() -> None:
    message = bytes.fromhex("41 0d 32 0c 1a f8 05 7b 11 20 00 00")
    asked = [0x0C, 0x0D, 0x05, 0x11]
    assert obd.parse_pids(message, asked) == {0x0C: b"\x1a\xf8", 0x0D: b"\x32", 0x05: b"\x7b", 0x11: b"\x20"}


def test_trims_may_have_a_second_byte() -> None:
    assert obd.parse_pids(bytes.fromhex("41 06 80 90 0d 32"), [6, 0x0D]) == {6: b"\x80\x90", 0x0D: b"\x32"}
    assert obd.parse_pids(bytes.fromhex("41 06 80 0d 32"), [6, 0x0D]) == {6: b"\x80", 0x0D: b"\x32"}


@pytest.mark.parametrize("message", ["", "41", "410c", "410e1a", "430d32", "410d", "410d320f40", "410d320d33"])
def test_answers_that_do_not_add_up(message: str) -> None:
    if message == "41":
        assert obd.parse_pids(bytes.fromhex(message), [0x0C, 0x0D]) == {}
        return
    with pytest.raises(ProtocolError):
        obd.parse_pids(bytes.fromhex(message), [0x0C, 0x0D])


def test_an_answer_to_another_pid_is_nobodys() -> None:
    with pytest.raises(ProtocolError, match="another PID than 0D"):
        obd.parse_pids(bytes.fromhex("410c1af8"), [0x0D])


def test_a_refusal_names_its_code() -> None:
    with pytest.raises(obd.NegativeResponse) as caught:
        obd.parse_pids(bytes.fromhex("7f0112"), [0x0D])
    assert (caught.value.service, caught.value.code) == (1, 0x12)


def test_supported_pids() -> None:
    pids = obd.parse_supported(0, bytes.fromhex("be3ea813"))
    assert {0x01, 0x03, 0x0C, 0x0D, 0x1F, 0x20} <= pids
    assert 0x02 not in pids
    assert obd.encode_supported(0, pids) == bytes.fromhex("be3ea813")
    with pytest.raises(ProtocolError):
        obd.parse_supported(0, b"\xff\xff\xff")


@pytest.mark.parametrize(
    ("pair", "code"), [("0133", "P0133"), ("4123", "C0123"), ("9a12", "B1A12"), ("c100", "U0100"), ("3fff", "P3FFF")]
)
def test_dtcs(pair: str, code: str) -> None:
    assert obd.parse_dtc(bytes.fromhex(pair)) == code
    assert obd.encode_dtc(code) == bytes.fromhex(pair)


def test_a_wrong_code_cannot_be_encoded() -> None:
    for code in ("", "P4000", "X0100", "P01", "P010g"):
        with pytest.raises(ValueError, match="no DTC"):
            obd.encode_dtc(code)


@pytest.mark.parametrize(
    ("message", "codes"),
    [
        ("4300", []),
        ("43020133c100", ["P0133", "U0100"]),
        ("4301013300000000", ["P0133"]),  # one announced, the rest is filling
        ("43013300000000", ["P0133"]),  # before CAN: no count, three pairs
        ("43", []),
    ],
)
def test_stored_codes(message: str, codes: list[str]) -> None:
    assert obd.parse_dtcs(bytes.fromhex(message)) == codes


def test_more_codes_announced_than_there_are() -> None:
    with pytest.raises(ProtocolError, match="3 codes announced, 1 there"):
        obd.parse_dtcs(bytes.fromhex("43030133"))


def test_vin_and_calibration_ids() -> None:
    assert obd.parse_vin(b"\x49\x02\x01LRDTESTCAR0000007") == "LRDTESTCAR0000007"
    assert obd.parse_vin(b"\x49\x02\x01\0\0\0LRDTESTCAR0000007") == "LRDTESTCAR0000007"
    for wrong in (b"\x49\x02\x01LRDTESTCAR", b"\x49\x02\x01" + b"\xff" * 17, b"\x49\x02", b"\x49\x04\x01" + b"A" * 17):
        with pytest.raises(ProtocolError):
            obd.parse_vin(wrong)
    two = b"\x49\x04\x02" + b"ECM-1".ljust(16, b"\0") + b"TCM-9".ljust(16, b"\0")
    assert obd.parse_calibration_ids(two) == ["ECM-1", "TCM-9"]
    with pytest.raises(ProtocolError, match="no multiple of 16"):
        obd.parse_calibration_ids(b"\x49\x04\x01ABC")


def test_which_message_answers_which_request() -> None:
    live = obd.encode_request(1, [0x0C, 0x0D])
    assert obd.is_answer(bytes.fromhex("410d32"), live)
    assert obd.is_answer(bytes.fromhex("7f0112"), live)
    assert not obd.is_answer(bytes.fromhex("410532"), live)
    assert not obd.is_answer(bytes.fromhex("7f0911"), live)
    assert not obd.is_answer(b"", live)
    assert obd.is_answer(bytes.fromhex("4300"), obd.encode_request(3))
