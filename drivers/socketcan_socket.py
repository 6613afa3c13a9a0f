"""The listening CAN_RAW socket: how it is made, and what it can be asked.

Options are those of linux/can/raw.h and asm-generic/socket.h. The socket is never written to.
"""

import errno
import fcntl
import logging
import os
import socket
import struct
from collections.abc import Collection
from pathlib import Path
from typing import Final

from agent.core.config import Bus
from agent.core.frames import EXTENDED_KEY
from drivers.socketcan_frames import EXTENDED_MASK, STANDARD_MASK
from drivers.socketcan_receive import SO_TIMESTAMPNS

_LOG: Final = logging.getLogger(__name__)

_SOL_CAN_RAW: Final = 101
_CAN_RAW_FILTER: Final = 1
_CAN_RAW_ERR_FILTER: Final = 2
_CAN_RAW_LOOPBACK: Final = 3
_CAN_RAW_RECV_OWN_MSGS: Final = 4
_CAN_RAW_FD_FRAMES: Final = 5
_FILTERS_MAX: Final = 512  # CAN_RAW_FILTER_MAX
_REMOTE_BIT: Final = 0x4000_0000

_SO_RCVBUFFORCE: Final = 33
_SO_MEMINFO: Final = 55
_MEMINFO: Final = struct.Struct("=9I")  # the last is SK_MEMINFO_DROPS
_RECEIVE_BUFFER_BYTES: Final = 4 << 20  # some 11,000 frames: 1.3 s of two saturated buses of 500 kbit/s

_SIOCGIFFLAGS: Final = 0x8913
_IFREQ: Final = struct.Struct("=16sH22x")
_IFF_UP: Final = 1

_REASONS: Final = {
    errno.EAFNOSUPPORT: "this kernel has no CAN (module can_raw)",
    errno.EPROTONOSUPPORT: "this kernel has no raw CAN (module can_raw)",
    errno.ENODEV: "no such interface",
    errno.ENXIO: "no such interface",
    errno.ENETDOWN: "the interface is down",
    errno.EPERM: "not permitted",
}


def open_socket(bus: Bus, can_ids: Collection[int] | None = None) -> socket.socket:
    """A CAN_RAW socket bound to an interface that is up, error frames included. Raises OSError.

    can_ids: the only frames to let through (FrameBatch.keys(): bit 31 marks 29-bit identifiers); None: all.
    The kernel takes 512 at most; with more there is no filter.
    """
    if not hasattr(socket, "AF_CAN"):
        raise OSError(errno.EAFNOSUPPORT, os.strerror(errno.EAFNOSUPPORT))
    sock = socket.socket(socket.AF_CAN, socket.SOCK_RAW, socket.CAN_RAW)
    try:
        sock.setsockopt(_SOL_CAN_RAW, _CAN_RAW_ERR_FILTER, EXTENDED_MASK)
        sock.setsockopt(_SOL_CAN_RAW, _CAN_RAW_LOOPBACK, 0)
        sock.setsockopt(_SOL_CAN_RAW, _CAN_RAW_RECV_OWN_MSGS, 0)
        if bus.fd:
            sock.setsockopt(_SOL_CAN_RAW, _CAN_RAW_FD_FRAMES, 1)
        if can_ids is not None and len(can_ids) <= _FILTERS_MAX:
            sock.setsockopt(_SOL_CAN_RAW, _CAN_RAW_FILTER, pack_filters(can_ids))
        enable_stamps(sock)
        granted = enlarge_buffer(sock)
        if granted < _RECEIVE_BUFFER_BYTES:
            _LOG.warning("%s: %d bytes of receive buffer is all net.core.rmem_max allows", bus.channel, granted)
        sock.bind((bus.channel,))
        _raise_pending(sock)
    except OSError:
        sock.close()
        raise
    return sock


def pack_filters(can_ids: Collection[int]) -> bytes:
    """A struct can_filter each: this identifier, in this format, and no remote frame (the kernel's fastest kind)."""
    return b"".join(
        struct.pack("=II", key, EXTENDED_KEY | _REMOTE_BIT | (EXTENDED_MASK if key & EXTENDED_KEY else STANDARD_MASK))
        for key in sorted(can_ids)
    )


def enable_stamps(sock: socket.socket) -> None:
    """Ask the kernel for a time stamp with every frame. Raises OSError."""
    sock.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)


def enlarge_buffer(sock: socket.socket) -> int:
    """Raise the receive buffer as far as allowed; returns the bytes granted, the kernel's own overhead not counted."""
    try:
        sock.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, _RECEIVE_BUFFER_BYTES)
    except PermissionError:  # needs CAP_NET_ADMIN; without it net.core.rmem_max is the limit
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _RECEIVE_BUFFER_BYTES)
    return sock.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF) // 2


def read_drops(sock: socket.socket) -> int | None:
    """What the socket has dropped since it was made, modulo 2^32; None where the kernel cannot say (before 4.12).

    SO_RXQ_OVFL tells the same with every frame, which costs, and never of a drop that no frame followed.
    """
    try:
        told = sock.getsockopt(socket.SOL_SOCKET, _SO_MEMINFO, _MEMINFO.size)
    except OSError:
        return None
    return int(_MEMINFO.unpack(told)[-1]) if len(told) == _MEMINFO.size else None


def is_up(sock: socket.socket, channel: str) -> bool:
    """Whether the interface is up (netdevice(7)). Raises OSError: ENODEV if it is gone."""
    _, flags = _IFREQ.unpack(fcntl.ioctl(sock.fileno(), _SIOCGIFFLAGS, _IFREQ.pack(channel.encode(), 0)))
    return bool(flags & _IFF_UP)


def has_hardware(channel: str) -> bool:
    """Whether a controller is behind the interface. On vcan this box sends all frames, the simulated car's too."""
    return Path("/sys/class/net", channel, "device").exists()


def explain(exc: OSError) -> str:
    """Say what an error of a CAN socket means."""
    return _REASONS.get(exc.errno or 0, exc.strerror or str(exc))


def _raise_pending(sock: socket.socket) -> None:
    """Binding to an interface that is down succeeds, and leaves ENETDOWN behind."""
    code = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
    if code:
        raise OSError(code, os.strerror(code))
