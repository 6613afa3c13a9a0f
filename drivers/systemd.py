"""Talks to systemd: starting (30 s more, please), ready, alive, stopping; does nothing without one (sd_notify(3))."""

import os
import socket
from typing import Final

from agent.core.ports import ServiceState

_LINES: Final[dict[ServiceState, bytes]] = {
    "starting": b"EXTEND_TIMEOUT_USEC=30000000",
    "ready": b"READY=1",
    "alive": b"WATCHDOG=1",
    "stopping": b"STOPPING=1",
}


def tell_systemd(state: ServiceState) -> None:
    """Send one state line. Raises OSError where systemd's socket refuses it."""
    address = os.environ.get("NOTIFY_SOCKET")
    if not address:
        return
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.sendto(_LINES[state], "\0" + address[1:] if address.startswith("@") else address)
