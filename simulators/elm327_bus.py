"""How an ELM327-like adapter reaches ECUs on CAN, and how it shows their replies on each kind of bus.

Two hex digits a byte, a blank between bytes.
"""

import re
from dataclasses import dataclass
from typing import Final

from agent.proto.ecus import FUNCTIONAL, is_obd_reply, is_wide
from agent.proto.elm327_lines import j1850_crc
from agent.proto.isotp import encode_frames

_DTC_SERVICES: Final = {0x43, 0x47, 0x4A}
_J1850: Final = {"1": 0x41, "2": 0x48}
_ISO_9141_PRIORITY: Final = 0x48


@dataclass
class CanSettings:
    """Which identifier requests have, whose answers are shown, and who is told to go on after a first frame."""

    header: str = ""  # as typed: 3, 6 or 8 digits
    priority: str = "18"
    receive: str = ""  # X is any digit; empty: what ECUs answer OBD with
    flow_header: str = ""
    flow_data: str = ""
    flow_mode: str = "0"

    def take(self, command: str) -> bool | None:
        """Follow one command (without AT); False for "?", None where it is none of these."""
        if header := re.fullmatch(r"SH((?:[0-9A-F]{2}){3,4}|[0-9A-F]{3})", command):
            self.header = header[1]
        elif priority := re.fullmatch(r"CP([01][0-9A-F])", command):
            self.priority = priority[1]
        elif receive := re.fullmatch(r"CRA([0-9A-FX]{3}|[0-9A-FX]{8}|)", command):
            self.receive = receive[1]
        elif command == "AR":
            self.receive = ""
        elif flow_header := re.fullmatch(r"FCSH([0-9A-F]{8}|[0-9A-F]{3})", command):
            self.flow_header = flow_header[1]
        elif flow_data := re.fullmatch(r"FCSD((?:[0-9A-F]{2}){1,5})", command):
            self.flow_data = flow_data[1]
        elif flow_mode := re.fullmatch(r"FCSM([012])", command):
            if (flow_mode[1] == "1" and not self.flow_header) or (flow_mode[1] != "0" and not self.flow_data):
                return False  # the data sheet: what it is to send comes first
            self.flow_mode = flow_mode[1]
        else:
            return None if command[:2] not in {"SH", "CP", "FC"} and command[:3] != "CRA" else False
        return True

    def request_id(self, *, wide: bool) -> int:
        """What a request goes out with: on a bus of 11 bits a longer header is cut."""
        if not self.header:
            return 0x18DB33F1 if wide else FUNCTIONAL
        number = int(self.header, 16)
        if wide and len(self.header) < 8:
            number |= int(self.priority, 16) << 24
        return number if wide else number & 0x7FF

    def shows(self, sender: int) -> bool:
        """Whether an answer passes the receive filter."""
        if not self.receive:
            return is_obd_reply(sender)
        digits = f"{sender:08X}" if is_wide(sender) else f"{sender:03X}"
        return re.fullmatch(self.receive.replace("X", "."), digits) is not None

    def continues(self, sender: int, request_id: int) -> bool:
        """Whether the sender of a first frame hears from us that it may go on."""
        if self.flow_mode == "1":
            return int(self.flow_header, 16) == request_id and self.flow_data.startswith("30")
        return is_obd_reply(sender)  # its flow control goes where such ECUs listen


def show_can(sender: int, reply: bytes, *, headers: bool, padding: int | None, whole: bool = True) -> list[str]:
    """The lines of one reply on CAN: its frames, or without headers its data with a length and segment numbers.

    whole: without flow control only the first frame comes.
    """
    frames = encode_frames(reply, padding=padding)[: None if whole else 1]
    if headers:
        name = f"{sender:03X}" if sender < 0x800 else f"{sender:08X}"
        start = name if sender < 0x800 else _hex(bytes.fromhex(name))
        return [f"{start} {_hex(frame)}" for frame in frames]
    if len(frames) == 1 and whole:
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
