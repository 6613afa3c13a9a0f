"""What is known of UTC by a box whose clock may be wrong: it is not before the newest time that somebody signed.

Receipts and config bundles carry such times. Whoever holds them back or repeats old ones leaves the floor low; nobody
without the insurer's or the operator's key can raise it.
"""

from dataclasses import dataclass
from typing import Final

from agent.core.ports import Clock

EARLIEST_NS: Final = 1_767_225_600_000_000_000
"""2026-01-01: before this agent existed. No clock that shows less is believed."""
SLACK_NS: Final = 300_000_000_000
"""How far a synchronised clock may differ from a signed time: whoever signed has a clock of his own."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Now:
    """UTC as far as it is known, ns since 1970: at least floor_ns; wall_ns where the clock can be believed."""

    floor_ns: int
    wall_ns: int | None = None

    @property
    def best_ns(self) -> int:
        """The clock's time where it is believed, else the floor."""
        return self.floor_ns if self.wall_ns is None else self.wall_ns

    def passed(self, instant_ns: int) -> bool | None:
        """Whether an instant is over; None where nobody can say."""
        if self.wall_ns is not None:
            return self.wall_ns >= instant_ns
        return True if self.floor_ns >= instant_ns else None


class BestTime:
    """The best time known now. The clock is believed where it is synchronised and not behind what was signed."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._floor_ns = EARLIEST_NS
        self._learnt_ns = clock.monotonic_ns()

    def now(self) -> Now:
        """The floor moves on with the monotonic clock, which at worst stands still while the box is suspended."""
        floor_ns = self._floor_ns + self._clock.monotonic_ns() - self._learnt_ns
        wall_ns = self._clock.wall_ns() if self._clock.synced else None
        believed = wall_ns is not None and wall_ns + SLACK_NS >= floor_ns
        return Now(floor_ns=floor_ns, wall_ns=wall_ns if believed else None)

    def learn(self, signed_ns: int) -> bool:
        """Take a time whose signature was checked; whether it was believed.

        Not believed is what lies ahead of a clock that is: one server with a wrong date must not make a whole fleet
        hold its certificates for ended.
        """
        now = self.now()
        if now.wall_ns is not None and signed_ns > now.wall_ns + SLACK_NS:
            return False
        if signed_ns > now.floor_ns:
            self._floor_ns, self._learnt_ns = signed_ns, self._clock.monotonic_ns()
        return True
