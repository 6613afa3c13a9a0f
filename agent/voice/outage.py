"""A speaker or microphone that went away: said once, tried again with backoff, and the drive goes on."""

from collections.abc import Iterator

from agent.core.backoff import backoff_waits
from agent.core.ports import WORKS_AGAIN, Clock, Notice, Notify


class Outage:
    """Remembers whether one device works. Not jittered: the device is in this car, not shared by a fleet.

    count: of outages; trouble: why the newest try failed, "" while it works as far as known.
    """

    def __init__(self, name: str, *, clock: Clock, notify: Notify) -> None:
        self.count = 0
        self.trouble = ""
        self._name = name
        self._clock = clock
        self._notify = notify
        self._waits: Iterator[float] | None = None
        self._retry_ns = 0

    def may_try(self) -> bool:
        """Whether the device works, as far as known, or is due to be tried again."""
        return self._waits is None or self._clock.monotonic_ns() >= self._retry_ns

    def lost(self, reason: str) -> None:
        """Note a failure; only the first of an outage is told."""
        now_ns = self._clock.monotonic_ns()
        if self._waits is None:
            self.count += 1
            self._waits = backoff_waits(lambda: 1.0)
            self._notify(Notice("source", now_ns, f"{self._name}: {reason}"))
        self.trouble = reason
        self._retry_ns = now_ns + round(next(self._waits) * 1e9)

    def works(self) -> None:
        """Note a success; the end of an outage is told."""
        if self._waits is not None:
            self._waits = None
            self.trouble = ""
            self._notify(Notice("source", self._clock.monotonic_ns(), f"{self._name}: {WORKS_AGAIN}"))
