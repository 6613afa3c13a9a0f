"""An ELM327 adapter behind the guard: the one way out to the car for the serial driver."""

import asyncio
from collections import Counter
from collections.abc import Sequence
from typing import Final

from agent.core.config import Dongle
from agent.core.errors import SourceLost
from agent.core.ports import Clock
from agent.proto.cut import harms_when_cut
from agent.proto.ecus import FUNCTIONAL, is_wide
from agent.proto.elm327 import Elm327, Reply, Status
from agent.proto.elm327_address import Addressing
from agent.proto.guard import Guard, SilentNow
from drivers.byte_line import ByteLine, open_line

_COMMAND_S_MAX: Final = 30.0  # of an adapter that keeps talking without ever coming to its prompt
_TIMEOUTS_MAX: Final = 3  # in a row: half-dead counts as dead
_LOSSES_MAX: Final = 2
_SIGN_COMMANDS: Final = ("ATRV", "ATIGN")
_SIGN_MISSES_MAX: Final = 3


class GuardedAdapter:
    """Line, dialogue and guard of one adapter. Counts into `counts`; the guard outlives every connection.

    The clock is held during each exchange. The deadline on bytes runs on real time (see byte_line).
    """

    def __init__(self, dongle: Dongle, clock: Clock, guard: Guard, counts: Counter[str]) -> None:
        self.dialogue = Elm327()
        self._dongle = dongle
        self._clock = clock
        self._guard = guard
        self._counts = counts
        self._line: ByteLine | None = None
        self._addressing = Addressing("", wide=False)
        self._resets = 0  # of the dialogue, as far as the addressing knows of them
        self._losses = 0  # connections in a row that ended while one ECU was being addressed
        self._timeouts_in_row = 0
        self._signs: dict[str, int] = {}  # commands that tell of the ignition, and how often in vain

    @property
    def measures(self) -> bool:
        """Whether it can tell voltage or ignition by itself."""
        return bool(self._signs)

    async def open(self) -> None:
        """Open the line; nothing is sent yet. Raises SourceLost."""
        self.close()
        self._line = await open_line(
            self._dongle.port, baudrate=self._dongle.baudrate, timeout_s=self._dongle.deadline_s
        )
        self.dialogue = Elm327()
        self._timeouts_in_row = 0
        self._signs = dict.fromkeys(_SIGN_COMMANDS, 0)

    def close(self) -> None:
        """Let go of the line; safe to call twice."""
        if self._line is not None:
            self._line.close()
            self._line = None
            self._counts["bad"] += self.dialogue.bad
            self._counts["stray"] += self.dialogue.strays

    def live(self, name: str) -> int:
        """Bad or stray lines so far, those of this connection included."""
        of_dialogue = {"bad": self.dialogue.bad, "stray": self.dialogue.strays} if self._line is not None else {}
        return self._counts[name] + of_dialogue.get(name, 0)

    async def start(self) -> Reply:
        """Reset, settings, search for the bus; the answer to 01 00. Raises SourceLost."""
        first = Reply("", Status.NO_DATA)
        while self.dialogue.state == "starting":
            reply = await self.talk()
            first = reply if reply.command == "0100" else first
        wide = any(is_wide(message.sender) for message in first.messages)
        self._addressing, self._resets = Addressing(self.dialogue.protocol, wide=wide), 0
        return first

    async def exchange(self, request: bytes, ecu: int = FUNCTIONAL, answered_by: int | None = None) -> Reply:
        """Send one request; an interrupted one is sent once more. REFUSED where the adapter cannot address the ECU."""
        for _ in range(2):
            if not await self._address(ecu, answered_by):
                self._counts["not_addressed"] += 1
                return Reply(request.hex().upper(), Status.REFUSED)
            self.dialogue.request(request, answered_by)
            self._counts["requests"] += 1
            reply = await self.talk()
            while reply.command != request.hex().upper():
                reply = await self.talk()
            self._counts["replies"] += reply.status is Status.OK
            self._counts["no_data"] += reply.status is Status.NO_DATA
            self._counts["refused"] += reply.status is Status.REFUSED
            self._counts["failed"] += reply.status is Status.FAILED
            if reply.status is Status.STOPPED or (ecu != FUNCTIONAL and not reply.messages):
                self._addressing.forget()  # it may have started anew, and asked somebody else
            if reply.status is not Status.STOPPED:
                break
        return reply

    def withholds(self, request: bytes) -> bool:
        """Whether a request is not for a line like this one: should its beginning be lost, it would do harm."""
        withheld = self.dialogue.is_lossy and harms_when_cut(request)
        self._counts["withheld"] += withheld
        return withheld

    async def ask_adapter(self, text: str) -> Sequence[str]:
        """What the adapter says to a command of its own, within the dialogue."""
        return (await self._tell(text)).text

    async def _tell(self, text: str) -> Reply:
        self.dialogue.ask_adapter(text)
        reply = await self.talk()
        while reply.command != text:
            reply = await self.talk()
        return reply

    async def _address(self, ecu: int, answered_by: int | None) -> bool:
        """See to it that the requests that follow go to the ECU and its answers come back; False where they cannot.

        An adapter that fell silent twice while it was told is not told a third time. Raises SourceLost.
        """
        if ecu != FUNCTIONAL and (self._losses >= _LOSSES_MAX or not self.dialogue.shows_headers):
            return False
        self._losses += ecu != FUNCTIONAL
        while True:
            if self._resets != self.dialogue.resets:
                self._addressing.forget()
                self._resets = self.dialogue.resets
            command = self._addressing.next(ecu, answered_by)
            if command is None:
                break
            self._addressing.settle(command, await self._tell(command))
        self._losses = self._losses if ecu == FUNCTIONAL else 0
        if self._addressing.lost:
            self._addressing.start_over()
            self.dialogue.start_over()
            self._resets = self.dialogue.resets
        return ecu == FUNCTIONAL or self._addressing.reaches(ecu, answered_by)

    async def talk(self) -> Reply:
        """Send the dialogue's next command and wait for how it ended.

        Raises SourceLost on silence, and as soon as the dialogue has failed.
        """
        await self._send(self.dialogue.take())
        with self._clock.hold():
            end_s = asyncio.get_running_loop().time() + _COMMAND_S_MAX
            while asyncio.get_running_loop().time() < end_s:
                data = await self._receive(self._dongle.deadline_s + self.dialogue.allowance_s)
                replies = self.dialogue.feed(data) if data else self._time_out()
                if self.dialogue.state == "failed":
                    raise SourceLost(f"{self._dongle.port}: {self.dialogue.adapter}: {self.dialogue.fault}")
                if replies:
                    self._timeouts_in_row = 0 if data else self._timeouts_in_row
                    return replies[0]
        raise SourceLost(f"{self._dongle.port}: talks without coming to an end")

    async def look(self) -> None:
        """Ask the adapter itself about voltage and ignition pin; what it does not know is not asked again."""
        for command in tuple(self._signs):
            t_ns = self._clock.monotonic_ns()
            lines = await self.ask_adapter(command)
            if self._guard.ignition.observe_adapter(lines, t_ns):
                self._signs[command] = 0
                continue
            self._signs[command] += 1
            if "?" in lines or "OK" in lines or self._signs[command] >= _SIGN_MISSES_MAX:
                del self._signs[command]

    async def _send(self, line: bytes) -> None:
        """The only way out: past the guard. Waits where the rate asks for it. Raises SourceLost."""
        while line:
            try:
                admitted = self._guard.admit_line(line, self._clock.monotonic_ns())
            except SilentNow as exc:
                if exc.until_ns is None:
                    raise SourceLost(f"{self._dongle.port}: {exc}") from exc
                await self._clock.sleep((exc.until_ns - self._clock.monotonic_ns()) / 1e9)
                continue
            self._open_line().write(admitted)
            return
        self._open_line()

    async def _receive(self, timeout_s: float) -> bytes:
        return await self._open_line().read(timeout_s)

    def _open_line(self) -> ByteLine:
        if self._line is None:
            raise SourceLost(f"{self._dongle.port}: not open")
        return self._line

    def _time_out(self) -> list[Reply]:
        self._counts["timeouts"] += 1
        self._timeouts_in_row += 1
        if not self.dialogue.heard:
            raise SourceLost(f"{self._dongle.port}: silent for {self._dongle.deadline_s} s")
        if self._timeouts_in_row >= _TIMEOUTS_MAX:
            raise SourceLost(f"{self._dongle.port}: answers without an end (wrong baud rate?)")
        return self.dialogue.give_up()
