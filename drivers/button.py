"""A button to talk by: a Linux input device (evdev), such as a remote, a key on the wheel or a gpio-keys pin."""

import fcntl
import os
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from agent.core.config import Config
from agent.core.errors import SourceLost
from agent.core.key_codes import KEY_MAX, key_code
from agent.core.ports import Clock
from agent.core.sound import Hearing
from agent.proto.input_event import PressParser
from drivers.byte_line import ByteLine

_KEY_BYTES: Final = KEY_MAX // 8 + 1
_EVIOCGBIT_KEY: Final = 0x80004521 | _KEY_BYTES << 16  # linux/input.h: which keys there are, one bit each
_QUIET_S: Final = 3600.0  # a button that nobody presses is no lost one
_SETTLE_NS: Final = 1_000_000_000
_EVENTS_MAX: Final = 1000  # a second; a held key that repeats has some 60


def open_buttons(config: Config, clock: Clock) -> list["ButtonSource"]:
    """The button that config names, if any; none where speech is off. Nothing is opened yet."""
    return [ButtonSource(config.hearing, clock)] if config.voice.enabled and config.hearing.button else []


class ButtonSource:
    """A Button. What is pressed in the first second after it was opened is left out.

    By then a device that floods is told from one that works: it is let go of, as a lost one is, and tried again.
    """

    def __init__(self, hearing: Hearing, clock: Clock) -> None:
        self.name = f"button:{Path(hearing.button).name}"
        self._path = hearing.button
        self._named = hearing.button_key
        self._key = key_code(hearing.button_key)
        self._clock = clock
        self._line: ByteLine | None = None
        self._parser = PressParser(self._key)
        self._opened_ns = 0
        self._second_ns = 0  # when the second began in which events are counted
        self._in_second = 0
        self._counts = dict.fromkeys(("presses", "events", "dropped"), 0)

    async def open(self) -> None:
        """Raise SourceLost where it is not there, may not be read, or is no device with this key."""
        await self.close()
        try:
            fd = os.open(self._path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        except OSError as exc:
            raise SourceLost(f"{self._path}: {exc.strerror}") from exc
        try:
            self._check(fd)
            self._line = ByteLine(self._path, fd, lambda: os.close(fd))
        except SourceLost:
            os.close(fd)
            raise
        except OSError as exc:  # also where the loop cannot watch it, as a plain file
            os.close(fd)
            raise SourceLost(f"{self._path}: is no input device ({exc.strerror})") from exc
        self._parser = PressParser(self._key)
        self._opened_ns = self._second_ns = self._clock.monotonic_ns()
        self._in_second = 0

    async def read_batch(self) -> int:
        """Wait for presses. Raises SourceLost where the device is gone, or floods."""
        while True:
            if self._line is None:
                raise SourceLost(f"{self._path}: not open")
            if presses := self._take(await self._line.read(_QUIET_S), self._line.dropped):
                self._counts["presses"] += presses
                return presses

    async def close(self) -> None:
        """Let go of it; safe to call twice."""
        if self._line is not None:
            self._line.close()
            self._line = None

    def counters(self) -> Mapping[str, int]:
        """Presses, events of any kind, and how often the kernel dropped some."""
        return dict(self._counts)

    def _check(self, fd: int) -> None:
        """Ask the device for its keys; a pipe in a device's place is asked nothing. Raises OSError, SourceLost."""
        if not stat.S_ISCHR(os.fstat(fd).st_mode):
            return
        keys = int.from_bytes(fcntl.ioctl(fd, _EVIOCGBIT_KEY, bytes(_KEY_BYTES)), "little")
        if not (keys if self._key is None else keys >> self._key & 1):
            raise SourceLost(f"{self._path}: has no key {self._named}".rstrip())

    def _take(self, data: bytes, lost: int) -> int:
        now_ns = self._clock.monotonic_ns()
        if now_ns - self._second_ns >= _SETTLE_NS:
            self._second_ns, self._in_second = now_ns, 0
        events, dropped = self._parser.events, self._parser.dropped
        presses = self._parser.feed(data)
        events = self._parser.events - events
        self._in_second += events
        self._counts["events"] += events
        self._counts["dropped"] += self._parser.dropped - dropped
        if lost or self._in_second > _EVENTS_MAX:
            raise SourceLost(f"{self._path}: more than {_EVENTS_MAX} events in a second, is this a button?")
        return presses if now_ns - self._opened_ns >= _SETTLE_NS else 0
