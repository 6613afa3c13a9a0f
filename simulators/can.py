"""The car's end of a CAN bus: the drive's frames, sent through python-can when their time has come."""

from typing import Final

import can
from can.interfaces.virtual import VirtualBus

from agent.core.errors import SourceLost
from agent.core.frames import EXTENDED, FrameBatch

INTERFACES: Final = ("virtual", "udp_multicast", "socketcan")


class CarBus:
    """Sends each frame once, in order; start_ns is the monotonic time at which the drive begins.

    On a virtual bus the frames keep their simulated timestamps (monotonic seconds).
    """

    def __init__(
        self, frames: FrameBatch, *, interface: str = "virtual", channel: str = "outrider", start_ns: int = 0
    ) -> None:
        self.sent = 0
        self.interface = interface
        self.channel = channel
        self._frames = frames
        self._start_ns = start_ns
        self._times_ns = frames.t_ns.tolist()
        self._bus = _open(interface, channel)

    def send_until(self, t_ns: int) -> None:
        """Send every frame up to this instant of the drive. Raises SourceLost where the bus takes no more."""
        try:
            while self.sent < len(self._times_ns) and self._times_ns[self.sent] <= t_ns:
                self._bus.send(_message(self._frames, self.sent, self._start_ns))
                self.sent += 1
        except (can.CanError, OSError) as exc:
            raise SourceLost(f"{self._bus.channel_info}: {exc}") from exc

    def close(self) -> None:
        """Leave the bus."""
        self._bus.shutdown()


def _open(interface: str, channel: str) -> can.BusABC:
    """Raise SourceLost where this machine has no such interface or channel."""
    try:
        if interface == "virtual":
            return VirtualBus(channel, preserve_timestamps=True)
        return can.Bus(interface=interface, channel=channel)
    except (can.CanError, OSError, ValueError, ImportError, NotImplementedError) as exc:
        raise SourceLost(f"no CAN bus at {interface}:{channel}: {exc}") from exc


def _message(frames: FrameBatch, row: int, start_ns: int) -> can.Message:
    return can.Message(
        timestamp=(start_ns + int(frames.t_ns[row])) / 1e9,
        arbitration_id=int(frames.can_id[row]),
        is_extended_id=bool(frames.flags[row] & EXTENDED),
        data=frames.data[row, : frames.length[row]].tobytes(),
    )
