import math
from contextlib import suppress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.core.errors import ProtocolError
from agent.core.paths import OBD_PIDS
from agent.core.toml import load_toml
from agent.proto import obd

TABLE = load_toml(OBD_PIDS, obd.PidTable).pids
PIDS = sorted({spec.pid for spec in TABLE})


@settings(deadline=None)
@given(
    st.one_of(st.binary(max_size=80), st.binary(max_size=80).map(lambda data: b"\x41" + data)),
    st.sets(st.integers(0, 255), min_size=1, max_size=6),
)
def test_any_bytes_give_asked_for_pids_or_a_protocol_error(message: bytes, asked: set[int]) -> None:
    with suppress(ProtocolError):
        data = obd.parse_pids(message, asked)
        assert set(data) <= asked
        assert sum(map(len, data.values())) < len(message)


@settings(deadline=None)
@given(st.binary(max_size=60), st.sampled_from([3, 7, 0x0A]))
def test_any_bytes_give_codes_or_a_protocol_error(body: bytes, service: int) -> None:
    for message in (body, bytes([service + 0x40]) + body):
        with suppress(ProtocolError):
            for code in obd.parse_dtcs(message, service):
                assert obd.parse_dtc(obd.encode_dtc(code)) == code


@settings(deadline=None)
@given(st.binary(max_size=60))
def test_any_bytes_give_a_name_or_a_protocol_error(body: bytes) -> None:
    for message in (body, b"\x49\x02" + body, b"\x49\x04" + body):
        with suppress(ProtocolError):
            assert len(obd.parse_vin(message)) == 17
        with suppress(ProtocolError):
            obd.parse_calibration_ids(message)


@settings(deadline=None)
@given(st.binary(max_size=9))
def test_any_bytes_are_a_read_or_refused(request: bytes) -> None:
    try:
        assert obd.check_request(request)[0] in {1, 2, 3, 7, 9, 0x0A}
    except obd.RequestRefused:
        assert request[:1] not in {b"\x03", b"\x07", b"\x0a"} or len(request) > 1


@settings(deadline=None)
@given(st.lists(st.sampled_from(PIDS), min_size=2, max_size=6, unique=True), st.data())
def test_a_combined_answer_comes_apart_as_it_was_put_together(pids: list[int], data: st.DataObject) -> None:
    parts = {}
    for pid in pids:
        length = obd.data_lengths(pid)[0]
        parts[pid] = data.draw(st.binary(min_size=length, max_size=length))
    message = b"\x41" + b"".join(bytes([pid]) + part for pid, part in parts.items())
    found = obd.parse_pids(message, pids)
    assert set(found) <= set(pids)
    if not {6, 7, 8, 9} & set(pids):  # their length is the ECU's choice, so two readings may add up
        assert found == parts


@settings(deadline=None)
@given(st.sampled_from(TABLE), st.floats(-1e6, 1e6))
def test_raw_and_value_are_inverse_to_half_a_step(spec: obd.PidSpec, value: float) -> None:
    length = obd.data_lengths(spec.pid)[0]
    present = 0 if spec.present_bit is None else 1 << (length * 8 - 1 - spec.present_bit)
    data = (present | spec.raw(value) << (length * 8 - spec.bit_start - spec.bit_length)).to_bytes(length, "big")
    half = 1 << (spec.bit_length - 1)
    low, high = (-half, half - 1) if spec.signed else (0, 2 * half - 1)
    clamped = min(max(value, low * spec.scale + spec.offset), high * spec.scale + spec.offset)
    assert spec.value(data) == pytest.approx(clamped, abs=abs(spec.scale) / 2 + 1e-6)


@settings(deadline=None)
@given(st.sampled_from([spec for spec in TABLE if spec.present_bit is not None]), st.binary(min_size=13, max_size=13))
def test_a_signal_the_car_has_not_is_no_number(spec: obd.PidSpec, data: bytes) -> None:
    assert spec.present_bit is not None
    has = data[spec.present_bit // 8] >> (7 - spec.present_bit % 8) & 1
    assert math.isnan(spec.value(data)) == (not has)


@settings(deadline=None)
@given(st.sets(st.integers(1, 0x20)))
def test_bitmaps_are_inverse(pids: set[int]) -> None:
    assert obd.parse_supported(0, obd.encode_supported(0, pids)) == pids
