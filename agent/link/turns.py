"""Whose turn it is: which records of the outbox may go now, and which wait for an answer or are set aside. Pure.

A record that nobody answers is sent again ever more rarely, and so is one that the broker refuses: it is not lost, it
does not hold up the others, and it does not fill the line. Time is an argument, in seconds.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from agent.core.records import Position, Range

_KNOWN_MAX: Final = 4096
_LONGEST_S: Final = 3600.0
_REFUSED_FIRST_S: Final = 1.0
_GRACE_S: Final = 0.5
_TRIES_FORGIVEN: Final = 3  # a new connection sends these again at once; whom nobody ever answers has to wait
_REFUSALS_MAX: Final = 8
_OF_THE_RECORD: Final = frozenset({0x95, 0x99})  # too large, payload format: says nothing about the next one


@dataclass(slots=True)
class _Turn:
    answer_by_s: float
    due_s: float
    next_wait_s: float
    tries: int = 1


class Turns:
    """At most known_max records are remembered: beyond it the one longest known counts as never sent."""

    def __init__(self, *, answer_s: float, known_max: int = _KNOWN_MAX) -> None:
        """answer_s is how long the insurer may take for a receipt."""
        self._answer_s = answer_s
        self._known_max = known_max
        self._turns: dict[Position, _Turn] = {}

    def __len__(self) -> int:
        return len(self._turns)

    def waiting(self, now_s: float) -> int:
        """Records that were sent and may still be answered in time."""
        return sum(turn.answer_by_s > now_s for turn in self._turns.values())

    def is_due(self, position: Position, now_s: float) -> bool:
        """Whether a record of the outbox may go."""
        turn = self._turns.get(position)
        return turn is None or turn.due_s <= now_s

    def sent(self, position: Position, now_s: float) -> None:
        """It goes now; on this connection its turn comes again after answer_s, then after twice that, and so on."""
        before = self._turns.pop(position, None)
        tries, wait_s = (1, self._answer_s) if before is None else (before.tries + 1, before.next_wait_s)
        next_wait_s = min(2 * wait_s, max(_LONGEST_S, self._answer_s))
        self._turns[position] = _Turn(now_s + self._answer_s, now_s + wait_s, next_wait_s, tries)
        while len(self._turns) > self._known_max:
            del self._turns[next(iter(self._turns))]

    def refused(self, position: Position, now_s: float) -> None:
        """The broker did not take it."""
        turn = self._turns.get(position)
        if turn is not None:
            turn.answer_by_s = now_s
            turn.due_s = now_s + min(_REFUSED_FIRST_S * 2 ** min(turn.tries - 1, 20), _LONGEST_S)

    def received(self, ranges: Sequence[Range]) -> None:
        """The insurer has signed for them."""
        for part in ranges:
            if part.last - part.first < len(self._turns):
                gone = [Position(part.boot, sequence) for sequence in range(part.first, part.last + 1)]
            else:
                gone = [p for p in self._turns if p.boot == part.boot and part.first <= p.sequence <= part.last]
            for position in gone:
                self._turns.pop(position, None)

    def reconnected(self, now_s: float) -> None:
        """What was on its way may be lost: all but the hopeless go again, and wait no longer for it than new ones do.

        For the insurer may have lost his connection too, and come back after it. Those sent once wait a moment more:
        their receipts may lie at the broker, and come first.
        """
        for turn in self._turns.values():
            turn.answer_by_s = 0.0
            if turn.tries <= _TRIES_FORGIVEN:
                turn.next_wait_s = self._answer_s
                turn.due_s = now_s + (min(_GRACE_S, self._answer_s) if turn.tries == 1 else 0.0)

    def next_s(self, now_s: float) -> float | None:
        """When something changes by itself: an answer is overdue, or a turn comes."""
        instants = (instant for turn in self._turns.values() for instant in (turn.answer_by_s, turn.due_s))
        return min((instant for instant in instants if instant > now_s), default=None)


class Patience:
    """How a broker that refuses is asked again: after several in a row with one record at a time, ever more rarely."""

    def __init__(self, fresh_waits: Callable[[], Iterator[float]]) -> None:
        self._fresh_waits = fresh_waits
        self.restore()

    def restore(self) -> None:
        """Something was accepted, or the connection is a new one."""
        self._refusals = 0
        self._again_s = 0.0
        self._waits: Iterator[float] | None = None

    def refused(self, code: int | None, now_s: float) -> None:
        """A record was refused, with this reason code where there was one."""
        if code in _OF_THE_RECORD:
            return
        self._refusals += 1
        if self.one_by_one and now_s >= self._again_s:
            self._waits = self._waits or self._fresh_waits()
            self._again_s = now_s + next(self._waits)

    @property
    def one_by_one(self) -> bool:
        """Whether to wait for each verdict."""
        return self._refusals >= _REFUSALS_MAX

    def wait_s(self, now_s: float) -> float:
        """How long to hold back now."""
        return max(0.0, self._again_s - now_s)
