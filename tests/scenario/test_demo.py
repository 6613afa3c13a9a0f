"""The whole house on one simulated drive."""

import io
import os
import re
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from simulators.demo import Outcome, main, run_demo
from simulators.demo_options import Options
from simulators.mosquitto import find_mosquitto


async def drive(*, pace: float = 0.0, **chosen: object) -> tuple[Outcome, str]:
    console = Console(file=io.StringIO(), width=200)
    options = Options(pace=pace, headless=True, **chosen)  # type: ignore[arg-type]  # a test's choice of fields
    outcome = await run_demo(options, console)
    assert isinstance(console.file, io.StringIO)
    return outcome, console.file.getvalue()


async def test_the_same_seed_tells_the_same_events_whatever_the_broker() -> None:
    if find_mosquitto() is None:
        pytest.skip("mosquitto is not installed")
    first, text = await drive(seed=7, broker="mosquitto")
    second, _ = await drive(seed=7, broker="embedded")
    assert first.lines == second.lines
    assert first.good
    assert second.good
    assert first.lost == second.lost == 0
    kinds = [line.split()[1] for line in first.lines]
    assert kinds.count("collision") == kinds.count("emergency_data") == 1
    assert kinds.count("config_applied") == 1
    assert kinds.count("feedback") == 3, "fine, then a garage, and then that it helped"
    assert {"trip_started", "trip_ended", "harsh_driving", "road_impact", "battery_alarm"} <= set(kinds)
    assert re.search(r"link +cut off", text)
    assert re.search(r"asks +您还好吗", text)


@pytest.mark.parametrize("chosen", [{"pace": 200.0}, {"can": "virtual"}], ids=["in real time", "over a bus"])
async def test_the_same_events_at_another_pace_and_through_the_cars_own_driver(chosen: dict[str, Any]) -> None:
    usual, _ = await drive(seed=7, broker="embedded")
    other, _ = await drive(seed=7, broker="embedded", **chosen)
    assert other.lines == usual.lines
    assert len(usual.lines) == 22


async def test_a_crash_is_shown_from_the_car_to_the_claims_desk(tmp_path: Path) -> None:
    outcome, text = await drive(scenario="crash_front", language="en", broker="embedded", claims=tmp_path, pace=20.0)
    steps = [
        r"!! +COLLISION at \d+ km/h",
        r"desk +the first notice of the crash is on the disk, \d+ ms after it was found",
        r"desk +the first notice of the crash is sent, \d+ ms after it was found",
        r"desk +ticket 1 opened \(crash\)",
    ]
    found = [re.search(step, text) for step in steps]
    assert all(found), text
    places = [one.start() for one in found if one]
    assert places == sorted(places)
    assert re.search(r"asks +\S+", text)
    assert outcome.page == tmp_path / "crash_front-7" / "ticket-1.en.html"
    page = outcome.page.read_text(encoding="utf-8")
    assert "Frontal collision at " in page
    assert "<b>frontal</b>" in page
    assert "verified in its chain" in page


async def test_a_charge_goes_from_what_went_wrong_over_a_no_to_a_closed_ticket() -> None:
    outcome, text = await drive(scenario="charge_talk", language="en", broker="embedded")
    assert outcome.good
    talk = [line.split()[1] for line in outcome.lines if "charg" not in line.split()[1]]
    assert talk == [
        "agent_started", "feedback", "feedback", "desk_message", "desk_message", "ticket_reopened", "feedback",
        "desk_message", "feedback", "agent_stopped",
    ]  # fmt: skip
    assert "ticket 1 reopened" in text
    assert text.index("ticket 1 is closed: the driver says that it helped") > text.index("ticket 1 reopened")


async def test_a_quiet_drive_reports_the_trip_and_nothing_else() -> None:
    outcome, _ = await drive(scenario="healthy", language="en", broker="embedded")
    assert [line.split()[1] for line in outcome.lines] == [
        "agent_started",
        "trip_started",
        "trip_ended",
        "agent_stopped",
    ]
    assert outcome.good


def test_an_unknown_scenario_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--headless", "--scenario", "nowhere"]) == 2
    error = capsys.readouterr().err
    assert "nowhere" in error
    assert error.count("\n") == 1


def test_terminated_it_takes_its_broker_and_its_keys_along(tmp_path: Path) -> None:
    demo = subprocess.Popen(
        [sys.executable, "-m", "simulators", "demo", "--headless", "--claims", str(tmp_path)],
        stdout=subprocess.PIPE,
        env=os.environ | {"TMPDIR": str(tmp_path), "PYTHONUNBUFFERED": "1"},
    )
    assert demo.stdout is not None
    with demo.stdout:
        assert demo.stdout.readline()
        assert [*tmp_path.glob("outrider-demo-*")]
        demo.send_signal(signal.SIGTERM)
        assert demo.wait(30) == 130
    assert not [*tmp_path.glob("outrider-demo-*")]
    assert not [line for line in _commands() if str(tmp_path) in line]


def test_a_terminal_that_knows_no_chinese_gets_question_marks(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "simulators", "demo", "--headless", "--pace", "0", "--broker", "embedded"]
    shown = subprocess.run(
        [*command, "--claims", str(tmp_path)],
        env=os.environ | {"PYTHONIOENCODING": "latin-1"},
        capture_output=True,
        check=True,
    )
    assert b"?" in shown.stdout
    lines = shown.stdout.splitlines()
    assert b" 0 lost" in lines[-1]
    assert lines[-3].startswith(f"claims desk: {tmp_path}".encode())


@pytest.mark.parametrize("pace", ["nan", "-1", "fast"])
def test_a_pace_that_is_none_is_refused(pace: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["--headless", "--pace", pace])
    assert ended.value.code == 2
    assert "is no pace" in capsys.readouterr().err


def _commands() -> list[str]:
    """Command lines of all processes."""
    commands = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            commands.append(path.read_bytes().decode("utf-8", "replace"))
        except OSError:  # gone meanwhile
            continue
    return commands
