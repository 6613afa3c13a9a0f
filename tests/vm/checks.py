"""What the package must do on a real Debian with systemd and a CAN bus; `python3 -m vm.checks FILES`, as root.

FILES is the folder of what the job was given: parts (of plan.py), soak_s, the package, clients made by others. Prints
PASS, SKIP or FAIL, a line each, in an order in which each finds what the one before it left. Exit status 0 only if none
failed. Needs nothing but Debian's own Python.
"""

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from .box import LIBRARY, UNIT, CheckFailed, CheckSkipped, expect, run, say
from .bus import (
    bus_faults_show_in_status,
    bus_is_only_read,
    dongle_is_read,
    interface_may_vanish,
    listen_only_opens_no_transmitter,
)
from .clients import (
    can_isotp_reads_vin,
    candump_shows_every_frame,
    isotp_tools_read_vin,
    udsoncan_reads_the_world,
)
from .direct import HERE, Direct, run_in
from .faults import error_frames_are_counted_by_class
from .here import look
from .imu import imu_is_given_as_documented, imu_losses_are_counted, imu_scans_arrive_whole
from .package import (
    config_check_names_key_and_line,
    doctor_finds_faults,
    files_are_roots,
    installs_without_insurer,
    purges,
    removes,
    upgrades,
)
from .plan import BUS, MACHINE, make_plan
from .reading import (
    clock_steps_do_not_show,
    filter_passes_two,
    frames_are_candumps,
    interface_down_is_survived,
    overflow_is_counted,
    soak_loses_nothing_uncounted,
)
from .service import (
    delivers_everything,
    exposure_is_low,
    feeds_watchdog,
    returns_after_kill,
    sandbox_is_real,
    shows_status,
    starts_when_configured,
    stops_in_time,
)
from .store import full_disk_loses_no_crash

Check = Callable[[Path], str]

ON_THE_BUS: Final[Sequence[Check]] = (
    frames_are_candumps,
    filter_passes_two,
    error_frames_are_counted_by_class,
    interface_down_is_survived,
    candump_shows_every_frame,
    isotp_tools_read_vin,
    can_isotp_reads_vin,
    udsoncan_reads_the_world,
    overflow_is_counted,
    soak_loses_nothing_uncounted,
)
_LIMIT_S: Final = 1800.0


def bus_runs_apart(files: Path) -> str:
    """The checks of the bus as any machine with AF_CAN runs them, which this one is; nothing is left of them."""
    links = run("ip", "-o", "link")
    with tempfile.TemporaryDirectory() as name:
        parts = Path(name) / "parts"
        parts.write_text(BUS)
        given = [path for path in files.iterdir() if path.suffix != ".deb" and path.name != parts.name]
        target = Direct(apart=True, environment={LIBRARY: "/opt/outrider/lib"})
        status = run_in(target, HERE / "job.sh", [parts, *given], limit_s=_LIMIT_S)
    expect(true=status == 0, otherwise=f"exit {status}: see above")
    expect(true=run("ip", "-o", "link") == links, otherwise="interfaces are left")
    return "passed, with no interface of this machine in sight"


def plan_is_direct(_: Path) -> str:
    """On such a machine no guest is booted for the bus, and with the package on it nobody may run the rest."""
    here = look()
    expect(true=not here.bus, otherwise=f"against the bus: {here.bus}")
    plan = make_plan("", here)
    expect(true=(plan.here, plan.guest) == ([BUS], [MACHINE]), otherwise=str(plan))
    expect(true=any("/etc/outrider" in reason for reason in here.machine), otherwise=str(here.machine))
    return plan.reason


ON_THE_MACHINE: Final[Sequence[Check]] = (
    installs_without_insurer,
    files_are_roots,
    config_check_names_key_and_line,
    starts_when_configured,
    sandbox_is_real,
    exposure_is_low,
    bus_is_only_read,
    bus_faults_show_in_status,
    dongle_is_read,
    interface_may_vanish,
    listen_only_opens_no_transmitter,
    imu_scans_arrive_whole,
    imu_losses_are_counted,
    imu_is_given_as_documented,
    shows_status,
    feeds_watchdog,
    stops_in_time,
    returns_after_kill,
    delivers_everything,
    doctor_finds_faults,
    full_disk_loses_no_crash,  # the agent is stopped for these
    clock_steps_do_not_show,
    plan_is_direct,
    bus_runs_apart,
    upgrades,
    removes,
    purges,
)


def main(files: Path) -> int:
    """Run what was asked for; a failure does not stop the rest."""
    parts = (files / "parts").read_text().split()
    if MACHINE not in parts:
        return _run_all(BUS, ON_THE_BUS, files)
    with _bus_of_the_machine():
        return _run_all(MACHINE, [one for one in ON_THE_MACHINE if one is not bus_runs_apart or BUS in parts], files)


def _run_all(part: str, checks: Sequence[Check], files: Path) -> int:
    results = [_run_one(check, files) for check in checks]
    skipped = f", {results.count('SKIP')} skipped" if "SKIP" in results else ""
    say(f"{part}: {results.count('PASS')} of {len(checks)} checks passed{skipped}")
    return 1 if "FAIL" in results else 0


def _run_one(check: Check, files: Path) -> str:
    started_s = time.monotonic()
    name = check.__name__.replace("_", " ")
    try:
        seen = check(files)
    except CheckSkipped as exc:
        say(f"SKIP  {name}: {exc}")
        return "SKIP"
    except (CheckFailed, OSError, ValueError, LookupError, subprocess.TimeoutExpired) as exc:
        say(f"FAIL  {name}: {exc if isinstance(exc, CheckFailed) else repr(exc)}")
        if LIBRARY not in os.environ:
            say(run("journalctl", "--no-pager", "-o", "cat", "-n", "25", "-u", UNIT, code=None))
        return "FAIL"
    say(f"PASS  {name}: {seen} ({time.monotonic() - started_s:.1f} s)")
    return "PASS"


@contextmanager
def _bus_of_the_machine() -> Iterator[None]:
    """The bus that the service reads."""
    run("modprobe", "vcan")
    run("ip", "link", "add", "vcan0", "type", "vcan")
    run("ip", "link", "set", "vcan0", "up")
    try:
        yield
    finally:
        run("ip", "link", "delete", "vcan0")


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
