"""How much of what can wait may be on the line without an answer, so that what cannot wait finds it free. Pure.

A slow line carries no byte sooner for having many of them in its buffers; it only makes the next crash wait behind
them. So the allowance grows while answers come as fast as the fastest one did, and shrinks when they begin to queue
(as in TCP Vegas, Brakmo and Peterson 1995, and LEDBAT, RFC 6817).
"""

from math import inf
from typing import Final

LEAST_BYTES: Final = 4096
"""Keeps 9.6 kbit/s busy at a round trip of 2 s, and is gone in three to four seconds there."""

_MOST_BYTES: Final = 1 << 20
_QUEUE_S: Final = 1.0  # an answer that takes so much longer than the fastest one stood in a queue


class Allowance:
    """Bytes of patient records in flight on one connection. Time is an argument, in seconds."""

    def __init__(self) -> None:
        self.reconnected()

    def reconnected(self) -> None:
        """Know nothing of the line."""
        self._limit = float(LEAST_BYTES)
        self._out = 0
        self._fastest_s = inf
        self._settling = 0  # bytes that were out when it shrank last: their answers tell nothing of the new size

    def has_room(self, size: int) -> bool:
        """Whether a patient record may go now; one by itself always may, however large."""
        return self._out == 0 or self._out + size <= self._limit

    def sent(self, size: int) -> None:
        """A patient record goes."""
        self._out += size

    def answered(self, size: int, took_s: float, *, patient: bool) -> None:
        """The broker answered to a record of size bytes, took_s after it was given to the connection."""
        self._fastest_s = min(self._fastest_s, took_s)
        if not patient:
            return
        self._out -= size
        if self._settling > 0:
            self._settling -= size
        elif took_s - self._fastest_s <= _QUEUE_S:
            self._limit = min(self._limit + size, _MOST_BYTES)
        else:
            self._limit = max(self._limit / 2, LEAST_BYTES)
            self._settling = self._out
