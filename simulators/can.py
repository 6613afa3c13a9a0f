"""The drive's frames: as batches for the app, or sent through python-can for whoever listens there."""

import asyncio
from collections.abc import Mapping
from dataclasses import replace
from typing import Final

import can
from can.interfaces.virtual import VirtualBus

from agent.core.errors import SourceLost
from agent.core.frames import EXTENDED, FrameBatch
from agent.core.ports import Clock
from simulators.windows import WINDOW_NS, Windows

INTERFACES: Final = ("virtual", "udp_multicast", "socketcan")
CHANNELS: Final = {"socketcan": "vcan0", "udp_multicast": "239.74.163.2"}  # where none is named


class SimulatedCan:
    """A FrameSource: the frames of the drive as a box on the bus would hear them, a window at a time.

    A silent bus does not end: EndOfSource comes at end_ns, the last instant at which anybody looks.
    """

    def __init__(
        self, frames: FrameBatch, clock: Clock, *, start_ns: int, end_ns: int, window_ns: int = WINDOW_NS
    ) -> None:
        self.name = "can"
        self.opened = asyncio.Event()
        self._frames = replace(frames, t_ns=frames.t_ns + start_ns)
        self._windows = Windows(self._frames.t_ns, clock, window_ns=window_ns)
        self._clock = clock
        self._end_ns = end_ns

    async def open(self) -> None:
        """Begin to listen."""
        self.opened.set()

    async def read_batch(self) -> FrameBatch:
        """Wait for the next frames, those of one window. Raises EndOfSource at the end of the drive."""
        if not self._windows:
            await self._clock.sleep(max(0, self._end_ns - self._clock.monotonic_ns()) / 1e9)
        return self._frames[await self._windows.next()]

    async def close(self) -> None:
        """Nothing to let go of."""

    def counters(self) -> Mapping[str, int]:
        """Frames given so far."""
        return {"frames": self._windows.given}


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
        self._bus = open_bus(interface, channel)

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


def open_bus(interface: str, channel: str) -> can.BusABC:
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
