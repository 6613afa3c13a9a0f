"""ISO-TP (ISO 15765-2) without I/O: frames in, messages and flow control out; messages in, frames out.

Time is an argument. Memory: a Reassembler holds at most senders_max * size_max bytes, a Segmenter its one message.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from agent.core.errors import ProtocolError

SIZE_MAX: Final = 4095  # of a message with a 12-bit length; longer ones are CAN FD's
_FRAME_SIZE: Final = 8
_SINGLE, _FIRST, _CONSECUTIVE, _FLOW_CONTROL = range(4)
_CONTINUE, _WAIT, _OVERFLOW = range(3)


@dataclass(frozen=True, slots=True)
class Received:
    """What one frame brought: a whole message, and the flow control frame its sender now waits for."""

    message: bytes | None = None
    flow_control: bytes | None = None


@dataclass(slots=True)
class _Partial:
    size: int
    data: bytearray
    sequence: int
    last_ns: int
    frames_left: int  # until the next flow control; only counted where block_size is set


class Reassembler:
    """Puts messages together, each sender apart.

    feed raises ProtocolError on a frame that breaks the protocol; what that sender had begun is dropped, other senders
    are untouched. A consecutive frame without its beginning is ignored and counted (ISO 15765-2, 9.8.3), because
    whoever starts listening in the middle sees them.
    """

    def __init__(
        self, *, size_max: int = SIZE_MAX, senders_max: int = 16, timeout_s: float = 1.0, block_size: int = 0
    ) -> None:
        self.ignored = 0
        self.aborted = 0  # messages whose sender began another one instead, or that were pushed out
        self.expired = 0
        self._size_max = size_max
        self._senders_max = senders_max
        self._timeout_ns = round(timeout_s * 1e9)
        self._block_size = block_size
        self._partials: dict[int, _Partial] = {}

    def feed(self, sender: int, data: bytes, t_ns: int) -> Received:
        """One frame's payload as received at t_ns. Raises ProtocolError."""
        self.expire(t_ns)
        if not data:
            raise ProtocolError(f"ISO-TP from {sender:X}: empty frame")
        kind = data[0] >> 4
        if kind == _SINGLE:
            self._abort(sender)
            return Received(message=_parse_single(sender, data))
        if kind == _FIRST:
            self._abort(sender)
            return self._begin(sender, data, t_ns)
        if kind == _CONSECUTIVE:
            return self._continue(sender, data, t_ns)
        if kind == _FLOW_CONTROL:
            return Received()  # meant for a Segmenter
        raise ProtocolError(f"ISO-TP from {sender:X}: unknown frame type {kind:X}")

    def expire(self, t_ns: int) -> None:
        """Drop what has waited longer than the timeout for its next frame (N_Cr)."""
        late = [s for s, p in self._partials.items() if t_ns - p.last_ns > self._timeout_ns]
        for sender in late:
            del self._partials[sender]
        self.expired += len(late)

    def clear(self) -> None:
        """Forget every message under way."""
        self._partials.clear()

    def __len__(self) -> int:
        return len(self._partials)

    def _abort(self, sender: int) -> None:
        self.aborted += self._partials.pop(sender, None) is not None

    def _begin(self, sender: int, data: bytes, t_ns: int) -> Received:
        if len(data) < _FRAME_SIZE:
            raise ProtocolError(f"ISO-TP from {sender:X}: first frame of {len(data)} bytes")
        size, start = (data[0] & 0x0F) << 8 | data[1], 2
        if size == 0:
            size, start = int.from_bytes(data[2:6], "big"), 6
        if size > self._size_max:
            raise ProtocolError(f"ISO-TP from {sender:X}: message of {size} bytes, at most {self._size_max} are taken")
        if size <= len(data) - start:
            raise ProtocolError(f"ISO-TP from {sender:X}: first frame of a message of only {size} bytes")
        if len(self._partials) >= self._senders_max:
            oldest = min(self._partials, key=lambda s: self._partials[s].last_ns)
            self._abort(oldest)
        self._partials[sender] = _Partial(size, bytearray(data[start:]), 1, t_ns, self._block_size)
        return Received(flow_control=encode_flow_control(block_size=self._block_size))

    def _continue(self, sender: int, data: bytes, t_ns: int) -> Received:
        partial = self._partials.get(sender)
        if partial is None:
            self.ignored += 1
            return Received()
        if data[0] & 0x0F != partial.sequence:
            del self._partials[sender]
            raise ProtocolError(
                f"ISO-TP from {sender:X}: consecutive frame {data[0] & 0x0F}, expected {partial.sequence}"
            )
        partial.data += data[1:]
        partial.sequence = (partial.sequence + 1) & 0x0F
        partial.last_ns = t_ns
        if len(partial.data) >= partial.size:
            del self._partials[sender]
            return Received(message=bytes(partial.data[: partial.size]))
        if len(data) < _FRAME_SIZE:
            del self._partials[sender]
            raise ProtocolError(f"ISO-TP from {sender:X}: short consecutive frame inside a message")
        partial.frames_left -= 1
        if self._block_size and partial.frames_left == 0:
            partial.frames_left = self._block_size
            return Received(flow_control=encode_flow_control(block_size=self._block_size))
        return Received()


class Segmenter:
    """Cuts one message into frames and sends them as the receiver's flow control allows.

    `take` gives the frames that may leave now; `next_ns` says when to ask again (None: nothing but the receiver's flow
    control can help). padding fills frames up to 8 bytes; None sends them short.
    """

    def __init__(self, message: bytes, *, padding: int | None = 0, timeout_s: float = 1.0, waits_max: int = 8) -> None:
        if not 1 <= len(message) <= SIZE_MAX:
            raise ValueError(f"a message of {len(message)} bytes cannot be sent; 1 to {SIZE_MAX} can")
        self.next_ns: int | None = 0
        self._padding = padding
        self._timeout_ns = round(timeout_s * 1e9)
        self._waits_left = waits_max
        self._st_min_ns = 0
        self._frames = _cut(message)
        self._pending: bytes | None = next(self._frames)
        self._allowed: float = 1  # frames until the next flow control
        self._waiting_since_ns: int | None = None

    @property
    def done(self) -> bool:
        """Whether every frame has been taken."""
        return self._pending is None

    def take(self, t_ns: int) -> list[bytes]:
        """Frames that may leave at t_ns. Raises ProtocolError where the receiver has been silent too long (N_Bs)."""
        if self._waiting_since_ns is not None and t_ns - self._waiting_since_ns > self._timeout_ns:
            raise ProtocolError("ISO-TP: the receiver sends no flow control")
        frames: list[bytes] = []
        while self._pending is not None and self._allowed > 0 and self.next_ns is not None and self.next_ns <= t_ns:
            frames.append(_pad(self._pending, self._padding))
            self._pending = next(self._frames, None)
            self._allowed -= 1
            if self._st_min_ns:
                self.next_ns = t_ns + self._st_min_ns
        if self._pending is None:
            self.next_ns = None
        elif self._allowed <= 0 and self._waiting_since_ns is None:
            self.next_ns = None
            self._waiting_since_ns = t_ns
        return frames

    def feed(self, data: bytes, t_ns: int) -> None:
        """A flow control frame from the receiver; other frames and late ones are ignored. Raises ProtocolError."""
        if self._waiting_since_ns is None or not data or data[0] >> 4 != _FLOW_CONTROL:
            return
        if len(data) < 3:
            raise ProtocolError(f"ISO-TP: flow control of {len(data)} bytes")
        status = data[0] & 0x0F
        if status == _CONTINUE:
            self._allowed = data[1] or float("inf")
            self._st_min_ns = _parse_st_min(data[2])
            self._waiting_since_ns = None
            self.next_ns = t_ns
        elif status == _WAIT and self._waits_left > 0:
            self._waits_left -= 1
            self._waiting_since_ns = t_ns
        elif status == _OVERFLOW:
            raise ProtocolError("ISO-TP: the receiver has no room for the message")
        else:
            raise ProtocolError(f"ISO-TP: the receiver makes us wait too often, or says {status:X}")


def encode_flow_control(*, block_size: int = 0, st_min_ms: int = 0) -> bytes:
    """Continue to send, padded to a full frame, since some ECUs ignore short ones."""
    return bytes([0x30, block_size, st_min_ms]).ljust(_FRAME_SIZE, b"\0")


def encode_frames(message: bytes, *, padding: int | None = 0) -> list[bytes]:
    """All frames of a message, for a peer that never objects (an ELM327 sends the flow control itself)."""
    return [_pad(frame, padding) for frame in _cut(message)]


def _parse_single(sender: int, data: bytes) -> bytes:
    size, start = data[0] & 0x0F, 1
    if size == 0 and len(data) > _FRAME_SIZE:  # CAN FD: the length has a byte of its own
        size, start = data[1], 2
    if size == 0 or start + size > len(data):
        raise ProtocolError(f"ISO-TP from {sender:X}: single frame of {size} bytes in {len(data)}")
    return data[start : start + size]


def _parse_st_min(code: int) -> int:
    """Separation time in ns: 0-127 ms, F1-F9 100-900 us; reserved codes mean the longest (ISO 15765-2, 9.6.5.4)."""
    if code <= 0x7F:
        return code * 1_000_000
    if 0xF1 <= code <= 0xF9:
        return (code - 0xF0) * 100_000
    return 127_000_000


def _cut(message: bytes) -> Iterator[bytes]:
    size = len(message)
    if size < _FRAME_SIZE:
        yield bytes([size]) + message
        return
    yield bytes([0x10 | size >> 8, size & 0xFF]) + message[:6]
    for index, start in enumerate(range(6, size, 7), 1):
        yield bytes([0x20 | index & 0x0F]) + message[start : start + 7]


def _pad(frame: bytes, padding: int | None) -> bytes:
    return frame if padding is None else frame.ljust(_FRAME_SIZE, bytes([padding]))
