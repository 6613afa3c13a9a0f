"""`python -m tests.vm PACKAGE IMAGE`: the package's checks in a throw-away guest; `./run test-vm` does it all.

OUTRIDER_SOAK_S is how long the CAN reader is soaked: 60 s, or what you can wait for.
"""

import os
import sys
import tempfile
import time
from pathlib import Path
from typing import Final

from tests.vm.box import say
from tests.vm.guest import HERE, NO_STATUS, Guest, run_in

_LIMIT_S: Final = 1800.0
_SOAK_S: Final = 60.0


def main(package: Path, image: Path) -> int:
    """Exit status 0 only if every check passed."""
    log = image.with_name("console.log")
    started_s = time.monotonic()
    soak_s = float(os.environ.get("OUTRIDER_SOAK_S", _SOAK_S))
    with tempfile.TemporaryDirectory() as name:
        asked = Path(name) / "soak_s"
        asked.write_text(str(soak_s))
        status = run_in(Guest(image, log), HERE / "job.sh", [HERE, package, asked], limit_s=_LIMIT_S + soak_s)
    if status == NO_STATUS:
        say(f"the guest gave no status; its console is in {log}")
    say(f"test-vm: {'passed' if status == 0 else 'FAILED'} in {time.monotonic() - started_s:.0f} s")
    return status


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), Path(sys.argv[2])))
