"""Units and scalings of service 06 against python-OBD's table, which others typed from the standard."""

import pytest

from agent.proto.obd_monitors import SCALINGS, encode_monitor_result, parse_monitor_results

pytestmark = pytest.mark.interop


def test_every_scaling_is_python_obds() -> None:
    scaling = pytest.importorskip("obd.UnitsAndScaling", reason="the extra obd is not installed")
    theirs = {code: each for code, each in scaling.UAS_IDS.items() if hasattr(each, "scale")}  # 2E is yes or no
    assert set(theirs) | {0x2E} == set(SCALINGS)
    for code, each in theirs.items():
        assert each.signed == (code >= 0x80)
        for raw in (0, 1, 1000, -2 if each.signed else 65_535):
            [result] = parse_monitor_results(b"\x46" + encode_monitor_result(1, 2, code, (raw, 0, raw)))
            expected = float(each(raw.to_bytes(2, "big", signed=each.signed)).magnitude)
            assert result.value == pytest.approx(expected), f"{code:02X}"
