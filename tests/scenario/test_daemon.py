"""`outrider run` as systemd runs it: a process that is told to stop."""

import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from agent.core.keys import public_pem
from agent.core.records import parse_envelope
from agent.store.look import look
from drivers.keystore import FileKeystore

CONFIG = """
profile = "generic"
[device]
id = "box-1"
key = "{folder}/device.pem"
[detect.anomaly]
enabled = false
[store]
directory = "{folder}/data"
[trust]
insurer_encryption_key = "{folder}/insurer.pem"
[consent]
purposes = ["diagnostics"]
"""


@pytest.fixture
def config(tmp_path: Path) -> Path:
    FileKeystore.create(tmp_path / "device.pem", "box-1")
    (tmp_path / "insurer.pem").write_bytes(public_pem(X25519PrivateKey.generate().public_key()))
    path = tmp_path / "box.toml"
    path.write_text(CONFIG.format(folder=tmp_path))
    return path


def wait_for_state(sock: socket.socket, state: bytes) -> None:
    sock.settimeout(30)
    while sock.recv(64) != state:
        pass


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_sigterm_ends_within_five_seconds_with_everything_on_disk(
    config: Path, tmp_path: Path, number: signal.Signals
) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        address = str(tmp_path / "notify")
        systemd.bind(address)
        environment = {**os.environ, "NOTIFY_SOCKET": address}
        command = [sys.executable, "-m", "agent", "run", "--config", str(config)]
        with subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True) as agent:
            wait_for_state(systemd, b"READY=1")
            wait_for_state(systemd, b"WATCHDOG=1")
            agent.send_signal(number)
            _, errors = agent.communicate(timeout=5)
            wait_for_state(systemd, b"STOPPING=1")
        assert agent.returncode == 0, errors
    count, envelopes = look(tmp_path / "data", 10)
    assert count == 2  # agent_started, agent_stopped
    assert [parse_envelope(envelope)[0].sequence for envelope in envelopes] == [1, 2]


def test_a_bad_config_is_one_line_and_exit_code_2(config: Path) -> None:
    config.write_text(config.read_text().replace("[store]", "[stores]"))
    command = [sys.executable, "-m", "agent", "run", "--config", str(config)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr.strip().endswith("unknown key stores")
    assert done.stderr.count("\n") == 1


def test_a_full_disk_does_not_end_the_agent(config: Path, tmp_path: Path) -> None:
    """The status file cannot be written any more; what waits for the disk is kept and the watchdog is fed."""
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "status.new").mkdir()  # a folder where the file should go: every write of it fails
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        address = str(tmp_path / "notify")
        systemd.bind(address)
        environment = {**os.environ, "NOTIFY_SOCKET": address}
        command = [sys.executable, "-m", "agent", "run", "--config", str(config)]
        with subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True) as agent:
            wait_for_state(systemd, b"WATCHDOG=1")
            agent.send_signal(signal.SIGTERM)
            _, errors = agent.communicate(timeout=5)
    assert agent.returncode == 0, errors


def test_a_store_that_cannot_be_opened_is_one_line(config: Path, tmp_path: Path) -> None:
    (tmp_path / "data").write_text("a file where the folder should be")
    command = [sys.executable, "-m", "agent", "run", "--config", str(config)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 1  # systemd tries again
    assert done.stderr.count("\n") == 1
    assert "data" in done.stderr
