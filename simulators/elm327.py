"""The chip of an ELM327 v1.5-like adapter: characters in, characters out. dongle.py gives it a plug."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from agent.proto.isotp import encode_frames
from simulators.ecu import Ecu

_PROTOCOL: Final = "6"  # ISO 15765-4, 11 bit, 500 kbit/s
_COMMAND_MAX: Final = 128
_SWITCHES: Final = {"E": "echo", "L": "linefeeds", "S": "spaces", "H": "headers"}
_TAKEN: Final = re.compile(r"AT[012]|CAF[01]|CFC[01]|AL|NL|ST[0-9A-F]{2}|M[01]|R[01]|D|WS|SH[0-9A-F]{3}|CRA.*|PC|LP")


@dataclass(frozen=True, kw_only=True)
class Traits:
    """What makes one adapter differ from the next."""

    name: str = "ELM327 v1.5"
    refused: frozenset[str] = frozenset()  # AT commands answered with "?", without the AT
    echo_sticks: bool = False  # says OK to E0 and goes on echoing
    silent_reset: bool = False  # ATZ answers with a bare prompt
    request_bytes_max: int = 7  # shorter: refuses several PIDs in one request


@dataclass
class _Settings:
    echo: bool = True
    linefeeds: bool = True
    spaces: bool = True
    headers: bool = False


class Elm327Chip:
    """One adapter in front of some ECUs. `answer` takes one command line and returns everything up to the prompt."""

    def __init__(self, ecus: Sequence[Ecu], traits: Traits | None = None) -> None:
        self.requests: list[bytes] = []  # all that went to the bus, for tests of silence
        self.ignition = True  # off: the bus does not answer
        self._ecus = ecus
        self._traits = traits or Traits()
        self._settings = _Settings()
        self._last = ""
        self._searched = False

    def echo(self, data: bytes) -> bytes:
        """What comes back while a command is being typed."""
        return data if self._settings.echo or self._traits.echo_sticks else b""

    def answer(self, line: bytes) -> bytes:
        """Return the answer to one command, prompt included. An empty line repeats the last one (data sheet)."""
        command = re.sub(r"\s", "", line.decode("ascii", "replace").upper()) or self._last
        self._last = command
        lines = self._run(command) if len(command) <= _COMMAND_MAX else ["?"]
        end = "\r\n" if self._settings.linefeeds else "\r"
        return ("".join(text + end for text in lines) + end + ">").encode("ascii", "replace")

    def interrupted(self) -> bytes:
        """What it says to bytes that come before the prompt."""
        return b"STOPPED\r\r>"

    def _run(self, command: str) -> list[str]:
        if command.startswith("AT"):
            return self._set(command[2:])
        if not re.fullmatch(r"[0-9A-F]{2,16}", command):
            return ["?"]
        if len(command) % 2:
            command = command[:-1]  # the last digit says how many answers to wait for
        request = bytes.fromhex(command)
        if len(request) > self._traits.request_bytes_max:
            return ["?"]
        return self._ask(request)

    def _set(self, command: str) -> list[str]:
        if command in self._traits.refused:
            return ["?"]
        if command == "Z":
            self._settings = _Settings()
            self._searched = False
            return [] if self._traits.silent_reset else ["", "", self._traits.name]
        if command in {"I", "@1"}:
            return [self._traits.name if command == "I" else "OBDII to RS232 Interpreter"]
        if command == "RV":
            return ["12.4V"]
        if command == "DPN":
            return [f"A{_PROTOCOL}"]
        if command == "DP":
            return ["AUTO, ISO 15765-4 (CAN 11/500)"]
        if len(command) == 2 and command[0] in _SWITCHES and command[1] in "01":
            setattr(self._settings, _SWITCHES[command[0]], command[1] == "1")
            return ["OK"]
        if re.fullmatch(r"[ST]PA?[0-9A]", command):
            self._searched = False
            return ["OK"]
        return ["OK"] if _TAKEN.fullmatch(command) else ["?"]

    def _ask(self, request: bytes) -> list[str]:
        self.requests.append(request)
        lines = [] if self._searched else ["SEARCHING..."]
        if not self.ignition:
            return [*lines, "UNABLE TO CONNECT"] if lines else ["NO DATA"]
        replies = [(ecu.reply_id, reply) for ecu in self._ecus if (reply := ecu.answer(request)) is not None]
        self._searched = self._searched or bool(replies)
        if not replies:
            return [*lines, "NO DATA"]
        for reply_id, reply in replies:
            lines += self._show(reply_id, reply)
        return lines

    def _show(self, reply_id: int, reply: bytes) -> list[str]:
        blank = " " if self._settings.spaces else ""
        frames = encode_frames(reply, padding=None)
        if self._settings.headers:
            return [f"{reply_id:03X}{blank}{_hex(frame, blank)}" for frame in frames]
        if len(frames) == 1:
            return [_hex(reply, blank)]
        parts = [frames[0][2:], *(frame[1:] for frame in frames[1:])]
        return [f"{len(reply):03X}"] + [f"{i % 16:X}:{blank}{_hex(part, blank)}" for i, part in enumerate(parts)]


def _hex(data: bytes, blank: str) -> str:
    return "".join(f"{byte:02X}{blank}" for byte in data)
