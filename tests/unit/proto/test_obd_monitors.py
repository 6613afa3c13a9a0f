import pytest

from agent.core.errors import ProtocolError
from agent.proto.obd_monitors import (
    MonitorResult,
    encode_monitor_result,
    parse_monitor_results,
    parse_supported_monitors,
)


def test_results_have_their_unit_and_limits() -> None:
    message = b"\x46" + encode_monitor_result(0x01, 0x87, 0x0B, (900, 450, 1200)) + encode_monitor_result(
        0xA2, 0x0C, 0x96, (-100, -400, 2000)
    )  # fmt: skip
    first, second = parse_monitor_results(message)
    assert first == MonitorResult(0x01, 0x87, 0x0B, 900 * 0.001, 450 * 0.001, 1200 * 0.001, "V")
    assert first.passed
    assert (second.value, second.minimum, second.maximum, second.unit) == (-10, -40, 200, "Celsius")


def test_a_value_beyond_its_limits_has_failed() -> None:
    for value, passed in ((10, True), (9, False), (20, True), (21, False)):
        [result] = parse_monitor_results(b"\x46" + encode_monitor_result(1, 1, 0x24, (value, 10, 20)))
        assert result.passed == passed


def test_an_unknown_scaling_leaves_the_raw_value() -> None:
    [result] = parse_monitor_results(b"\x46" + encode_monitor_result(1, 1, 0x7F, (513, 0, 1000)))
    assert (result.value, result.unit) == (513, "")


def test_bitmaps_of_several_ranges() -> None:
    assert parse_supported_monitors(bytes.fromhex("46 00 c0000001 20 80000000")) == {1, 2, 0x20, 0x21}


@pytest.mark.parametrize("message", ["", "46", "4601", "460187", "4101870b03840 1c204b0".replace(" ", "")])
def test_broken_results(message: str) -> None:
    with pytest.raises(ProtocolError):
        parse_monitor_results(bytes.fromhex(message))


@pytest.mark.parametrize("message", ["", "46", "4600", "460000", "4601c0000001", "4600c000000120"])
def test_broken_bitmaps(message: str) -> None:
    with pytest.raises(ProtocolError):
        parse_supported_monitors(bytes.fromhex(message))
