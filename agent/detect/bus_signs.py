"""From single frames that are not believed to what is told: hysteresis, and one event per finding at a time. Pure.

Judged at the end of each second of traffic, so that it does not matter how frames were cut into batches.
"""

from collections import deque
from dataclasses import dataclass, field
from typing import Final

import numpy as np
import numpy.typing as npt

from agent.core.bus_events import BusAnomaly, BusFinding
from agent.core.events import Event
from agent.detect.bus import Finding
from agent.detect.streams import NS

FLOOD_PER_S: Final = 250  # of one identifier: control units speak every 10 ms at most, few every 5
WINDOW_S: Final = 30
ODD_MIN: Final = 13  # frames of one identifier within the window; three new states of the car have 12
UNKNOWN_MIN: Final = 10  # of all identifiers together: a fuzzer hardly ever repeats one
AGAIN_S: Final = 600  # at the soonest; twice as long each time while it goes on
_AGAIN_MOST_S: Final = 86_400
_NAMED_MAX: Final = 8
_DISTINCT_MAX: Final = 64  # beyond, who is named already does not matter


@dataclass(slots=True)
class _Run:
    """Frames of one finding and identifier: how many, when first and last."""

    frames: int
    first_ns: int
    last_ns: int


@dataclass(slots=True)
class _Tally:
    """What of one finding is to be told, and when it was told last."""

    frames: int = 0
    first_ns: int = 0
    last_ns: int = 0
    keys: dict[int, None] = field(default_factory=dict)
    told_ns: int | None = None
    wait_s: int = AGAIN_S


_Key = tuple[BusFinding, int]


class BusSigns:
    """Of one bus. add whatever is found, close each second."""

    def __init__(self, bus: int) -> None:
        self._bus = bus
        self._now: dict[_Key, _Run] = {}
        self._recent: dict[_Key, deque[tuple[int, int, _Run]]] = {}  # by second; the identifier behind an unknown one
        self._tallies: dict[BusFinding, _Tally] = {}

    def add(self, keys: npt.NDArray[np.uint32], findings: npt.NDArray[np.uint8], t_ns: npt.NDArray[np.int64]) -> None:
        """Take frames that are not believed, all of one second."""
        code = keys.astype(np.int64) << 8 | findings
        names, first, counts = np.unique(code, return_index=True, return_counts=True)
        backward = np.unique(code[::-1], return_index=True)[1]
        for name, start, end, count in zip(
            names.tolist(), t_ns[first].tolist(), t_ns[::-1][backward].tolist(), counts.tolist(), strict=True
        ):
            key = _name(name & 0xFF), name >> 8
            run = self._now.setdefault(key, _Run(0, start, end))
            run.frames += count
            run.first_ns, run.last_ns = min(run.first_ns, start), max(run.last_ns, end)

    def close(self, second: int) -> list[Event]:
        """Judge the second that is over."""
        if self._now:
            self._sort_in(second)
        for key in list(self._recent):
            runs = self._recent[key]
            while runs and runs[0][0] <= second - WINDOW_S:
                runs.popleft()
            if not runs:
                del self._recent[key]
                continue
            if sum(run.frames for _, _, run in runs) >= (UNKNOWN_MIN if key[0] == "unknown_identifier" else ODD_MIN):
                self._count(key[0], [(who, run) for _, who, run in runs])
                del self._recent[key]
        return self._tell()

    def finish(self) -> list[Event]:
        """Tell what waits for its time."""
        return [self._event(finding, tally) for finding, tally in self._tallies.items() if tally.frames]

    def _sort_in(self, second: int) -> None:
        """The order is that of time, not that of batches."""
        for (finding, who), run in sorted(self._now.items(), key=lambda item: (item[1].first_ns, item[0])):
            if run.frames >= FLOOD_PER_S:
                self._count("flood", [(who, run)])
            else:
                place = (finding, -1 if finding == "unknown_identifier" else who)
                self._recent.setdefault(place, deque()).append((second, who, run))
        self._now = {}

    def _count(self, finding: BusFinding, runs: list[tuple[int, _Run]]) -> None:
        tally = self._tallies.setdefault(finding, _Tally())
        for who, run in runs:
            if tally.told_ns is not None and not tally.frames and run.first_ns - tally.last_ns > tally.wait_s * NS:
                tally.wait_s, tally.told_ns = AGAIN_S, None  # it had ended: this is news
            tally.first_ns = run.first_ns if not tally.frames else min(tally.first_ns, run.first_ns)
            tally.last_ns = max(tally.last_ns, run.last_ns)
            tally.frames += run.frames
            if len(tally.keys) < _DISTINCT_MAX:
                tally.keys[who] = None

    def _tell(self) -> list[Event]:
        events: list[Event] = []
        for finding, tally in self._tallies.items():
            if not tally.frames:
                continue
            if tally.told_ns is not None:
                if tally.last_ns - tally.told_ns < tally.wait_s * NS:
                    continue
                tally.wait_s = min(2 * tally.wait_s, _AGAIN_MOST_S)
            events.append(self._event(finding, tally))
            tally.told_ns, tally.frames, tally.keys = tally.last_ns, 0, {}
        return events

    def _event(self, finding: BusFinding, tally: _Tally) -> BusAnomaly:
        return BusAnomaly(
            t_ns=tally.last_ns,
            bus=self._bus,
            finding=finding,
            identifiers=list(tally.keys)[:_NAMED_MAX],
            more=len(tally.keys) > _NAMED_MAX,
            frames=tally.frames,
            first_ns=tally.first_ns,
            last_ns=tally.last_ns,
        )


def _name(finding: int) -> BusFinding:
    """One name a frame: of a forged frame that also comes too early its payload says more."""
    if finding & Finding.UNKNOWN:
        return "unknown_identifier"
    if finding & Finding.PAYLOAD:
        return "forged_payload"
    return "injected" if finding & Finding.EARLY else "held_payload"
