"""A job's place and files; and the target that boots nothing: this very machine."""

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Protocol

from .box import say

HERE: Final = Path(__file__).parent
NO_STATUS: Final = 125
# Whatever the job starts ends with it, and its interfaces too.
_APART: Final = ("unshare", "--net", "--pid", "--fork", "--kill-child", "--mount-proc")


class Target(Protocol):
    """A Debian machine with AF_CAN on which a job may do what it likes."""

    def run(self, job: Path, files: Sequence[Path], *, limit_s: float) -> int:
        """Run job as root; it finds files and folders in the folder "in" beside it. Its exit status, or NO_STATUS."""
        ...


def run_in(target: Target, job: Path, files: Sequence[Path], *, limit_s: float) -> int:
    """Run a job where AF_CAN is: in the guest, or here."""
    return target.run(job, files, limit_s=limit_s)


def stage(folder: Path, job: Path, files: Sequence[Path]) -> Path:
    """Lay out what a job finds; returns the job, as folder/run."""
    (folder / "in").mkdir()
    for file in files:
        if file.is_dir():
            shutil.copytree(file, folder / "in" / file.name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(file, folder / "in")
    shutil.copy(job, folder / "run")
    (folder / "run").chmod(0o755)
    return folder / "run"


@dataclass(frozen=True, slots=True)
class Direct:
    """This machine; it must be root who asks.

    apart: in namespaces that end with the job, with no interface of this machine in sight.
    """

    apart: bool
    environment: Mapping[str, str] = field(default_factory=dict)

    def run(self, job: Path, files: Sequence[Path], *, limit_s: float) -> int:
        """Run the job with its output on our standard output."""
        with tempfile.TemporaryDirectory(prefix="outrider-vm-") as name:
            command = [*(_APART if self.apart else ()), str(stage(Path(name), job, files))]
            environment = {**os.environ, "OUTRIDER_PYTHON": sys.executable, **self.environment}
            sys.stdout.flush()
            try:
                return subprocess.run(
                    command, stdin=subprocess.DEVNULL, env=environment, timeout=limit_s, check=False
                ).returncode
            except subprocess.TimeoutExpired:
                say(f"the job was not done within {limit_s:g} s")
                return NO_STATUS
