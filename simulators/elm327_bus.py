"""How an ELM327-like adapter shows an ECU's reply on each kind of bus. Two hex digits a byte, a blank between bytes."""

from typing import Final

from agent.proto.elm327_lines import j1850_crc
from agent.proto.isotp import encode_frames

_DTC_SERVICES: Final = {0x43, 0x47, 0x4A}
_J1850: Final = {"1": 0x41, "2": 0x48}
_ISO_9141_PRIORITY: Final = 0x48


def show_can(sender: int, reply: bytes, *, headers: bool, padding: int | None) -> list[str]:
    """The lines of one reply on CAN: its frames, or without headers its data with a length and segment numbers."""
    frames = encode_frames(reply, padding=padding)
    if headers:
        name = f"{sender:03X}" if sender < 0x800 else f"{sender:08X}"
        start = name if sender < 0x800 else _hex(bytes.fromhex(name))
        return [f"{start} {_hex(frame)}" for frame in frames]
    if len(frames) == 1:
        return [_hex(reply)]  # cut to the length the frame gives
    parts = [frames[0][2:], *(frame[1:] for frame in frames[1:])]
    return [f"{len(reply):03X}"] + [f"{i % 16:X}: {_hex(part)}" for i, part in enumerate(parts)]


def show_legacy(reply: bytes, protocol: str, *, source: int, headers: bool) -> list[str]:
    """The lines of one reply on a bus before CAN: at most seven data bytes each, header and checksum around them."""
    lines = []
    for data in _cut_legacy(reply):
        if not headers:
            lines.append(_hex(data))
        elif protocol in _J1850:
            body = bytes([_J1850[protocol], 0x6B, source]) + data
            lines.append(_hex(body + bytes([j1850_crc(body)])))
        else:
            start = bytes([0x80 + len(data), 0xF1]) if protocol in "45" else bytes([_ISO_9141_PRIORITY, 0x6B])
            body = start + bytes([source]) + data
            lines.append(_hex(body + bytes([sum(body) & 0xFF])))
    return lines


def _cut_legacy(reply: bytes) -> list[bytes]:
    """DTCs lose their count and come three at a time, vehicle information four bytes at a time with a number."""
    if reply[0] in _DTC_SERVICES:
        codes = reply[2:] or bytes(6)
        return [reply[:1] + codes[i : i + 6].ljust(6, b"\0") for i in range(0, len(codes), 6)]
    if reply[0] == 0x49 and len(reply) > 7:
        text = reply[3:].rjust(-(-len(reply[3:]) // 4) * 4, b"\0")
        return [reply[:2] + bytes([1 + i // 4]) + text[i : i + 4] for i in range(0, len(text), 4)]
    return [reply[:7]]


def _hex(data: bytes) -> str:
    return data.hex(" ").upper()
