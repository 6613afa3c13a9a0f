"""What the package must do on a real Debian with systemd and a CAN bus; `python3 -m vm.checks PACKAGE`, as root.

Prints PASS or FAIL, a line each, in an order in which each finds what the one before it left. Exit status 0 only if
all passed. Needs nothing but Debian's own Python.
"""

import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

from .box import UNIT, CheckFailed, run, say
from .bus import bus_is_only_read, dongle_is_read, interface_may_vanish, listen_only_opens_no_transmitter
from .package import (
    config_check_names_key_and_line,
    doctor_finds_faults,
    files_are_roots,
    installs_without_insurer,
    purges,
    removes,
    upgrades,
)
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

Check = Callable[[Path], str]

CHECKS: Final[Sequence[Check]] = (
    installs_without_insurer,
    files_are_roots,
    config_check_names_key_and_line,
    starts_when_configured,
    sandbox_is_real,
    exposure_is_low,
    bus_is_only_read,
    dongle_is_read,
    interface_may_vanish,
    listen_only_opens_no_transmitter,
    shows_status,
    feeds_watchdog,
    stops_in_time,
    returns_after_kill,
    delivers_everything,
    doctor_finds_faults,
    frames_are_candumps,  # the agent is stopped for these
    filter_passes_two,
    interface_down_is_survived,
    clock_steps_do_not_show,
    overflow_is_counted,
    soak_loses_nothing_uncounted,
    upgrades,
    removes,
    purges,
)


def main(package: Path) -> int:
    """Run all; a failure does not stop the rest."""
    failed = 0
    for check in CHECKS:
        started_s = time.monotonic()
        name = check.__name__.replace("_", " ")
        try:
            seen = check(package)
        except (CheckFailed, OSError, ValueError, LookupError, subprocess.TimeoutExpired) as exc:
            failed += 1
            say(f"FAIL  {name}: {exc if isinstance(exc, CheckFailed) else repr(exc)}")
            say(run("journalctl", "--no-pager", "-o", "cat", "-n", "25", "-u", UNIT, code=None))
        else:
            say(f"PASS  {name}: {seen} ({time.monotonic() - started_s:.1f} s)")
    say(f"{len(CHECKS) - failed} of {len(CHECKS)} checks passed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
