"""The dialogue with an ELM327 adapter, without I/O: `feed` what it says, `take` what to send.

Made for clones (docs/sources.md 5): nothing is sent before the prompt, a refused setting is no failure, an echo that
stays is recognised, and a block of text that cannot be the answer to the pending command is dropped as stray instead
of shifting every later answer by one. Sources: ELM327 data sheet (as widely quoted) and the issue trackers named there.

Memory: one block of at most BLOCK_MAX bytes (the rest of a longer one is dropped, its answer FAILED), QUEUE_MAX
requests, and what isotp.Reassembler holds during one block.
"""

import re
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal

from agent.proto import obd
from agent.proto.elm327_lines import (
    EcuMessage,
    Parsed,
    Status,
    is_data,
    is_error,
    is_searching,
    parse_status,
    parse_with_headers,
    parse_without_headers,
    split_lines,
    strip_progress,
)

__all__ = ["EcuMessage", "Elm327", "Reply", "Status"]

BLOCK_MAX: Final = 16_384
QUEUE_MAX: Final = 32
_TRIES_MAX: Final = 3  # of the first request, which makes the adapter look for the bus
_RESET_S: Final = 2.0
_SEARCH_S: Final = 10.0


@dataclass(frozen=True, slots=True)
class Reply:
    """How one command ended. text: the lines that are no data, for a person to read."""

    command: str
    status: Status
    messages: tuple[EcuMessage, ...] = ()
    text: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class _Command:
    text: str
    request: bytes = b""  # an OBD request; empty for an AT command


class Elm327:
    """One adapter from reset to reset. A fresh object per connection.

    Starts with its own commands (identify, reset, settings, search for the bus); `state` becomes "ready", or "failed"
    with `fault` saying why. Any split of the same bytes between two takes gives the same replies.
    """

    def __init__(self) -> None:
        self.state: Literal["starting", "ready", "failed"] = "starting"
        self.fault = ""
        self.adapter = ""
        self.protocol = ""  # what AT DPN says: 6 to 9 are CAN
        self.is_can = False
        self.strays = 0  # blocks and messages that answered nothing we had asked
        self.bad = 0  # lines and frames that could not be read
        self.heard = False  # whether the adapter has said anything since the last command
        self._queue: deque[_Command] = deque(_Command(text) for text in ("ATI", "ATZ", "ATE0"))
        self._pending: _Command | None = None
        self._block = bytearray()
        self._overflow = 0
        self._headers = True
        self._tries = 0

    def request(self, data: bytes) -> None:
        """Queue one OBD request; only when ready. Raises RequestRefused for anything but a read."""
        if self.state != "ready":
            raise ValueError(f"the adapter is {self.state}")
        if len(self._queue) >= QUEUE_MAX:
            raise ValueError(f"{QUEUE_MAX} requests are waiting already")
        self._queue.append(_Command(obd.check_request(data).hex().upper(), data))

    def take(self) -> bytes:
        """The next command's bytes; empty while one is pending or none is left."""
        if self._pending is not None or not self._queue or self.state == "failed":
            return b""
        self._pending = self._queue.popleft()
        self._reset_block()
        self.heard = False
        return self._pending.text.encode() + b"\r"

    @property
    def allowance_s(self) -> float:
        """How much longer than usual the adapter may keep silent now: it resets, or searches through the buses."""
        if self._pending is not None and self._pending.text == "ATZ":
            return _RESET_S
        return _SEARCH_S if is_searching(bytes(self._block)) else 0.0

    def feed(self, data: bytes) -> list[Reply]:
        """Bytes from the adapter, split anyhow. Never raises; what cannot be read is counted."""
        replies: list[Reply] = []
        for chunk in re.split(b"(>)", data):
            if chunk == b">":
                replies += self._end_block()
            elif chunk:
                self._collect(chunk)
        return replies

    def give_up(self) -> list[Reply]:
        """End the pending command without its prompt, with what has come so far. The next one may be sent.

        Its answer may still come. So the next command is one whose answer looks like no other (the adapter's name):
        whatever comes before that is stray.
        """
        command = self._pending
        if command is None:
            return []
        replies = self._finish(command, self._lines(command))
        if command.text not in {"ATI", "ATZ"}:
            self._queue.appendleft(_Command("ATI"))
        return replies

    def _collect(self, chunk: bytes) -> None:
        self.heard = True
        chunk = chunk.replace(b"\0", b"")  # the data sheet: null bytes may be thrown in, ignore them
        room = BLOCK_MAX - len(self._block)
        self._block += chunk[:room]
        self._overflow += max(0, len(chunk) - room)

    def _reset_block(self) -> None:
        self._block.clear()
        self._overflow = 0

    def _end_block(self) -> list[Reply]:
        self.heard = True
        command = self._pending
        lines = [] if command is None else self._lines(command)
        if command is None or not (self._overflow or self._can_answer(command, lines)):
            self.strays += 1
            self._reset_block()
            return []
        return self._finish(command, lines)

    def _finish(self, command: _Command, lines: list[str]) -> list[Reply]:
        reply = self._judge(command, lines)
        self._pending = None
        self._reset_block()
        if self.state == "starting":
            self._advance(reply)
        return [reply]

    def _lines(self, command: _Command) -> list[str]:
        """The block's lines without echo and progress notes."""
        lines = split_lines(bytes(self._block))
        if lines and lines[0].replace(" ", "").startswith(command.text):
            lines[0] = lines[0].replace(" ", "")[len(command.text) :]
        return [line for line in map(strip_progress, lines) if line]

    def _can_answer(self, command: _Command, lines: list[str]) -> bool:
        """Whether a block can belong to the command: the guard against being one answer behind for ever."""
        if command.text == "ATZ":
            return True  # clones may say nothing at all after a reset
        if not lines:
            return False
        if "?" in lines:
            return True
        if command.request:
            return any(map(is_error, lines)) or self._has_answer(command.request, lines)
        if command.text == "ATI":
            return not any(is_data(line) or is_error(line) or line == "OK" for line in lines)
        if command.text == "ATDPN":
            return any(re.fullmatch(r"A?[0-9A-F]", line) for line in lines)
        return any(line.endswith("OK") for line in lines)

    def _has_answer(self, request: bytes, lines: list[str]) -> bool:
        """Whether data lines hold an answer, or are too spoilt to tell."""
        data = [line for line in lines if is_data(line)]
        parsed = self._parse(data)
        return parsed.bad > 0 or any(obd.is_answer(m.data, request) for m in parsed.messages)

    def _parse(self, data_lines: Sequence[str]) -> Parsed:
        return parse_with_headers(data_lines) if self._headers else parse_without_headers(data_lines)

    def _judge(self, command: _Command, lines: list[str]) -> Reply:
        if self._overflow:
            self.bad += 1
            return Reply(command.text, Status.FAILED, text=("block too long",))
        if not command.request:
            status = Status.REFUSED if "?" in lines else Status.OK if lines else Status.FAILED
            return Reply(command.text, status, text=tuple(lines))
        notes = tuple(line for line in lines if not is_data(line))
        messages = self._answers([line for line in lines if is_data(line)], command.request)
        return Reply(command.text, Status.OK if messages else parse_status(notes), messages, notes)

    def _answers(self, data_lines: list[str], request: bytes) -> tuple[EcuMessage, ...]:
        """Messages that answer the request; others are strays, and "wait" counts only where nothing followed it."""
        parsed = self._parse(data_lines)
        self.bad += parsed.bad
        self.is_can = self.is_can or parsed.is_can
        answers = [m for m in parsed.messages if obd.is_answer(m.data, request)]
        self.strays += len(parsed.messages) - len(answers)
        final = [m for m in answers if m.data[0] != 0x7F or m.data[2] != obd.RESPONSE_PENDING]
        return tuple(final or answers)

    def _advance(self, reply: Reply) -> None:
        """Go on with the start: identify, reset, settings, look for the bus."""
        command = reply.command
        if command in {"ATI", "ATZ"}:
            self.adapter = next((line for line in reply.text if line not in {"?", "OK"}), self.adapter)
        elif command == "ATE0":
            self._queue.extend(_Command(text) for text in ("ATL0", "ATS0", "ATH1", "ATSP0"))
        elif command == "ATH1":
            self._headers = reply.status is Status.OK
        elif command == "ATSP0":
            self._look_for_bus()
        elif command == "ATDPN":
            self.protocol = reply.text[-1].removeprefix("A") if reply.status is Status.OK else ""
            self.is_can = self.is_can or self.protocol in {"6", "7", "8", "9"}
            self.state = "ready"
        elif command == "0100":
            self._judge_search(reply)

    def _judge_search(self, reply: Reply) -> None:
        if reply.status is Status.OK:
            self._queue.append(_Command("ATDPN"))
        elif self._tries < _TRIES_MAX and reply.status is not Status.UNABLE_TO_CONNECT:
            self._look_for_bus()
        else:
            self.state = "failed"
            self.fault = f"no ECU answers ({', '.join(reply.text) or 'silence'})"

    def _look_for_bus(self) -> None:
        self._tries += 1
        self._queue.append(_Command("0100", b"\x01\x00"))
