"""Commands to an ELM327 adapter, the block of text that may answer one, and how its own commands end. Pure."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal

from agent.proto.elm327_lines import EcuMessage, Status, is_data, is_error, split_lines, strip_progress

BLOCK_MAX: Final = 16_384
SETTINGS: Final = ("ATL0", "ATS0", "ATH1", "ATSP0")
_OK: Final = re.compile(r".*OK")
_ANSWERS: Final = {
    "ATDPN": re.compile(r"A?[0-9A-F]"),
    "ATRV": re.compile(r"[0-9]{1,2}(\.[0-9]+)? ?V?"),
    "ATIGN": re.compile(r"ON|OFF|OK"),
}


@dataclass(frozen=True, slots=True)
class Reply:
    """How one command ended. text: the lines that are no data, for a person to read."""

    command: str
    status: Status
    messages: tuple[EcuMessage, ...] = ()
    text: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Command:
    """One line for the adapter."""

    text: str
    request: bytes = b""  # a request to the car; empty for an AT command
    reply: int | None = None  # the only identifier that answers it
    role: Literal["set up", "barrier", "request"] = "set up"


class Block:
    """What an adapter says up to its prompt: BLOCK_MAX bytes at most, the rest of a longer one is dropped."""

    def __init__(self) -> None:
        self.too_long = False
        self._text = bytearray()

    def __bytes__(self) -> bytes:
        return bytes(self._text)

    def collect(self, chunk: bytes) -> None:
        """Append bytes, without the zeros among them: the data sheet says that they may be thrown in."""
        chunk = chunk.replace(b"\0", b"")
        room = BLOCK_MAX - len(self._text)
        self._text += chunk[:room]
        self.too_long = self.too_long or len(chunk) > room

    def clear(self) -> None:
        """Begin the next one."""
        self._text.clear()
        self.too_long = False

    def lines(self, command: Command | None) -> list[str]:
        """The lines, without the echo of the command and progress notes."""
        lines = split_lines(bytes(self._text))
        if command and lines and lines[0].replace(" ", "").startswith(command.text):
            lines[0] = lines[0].replace(" ", "")[len(command.text) :]
        return [line for line in map(strip_progress, lines) if line]


def answers_setting(text: str, lines: Sequence[str]) -> bool:
    """Whether lines can be what an adapter says to a command of its own (no lines: some say nothing to a setting)."""
    if text == "ATZ":
        return True  # clones may say nothing at all after a reset
    if not lines:
        return text in SETTINGS
    if "?" in lines or "STOPPED" in lines:
        return True
    if text == "ATI":
        return not any(is_data(line) or is_error(line) or line == "OK" for line in lines)
    return any(_ANSWERS.get(text, _OK).fullmatch(line) for line in lines)


def judge_setting(lines: Sequence[str], *, fits: bool) -> Status:
    """How a command to the adapter itself ended; fits: the lines can be its answer."""
    if "?" in lines or "STOPPED" in lines:
        return Status.REFUSED if "?" in lines else Status.STOPPED
    return Status.OK if lines and fits else Status.FAILED
