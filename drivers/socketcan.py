"""CAN frames from the Linux kernel: CAN_RAW emptied by recvmmsg into NumPy columns. It only listens.

Woken by the first frame, then looked at once a window until a look finds nothing: wake-ups, not bytes, are what reading
costs. A look takes batch_max frames at most, and what is left waits for its turn in the loop.

An interface that goes down is given a second to come up again, on the same socket, as an `ip link set` down and up
takes; after that, or if it is gone, the source is lost. Bus-off is told by an error frame and changes nothing here.
"""

import asyncio
import errno
import logging
import socket
from collections import Counter
from collections.abc import Callable, Collection, Mapping
from typing import Final

from agent.core.config import Bus
from agent.core.errors import SourceLost
from agent.core.frames import FrameBatch
from agent.core.ports import Clock
from drivers.socketcan_frames import SENT_BY_OTHERS, SENT_HERE, FrameParser
from drivers.socketcan_receive import Receiver
from drivers.socketcan_socket import explain, has_hardware, is_up, open_socket, read_drops
from drivers.socketcan_stamps import Timeline

_LOG: Final = logging.getLogger(__name__)
_DOWN_MAX_NS: Final = 1_000_000_000


class SocketCanSource:
    """A FrameSource over CAN_RAW. index is the bus number that its frames bear; connect is replaced in tests.

    can_ids: the frames the kernel lets through (as FrameBatch.keys()); None: all.
    """

    def __init__(
        self,
        bus: Bus,
        clock: Clock,
        *,
        index: int = 0,
        can_ids: Collection[int] | None = None,
        connect: Callable[[Bus], socket.socket] | None = None,
    ) -> None:
        self.name = f"{bus.interface}:{bus.channel}"
        self._config = bus
        self._clock = clock
        self._window_s = bus.window_ms / 1000
        self._parser = FrameParser(index, bus.batch_max)
        self._connect = connect or (lambda bus: open_socket(bus, can_ids))
        self._socket: socket.socket | None = None
        self._receiver: Receiver | None = None
        self._first_frame: asyncio.Future[None] | None = None
        self._behind = False  # the last look left frames in the queue
        self._quiet = True  # the last look found none
        self._down_ns: int | None = None
        self._failure: OSError | None = None
        self._timeline = Timeline(clock, bus.window_ms * 1_000_000)
        self._drops = 0
        self._frames = self._malformed = 0
        self._counts = Counter(dropped=0)

    async def open(self) -> None:
        """Bind to the interface. Raises SourceLost where there is none, it is down, or this kernel has no CAN."""
        await self.close()
        self._timeline.restart()
        try:
            self._socket = self._connect(self._config)
        except OSError as exc:
            raise SourceLost(f"{self.name} cannot be opened: {explain(exc)}") from exc
        self._socket.setblocking(False)  # noqa: FBT003 - the socket module's own signature
        self._receiver = Receiver(self._socket, self._config.batch_max)
        self._parser.own_flags = SENT_HERE | (SENT_BY_OTHERS if has_hardware(self._config.channel) else 0)
        self._behind, self._quiet, self._drops = False, True, 0
        self._down_ns = self._failure = None

    async def close(self) -> None:
        """Let go of the socket; safe to call twice."""
        sock, self._socket, self._receiver = self._socket, None, None
        if sock is not None:
            self._stop_waiting(sock)
            self._count_drops(read_drops(sock))
            sock.close()

    async def read_batch(self) -> FrameBatch:
        """Frames of the next window that has any, at most batch_max. Raises SourceLost."""
        while True:
            if self._behind:
                await asyncio.sleep(0)
            else:
                if self._quiet and self._down_ns is None and self._socket is not None:
                    await self._wait_for_first_frame(self._socket)
                await self._clock.sleep(self._window_s)
            batch = self._look()
            if batch is not None:
                return batch

    def counters(self) -> Mapping[str, int]:
        """Count frames, error_frames, malformed datagrams, and dropped: what the kernel had no room for.

        Where it has happened: error frames by class, interface_down, and recvmmsg_refused (read frame by frame).
        """
        if self._socket is not None:
            self._count_drops(read_drops(self._socket))
        always = {"frames": self._frames, "error_frames": 0, "malformed": self._malformed}
        return always | self._counts | self._parser.errors

    async def _wait_for_first_frame(self, sock: socket.socket) -> None:
        """Return when there is something to read, an error included, or the socket is closed."""
        loop = asyncio.get_running_loop()
        woken = self._first_frame = loop.create_future()
        loop.add_reader(sock, self._stop_waiting, sock)
        try:
            await woken
        finally:
            self._stop_waiting(sock)
        self._timeline.follow()

    def _stop_waiting(self, sock: socket.socket) -> None:
        woken, self._first_frame = self._first_frame, None
        if woken is not None:
            woken.get_loop().remove_reader(sock)
            if not woken.done():
                woken.set_result(None)

    def _look(self) -> FrameBatch | None:
        """What the queue holds now, None if no frame."""
        receiver, timeline = self._receiver, self._timeline
        if receiver is None:
            raise SourceLost(f"{self.name} is not open")
        before_ns = self._clock.monotonic_ns()
        received = receiver.receive()
        if receiver.refused:
            self._note_refusal(receiver.refused)
        if received.error is not None:
            self._note_error(received.error)
        count = received.count
        self._behind, self._quiet = received.full, not count
        batch, good = None, 0
        if count:
            batch = self._parser.parse(received, timeline.stamp(received))
            good = len(batch.t_ns)
            self._frames += good
            self._malformed += count - good
        else:
            self._raise_if_lost()
        if not received.full:
            timeline.since_ns = before_ns
        return batch if good else None

    def _note_refusal(self, reason: str) -> None:
        if not self._counts["recvmmsg_refused"]:
            self._counts["recvmmsg_refused"] = 1
            _LOG.warning("%s: recvmmsg is refused (%s): reading frame by frame, which costs more", self.name, reason)

    def _note_error(self, error: OSError) -> None:
        if error.errno == errno.ENETDOWN:
            self._counts["interface_down"] += 1
            self._down_ns = self._clock.monotonic_ns()
        else:
            self._failure = error

    def _raise_if_lost(self) -> None:
        """Once all that came before has been handed out."""
        if self._failure is not None:
            raise SourceLost(f"{self.name}: {explain(self._failure)}") from self._failure
        if self._down_ns is None or self._socket is None:
            return
        try:
            if is_up(self._socket, self._config.channel):
                self._down_ns = None
                return
        except OSError as exc:
            raise SourceLost(f"{self.name}: {explain(exc)}") from exc
        if self._clock.monotonic_ns() - self._down_ns >= _DOWN_MAX_NS:
            raise SourceLost(f"{self.name}: the interface is down")

    def _count_drops(self, total: int | None) -> None:
        """The kernel counts up from the socket's birth, modulo 2^32; an older count may come after a newer one."""
        new = 0 if total is None else (total - self._drops) % (1 << 32)
        if 0 < new < 1 << 31:
            self._counts["dropped"] += new
            self._drops = (self._drops + new) % (1 << 32)
