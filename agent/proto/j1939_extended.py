"""The extended transport of SAE J1939 (ETP) as a bystander hears it: long messages, address to address.

ETP.CM announces (20), grants (21), says where the next packets belong (22), acknowledges (23) and aborts (255); ETP.DT
carries seven bytes a packet, counted from the offset that was said last. Source: the widely published layouts (the
standard's text was not read: no conformity is claimed, and we have no recording of it). The protocol allows 117 MB;
more than EXTENDED_MAX is refused. Memory: sessions_max messages of EXTENDED_MAX bytes, and a byte for each packet.
"""

from dataclasses import dataclass
from typing import Final

from agent.core.errors import ProtocolError
from agent.proto.j1939_sessions import Pair, Sessions

EXTENDED_MIN: Final = 1786
EXTENDED_MAX: Final = 65_536
SESSIONS_MAX: Final = 4
_PACKET: Final = 7
_PACKETS_AT_ONCE: Final = 255
_RTS, _CTS, _OFFSET, _END, _ABORT = 20, 21, 22, 23, 255


@dataclass(slots=True)
class _Session:
    pgn: int
    last_ns: int
    data: bytearray
    missing: bytearray  # 1 for each packet that has not come yet
    missing_count: int
    offset: int = 0
    granted: int = 0  # packets after the offset


class ExtendedTransport(Sessions[_Session]):
    """Puts extended messages together, one session per pair of addresses; packets may come again, in any order.

    control and packet raise ProtocolError on a frame that breaks the protocol or announces more than is taken, and drop
    the session it belongs to.
    """

    def __init__(self, *, sessions_max: int = SESSIONS_MAX, timeout_s: float = 1.25) -> None:
        super().__init__(sessions_max, timeout_s)

    def control(self, source: int, destination: int, data: bytes, t_ns: int) -> None:
        """One ETP.CM frame. Raises ProtocolError."""
        if len(data) != 8:
            raise ProtocolError(f"J1939 from {source:02X}: extended connection frame of {len(data)} bytes")
        kind, pgn = data[0], int.from_bytes(data[5:8], "little")
        ours, theirs = (source, destination), (destination, source)
        if kind == _RTS:
            self._announce(ours, pgn, int.from_bytes(data[1:5], "little"), t_ns)
        elif kind == _OFFSET:
            self._move(ours, pgn, data, t_ns)
        elif kind == _CTS:
            self._hear(theirs, pgn, t_ns)
        elif kind in {_END, _ABORT}:
            for key in (ours, theirs) if kind == _ABORT else (theirs,):
                self._abort(key, pgn)
        else:
            raise ProtocolError(f"J1939 from {source:02X}: unknown extended connection frame {kind}")

    def packet(self, source: int, destination: int, data: bytes, t_ns: int) -> tuple[int, bytes] | None:
        """One ETP.DT frame; PGN and data of the message where it is whole now. Raises ProtocolError."""
        key = (source, destination)
        session = self._sessions.get(key)
        if session is None:
            self.ignored += 1
            return None
        number = data[0] if data else 0
        place = session.offset + number - 1
        start = place * _PACKET
        size = min(_PACKET, len(session.data) - start)
        if not 1 <= number <= session.granted or len(data) < 1 + size:
            del self._sessions[key]
            raise ProtocolError(
                f"J1939 from {source:02X}: extended packet {number} of {session.granted} with {len(data)} bytes"
            )
        session.data[start : start + size] = data[1 : 1 + size]
        session.missing_count -= session.missing[place]
        session.missing[place] = 0
        session.last_ns = t_ns
        if session.missing_count:
            return None
        del self._sessions[key]
        return session.pgn, bytes(session.data)

    def _announce(self, key: Pair, pgn: int, size: int, t_ns: int) -> None:
        self._abort(key, None)
        if key[1] == 0xFF or not EXTENDED_MIN <= size <= EXTENDED_MAX:
            raise ProtocolError(f"J1939 from {key[0]:02X}: {size} bytes announced to {key[1]:02X}, not taken")
        packets = -(-size // _PACKET)
        self._begin(key, _Session(pgn, t_ns, bytearray(size), bytearray(b"\x01" * packets), packets))

    def _move(self, key: Pair, pgn: int, data: bytes, t_ns: int) -> None:
        session = self._sessions.get(key)
        if session is None or session.pgn != pgn:
            self.ignored += session is None
            return
        count, offset = data[1], int.from_bytes(data[2:5], "little")
        if not 1 <= count <= len(session.missing) - offset:
            del self._sessions[key]
            raise ProtocolError(f"J1939 from {key[0]:02X}: {count} extended packets from {offset} lie beyond the end")
        session.offset, session.granted, session.last_ns = offset, count, t_ns


def encode_extended_request(pgn: int, message: bytes) -> bytes:
    """The announcement (RTS) of an extended message. Raises ValueError."""
    if not EXTENDED_MIN <= len(message) <= EXTENDED_MAX:
        raise ValueError(f"a message of {len(message)} bytes does not go by the extended transport")
    return bytes([_RTS]) + len(message).to_bytes(4, "little") + pgn.to_bytes(3, "little")


def encode_extended_offset(pgn: int, *, packets: int, offset: int) -> bytes:
    """Where the packets that follow belong (DPO): after `offset` others."""
    return bytes([_OFFSET, packets]) + offset.to_bytes(3, "little") + pgn.to_bytes(3, "little")


def encode_extended(pgn: int, message: bytes, *, packets: int = _PACKETS_AT_ONCE) -> list[tuple[bool, bytes]]:
    """All frames of a message's sender, and whether each is one of control. Raises ValueError."""
    frames = [(True, encode_extended_request(pgn, message))]
    chunks = [message[at : at + _PACKET].ljust(_PACKET, b"\xff") for at in range(0, len(message), _PACKET)]
    for offset in range(0, len(chunks), packets):
        batch = chunks[offset : offset + packets]
        frames.append((True, encode_extended_offset(pgn, packets=len(batch), offset=offset)))
        frames += [(False, bytes([number]) + chunk) for number, chunk in enumerate(batch, 1)]
    return frames
