"""Our fixes against gpsd's, over receivers' own logs (gpsd @46977fa, BSD-2)."""

import gzip
import json
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from agent.proto.nmea import Fix, NmeaParser

pytestmark = pytest.mark.interop

TOLERANCES = {"lat": 2e-9, "lon": 2e-9, "speed": 0.004, "altMSL": 0.05, "track": 0.01}  # gpsd's rounding
CLEAN = ["garmin17n", "quectel-l76k-nmea", "telit-he910", "ublox-8"]


def read_fixes(folder: Path, name: str) -> tuple[NmeaParser, list[Fix]]:
    parser = NmeaParser()
    return parser, parser.feed((folder / f"{name}.log").read_bytes())


def read_tpv(folder: Path, name: str) -> dict[int, dict[str, Any]]:
    """Last report of each instant: before RMC, gpsd guesses the speed from the last two positions."""
    with gzip.open(folder / f"{name}.log.chk.gz", "rt", encoding="utf-8", errors="replace") as lines:
        reports = [json.loads(line) for line in lines if line.startswith('{"class":"TPV"')]
    return {utc_ns(report["time"]): report for report in reports if report["mode"] >= 2 and "time" in report}


def utc_ns(text: str) -> int:
    return round(datetime.fromisoformat(text).timestamp() * 1000) * 1_000_000


@pytest.mark.parametrize("name", CLEAN)
def test_time_position_and_speed_are_those_of_gpsd(shared_data: Path, name: str) -> None:
    folder = shared_data / "nmea_logs"
    parser, fixes = read_fixes(folder, name)
    ours: dict[int, dict[str, float]] = {}
    for fix in fixes:
        if fix.valid and fix.utc_ns is not None:
            instant = ours.setdefault(fix.utc_ns // 1_000_000 * 1_000_000, {})
            told = {"lat": fix.latitude, "lon": fix.longitude, "speed": fix.speed_kmh, "altMSL": fix.altitude_m}
            told["track"] = fix.heading_deg
            instant |= {key: value for key, value in told.items() if value is not None}
    compared = dict.fromkeys(TOLERANCES, 0)
    expected = read_tpv(folder, name)
    assert set(expected) <= set(ours)
    for t_ns, report in expected.items():
        for key in TOLERANCES.keys() & report.keys() & ours[t_ns].keys():
            unit = 3.6 if key == "speed" else 1
            assert ours[t_ns][key] == pytest.approx(report[key] * unit, abs=TOLERANCES[key]), (report["time"], key)
            compared[key] += 1
    assert min(compared["lat"], compared["lon"], compared["speed"]) >= len(expected) - 1
    assert parser.bad <= 1  # ublox-8 ends in half a line


def test_mixed_binary_is_survived(shared_data: Path) -> None:
    parser, fixes = read_fixes(shared_data / "nmea_logs", "navisys-gr701w")
    assert fixes == []  # this receiver speaks UBX alone; all that looks like a sentence is chance
    assert parser.bad > 0


def test_sentences_between_binary_are_all_found(shared_data: Path) -> None:
    folder = shared_data / "nmea_logs"
    binary = (folder / "navisys-gr701w.log").read_bytes()
    lines = (folder / "quectel-l76k-nmea.log").read_bytes().splitlines(keepends=True)
    pieces = [binary[start : start + 14] for start in range(0, 14 * len(lines), 14)]
    mixed = b"".join(piece + line for piece, line in zip(pieces, lines, strict=True))
    assert NmeaParser().feed(mixed) == read_fixes(folder, "quectel-l76k-nmea")[1]


@pytest.mark.parametrize("name", [*CLEAN, "navisys-gr701w"])
def test_one_byte_at_a_time_gives_the_same(shared_data: Path, name: str) -> None:
    _, whole = read_fixes(shared_data / "nmea_logs", name)
    parser = NmeaParser()
    data = (shared_data / "nmea_logs" / f"{name}.log").read_bytes()
    assert [fix for byte in data for fix in parser.feed(bytes([byte]))] == whole
