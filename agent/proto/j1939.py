"""SAE J1939 without I/O: identifiers, messages longer than a frame (J1939-21), DM1 and DM2 (J1939-73).

We listen: nothing is sent unless the caller encodes it. Source: the widely published layouts, checked on recordings of
two trucks (the standard's text was not read: no conformity is claimed). Memory: a Transport holds at most
sessions_max * MESSAGE_MAX bytes, and what j1939_extended.py says for messages above MESSAGE_MAX.
"""

from dataclasses import dataclass
from typing import Final, NamedTuple

from agent.core.errors import ProtocolError
from agent.proto.j1939_extended import ExtendedTransport
from agent.proto.j1939_sessions import Sessions

GLOBAL: Final = 0xFF
MESSAGE_MAX: Final = 1785  # 255 packets of 7 bytes
PGN_CONNECTION: Final = 0xEC00  # TP.CM
PGN_DATA: Final = 0xEB00  # TP.DT
PGN_EXTENDED_CONNECTION: Final = 0xC800  # ETP.CM
PGN_EXTENDED_DATA: Final = 0xC700  # ETP.DT
PGN_DM1: Final = 0xFECA
PGN_DM2: Final = 0xFECB
_PACKET: Final = 7
_RTS, _CTS, _END, _BAM, _ABORT = 16, 17, 19, 32, 255


class Identifier(NamedTuple):
    """What a 29-bit identifier says. destination is GLOBAL (FF) where the PGN is for everybody."""

    priority: int
    pgn: int
    source: int
    destination: int


@dataclass(frozen=True, slots=True)
class Message:
    """One whole message, of one frame or many; t_ns when its last frame came."""

    t_ns: int
    pgn: int
    source: int
    destination: int
    data: bytes


def parse_identifier(can_id: int) -> Identifier:
    """Take a 29-bit identifier apart. Raises ProtocolError where it has more bits."""
    if not 0 <= can_id < 1 << 29:
        raise ProtocolError(f"J1939: {can_id:X} is no 29-bit identifier")
    priority, pgn, source = can_id >> 26, can_id >> 8 & 0x3FFFF, can_id & 0xFF
    if pgn >> 8 & 0xFF < 240:  # PDU1: the low byte is an address
        return Identifier(priority, pgn & 0x3FF00, source, pgn & 0xFF)
    return Identifier(priority, pgn, source, GLOBAL)


def encode_identifier(identifier: Identifier) -> int:
    """Inverse of parse_identifier. Raises ValueError."""
    priority, pgn, source, destination = identifier
    if not (0 <= priority < 8 and 0 <= pgn < 1 << 18 and 0 <= source < 256 and 0 <= destination < 256):
        raise ValueError(f"{identifier} does not fit 29 bits")
    if pgn >> 8 & 0xFF < 240:
        if pgn & 0xFF:
            raise ValueError(f"PGN {pgn:X} is sent to one address: its low byte must be 0")
        pgn |= destination
    elif destination != GLOBAL:
        raise ValueError(f"PGN {pgn:X} goes to everybody")
    return priority << 26 | pgn << 8 | source


@dataclass(slots=True)
class _Session:
    pgn: int
    size: int
    packets: int
    last_ns: int
    data: bytearray
    missing: set[int]
    expected: int = 1  # of a broadcast, whose packets come in order


class Transport(Sessions[_Session]):
    """Puts messages together as a bystander: broadcasts (BAM), and RTS/CTS dialogues of which both sides are heard.

    One session per pair of addresses, as the protocol has it. In a dialogue packets may come again and in any order
    (CTS asks for them); in a broadcast a gap ends the message. feed raises ProtocolError on a frame that breaks the
    protocol, and drops the session it belongs to.
    """

    def __init__(self, *, sessions_max: int = 32, timeout_s: float = 1.25) -> None:
        super().__init__(sessions_max, timeout_s)
        self.extended = ExtendedTransport(timeout_s=timeout_s)

    def feed(self, can_id: int, data: bytes, t_ns: int) -> Message | None:
        """One frame with a 29-bit identifier; a message where it is whole now. Raises ProtocolError."""
        self.expire(t_ns)
        self.extended.expire(t_ns)
        _, pgn, source, destination = parse_identifier(can_id)
        if pgn == PGN_CONNECTION:
            self._control(source, destination, data, t_ns)
            return None
        if pgn == PGN_DATA:
            return self._packet(source, destination, data, t_ns)
        if pgn == PGN_EXTENDED_CONNECTION:
            self.extended.control(source, destination, data, t_ns)
            return None
        if pgn == PGN_EXTENDED_DATA:
            whole = self.extended.packet(source, destination, data, t_ns)
            return None if whole is None else Message(t_ns, whole[0], source, destination, whole[1])
        return Message(t_ns, pgn, source, destination, bytes(data))

    def _control(self, source: int, destination: int, data: bytes, t_ns: int) -> None:
        if len(data) != 8:
            raise ProtocolError(f"J1939 from {source:02X}: connection frame of {len(data)} bytes")
        kind, pgn = data[0], int.from_bytes(data[5:8], "little")
        if kind in {_BAM, _RTS}:
            self._announce(source, destination, data, t_ns)
        elif kind == _CTS:
            self._hear((destination, source), pgn, t_ns)  # also with a count of 0: "wait"
        elif kind == _END:
            self._abort((destination, source), pgn)  # only where we have missed a packet the receiver has
        elif kind == _ABORT:
            self._abort((source, destination), pgn)
            self._abort((destination, source), pgn)
        else:
            raise ProtocolError(f"J1939 from {source:02X}: unknown connection frame {kind}")

    def _announce(self, source: int, destination: int, data: bytes, t_ns: int) -> None:
        size, packets, pgn = int.from_bytes(data[1:3], "little"), data[3], int.from_bytes(data[5:8], "little")
        key = (source, destination)
        self._abort(key, None)
        if (data[0] == _BAM) != (destination == GLOBAL):
            raise ProtocolError(f"J1939 from {source:02X}: {'BAM' if data[0] == _BAM else 'RTS'} to {destination:02X}")
        if not 9 <= size <= MESSAGE_MAX or packets != -(-size // _PACKET):
            raise ProtocolError(f"J1939 from {source:02X}: {size} bytes announced in {packets} packets")
        self._begin(key, _Session(pgn, size, packets, t_ns, bytearray(size), set(range(1, packets + 1))))

    def _packet(self, source: int, destination: int, data: bytes, t_ns: int) -> Message | None:
        key = (source, destination)
        session = self._sessions.get(key)
        if session is None:
            self.ignored += 1
            return None
        number = data[0] if data else 0
        wanted = session.expected if destination == GLOBAL else number
        start = (number - 1) * _PACKET
        size = min(_PACKET, session.size - start)
        if not 1 <= number <= session.packets or number != wanted or len(data) < 1 + size:
            del self._sessions[key]
            raise ProtocolError(
                f"J1939 from {source:02X}: packet {number} of {session.packets} with {len(data)} bytes,"
                f" expected {session.expected if destination == GLOBAL else 'any'}"
            )
        session.data[start : start + size] = data[1 : 1 + size]
        session.missing.discard(number)
        session.expected += 1
        session.last_ns = t_ns
        if session.missing:
            return None
        del self._sessions[key]
        return Message(t_ns, session.pgn, source, destination, bytes(session.data))


def encode_packets(message: bytes) -> list[bytes]:
    """The data frames (TP.DT) of a long message, filled up with FF. Raises ValueError."""
    _check_size(message)
    chunks = (message[i : i + _PACKET] for i in range(0, len(message), _PACKET))
    return [bytes([number]) + chunk.ljust(_PACKET, b"\xff") for number, chunk in enumerate(chunks, 1)]


def encode_broadcast(pgn: int, message: bytes) -> bytes:
    """The announcement (BAM) of a long message to everybody. Raises ValueError."""
    return _announcement(_BAM, GLOBAL, pgn, message)


def encode_request_to_send(pgn: int, message: bytes, *, packets_max: int = 255) -> bytes:
    """The announcement (RTS) of a long message to one address. Raises ValueError."""
    return _announcement(_RTS, packets_max, pgn, message)


def encode_clear_to_send(pgn: int, *, packets: int, first: int) -> bytes:
    """A receiver's permission (CTS) to send so many packets from `first` on; 0 packets means wait."""
    return bytes([_CTS, packets, first, 0xFF, 0xFF]) + pgn.to_bytes(3, "little")


def encode_end(pgn: int, message: bytes) -> bytes:
    """A receiver's acknowledgement of the whole message (EndOfMsgACK). Raises ValueError."""
    return _announcement(_END, 0xFF, pgn, message)


def encode_abort(pgn: int, reason: int) -> bytes:
    """Either side's way out of a session."""
    return bytes([_ABORT, reason, 0xFF, 0xFF, 0xFF]) + pgn.to_bytes(3, "little")


def _announcement(kind: int, limit: int, pgn: int, message: bytes) -> bytes:
    _check_size(message)
    packets = -(-len(message) // _PACKET)
    return bytes([kind]) + len(message).to_bytes(2, "little") + bytes([packets, limit]) + pgn.to_bytes(3, "little")


def _check_size(message: bytes) -> None:
    if not 9 <= len(message) <= MESSAGE_MAX:
        raise ValueError(f"a message of {len(message)} bytes needs no transport, or does not fit it")
