import json
import socket
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from simulators.__main__ import COMMANDS, main
from simulators.world import scenario_names
from simulators.world.schema import SCHEMA


def test_list_names_every_scenario(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["list"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == scenario_names()


def test_the_car_alone_prints_a_line_a_second_and_what_it_knows(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["run", "commute", "--pace", "0", "--channel", "alone"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert sum("km/h" in line and "frames" in line for line in lines) == 138
    assert any("-> collision delta_v_kmh 25.0" in line for line in lines)
    assert lines[-1] == "65826 frames sent"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["run", "nope"], "unknown scenario 'nope'; `python -m simulators list` prints the names"),
        (["run", "crash_chian"], "unknown scenario 'crash_chian'; did you mean crash_chain?"),
        (["run", "/nowhere/x.toml"], "cannot be read"),
        (["run", "commute", "--interface", "socketcan", "--channel", "nocan9"], "no CAN bus at socketcan:nocan9"),
        (["run", "commute", "--interface", "carrier-pigeon"], "invalid choice"),
        (["run", "commute", "--seed", "-1"], "argument --seed"),
        (["run", "commute", "--seed", "seven"], "'seven' is no seed"),
        (["run", "commute", "--pace", "nan"], "'nan' is no pace"),
        (["run", "commute", "--frobnicate"], "unrecognized arguments"),
        (["run"], "the following arguments are required: NAME"),
        (["swep"], "unknown command 'swep'; did you mean sweep?"),
        (["--frobnicate"], "unknown command '--frobnicate'; there are: claims, demo"),
        (["dongle", "--tcp", "99999"], "argument --tcp: '99999' is no port"),
        (["dongle", "--persona", "nobody"], "nobody"),
        (["list", "--family", "boats"], "--family boats: there are battery, box"),
    ],
)
def test_what_cannot_be_done_is_one_line_and_exit_code_2(
    arguments: list[str], message: str, refusal: Callable[[Sequence[str]], str]
) -> None:
    assert message in refusal(arguments)


def test_a_broken_scenario_is_named_with_its_line(tmp_path: Path, refusal: Callable[[Sequence[str]], str]) -> None:
    path = tmp_path / "mine.toml"
    path.write_text('name = "x"\ndescription = "y"\nduration_s = 10\nspeed = 3\n')
    assert f"{path}:4: unknown key speed" in refusal(["run", str(path)])


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_explains_itself(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        main([name, "--help"])
    assert stop.value.code == 0
    assert "usage: " in capsys.readouterr().out


@pytest.mark.parametrize("arguments", [[], ["--help"], ["help"]])
def test_without_a_command_they_are_listed(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(arguments) == 0
    lines = capsys.readouterr().out.splitlines()
    assert {line.split()[0] for line in lines if line.startswith("  ")} == set(COMMANDS)


def test_list_for_machines_and_by_family(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["list", "--family", "crash", "--json"]) == 0
    listed = json.loads(capsys.readouterr().out)
    assert {scenario["family"] for scenario in listed} == {"crash"}
    assert "crash_chain" in {scenario["name"] for scenario in listed}


def test_a_port_in_use_is_named(refusal: Callable[[Sequence[str]], str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        number = taken.getsockname()[1]
        error = refusal(["dongle", "--tcp", str(number)])
    assert error.startswith(f"simulators dongle: --tcp {number}: ")
    assert "in use" in error


def test_the_schema_is_the_one_that_lies_beside_the_scenarios(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["schema"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told == json.loads(SCHEMA.read_text())
    assert "Scenario" in told["$defs"]
