"""The package's checks, where they can run; `./run test-vm` does it all.

`python -m tests.vm plan`            says where (on standard error), and prints the guest's parts, if it has any
`python -m tests.vm PACKAGE [IMAGE]` runs them; IMAGE is the guest's, where it has a part

OUTRIDER_VM says where, see plan.py. OUTRIDER_SOAK_S is how long the CAN reader is soaked: 60 s, or what you can wait
for.
"""

import importlib.util
import os
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from tests.vm.box import LIBRARY, say
from tests.vm.direct import HERE, Direct, Target, run_in
from tests.vm.guest import Guest
from tests.vm.here import look
from tests.vm.plan import MACHINE, CannotRun, Plan, make_plan

_LIMIT_S: Final = 1800.0
_SOAK_S: Final = 60.0
_CLIENTS: Final = ("isotp", "udsoncan")  # pure Python, made by others: the guest gets them as they are installed here
_REPO: Final = HERE.parents[1]


def main(plan: Plan, package: Path, image: Path | None) -> int:
    """Exit status 0 only if every check passed."""
    started_s = time.monotonic()
    statuses = []
    if plan.here:
        library = {} if MACHINE in plan.here else {LIBRARY: str(_REPO)}
        statuses.append(_run(Direct(apart=MACHINE not in plan.here, environment=library), plan.here, package))
    if plan.guest:
        if image is None:
            raise CannotRun("the guest needs an image")
        statuses.append(_run(Guest(image, image.with_name("console.log")), plan.guest, package))
    status = max(statuses, key=abs)
    say(f"test-vm: {'FAILED' if status else 'passed'} in {time.monotonic() - started_s:.0f} s")
    return status


def _run(target: Target, parts: Sequence[str], package: Path) -> int:
    soak_s = float(os.environ.get("OUTRIDER_SOAK_S", _SOAK_S))
    with tempfile.TemporaryDirectory() as name:
        for file, text in (("soak_s", str(soak_s)), ("parts", " ".join(parts))):
            (Path(name) / file).write_text(text)
        files = [HERE, package, _REPO / "docs" / "operators.md", *Path(name).iterdir(), *map(_find_package, _CLIENTS)]
        return run_in(target, HERE / "job.sh", files, limit_s=_LIMIT_S + soak_s)


def _find_package(name: str) -> Path:
    found = importlib.util.find_spec(name)
    if found is None or found.origin is None:
        raise CannotRun(f"no Python package {name} here: ./run setup")
    return Path(found.origin).parent


if __name__ == "__main__":
    try:
        found = make_plan(os.environ.get("OUTRIDER_VM", ""), look())
        if sys.argv[1:] == ["plan"]:
            sys.stderr.write(f"test-vm: {found.reason}\n")
            sys.stdout.write(" ".join(found.guest) + "\n")
        else:
            paths = [Path(name) for name in sys.argv[1:]]
            sys.exit(main(found, paths[0], paths[1] if paths[1:] else None))
    except CannotRun as exc:
        sys.exit(f"test-vm: {exc}")
