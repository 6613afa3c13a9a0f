"""A throw-away Debian guest: user-mode Linux, a kernel that runs as an ordinary process. No KVM, no network, no ssh.

Facts of user-mode Linux 6.1 on Debian 12: one CPU, all the better when its process stays on one of ours (every guest
system call is a hand-over between two processes); boots in about 10 s; vcan, can-raw, seccomp and cgroup BPF work.
"""

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol

from tests.vm.box import say

HERE: Final = Path(__file__).parent
NO_STATUS: Final = 125
_MEMORY_MIB: Final = 1536


class Target(Protocol):
    """A Debian machine with systemd and AF_CAN on which a job may do what it likes."""

    def run(self, job: Path, files: Sequence[Path], *, limit_s: float) -> int:
        """Run job as root; it finds files and folders in /job/in. Returns its exit status, or NO_STATUS."""
        ...


def run_in(target: Target, job: Path, files: Sequence[Path], *, limit_s: float) -> int:
    """Run a job where AF_CAN and systemd are. The guest is the only target so far; a real machine can be another."""
    return target.run(job, files, limit_s=limit_s)


@dataclass(frozen=True, slots=True)
class Guest:
    """Boots anew for each job from an image that stays as it was. log keeps the guest's console."""

    image: Path
    log: Path
    kernel: str = "linux.uml"

    def run(self, job: Path, files: Sequence[Path], *, limit_s: float) -> int:
        """Boot, run the job with its output on our standard output, power off."""
        with tempfile.TemporaryDirectory(prefix="outrider-vm-") as name, self.log.open("wb") as console:
            share = Path(name)
            (share / "in").mkdir()
            for file in files:
                if file.is_dir():
                    shutil.copytree(file, share / "in" / file.name)
                else:
                    shutil.copy(file, share / "in")
            shutil.copy(job, share / "run")
            (share / "run").chmod(0o755)
            sys.stdout.flush()
            try:
                subprocess.run(
                    [self.kernel, *self._arguments(share, console.fileno())],
                    stdin=subprocess.DEVNULL,
                    stderr=console,
                    pass_fds=(console.fileno(), sys.stdout.fileno()),
                    preexec_fn=_stay_on_one_cpu,
                    timeout=limit_s,
                    check=False,
                )
            except subprocess.TimeoutExpired:
                say(f"the guest was not done within {limit_s:g} s; its console is in {self.log}")
            status = share / "status"
            return int(status.read_text()) if status.exists() else NO_STATUS

    def _arguments(self, share: Path, console: int) -> list[str]:
        return [
            f"mem={_MEMORY_MIB}M",
            f"uml_dir={share}/uml",
            "umid=guest",
            f"ubd0={share}/changes,{self.image}",  # copy on write
            *("root=/dev/ubda", "rootfstype=ext4", "rw", "quiet", "console=tty0"),
            *("con=null", "ssl=null", f"con0=null,fd:{console}", f"con1=null,fd:{sys.stdout.fileno()}"),
            f"vmshare={share}",
            "vmtty=tty1",
        ]


def _stay_on_one_cpu() -> None:
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
