"""Hands and eyes for the checks: run a command, wait for a state, look at the service, keep a helper running."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, TypeVar

T = TypeVar("T")

UNIT: Final = "outrider.service"
ETC: Final = Path("/etc/outrider")
CONFIG: Final = ETC / "outrider.toml"
KEYS: Final = ETC / "keys"
SCRATCH: Final = Path.cwd()  # the job's own folder, which ends with it
FILES: Final = Path(__file__).parents[1]  # what the job was given, this package among it
INSURER: Final = SCRATCH / "insurer"
STATUS: Final = Path("/run/outrider/status.json")
DEVICE: Final = "guest"
DONGLE: Final = Path("/dev/obd0")
DONGLE_UNIT: Final = "dongle.service"
# A frame that the profile decodes, or the kernel's filter would keep it from the agent; with no value in it.
CANGEN: Final = ("cangen", "vcan0", "-I", "294", "-L", "8", "-D", "FF" * 8)
LIBRARY: Final = "OUTRIDER_LIBRARY"  # environment variable: the agent's modules, where no package is installed
_PACKAGED: Final = Path("/opt/outrider/lib")
_POLL_S: Final = 0.1


class CheckFailed(Exception):
    """Says what was seen instead."""


class CheckSkipped(Exception):
    """Says what this kernel lacks."""


def say(line: str) -> None:
    """One line for whoever waits outside, at once."""
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def expect(*, true: bool, otherwise: str) -> None:
    """Raise CheckFailed with what was seen."""
    if not true:
        raise CheckFailed(otherwise)


def run(*command: str, code: int | None = 0, limit_s: float = 300) -> str:
    """Output (both streams) of a command that must end with this code; None takes any."""
    done = subprocess.run(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=limit_s, check=False
    )
    if code is not None and done.returncode != code:
        raise CheckFailed(f"{' '.join(command)}: exit {done.returncode}, not {code}: {done.stdout.strip()[-1500:]}")
    return done.stdout


def wait_for(what: str, look: Callable[[], T], *, limit_s: float) -> T:
    """The first true answer of look."""
    deadline_s = time.monotonic() + limit_s
    while True:
        found = look()
        if found:
            return found
        expect(true=time.monotonic() < deadline_s, otherwise=f"no {what} within {limit_s:g} s")
        time.sleep(_POLL_S)


def unit(name: str) -> str:
    """One property of the service."""
    return run("systemctl", "show", "--value", "--property", name, UNIT).strip()


def main_pid() -> int:
    """Of the running service."""
    pid = int(unit("MainPID"))
    expect(true=pid > 0, otherwise=f"the service does not run: {unit('ActiveState')}, {unit('Result')}")
    return pid


def status() -> dict[str, Any]:
    """What the agent wrote of itself last; empty before it has."""
    try:
        found: dict[str, Any] = json.loads(STATUS.read_text())
    except FileNotFoundError:
        return {}
    return found


def packaged(*arguments: str, more: Sequence[Path] = ()) -> list[str]:
    """Command line that runs Python with the agent's modules, those of the package unless told otherwise; and more."""
    library = os.environ.get(LIBRARY, str(_PACKAGED))
    return ["env", f"PYTHONPATH={':'.join([library, *map(str, more)])}", sys.executable, "-B", *arguments]


def outside(*arguments: str) -> list[str]:
    """Command line of outside.py."""
    return packaged(str(Path(__file__).with_name("outside.py")), *arguments)


@contextmanager
def helper(command: Sequence[str], *, ready: str = "", log: Path | None = None) -> Iterator[subprocess.Popen[bytes]]:
    """Keep a program running meanwhile; ready is a word that its output starts with when it is up."""
    path = log or SCRATCH / f"{Path(command[0]).name}-{time.monotonic_ns()}.log"
    with path.open("wb") as output, subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT) as child:
        try:
            if ready:
                wait_for(
                    f"{ready!r} from {command[-2:]}",
                    lambda: path.read_text().startswith(ready) or child.poll() is not None,
                    limit_s=60,
                )
                expect(true=child.poll() is None, otherwise=f"{command[-2:]} ended: {path.read_text()[-1500:]}")
            yield child
        finally:
            child.terminate()


def records() -> list[tuple[int, int, str]]:
    """(boot, sequence, kind) of each record that waits in the outbox, opened with the insurer's key and verified."""
    return [(boot, sequence, kind) for boot, sequence, kind, _ in open_records()]


def open_records(*store: str) -> list[tuple[int, int, str, dict[str, Any]]]:
    """The same with the whole event, from any store."""
    command = outside("records", str(INSURER / "insurer_encryption.pem"), str(KEYS / "device.pub.pem"), *store)
    return [tuple(json.loads(line)) for line in run(*command).splitlines()]


def expect_no_gaps(found: Sequence[tuple[int, int, str]]) -> None:
    """Each boot's records are numbered from 1 without a hole."""
    for boot in {boot for boot, _, _ in found}:
        numbers = [sequence for at, sequence, _ in found if at == boot]
        expect(true=sorted(numbers) == list(range(1, len(numbers) + 1)), otherwise=f"boot {boot} has records {numbers}")


def write_config(*, link: bool = False) -> None:
    """A bus, an adapter, an insurer; and a broker, where there is one."""
    text = f"""
version = 1
profile = "simcar"
dbc = ["outrider_sim.dbc"]
device = {{ id = "{DEVICE}", key = "{KEYS}/device.pem" }}
consent = {{ purposes = ["claims", "safety", "service", "ubi_score", "feedback", "diagnostics"] }}
voice = {{ enabled = false }} # the guest has no sound card
buses = [{{ interface = "socketcan", channel = "vcan0" }}]
dongle = {{ port = "{DONGLE}" }}

[trust]
insurer_encryption_key = "{KEYS}/insurer_encryption.pub.pem"
insurer_receipt_key = "{KEYS}/insurer_receipt.pub.pem"
operator_key = "{KEYS}/operator.pub.pem"
"""
    if link:
        text += f"""
[link]
host = "localhost"
ca = "{KEYS}/ca.crt"
certificate = "{KEYS}/{DEVICE}.crt"
key = "{KEYS}/{DEVICE}.key"
"""
    CONFIG.write_text(text)


def give_to_agent(*files: Path) -> None:
    """Into the agent's key folder, readable by the agent alone."""
    for file in files:
        run("install", "-o", "outrider", "-g", "outrider", "-m", "600", str(file), str(KEYS))


@contextmanager
def drop_in(lines: str) -> Iterator[None]:
    """Settings of the service that hold meanwhile; the caller starts it with them, and without them it starts here."""
    path = Path(f"/run/systemd/system/{UNIT}.d/check.conf")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"[Service]\n{lines}\n")
    run("systemctl", "daemon-reload")
    try:
        yield
    finally:
        path.unlink()
        run("systemctl", "daemon-reload")
        run("systemctl", "restart", UNIT)


def process_status(pid: int) -> dict[str, str]:
    """The lines of /proc/PID/status."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return {name: value.strip() for name, _, value in (line.partition(":") for line in lines)}


def children(pid: int) -> list[int]:
    """Of one process."""
    return [int(number) for number in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def interface_frames(channel: str) -> int:
    """Frames that passed a virtual bus, where every sent frame is counted as sent."""
    (link,) = json.loads(run("ip", "-s", "-j", "link", "show", channel))
    return int(link["stats64"]["tx"]["packets"])


def terminals(pid: int) -> list[str]:
    """Of one process, those it has open."""
    opened = [str(link.readlink()) for link in Path(f"/proc/{pid}/fd").iterdir()]
    return [path for path in opened if path.startswith(("/dev/tty", "/dev/pts"))]


def kill(pid: int, signal: int) -> None:
    """Send one process a signal."""
    os.kill(pid, signal)
