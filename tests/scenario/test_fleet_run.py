"""The receiver's workers as processes: with vehicles, and when one of them ends."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from fleet.receiver.keys import ReceiverKeys
from simulators.__main__ import main
from simulators.mosquitto import find_mosquitto
from tests.conftest import REPOSITORY

_LIMIT_S = 30


@pytest.mark.skipif(find_mosquitto() is None, reason="mosquitto is not installed")
def test_every_event_of_many_vehicles_is_stored_once(capfd: pytest.CaptureFixture[str]) -> None:
    assert main(["fleet", "--vehicles", "6", "--minutes", "0.1", "--period", "1", "--workers", "2"]) == 0
    last = capfd.readouterr().out.strip().splitlines()[-1]
    assert last.startswith("fleet: 6 vehicles, ")
    assert last.endswith(" 0 cuts, 0 lost, 0 duplicates in effect")


@pytest.mark.parametrize("arguments", [["--vehicles", "0"], ["--minutes", "x"], ["--period", "nan"]])
def test_a_number_that_cannot_be_is_one_line(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["fleet", *arguments])
    assert ended.value.code == 2
    assert "a number from" in capsys.readouterr().err


@contextmanager
def _receiver(folder: Path) -> Iterator[subprocess.Popen[str]]:
    """Two workers at a broker that does not answer."""
    ReceiverKeys.create(folder / "insurer")
    (folder / "link.toml").write_text('host = "127.0.0.1"\nport = 1\n')
    command = [sys.executable, "-m", "fleet", "receive", "--workers", "2", "--link", str(folder / "link.toml")]
    command += ["--keys", str(folder / "insurer"), "--database", str(folder / "received.sqlite")]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, cwd=REPOSITORY) as process:
        yield process
        if process.poll() is None:
            process.kill()


def _workers(process: subprocess.Popen[str]) -> list[int]:
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children")
    while process.poll() is None:
        pids = [int(pid) for pid in children.read_text().split()]
        if len(pids) == 2:
            return pids
    pytest.fail(f"it ended at its start: {process.communicate()[1]}")


def test_a_worker_that_ends_ends_all(tmp_path: Path) -> None:
    with _receiver(tmp_path) as process:
        first, second = _workers(process)
        os.kill(first, signal.SIGKILL)
        _, said = process.communicate(timeout=_LIMIT_S)
        assert process.returncode == 2
        assert "fleet: workers ended with [-9, " in said
        assert not Path(f"/proc/{second}").exists()


def test_the_end_is_passed_on(tmp_path: Path) -> None:
    with _receiver(tmp_path) as process:
        pids = _workers(process)
        process.terminate()
        process.communicate(timeout=_LIMIT_S)
        assert not any(Path(f"/proc/{pid}").exists() for pid in pids)
