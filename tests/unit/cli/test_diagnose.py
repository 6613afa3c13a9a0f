"""`outrider diagnose` on the command line."""

import json
from pathlib import Path

import pytest

from agent.cli.main import main


def test_the_case_of_the_spark_plugs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    frame = tmp_path / "frame.json"
    frame.write_text('{"Vehicle.Private.OBD.ShortTermFuelTrim1": 9.5, "trim_long": 14}', encoding="utf-8")
    assert main(["diagnose", "p0171", "--freeze", str(frame), "--repair", "spark_plugs"]) == 0
    out = capsys.readouterr().out
    assert "drive gently, to a garage" in out
    assert "1. [9 points] air gets in behind the air-flow meter" in out
    assert "+2  for: the mixture was corrected by 23.5 % when the code was set" in out


def test_json_in_chinese(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["diagnose", "P0A0A", "P3FFF", "--json", "--language", "zh"]) == 0
    known, unknown = json.loads(capsys.readouterr().out)
    assert (known["drive"], known["causes"][0]["cause"]) == ("stop_now", "plug_open")
    assert "橙色" in known["causes"][0]["next"]
    assert unknown["causes"] == []


def test_a_profile_lays_its_own_rules_over(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rules = tmp_path / "mine.toml"
    rules.write_text(
        '[codes]\nP1135 = { group = "oxygen_sensor", drive = "go_on", en = "the first sensor is cold", zh = "冷" }\n',
        encoding="utf-8",
    )
    profile = tmp_path / "car.toml"
    profile.write_text(f'name = "car"\nobd = true\ndiagnosis = ["{rules}"]\n', encoding="utf-8")
    assert main(["diagnose", "P1135", "--profile", str(profile)]) == 0
    assert "P1135: the first sensor is cold" in capsys.readouterr().out


@pytest.mark.parametrize(("argv", "reason"), [
    (["X9"], "X9: no trouble code such as P0171"),
    (["P0171", "--repair", "gnomes"], "--repair gnomes: unknown; known are accessory, "),
    (["P0171", "--freeze", "/nowhere.json"], "/nowhere.json: no freeze frame in JSON"),
    (["P0171", "--freeze", "[1]"], "no JSON object"),
    (["P0171", "--freeze", '{"trim_long": "x"}'], "trim_long: 'x' is no number"),
    (["P0171", "--freeze", '{"gnomes": 3}'], "gnomes: neither a VSS path nor one of trim_short, "),
    (["P0171", "--profile", "gnomes"], 'no vehicle profile "gnomes"'),
])  # fmt: skip
def test_what_cannot_be_used_is_one_line(
    argv: list[str], reason: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    if argv[-1][0] in "[{":
        (tmp_path / "frame.json").write_text(argv[-1], encoding="utf-8")
        argv = [*argv[:-1], str(tmp_path / "frame.json")]
    assert main(["diagnose", *argv]) == 2
    said = capsys.readouterr().err
    assert reason in said
    assert said.count("\n") == 1
