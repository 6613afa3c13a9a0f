"""How much the link may carry in an hour. Pure: time is an argument, in seconds."""

from typing import Final

_HOUR_S: Final = 3600.0
_BURST: Final = 0.1  # share of the hour's budget that may go at once
_NOTHING: Final = 1e-3  # bytes: below it a wait would be lost in the rounding of a clock

RECORD_OVERHEAD: Final = 215
"""Bytes beside a record's payload, as they are counted: MQTT 33 (header, packet id, content type, expiry, alias), its
PUBACK 4, and for each of the two 22 of TLS 1.3 and 52 of IPv4 and TCP with timestamps; 26 for what is acknowledged by a
segment of its own now and then. Measured: 189 where records go one by one, 146 where several share a segment."""

MESSAGE_OVERHEAD: Final = 260
"""The same for a message from the insurer: its topic is written out."""


class Budget:
    """A token bucket. Whatever the hour, no more than its budget goes in it of what lets itself be held back.

    What does not (crashes, safety) is counted all the same and may lead into debt, which is paid off before anything
    else goes. A bucket begins full, so a restart forgives.
    """

    def __init__(self, kb_per_hour: float) -> None:
        """No limit where kb_per_hour (of 1000 bytes) is 0."""
        hour_bytes = kb_per_hour * 1000
        self._burst_bytes = hour_bytes * _BURST
        self._bytes_per_s = (hour_bytes - self._burst_bytes) / _HOUR_S
        self._left_bytes = self._burst_bytes
        self._filled_s = 0.0
        self._spent_bytes = 0

    @property
    def spent_bytes(self) -> int:
        """All that was counted so far."""
        return self._spent_bytes

    def spend(self, size: int, now_s: float) -> None:
        """So many bytes go now."""
        self._spent_bytes += size
        self._fill(now_s)
        self._left_bytes -= size

    def wait_s(self, size: int, now_s: float) -> float:
        """How long to hold back so many bytes, 0 where they may go. More than a burst waits for a full bucket."""
        if not self._bytes_per_s:
            return 0.0
        self._fill(now_s)
        missing = min(size, self._burst_bytes) - self._left_bytes
        return missing / self._bytes_per_s if missing > _NOTHING else 0.0

    def _fill(self, now_s: float) -> None:
        passed_s = max(0.0, now_s - self._filled_s)
        self._filled_s = max(now_s, self._filled_s)
        self._left_bytes = min(self._burst_bytes, self._left_bytes + passed_s * self._bytes_per_s)
