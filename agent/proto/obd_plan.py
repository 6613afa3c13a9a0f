"""Which PIDs to ask for together, learnt from what comes back. No time in here: one round is one poll period."""

from collections.abc import Collection, Sequence
from typing import Final

from agent.proto.obd import PIDS_PER_REQUEST

_MISSES_MAX: Final = 3  # in a row, asked alone, before a PID is asked no more
_EMPTY_MAX: Final = 2  # times in a row without any answer before a pack is suspected


class PollPlan:
    """Fast PIDs in every round, and six of the others in turn, in one request where that is possible.

    Not every adapter or ECU takes six PIDs a request. A PID missing from a packed answer is asked alone: if it answers
    then, packing is to blame and packs are halved; if it does not, three times over, it is dropped.
    """

    def __init__(self, pids: Sequence[int], *, fast: Collection[int] = (), pack_max: int = PIDS_PER_REQUEST) -> None:
        self.pack_max = pack_max
        self.dropped: list[int] = []
        self._fast = [pid for pid in pids if pid in fast]
        self._slow = [pid for pid in pids if pid not in fast]
        self._next_slow = 0
        self._suspects: dict[int, int] = {}  # PID -> misses when asked alone
        self._empty: dict[tuple[int, ...], int] = {}  # packs that got no answer, and how often in a row

    @property
    def pids(self) -> frozenset[int]:
        """PIDs still asked for."""
        return frozenset(self._fast + self._slow)

    def next_round(self) -> list[tuple[int, ...]]:
        """Requests of one round; empty once no PID answers any more."""
        requests: list[tuple[int, ...]] = [(pid,) for pid in self._suspects]
        requests += self._pack(self._trusted(self._fast))
        slow = self._trusted(self._slow)
        if slow:
            start = self._next_slow if self._next_slow < len(slow) else 0
            self._next_slow = start + PIDS_PER_REQUEST
            requests += self._pack(slow[start : self._next_slow])
        return requests

    def settle(self, asked: Sequence[int], answered: Collection[int]) -> None:
        """Learn from the answer to one request."""
        missing = [pid for pid in asked if pid not in answered]
        if len(asked) == 1:
            self._settle_alone(asked[0], answered=not missing)
            return
        pack = tuple(asked)
        empty = self._empty.pop(pack, 0) + 1 if len(missing) == len(asked) else 0
        if 0 < empty < _EMPTY_MAX:
            self._empty[pack] = empty
        else:
            self._suspects |= {pid: 0 for pid in missing if pid in self.pids}

    def _settle_alone(self, pid: int, *, answered: bool) -> None:
        if answered:
            if pid in self._suspects:
                self._suspects.clear()
                self._empty.clear()
                self.pack_max = max(1, self.pack_max // 2)
            return
        self._suspects[pid] = self._suspects.get(pid, 0) + 1
        if self._suspects[pid] >= _MISSES_MAX:
            del self._suspects[pid]
            self.dropped.append(pid)
            self._fast = [other for other in self._fast if other != pid]
            self._slow = [other for other in self._slow if other != pid]

    def _trusted(self, pids: Sequence[int]) -> list[int]:
        return [pid for pid in pids if pid not in self._suspects]

    def _pack(self, pids: Sequence[int]) -> list[tuple[int, ...]]:
        return [tuple(pids[i : i + self.pack_max]) for i in range(0, len(pids), self.pack_max)]
