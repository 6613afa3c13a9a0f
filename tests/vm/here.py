"""What this machine can be used for: looks only, changes nothing (a kernel may load its CAN modules to answer)."""

import os
import shutil
import socket
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

from .plan import Here

_BUS_TOOLS: Final = ("ip", "unshare", "candump", "cangen", "cansend", "isotpsend", "isotprecv", "isotpdump")
_MACHINE_TOOLS: Final = ("dpkg", "systemctl", "mosquitto", "modprobe", "mkfs.ext4")
_OURS: Final = tuple(
    Path(name)
    for name in ("/usr/bin/outrider", "/etc/outrider", "/var/lib/outrider", "/root/insurer", "/sys/class/net/vcan0")
)


def look() -> Here:
    """Ask the kernel and the file system."""
    return Here(bus=list(_against_bus()), machine=list(_against_machine()))


def _against_bus() -> Iterator[str]:
    if os.geteuid():
        yield "not root"
    if not _has_can():
        yield "this kernel has no AF_CAN"
    yield from _without(_BUS_TOOLS)
    if not os.geteuid() and shutil.which("unshare") and not _has_vcan():
        yield "no vcan interface can be made in a network namespace"


def _against_machine() -> Iterator[str]:
    if Path("/proc/1/comm").read_text().strip() != "systemd":
        yield "process 1 is not systemd"
    yield from _without(_MACHINE_TOOLS)
    for path in _OURS:
        if path.exists():
            yield f"{path} is there already, and would be lost"


def _has_can() -> bool:
    try:
        socket.socket(socket.AF_CAN, socket.SOCK_RAW, socket.CAN_RAW).close()
    except (AttributeError, OSError):
        return False
    return True


def _has_vcan() -> bool:
    command = ("unshare", "--net", "ip", "link", "add", "vcan0", "type", "vcan")
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


def _without(tools: Sequence[str]) -> Iterator[str]:
    for tool in tools:
        if shutil.which(tool) is None:
            yield f"no {tool}"
