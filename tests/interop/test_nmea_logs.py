"""Our fixes against gpsd's, over receivers' own logs (gpsd @46977fa, BSD-2)."""

import gzip
import json
import math
from collections import Counter
from datetime import datetime
from itertools import groupby
from pathlib import Path
from typing import Any

import pytest

from agent.proto.nmea import Fix, NmeaParser
from tests.interop.figures import Figures

pytestmark = pytest.mark.interop

# Half of gpsd's last digit (lat, lon, altMSL, track), and its rounding of knots to m/s.
TOLERANCES = {"lat": 2e-9, "lon": 2e-9, "speed": 0.0012, "altMSL": 0.0001, "track": 0.0001, "mode": 0}
CLEAN = ["garmin17n", "quectel-l76k-nmea", "telit-he910", "ublox-8"]


def read_fixes(folder: Path, name: str) -> tuple[NmeaParser, list[Fix]]:
    parser = NmeaParser()
    return parser, parser.feed((folder / f"{name}.log").read_bytes())


def read_tpv(folder: Path, name: str) -> list[dict[str, Any]]:
    with gzip.open(folder / f"{name}.log.chk.gz", "rt", encoding="utf-8", errors="replace") as lines:
        return [json.loads(line) for line in lines if line.startswith('{"class":"TPV"')]


def last_of_each_instant(reports: list[dict[str, Any]]) -> dict[int, dict[str, Any]]:
    """By UTC. The last report: before RMC, gpsd guesses the speed from the last two positions."""
    return {utc_ns(report["time"]): report for report in reports if report["mode"] >= 2 and "time" in report}


def utc_ns(text: str) -> int:
    return round(datetime.fromisoformat(text).timestamp() * 1000) * 1_000_000


def instants(fixes: list[Fix]) -> dict[int, dict[str, float]]:
    """What our fixes of one instant tell together, by UTC; position may come before the date."""
    by_time: dict[float, dict[str, float]] = {}
    times: dict[float, int] = {}
    for fix in fixes:
        if not fix.valid or fix.time_of_day_s is None:
            continue
        if fix.utc_ns is not None:
            times[fix.time_of_day_s] = fix.utc_ns
        told = {"lat": fix.latitude, "lon": fix.longitude, "altMSL": fix.altitude_m, "track": fix.heading_deg}
        told |= {"mode": fix.dimensions, "speed": None if fix.speed_kmh is None else fix.speed_kmh / 3.6}
        instant = by_time.setdefault(fix.time_of_day_s, {})
        instant |= {key: value for key, value in told.items() if value is not None}
    return {t_ns: by_time[time_s] for time_s, t_ns in times.items()}


@pytest.mark.parametrize("name", CLEAN)
def test_time_position_speed_track_and_mode_are_those_of_gpsd(shared_data: Path, figures: Figures, name: str) -> None:
    folder = shared_data / "nmea_logs"
    parser, fixes = read_fixes(folder, name)
    ours, expected = instants(fixes), last_of_each_instant(read_tpv(folder, name))
    assert set(expected) <= set(ours)
    assert len(set(ours) - set(expected)) <= 1  # quectel's log ends before gpsd has made a report of its last sentence
    compared, differing = Counter[str](), []
    for t_ns, report in expected.items():
        for key, tolerance in TOLERANCES.items():
            if key in report or key in ours[t_ns]:
                compared[key] += 1
                both = ours[t_ns].get(key, math.nan), report.get(key, math.nan)
                if not math.isclose(*both, abs_tol=tolerance, rel_tol=0):
                    differing.append((report["time"], key, *both))
    values = f"{compared.total() - len(differing)} of {compared.total()}"
    figures("nmea_logs", f"{name}: {len(expected)} instants, {', '.join(compared)}", values, "all")
    assert not differing
    assert compared["lat"] == compared["lon"] == compared["speed"] == compared["mode"] == len(expected)
    assert parser.bad <= 1  # ublox-8 ends in half a line


@pytest.mark.parametrize("name", CLEAN)
def test_the_mode_changes_as_gpsd_sees_it(shared_data: Path, name: str) -> None:
    folder = shared_data / "nmea_logs"
    reports, fixes = read_tpv(folder, name), read_fixes(folder, name)[1]
    ours = [mode for mode, _ in groupby(fix.dimensions for fix in fixes)]
    assert ours == [mode for mode, _ in groupby(report["mode"] for report in reports)]
    assert len(ours) == 2
    first = next(report for report in reports if report["mode"] >= 2)
    [*lost, found] = fixes[: 1 + next(place for place, fix in enumerate(fixes) if fix.valid)]
    assert (found.latitude, found.longitude) == pytest.approx((first["lat"], first["lon"]), abs=2e-9)
    assert 3 * len(lost) == 2 * sum(report["mode"] == 1 for report in reports)  # GGA and RMC; gpsd also reports GSA


def test_mixed_binary_is_survived(shared_data: Path, figures: Figures) -> None:
    parser, fixes = read_fixes(shared_data / "nmea_logs", "navisys-gr701w")
    assert fixes == []  # this receiver speaks UBX alone; all that looks like a sentence is chance
    assert parser.bad > 0
    figures("nmea_logs", "navisys-gr701w, binary: fixes made up", len(fixes), "0")


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
