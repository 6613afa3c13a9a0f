"""Deterministic CBOR (RFC 8949, 4.2) and COSE_Sign1 (RFC 9052, 4.2) with a signer that may live in other hardware.

Only plain data is let in: no tags but COSE's own, no indefinite lengths, bounded depth. That keeps the decoder's
extras (dates, big numbers, regular expressions, shared references) away from bytes of strangers.
"""

from collections.abc import Callable
from typing import Any, Final

import cbor2
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from agent.core.errors import ProtocolError, SealError

ALG: Final = 1  # header label of the algorithm
EDDSA: Final = -8
SIGN1_TAG: Final = 18
ENCRYPT_TAG: Final = 96
PROTECTED_SIGN1: Final = cbor2.dumps({ALG: EDDSA}, canonical=True)

_DEPTH_MAX: Final = 16
_STRINGS: Final = frozenset({2, 3})  # major types
_NESTING: Final = frozenset({4, 5, 6})
_TAGS: Final = frozenset({SIGN1_TAG, ENCRYPT_TAG})


def encode_cbor(value: Any) -> bytes:
    """Deterministic CBOR: shortest numbers, definite lengths, sorted keys."""
    return cbor2.dumps(value, canonical=True)


def head(major: int, argument: int) -> bytes:
    """Shortest head of an item. What is authenticated is put together from heads: a tenth of an encoder's time."""
    first = major << 5
    if argument < 24:
        return bytes((first | argument,))
    if argument < 1 << 8:
        return bytes((first | 24, argument))
    if argument < 1 << 16:
        return bytes((first | 25, argument >> 8, argument & 0xFF))
    return bytes((first | 26,)) + argument.to_bytes(4)


def byte_string(data: bytes) -> bytes:
    """Bytes as CBOR."""
    return head(2, len(data)) + data


def take_bytes(data: bytes, start: int) -> tuple[bytes, int]:
    """Byte string at start, with a head of the shortest form, and the offset behind it. Raises ProtocolError."""
    major, size, begin = _head(data, start)
    end = begin + size
    if major != 2 or end > len(data) or data[start:begin] != head(2, size):
        raise ProtocolError(f"no whole byte string at byte {start}")
    return data[begin:end], end


_SIGN1: Final = head(6, SIGN1_TAG) + head(4, 4) + byte_string(PROTECTED_SIGN1) + head(5, 0)
_SIGNATURE1: Final = head(4, 4) + encode_cbor("Signature1") + byte_string(PROTECTED_SIGN1)


def decode_cbor(data: bytes) -> Any:
    """One item of deterministic CBOR and nothing behind it. Raises ProtocolError."""
    end = item_end(data, 0)
    if end != len(data):
        raise ProtocolError(f"{len(data) - end} bytes after the CBOR item")
    try:
        value = cbor2.loads(data)
        same = encode_cbor(value) == data
    except (cbor2.CBORError, TypeError, ValueError) as exc:
        raise ProtocolError(f"not CBOR: {exc}") from exc
    if not same:
        raise ProtocolError("CBOR is not deterministic (RFC 8949, 4.2)")
    return value


def item_end(data: bytes, start: int) -> int:
    """Offset behind the CBOR item at start; splits CBOR sequences (RFC 8742). Raises ProtocolError with the offset."""
    position, size = start, len(data)
    pending: list[int] = []  # items still to come of the levels outside of this one
    left = 1
    while True:
        item = position
        # Most heads are one byte; the function for the others would cost more than the rest of this loop.
        if item < size and (data[item] & 31) < 24 and data[item] < 0xE0:
            major, argument, position = data[item] >> 5, data[item] & 31, item + 1
        else:
            major, argument, position = _head(data, item)
        left -= 1
        if major in _STRINGS:
            position += argument
            _check_string(data, item, position, argument if major == 3 else 0)
        elif major in _NESTING:
            if major == 6 and argument not in _TAGS:
                raise ProtocolError(f"CBOR tag {argument} at byte {item}")
            pending.append(left)
            # The first item beyond the end stops a count that lies.
            left = 1 if major == 6 else argument * (major - 3)
            if len(pending) > _DEPTH_MAX and left:
                raise ProtocolError(f"CBOR nested deeper than {_DEPTH_MAX} at byte {position}")
        while not left:
            if not pending:
                return position
            left = pending.pop()


def sign1(payload: bytes, *, external_aad: bytes, sign: Callable[[bytes], bytes]) -> bytes:
    """COSE_Sign1, tagged, by an Ed25519 key that only its keystore sees."""
    return _SIGN1 + byte_string(payload) + byte_string(sign(_sig_structure(payload, external_aad)))


def verify1(blob: bytes, *, external_aad: bytes, public_key: Ed25519PublicKey) -> bytes:
    """Payload of a COSE_Sign1 made by sign1. Raises SealError.

    Deterministic CBOR gives such a message one form only: its bytes are compared, no decoder is asked.
    """
    if not blob.startswith(_SIGN1):
        raise SealError("not a COSE_Sign1 by EdDSA")
    try:
        payload, end = take_bytes(blob, len(_SIGN1))
        signature, end = take_bytes(blob, end)
    except ProtocolError as exc:
        raise SealError(f"signature is unreadable: {exc}") from exc
    if end != len(blob):
        raise SealError(f"signature is unreadable: {len(blob) - end} bytes follow it")
    try:
        public_key.verify(signature, _sig_structure(payload, external_aad))
    except InvalidSignature as exc:
        raise SealError("signature is wrong") from exc
    return payload


def _sig_structure(payload: bytes, external_aad: bytes) -> bytes:
    """RFC 9052, 4.4."""
    return _SIGNATURE1 + byte_string(external_aad) + byte_string(payload)


def _check_string(data: bytes, item: int, end: int, text_size: int) -> None:
    """Whether it is all there, and its text UTF-8.

    Text is looked at here because cbor2 (5.9) never frees the exception that it raises for bad UTF-8: messages of
    strangers would fill the memory, with all that the frames below it hold.
    """
    if end > len(data):
        raise ProtocolError(f"CBOR is cut off: {end - len(data)} bytes are missing")
    try:
        data[end - text_size : end].decode()
    except UnicodeDecodeError as exc:
        raise ProtocolError(f"CBOR text at byte {item} is not UTF-8") from exc


def _head(data: bytes, start: int) -> tuple[int, int, int]:
    """Major type, argument and the offset behind the head."""
    if start >= len(data):
        raise ProtocolError(f"CBOR is cut off at byte {start}")
    major, low = data[start] >> 5, data[start] & 31
    if low < 24:
        if major == 7 and low not in {20, 21, 22}:
            raise ProtocolError(f"CBOR simple value {low} at byte {start}")
        return major, low, start + 1
    if low > 27 or (major == 7 and low == 24):
        raise ProtocolError(f"CBOR head {data[start]:#x} at byte {start}")
    end = start + 1 + (1 << (low - 24))
    if end > len(data):
        raise ProtocolError(f"CBOR is cut off at byte {start}")
    return major, int.from_bytes(data[start + 1 : end]), end
