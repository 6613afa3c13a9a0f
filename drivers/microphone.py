"""Answers typed on standard input, where there is no speech recognition, and words that answer nothing."""

import asyncio
import os
import sys
from collections import deque
from collections.abc import Callable
from typing import Final

from agent.core.errors import SourceLost
from agent.core.ports import Clock, Heard, Language

_LINE_MAX_BYTES: Final = 4096
_LINES_MAX: Final = 16


class TypedMicrophone:
    """Lines of a file descriptor as answers. Blank lines are none; what was typed before a question waits for it.

    A WordSource too: where somebody hears words, a line that is typed outside of every question is no answer.

    The descriptor is never made non-blocking: on a terminal that would hit standard output too, which shares it. It is
    read only when the loop says that it can be, and regular files, which never block, directly.
    """

    def __init__(self, clock: Clock, *, fd: int | None = None) -> None:
        self._clock = clock
        self._fd = _standard_input() if fd is None else fd
        self.dropped = 0
        self._lines: deque[str] = deque()
        self._partial = b""
        self._arrived = asyncio.Event()
        self._ended = self._fd is None
        self._watching = False
        self._tell: Callable[[Heard], bool] | None = None

    @property
    def has_input(self) -> bool:
        """Whether anybody can type, or could: a service's standard input is closed, or the null device."""
        return self._fd is not None and not _is_null(self._fd)

    def tell_words(self, listener: Callable[[Heard], bool]) -> None:
        """Read from now on, not only during questions. Needs a running loop, and a terminal in the foreground."""
        self._tell = listener
        self._watch()

    async def listen(
        self,
        *,
        timeout_s: float,
        language: Language,  # noqa: ARG002 - one keyboard
        keep_sound: bool = False,  # noqa: ARG002 - it has none
    ) -> Heard | None:
        """Return the next line, None after timeout_s. Raises SourceLost once the input has ended."""
        if not self._lines and not self._ended:
            self._watch()
            try:
                await self._wait(timeout_s)
            finally:
                if self._tell is None:
                    self._unwatch()
        if self._lines:
            return Heard(self._lines.popleft(), confidence=1.0)
        if self._ended:
            raise SourceLost("standard input has ended, nobody can type an answer")
        return None

    async def close(self) -> None:
        """Stop listening; the descriptor stays open, it is not ours."""
        self._unwatch()
        self._ended = True
        self._arrived.set()

    async def _wait(self, timeout_s: float) -> None:
        if self._lines or self._ended:
            return
        self._arrived.clear()
        timer = asyncio.create_task(self._clock.sleep(timeout_s), name="microphone-timeout")
        timer.add_done_callback(lambda _: self._arrived.set())
        try:
            await self._arrived.wait()
        finally:
            timer.cancel()
            await asyncio.wait({timer})

    def _watch(self) -> None:
        if self._watching or self._ended or self._fd is None:
            return
        try:
            asyncio.get_running_loop().add_reader(self._fd, self._read)
        except PermissionError:  # epoll refuses regular files and /dev/null
            while not self._ended and len(self._lines) < _LINES_MAX:
                self._read()
        except OSError:  # closed under us
            self._end()
        else:
            self._watching = True

    def _unwatch(self) -> None:
        if self._watching and self._fd is not None:
            asyncio.get_running_loop().remove_reader(self._fd)
        self._watching = False

    def _read(self) -> None:
        """Take what is there: one read, which does not block because the loop said so."""
        if self._fd is None:
            return
        try:
            data = os.read(self._fd, _LINE_MAX_BYTES)
        except OSError:  # a terminal that was hung up
            data = b""
        if not data:
            self._end()
            return
        *whole, rest = (self._partial + data).split(b"\n")
        if len(rest) > _LINE_MAX_BYTES:
            whole, rest = [*whole, rest[:_LINE_MAX_BYTES]], b""
        self._partial = rest
        self._take(whole)

    def _end(self) -> None:
        self._unwatch()
        self._ended = True
        self._take([self._partial])
        self._partial = b""
        self._arrived.set()

    def _take(self, lines: list[bytes]) -> None:
        for line in lines:
            text = line.decode("utf-8", "replace").strip()
            if text and self._tell is not None and self._tell(Heard(text, confidence=1.0)):
                continue
            if text and len(self._lines) < _LINES_MAX:
                self._lines.append(text)
                self._arrived.set()
            elif text:
                self.dropped += 1


def _is_null(fd: int) -> bool:
    try:
        return os.path.samestat(os.fstat(fd), os.stat(os.devnull))  # noqa: PTH116 - fstat has no other twin
    except OSError:  # closed
        return True


def _standard_input() -> int | None:
    """Descriptor of standard input, None where a service manager closed it."""
    try:
        return None if sys.stdin is None else sys.stdin.fileno()
    except (OSError, ValueError):
        return None
