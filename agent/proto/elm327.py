"""The dialogue with an ELM327 adapter, without I/O: `feed` what it says, `take` what to send.

Made for clones (docs/sources.md 5): nothing is sent before the prompt, a refused setting is no failure, an echo that
stays is recognised, and a block of text that cannot be the answer to the pending command is dropped as stray instead
of shifting every later answer by one. Wherever the two sides may be out of step (silence, STOPPED, "?", a block nobody
asked for), a barrier comes before the next request: a command whose answer looks like no other, and a different one
from the last time. An adapter that has started anew (LV RESET, its name out of the blue, headers gone) is set up again.
Sources: ELM327 data sheet (as widely quoted) and the issue trackers named there.

Memory: one block of at most BLOCK_MAX bytes (a longer one's answer is FAILED), QUEUE_MAX requests, and what
isotp.Reassembler holds during one block.
"""

import re
from collections import deque
from collections.abc import Sequence
from typing import Final, Literal

from agent.core.errors import SourceLost
from agent.proto.elm327_answers import AnswerReader
from agent.proto.elm327_barrier import Barriers
from agent.proto.elm327_command import BLOCK_MAX, SETTINGS, Block, Command, Reply, answers_setting, judge_setting
from agent.proto.elm327_lines import EcuMessage, Status, is_data, is_greeting, is_searching, parse_status
from agent.proto.guard import check_request

__all__ = ["BLOCK_MAX", "EcuMessage", "Elm327", "Reply", "Status"]

QUEUE_MAX: Final = 32
_TRIES_MAX: Final = 3  # of the first request, of setting up again without an answer since
_RESET_S: Final = 2.0
_SEARCH_S: Final = 10.0
_ADDRESSING: Final = ("ATSH", "ATSP", "ATCP", "ATCRA")
_DOUBTS: Final = 200
_PROBE: Final = b"\x01\x00"
_IN_STEP: Final = frozenset({Status.OK, Status.NO_DATA, Status.UNABLE_TO_CONNECT})


class Elm327:
    """One adapter from reset to reset. A fresh object per connection.

    Starts with its own commands (identify, reset, settings, search for the bus); `state` becomes "ready", or "failed"
    with `fault` saying why: then nothing more is sent, and the connection should be made anew. Replies to commands of
    its own come between those to requests. Any split of the same bytes between two takes gives the same replies.
    """

    def __init__(self) -> None:
        self.state: Literal["starting", "ready", "failed"] = "starting"
        self.fault = ""
        self.adapter = ""
        self.protocol = ""  # what AT DPN says: 6 to 9 are CAN
        self.resets = 0  # how often the adapter had started anew by itself and was set up again
        self.heard = False  # whether the adapter has said anything since the last command
        self._reader = AnswerReader()
        self._queue: deque[Command] = deque(map(Command, ("ATI", "ATZ", "ATE0")))
        self._pending: Command | None = None
        self._block = Block()
        self._tries = 0
        self._barriers = Barriers()
        self._resets_in_row = 0  # without an answer since
        self._doubts = 0  # answers to come before the line counts as sound again
        self._readdressed = False  # requests may go to one ECU instead of all

    @property
    def is_can(self) -> bool:
        """Whether the car's bus is CAN: then several PIDs fit one request."""
        return self._reader.is_can

    @property
    def shows_headers(self) -> bool:
        """Whether it can be seen who answers."""
        return self._reader.headers

    @property
    def is_lossy(self) -> bool:
        """Whether characters may have been lost lately: something was spoilt, refused or never came to its end."""
        return self._doubts > 0

    @property
    def strays(self) -> int:
        """Blocks and messages that answered nothing we had asked."""
        return self._reader.strays

    @property
    def bad(self) -> int:
        """Lines and frames that could not be read."""
        return self._reader.bad

    def request(self, data: bytes, reply: int | None = None) -> None:
        """Queue one request; only when ready. reply: the one identifier whose messages answer it; None is any ECU's.

        Raises RequestRefused for anything but a read, SourceLost once the dialogue has failed.
        """
        self._enqueue(Command(check_request(data).hex().upper(), data, reply, "request"))

    def start_over(self) -> None:
        """Reset the adapter and set it up again: nobody knows any more what its settings are."""
        self._readdressed = True
        self._set_up_again()

    def ask_adapter(self, text: str) -> None:
        """Queue a command to the adapter itself: ATRV (voltage at its plug, "12.4V"), ATIGN (ignition pin), ATSH7E4.

        The reply's text holds the answer where its status is OK. Raises as request does, but may come before the
        start's own commands too: whether the car is on at all should be known before the bus is looked for.
        """
        command = Command(text, role="request")
        self._readdressed = self._readdressed or text.startswith(_ADDRESSING)
        if self.state == "starting":
            self._queue.appendleft(command)
        else:
            self._enqueue(command)

    def take(self) -> bytes:
        """The next command's bytes; empty while one is pending or none is left."""
        if self._pending is not None or not self._queue or self.state == "failed":
            return b""
        self._pending = self._queue.popleft()
        self._block.clear()
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
        bad = self.bad
        for chunk in re.split(b"(>)", data):
            if chunk == b">":
                replies += self._end_block()
            elif chunk:
                self.heard = True
                self._block.collect(chunk)
        answered = sum(len(reply.messages) > 0 for reply in replies)
        self._doubts = _DOUBTS if self.bad > bad else max(0, self._doubts - answered)
        return replies

    def give_up(self) -> list[Reply]:
        """End the pending command without its prompt, with what has come so far. The next one may be sent.

        Its answer may still come: a barrier is next, and until one is answered no request.
        """
        command = self._pending
        if command is None:
            return []
        self._doubts = _DOUBTS
        reply = self._judge(command, self._block.lines(command))
        self._end_command()
        if command.role == "barrier":
            self._barriers.names_owed += command.text == "ATI"
            self._settle_barrier(answered=False)
        else:
            self._go_on(command, reply)
            if command.text not in {"ATI", "ATZ"} and self._is_barred(command):
                self._put_barrier()
        return [reply]

    def _enqueue(self, command: Command) -> None:
        if self.state == "failed":
            raise SourceLost(f"{self.adapter or 'adapter'}: {self.fault}")
        if self.state != "ready":
            raise ValueError(f"the adapter is {self.state}")
        if sum(waiting.role == "request" for waiting in self._queue) >= QUEUE_MAX:
            raise ValueError(f"{QUEUE_MAX} requests are waiting already")
        self._queue.append(command)

    def _end_command(self) -> None:
        self._pending = None
        self._block.clear()

    def _end_block(self) -> list[Reply]:
        self.heard = True
        command = self._pending
        lines = self._block.lines(command)
        if command is None or not (self._block.too_long or self._can_answer(command, lines)):
            return self._end_stray(lines)
        reply = self._judge(command, lines)
        self._end_command()
        if command.role == "barrier":
            self._settle_barrier(answered=reply.status is Status.OK)
            return [reply]
        self._go_on(command, reply)
        if command.request and reply.status is Status.REFUSED:
            self._doubts = _DOUBTS
        if command.role == "request" and self.state == "ready":
            if self._has_started_anew(lines, command):
                self._set_up_again()
            elif reply.status not in _IN_STEP:
                self._put_barrier()
        return [reply]

    def _end_stray(self, lines: list[str]) -> list[Reply]:
        """A block that answers nothing pending: late, unasked for, or the adapter has started anew."""
        command = self._pending
        self._reader.strays += 1
        self._block.clear()
        if self.state != "ready" or not lines:
            return []
        if any(map(is_greeting, lines)) and self._barriers.names_owed:
            self._barriers.names_owed -= 1
        elif self._has_started_anew(lines, command):
            if command is not None and command.role != "request":
                return []
            self._end_command()
            self._set_up_again()
            return [] if command is None else [Reply(command.text, Status.STOPPED, text=tuple(lines))]
        elif command is None:
            self._put_barrier()
        return []

    def _can_answer(self, command: Command, lines: list[str]) -> bool:
        """Whether a block can belong to the command: the guard against being one answer behind for ever."""
        if command.request:
            return "?" in lines or self._reader.may_answer(lines, command.request, command.reply)
        if command.role == "barrier" and command.text == "ATI" and "ATI" in self._barriers:
            return "?" in lines or "STOPPED" in lines or self.adapter in lines
        return (bool(lines) or command.role == "set up") and answers_setting(command.text, lines)

    def _judge(self, command: Command, lines: list[str]) -> Reply:
        if self._block.too_long:
            self._reader.bad += 1
            return Reply(command.text, Status.FAILED, text=("block too long",))
        if not command.request:
            status = judge_setting(lines, fits=self._can_answer(command, lines))
            return Reply(command.text, status, text=tuple(lines))
        notes = tuple(line for line in lines if not is_data(line))
        if command.role == "set up":
            self._reader.learn(lines, command.request)
        messages = self._reader.read(lines, command.request, command.reply)
        return Reply(command.text, Status.OK if messages else parse_status(notes), messages, notes)

    def _has_started_anew(self, lines: Sequence[str], command: Command | None) -> bool:
        """Whether the adapter has lost its settings: it says so, or it shows no headers any more."""
        if any(is_greeting(line) or line == self.adapter for line in lines):
            return True
        return self._reader.has_lost_headers(lines, command.reply if command else None)

    def _is_barred(self, command: Command) -> bool:
        """Whether a barrier follows it where it went wrong. Before the start nothing is known to make one of."""
        return self.state != "starting" or command.role == "set up"

    def _put_barrier(self) -> None:
        if self.state == "failed" or (self._queue and self._queue[0].role == "barrier"):
            return
        self._queue.appendleft(self._barriers.next())

    def _settle_barrier(self, *, answered: bool) -> None:
        match self._barriers.settle(answered=answered):
            case "lost":
                self._fail("out of step: it answers, but not what is asked")
            case "again":
                self._put_barrier()

    def _set_up_again(self) -> None:
        self.resets += 1
        self._resets_in_row += 1
        if self._resets_in_row > _TRIES_MAX:
            self._fail("keeps losing its settings")
            return
        self._tries = 0
        self._queue.appendleft(Command("ATE0"))
        if self._readdressed:  # else the bus would be looked for at some ECU's address
            self._queue.appendleft(Command("ATZ"))

    def _fail(self, fault: str) -> None:
        self.state = "failed"
        self.fault = fault
        self._queue.clear()

    def _go_on(self, command: Command, reply: Reply) -> None:
        """What follows from a command's end. The start: identify, reset, settings, look for the bus."""
        if command.role == "request":
            self._resets_in_row = 0 if reply.status is Status.OK else self._resets_in_row
        elif reply.command in {"ATI", "ATZ"}:
            self._readdressed = self._readdressed and reply.command != "ATZ"
            self.adapter = next((line for line in reply.text if line not in {"?", "OK"}), self.adapter)
            self._barriers.learn("ATI", fit=reply.command == "ATI" and self.adapter in reply.text)
        elif reply.command == "ATE0":
            self._queue.extendleft(map(Command, reversed(SETTINGS)))
            self._barriers.learn("ATE0", fit=reply.text[-1:] == ("OK",))
        elif reply.command == "ATSP0":
            self._look_for_bus()
        elif reply.command == "ATDPN":
            self._barriers.learn("ATDPN", fit=reply.status is Status.OK)
            self.protocol = reply.text[-1].removeprefix("A") if reply.status is Status.OK else ""
            self._reader.is_can = self._reader.is_can or self.protocol in {"6", "7", "8", "9"}
            self.state = "ready"
        elif reply.command == "0100":
            self._judge_search(reply)

    def _judge_search(self, reply: Reply) -> None:
        if reply.status is Status.OK:
            self._queue.appendleft(Command("ATDPN"))
        elif self._tries < _TRIES_MAX and reply.status is not Status.UNABLE_TO_CONNECT:
            self._look_for_bus()
        else:
            self._fail(f"no ECU answers ({', '.join(reply.text) or 'silence'})")

    def _look_for_bus(self) -> None:
        self._tries += 1
        self._queue.appendleft(Command("0100", _PROBE))
