"""Impacts of one crash: when one is over, and which come next."""

from dataclasses import dataclass, field
from typing import Final

from agent.detect.pulse import LONG_AGO_NS, MS, Mounting, PulseTrace
from agent.detect.streams import NS

LONGEST_NS: Final = 300 * MS  # 49 CFR 563 looks for the maximum delta-v within 300 ms of T0
SAME_CRASH_NS: Final = 5 * NS  # 49 CFR 563: impacts that begin so soon after the first are one crash


@dataclass(slots=True)
class Pulse:
    """A pulse that passed the trigger and has not ended yet."""

    t0_ns: int
    trigger_ns: int
    standing: bool
    mounting: Mounting = field(default_factory=Mounting)  # as it was known then
    following: bool = False  # another impact of a crash
    since_ns: int = LONG_AGO_NS  # end of the pulse before


def find_end(trace: PulseTrace, pulse: Pulse) -> tuple[int, bool] | None:
    """Index of the pulse's last sample, and whether it is calm there or cut 300 ms after T0; None while it lasts."""
    end = trace.end(trace.first_after(pulse.trigger_ns), pulse.mounting)
    latest = trace.first_after(pulse.t0_ns + LONGEST_NS + 1) - 1
    if end is not None and end <= latest:
        return end, True
    return (latest, False) if latest < len(trace.t_ns) - 1 else None


class CrashSequence:
    """Counts the impacts of a crash: multi-event semantics of 49 CFR 563 (docs/sources.md 2)."""

    def __init__(self) -> None:
        self._first_ns = LONG_AGO_NS
        self._count = 0

    def covers(self, t_ns: int) -> bool:
        """Whether what begins at t_ns belongs to the crash before it."""
        return t_ns - self._first_ns <= SAME_CRASH_NS

    def is_full(self, t0_ns: int, events_max: int) -> bool:
        """Whether an impact at t0_ns would be one more of its crash than are told."""
        return self.covers(t0_ns) and self._count >= events_max

    def number(self, t0_ns: int) -> tuple[int, float | None]:
        """Take an impact; which of its crash it is, from 1, and the time from the first in s."""
        if not self.covers(t0_ns):
            self._first_ns, self._count = t0_ns, 0
        self._count += 1
        return self._count, round((t0_ns - self._first_ns) / NS, 3) if self._count > 1 else None
