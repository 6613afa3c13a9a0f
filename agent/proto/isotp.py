"""ISO-TP (ISO 15765-2) without I/O: frames in, messages and flow control out; messages in, frames out.

Normal, extended and mixed addressing, classic CAN and CAN FD. Time is an argument. Memory: a Reassembler holds at most
senders_max * (size_max + 64) bytes, a Segmenter its one message.
"""

from dataclasses import dataclass
from typing import Final

from agent.core.errors import ProtocolError
from agent.proto.isotp_frames import (
    CLASSIC_SIZE,
    CONSECUTIVE,
    FIRST,
    FLOW_CONTROL,
    FRAME_SIZES,
    SINGLE,
    SIZE_MAX,
    Address,
    FlowStatus,
    cut,
    encode_flow_control,
    encode_frames,
    pad,
    parse_st_min,
)

__all__ = [
    "SIZE_MAX",
    "Address",
    "FlowStatus",
    "MessageTooLong",
    "Reassembler",
    "Received",
    "Segmenter",
    "encode_flow_control",
    "encode_frames",
]

_FD_SIZE: Final = 64
_ESCAPED_SIZE_MAX: Final = (1 << 32) - 1


class MessageTooLong(ProtocolError):
    """A first frame tells of more than is taken. flow_control: what tells its sender so ("overflow")."""

    def __init__(self, reason: str, flow_control: bytes) -> None:
        super().__init__(reason)
        self.flow_control = flow_control


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
    frame_size: int  # of the first frame: all but the last one are as long (ISO 15765-2, 9.6.4)
    frames_left: int  # until the next flow control; only counted where block_size is set


class Reassembler:
    """Puts messages together, each sender apart.

    feed raises ProtocolError on a frame that breaks the protocol; what that sender had begun is dropped, other senders
    are untouched. A consecutive frame without its beginning is ignored and counted (ISO 15765-2, 9.8.3), because
    whoever starts listening in the middle sees them. Frames with another address byte than `address` are not for us:
    ignored and counted as `foreign`.
    """

    def __init__(
        self,
        *,
        size_max: int = SIZE_MAX,
        senders_max: int = 16,
        timeout_s: float = 1.0,
        block_size: int = 0,
        st_min_ms: float = 0,
        address: Address | None = None,
    ) -> None:
        self.ignored = 0
        self.aborted = 0  # messages whose sender began another one instead, or that were pushed out
        self.expired = 0
        self.foreign = 0
        self._size_max = size_max
        self._senders_max = senders_max
        self._timeout_ns = round(timeout_s * 1e9)
        self._block_size = block_size
        self._address = address
        self._continue_frame = encode_flow_control(block_size=block_size, st_min_ms=st_min_ms, address=address)
        self._partials: dict[int, _Partial] = {}

    def feed(self, sender: int, data: bytes, t_ns: int) -> Received:
        """One frame's payload as received at t_ns. Raises ProtocolError (MessageTooLong where we have no room)."""
        self.expire(t_ns)
        start = 0 if self._address is None else 1
        if self._address is not None and data and data[0] != self._address.received:
            self.foreign += 1
            return Received()
        if not start < len(data) <= _FD_SIZE:
            raise ProtocolError(f"ISO-TP from {sender:X}: frame of {len(data)} bytes")
        kind = data[start] >> 4
        if kind == SINGLE:
            self._abort(sender)
            return Received(message=_parse_single(sender, data, start))
        if kind == FIRST:
            self._abort(sender)
            return self._begin(sender, data, t_ns)
        if kind == CONSECUTIVE:
            return self._continue(sender, data, t_ns)
        if kind == FLOW_CONTROL:
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
        if len(data) not in FRAME_SIZES:
            raise ProtocolError(f"ISO-TP from {sender:X}: first frame of {len(data)} bytes")
        at = 0 if self._address is None else 1
        size, start = (data[at] & 0x0F) << 8 | data[at + 1], at + 2
        if size == 0:
            size, start = int.from_bytes(data[at + 2 : at + 6], "big"), at + 6
        if size > self._size_max:
            raise MessageTooLong(
                f"ISO-TP from {sender:X}: message of {size} bytes, at most {self._size_max} are taken",
                encode_flow_control(status=FlowStatus.OVERFLOW, address=self._address),
            )
        if size <= len(data) - start:
            raise ProtocolError(f"ISO-TP from {sender:X}: first frame of a message of only {size} bytes")
        if len(self._partials) >= self._senders_max:
            oldest = min(self._partials, key=lambda s: self._partials[s].last_ns)
            self._abort(oldest)
        self._partials[sender] = _Partial(size, bytearray(data[start:]), 1, t_ns, len(data), self._block_size)
        return Received(flow_control=self._continue_frame)

    def _continue(self, sender: int, data: bytes, t_ns: int) -> Received:
        partial = self._partials.get(sender)
        if partial is None:
            self.ignored += 1
            return Received()
        at = 0 if self._address is None else 1
        if data[at] & 0x0F != partial.sequence:
            del self._partials[sender]
            raise ProtocolError(
                f"ISO-TP from {sender:X}: consecutive frame {data[at] & 0x0F}, expected {partial.sequence}"
            )
        partial.data += data[at + 1 :]
        partial.sequence = (partial.sequence + 1) & 0x0F
        partial.last_ns = t_ns
        if len(partial.data) >= partial.size:
            del self._partials[sender]
            return Received(message=bytes(partial.data[: partial.size]))
        if len(data) < partial.frame_size:
            del self._partials[sender]
            raise ProtocolError(f"ISO-TP from {sender:X}: short consecutive frame inside a message")
        partial.frames_left -= 1
        if self._block_size and partial.frames_left == 0:
            partial.frames_left = self._block_size
            return Received(flow_control=self._continue_frame)
        return Received()


class Segmenter:
    """Cuts one message into frames and sends them as the receiver's flow control allows.

    `take` gives the frames that may leave now; `next_ns` says when to ask again (None: nothing but the receiver's flow
    control can help, and after `deadline_ns` that is too late). padding fills frames up to 8 bytes; None sends them
    short. frame_size above 8 is CAN FD. waits_max: how often the receiver may make us wait (N_WFTmax).
    """

    def __init__(
        self,
        message: bytes,
        *,
        padding: int | None = 0,
        timeout_s: float = 1.0,
        waits_max: int = 8,
        frame_size: int = CLASSIC_SIZE,
        address: Address | None = None,
        size_max: int = SIZE_MAX,
    ) -> None:
        if not 1 <= len(message) <= min(size_max, _ESCAPED_SIZE_MAX):
            raise ValueError(f"a message of {len(message)} bytes cannot be sent; 1 to {size_max} can")
        if frame_size not in FRAME_SIZES:
            raise ValueError(f"there are no frames of {frame_size} bytes")
        self.next_ns: int | None = 0
        self._padding = padding
        self._timeout_ns = round(timeout_s * 1e9)
        self._waits_left = waits_max
        self._st_min_ns = 0
        self._address = address
        self._frames = cut(message, frame_size=frame_size, address=address)
        self._pending: bytes | None = next(self._frames)
        self._allowed: float = 1  # frames until the next flow control
        self._waiting_since_ns: int | None = None

    @property
    def done(self) -> bool:
        """Whether every frame has been taken."""
        return self._pending is None

    @property
    def deadline_ns(self) -> int | None:
        """Until when the receiver's flow control must have come (N_Bs); None while none is due."""
        return None if self._waiting_since_ns is None else self._waiting_since_ns + self._timeout_ns

    def take(self, t_ns: int) -> list[bytes]:
        """Frames that may leave at t_ns. Raises ProtocolError where the receiver has been silent too long (N_Bs)."""
        if self.deadline_ns is not None and t_ns > self.deadline_ns:
            raise ProtocolError("ISO-TP: the receiver sends no flow control")
        frames: list[bytes] = []
        while self._pending is not None and self._allowed > 0 and self.next_ns is not None and self.next_ns <= t_ns:
            frames.append(pad(self._pending, self._padding))
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
        if self._address is not None:
            if data[:1] != bytes([self._address.received]):
                return
            data = data[1:]
        if self._waiting_since_ns is None or not data or data[0] >> 4 != FLOW_CONTROL:
            return
        if len(data) < 3:
            raise ProtocolError(f"ISO-TP: flow control of {len(data)} bytes")
        status = data[0] & 0x0F
        if status == FlowStatus.CONTINUE:
            self._allowed = data[1] or float("inf")
            self._st_min_ns = parse_st_min(data[2])
            self._waiting_since_ns = None
            self.next_ns = t_ns
        elif status == FlowStatus.WAIT and self._waits_left > 0:
            self._waits_left -= 1
            self._waiting_since_ns = t_ns
        elif status == FlowStatus.OVERFLOW:
            raise ProtocolError("ISO-TP: the receiver has no room for the message")
        else:
            raise ProtocolError(f"ISO-TP: the receiver makes us wait too often, or says {status:X}")


def _parse_single(sender: int, data: bytes, at: int) -> bytes:
    size, start = data[at] & 0x0F, at + 1
    if size == 0 and len(data) > CLASSIC_SIZE:  # CAN FD: the length has a byte of its own
        size, start = data[at + 1], at + 2
    if size == 0 or start + size > len(data):
        raise ProtocolError(f"ISO-TP from {sender:X}: single frame of {size} bytes in {len(data)}")
    return data[start : start + size]
