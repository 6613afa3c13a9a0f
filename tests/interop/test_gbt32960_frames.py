"""Six real frames of the 2016 edition (facts from public sources, masked): values worked out by others.

Sums, extremes and rounding are theirs. The first one's checksum is wrong on purpose, and the last one has 65.535 V for
its extremes, which is the marker for "invalid".
"""

import json
from pathlib import Path
from typing import Any

import pytest

from agent.core.errors import ProtocolError
from agent.proto import gbt32960 as gbt
from agent.proto.gbt32960 import Quality, Reading, edition2016
from tests.interop.figures import Figures

pytestmark = pytest.mark.interop


@pytest.fixture(scope="module")
def packets(shared_data: Path) -> list[dict[str, Any]]:
    lines = (shared_data / "gbt32960_frames" / "packets_masked.jsonl").read_text().splitlines()
    return [json.loads(line) for line in lines]


def is_close(reading: Reading, expected: float, tolerance: float = 1e-9) -> bool:
    """Theirs have no markers: an extreme of 65.535 V is our INVALID."""
    if reading.quality is Quality.INVALID:
        return expected == 65.535
    return reading.value is not None and abs(reading.value - expected) <= tolerance


def test_five_are_good_and_one_is_refused(packets: list[dict[str, Any]], figures: Figures) -> None:
    refused = []
    for packet in packets:
        data = bytes.fromhex(packet["hex"])
        if not packet["expected"]["bcc_ok"]:
            with pytest.raises(ProtocolError, match="checksum"):
                gbt.parse_frame(data)
            refused.append(packet)
            continue
        frame = gbt.parse_frame(data)
        message = gbt.parse_message(frame)
        assert gbt.encode_frame(frame) == data
        assert gbt.encode_message(message) == frame.data
    figures("gbt32960_frames", "frames written back byte for byte", len(packets) - len(refused), "5 of 6")
    figures("gbt32960_frames", "frames refused for their checksum", len(refused), "1 of 6")
    assert (len(packets), len(refused)) == (6, 1)


def test_values_are_what_others_made_of_them(packets: list[dict[str, Any]], figures: Figures) -> None:
    compared = 0
    for packet in packets:
        expected = packet["expected"]
        data = bytearray.fromhex(packet["hex"])
        if not expected["bcc_ok"]:
            data[-1] = 0x1A  # they read it all the same
        frame = gbt.parse_frame(bytes(data))
        message = gbt.parse_message(frame)
        assert isinstance(message, gbt.Realtime)
        assert (frame.vin, frame.command, len(frame.data)) == (expected["vin"], expected["cmd"], expected["len_real"])
        assert message.time.strftime("%Y-%m-%d %H:%M:%S") == expected["time"]
        types = {struct: code for code, struct in edition2016.BODIES.items()}
        assert [types[type(body)] for body in message.bodies] == [unit[0] for unit in expected["units"]]  # type: ignore[index]
        for body, (_, values) in zip(message.bodies, expected["units"], strict=True):
            compared += compare(body, values)
    figures("gbt32960_frames", "values equal to the expected ones", compared, "all 132")
    assert compared == 132


def compare(body: object, values: Any) -> int:
    """How many values of one body were compared."""
    if isinstance(body, edition2016.Vehicle):
        pairs = [
            (body.speed_kmh, values["v"]), (body.odometer_km, values["odo"]), (body.voltage_v, values["U"]),
            (body.current_a, values["I"]), (body.soc_percent, values["soc"]),
        ]  # fmt: skip
        assert all(is_close(reading, value) for reading, value in pairs)
        return len(pairs)
    if isinstance(body, edition2016.Motors):
        assert len(body.motors) == values
        return 1
    if isinstance(body, edition2016.Position):
        assert body.status == values["st"]
        assert is_close(body.longitude_abs, values["lon"], 0.051)  # theirs is rounded to hide the place
        assert is_close(body.latitude_abs, values["lat"], 0.051)
        return 3
    if isinstance(body, edition2016.Extremes):
        assert is_close(body.voltage_max_v, values["vmax"])
        assert is_close(body.voltage_min_v, values["vmin"])
        return 2
    if isinstance(body, edition2016.Alarms):
        counts = [body.battery_count.value, body.motor_count.value, body.engine_count.value, body.other_count.value]
        assert (body.level.value, hex(body.flags), counts) == (values["level"], values["flags"], values["n"])
        return 6
    if isinstance(body, edition2016.Cells):
        [system] = body.systems
        cells = [cell.value for cell in system.cells_v if cell.value is not None]
        assert is_close(system.voltage_v, values["U"])
        assert (len(cells), min(cells), max(cells)) == (values["n"], values["min"], values["max"])
        assert round(sum(cells), 1) == pytest.approx(values["sum"], abs=0.051)
        return 5
    assert isinstance(body, edition2016.Temperatures)
    [probes] = body.systems
    degrees = [probe.value for probe in probes.probes_celsius if probe.value is not None]
    assert (len(degrees), min(degrees), max(degrees)) == (values["n"], values["min"], values["max"])
    return 3


def test_the_alarm_flags_have_their_names(packets: list[dict[str, Any]]) -> None:
    frame = gbt.parse_frame(bytes.fromhex(packets[5]["hex"]))
    message = gbt.parse_message(frame)
    assert isinstance(message, gbt.Realtime)
    [alarms] = [body for body in message.bodies if isinstance(body, edition2016.Alarms)]
    assert gbt.active_alarms(alarms) == [gbt.Alarm(13, "brake system", None)]
