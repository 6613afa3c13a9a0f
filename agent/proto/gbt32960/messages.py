"""What the data units of GB/T 32960.3 say: login, logout, realtime and reissued data, replies.

Source: copies of both editions' texts; read and written back byte for byte on real frames of the 2016 edition. The
signature of the 2025 edition is parsed, not verified.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Final

from agent.core.errors import ProtocolError
from agent.proto.gbt32960 import edition2016, edition2025
from agent.proto.gbt32960.fields import Reader, encode_struct, encode_time, parse_struct, parse_time
from agent.proto.gbt32960.frame import COMMAND, PLAIN, Command, Edition, Frame

SIGNATURE_TYPE: Final = 0xFF
_CUSTOM_TYPES: Final = range(0x80, 0xFF)
_ICCID_SIZE: Final = 20
_PACK_CODE_SIZE: Final = 24
_TIME_SIZE: Final = 6

Body = edition2016.Body | edition2025.Body


@dataclass(frozen=True, slots=True)
class Login2016:
    """Command 01 of 2016. codes: one of code_size characters per battery system."""

    time: datetime
    serial: int  # counts the logins of a day, from 1
    iccid: str
    code_size: int
    codes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Login2025:
    """Command 01 of 2025. packs: the pack codes (24 characters, GB/T 34014) of each BMS."""

    time: datetime
    serial: int
    iccid: str
    packs: tuple[tuple[str, ...], ...]


@dataclass(frozen=True, slots=True)
class Logout:
    """Command 04; the serial is the login's."""

    time: datetime
    serial: int


@dataclass(frozen=True, slots=True)
class Custom:
    """A body with a length of its own (types 80 to FE), kept as it is."""

    type_code: int
    data: bytes


@dataclass(frozen=True, slots=True)
class Unread:
    """A body of a type without a known length, and all that follows it: kept as it is."""

    type_code: int
    data: bytes


@dataclass(frozen=True, slots=True)
class Signature:
    """The end of a 2025 realtime message. kind: 1 SM2, 2 RSA, 3 ECC. Not verified here."""

    kind: int
    r: bytes
    s: bytes


@dataclass(frozen=True, slots=True)
class Realtime:
    """Commands 02 and 03."""

    time: datetime
    bodies: tuple[Body | Custom | Unread, ...]
    signature: Signature | None = None


@dataclass(frozen=True, slots=True)
class Reply:
    """A response (its flag is in the frame). rest: empty by one reading of the text, the command's body by another."""

    time: datetime | None
    rest: bytes


@dataclass(frozen=True, slots=True)
class Opaque:
    """A data unit that is encrypted, or belongs to a command that is not read here."""

    data: bytes


Message = Login2016 | Login2025 | Logout | Realtime | Reply | Opaque


def parse_message(frame: Frame) -> Message:
    """What a frame's data unit says. Raises ProtocolError where it breaks its layout."""
    if frame.encryption != PLAIN:
        return Opaque(frame.data)
    reader = Reader(frame.data)
    if frame.response != COMMAND:
        time = parse_time(reader) if reader.left >= _TIME_SIZE else None
        return Reply(time, reader.take(reader.left))
    message: Message
    if frame.command == Command.LOGIN:
        message = _parse_login_2016(reader) if frame.edition is Edition.V2016 else _parse_login_2025(reader)
    elif frame.command == Command.LOGOUT:
        message = Logout(parse_time(reader), reader.number(2))
    elif frame.command in {Command.REALTIME, Command.REISSUE}:
        message = _parse_realtime(reader, frame.edition)
    else:
        return Opaque(frame.data)
    if reader.left:
        raise ProtocolError(f"GB/T 32960: {reader.left} bytes too many after command {frame.command:02X}")
    return message


def encode_message(message: Message) -> bytes:
    """The data unit: the inverse of parse_message. Raises ValueError."""
    if isinstance(message, Opaque):
        return message.data
    if isinstance(message, Reply):
        return (b"" if message.time is None else encode_time(message.time)) + message.rest
    if isinstance(message, Realtime):
        bodies = b"".join(map(_encode_body, message.bodies))
        return encode_time(message.time) + bodies + _encode_signature(message.signature)
    start = encode_time(message.time) + message.serial.to_bytes(2, "big")
    if isinstance(message, Logout):
        return start
    start += _text(message.iccid, _ICCID_SIZE)
    if isinstance(message, Login2016):
        codes = b"".join(_text(code, message.code_size) for code in message.codes)
        return start + bytes([len(message.codes), message.code_size]) + codes
    counts = bytes([len(message.packs), *map(len, message.packs)])
    return start + counts + b"".join(_text(code, _PACK_CODE_SIZE) for packs in message.packs for code in packs)


def _parse_login_2016(reader: Reader) -> Login2016:
    time, serial, iccid = parse_time(reader), reader.number(2), _read_text(reader, _ICCID_SIZE)
    count, size = reader.take(2)
    return Login2016(time, serial, iccid, size, tuple(_read_text(reader, size) for _ in range(count)))


def _parse_login_2025(reader: Reader) -> Login2025:
    time, serial, iccid = parse_time(reader), reader.number(2), _read_text(reader, _ICCID_SIZE)
    counts = reader.take(reader.number(1))
    packs = tuple(tuple(_read_text(reader, _PACK_CODE_SIZE) for _ in range(count)) for count in counts)
    return Login2025(time, serial, iccid, packs)


def _parse_realtime(reader: Reader, edition: Edition) -> Realtime:
    time = parse_time(reader)
    structs: dict[int, type[Body]] = dict(
        edition2016.BODIES if edition is Edition.V2016 else edition2025.BODIES
    )  # fmt: skip
    bodies: list[Body | Custom | Unread] = []
    signature = None
    while reader.left and signature is None:
        type_code = reader.number(1)
        struct = structs.get(type_code)
        if struct is not None:
            bodies.append(parse_struct(struct, reader))
        elif type_code in _CUSTOM_TYPES:
            bodies.append(Custom(type_code, reader.take(reader.number(2))))
        elif type_code == SIGNATURE_TYPE and edition is Edition.V2025:
            signature = Signature(reader.number(1), reader.take(reader.number(2)), reader.take(reader.number(2)))
        else:
            bodies.append(Unread(type_code, reader.take(reader.left)))
    return Realtime(time, tuple(bodies), signature)


_TYPE_CODES: Final[dict[type, int]] = {
    struct: code for bodies in (edition2016.BODIES, edition2025.BODIES) for code, struct in bodies.items()
}


def _encode_body(body: Body | Custom | Unread) -> bytes:
    if isinstance(body, Custom):
        return bytes([body.type_code]) + len(body.data).to_bytes(2, "big") + body.data
    if isinstance(body, Unread):
        return bytes([body.type_code]) + body.data
    return bytes([_TYPE_CODES[type(body)]]) + encode_struct(body)


def _encode_signature(signature: Signature | None) -> bytes:
    if signature is None:
        return b""
    values = b"".join(len(value).to_bytes(2, "big") + value for value in (signature.r, signature.s))
    return bytes([SIGNATURE_TYPE, signature.kind]) + values


def _read_text(reader: Reader, size: int) -> str:
    return reader.take(size).decode("latin-1")


def _text(text: str, size: int) -> bytes:
    encoded = text.encode("latin-1")
    if len(encoded) != size:
        raise ValueError(f"{text!r} has not {size} characters")
    return encoded
