"""`outrider replay` as a user runs it."""

import json
from pathlib import Path
from typing import Any

import pytest

from agent.cli.main import main


def replay(capsys: pytest.CaptureFixture[str], *args: str) -> tuple[int, dict[str, Any]]:
    code = main(["replay", *args, "--json"])
    lines = capsys.readouterr().out.splitlines()
    return code, json.loads(lines[-1])


def test_a_drive_in_a_text_log_becomes_a_trip_at_the_insurers(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    log = tmp_path / "drive.log"
    lines = [f"({1600000000 + n / 5:.6f}) can0 7E8#03410D{min(60, n):02X}00000000\n" for n in range(600)]
    log.write_text("".join(lines) + "broken line\n")
    code, report = replay(capsys, str(log), "--profile", "generic")
    assert code == 0
    assert (report["frames"], report["decoded"], report["bad_lines"]) == (600, 600, 1)
    assert (report["trips"], report["collisions"]) == (1, 0)
    assert report["events_sent"] == report["events_received"] == sum(report["events"].values())


@pytest.mark.parametrize("content", [b"", b"\x00\xff" * 500, b"(1600000000.0) can0 7E8#03410D"])
def test_files_that_are_no_drive_are_told_not_traced(
    content: bytes, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    log = tmp_path / "odd.log"
    log.write_bytes(content)
    code = main(["replay", str(log), "--profile", "generic", "--json"])
    captured = capsys.readouterr()
    if code == 2:
        assert "odd.log" in captured.err
        assert captured.err.count("\n") == 1
    else:
        assert json.loads(captured.out.splitlines()[-1])["decoded"] == 0


def test_a_file_that_is_no_recording_does_not_stop_the_others(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    good, bad = tmp_path / "good.log", tmp_path / "bad.MF4"
    good.write_text("(1600000000.000000) can0 7E8#03410D0000000000\n" * 3)
    bad.write_bytes(b"MDF     4.11    " + bytes(100))
    code, report = replay(capsys, str(bad), str(good), "--profile", "generic")
    assert code == 0
    assert (report["files"], report["frames"]) == (1, 3)
    assert len(report["refused"]) == 1
    assert "bad.MF4" in report["refused"][0]


def test_missing_files_and_profiles_are_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["replay", str(tmp_path / "gone.log"), "--profile", "generic"]) == 2
    assert "gone.log" in capsys.readouterr().err
    log = tmp_path / "a.log"
    log.write_text("(1600000000.000000) can0 7E8#03410D0000000000\n")
    assert main(["replay", str(log), "--profile", "tricycle"]) == 2
    assert "tricycle" in capsys.readouterr().err


@pytest.mark.interop
def test_the_recorded_car_trip_arrives(shared_data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Source: CSS-Electronics/api-examples, MIT."""
    folder = shared_data / "canedge_mf4"
    files = sorted(str(path) for path in (folder / "car_trip").glob("*.MF4"))
    code, report = replay(capsys, *files, "--dbc", str(folder / "canmod-gps.dbc"), "--profile", "canedge")
    assert code == 0
    assert report["files"] == 5
    assert report["collisions"] == 0
    assert report["trips"] >= 1
    assert report["events_sent"] == report["events_received"]
    assert all(row["rmse_mps"] <= 0.6 for row in report["speed"])
    assert report["speed"][0]["left_out"] > report["speed"][1]["left_out"]
