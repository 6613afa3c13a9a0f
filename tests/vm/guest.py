"""A throw-away Debian guest: user-mode Linux, a kernel that runs as an ordinary process. No KVM, no network, no ssh.

Facts of user-mode Linux 6.1 on Debian 12: one CPU, all the better when its process stays on one of ours (every guest
system call is a hand-over between two processes); boots in about 10 s; vcan, can-raw, seccomp and cgroup BPF work.
"""

import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tests.vm.box import say
from tests.vm.direct import NO_STATUS, stage

_MEMORY_MIB: Final = 1536


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
            stage(share, job, files)
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
            if not status.exists():
                say(f"the guest gave no status; its console is in {self.log}")
                return NO_STATUS
            return int(status.read_text())

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
