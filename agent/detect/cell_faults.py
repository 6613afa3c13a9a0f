"""Cell faults that show within a drive: a loose contact, a weak cell, an internal short, a sensor that lies. Pure.

What is told apart, and by what: a contact is a resistance and nothing else; charge cannot leave or come within a
second, nor leave while the pack's own voltage stays; a cell that loses charge whatever the current does leaks.
"""

from collections import deque
from typing import Final

import numpy as np

from agent.core.battery_events import AdviceLevel
from agent.core.events import Event
from agent.detect.cell_advice import advise
from agent.detect.cell_blocks import Block
from agent.detect.cell_figures import Values, apart, spread_of
from agent.detect.cell_sensors import SENSOR_V, CellSensors, in_the_sensor
from agent.detect.cell_slow import OHM_MIN
from agent.detect.ocv import STEEP_ENOUGH, Chemistry, volts_per_percent
from agent.detect.streams import NS

_OF_BLOCKS, _BAD_BLOCKS = 3, 2  # told once two of the last three say so
_OHM_SHARE: Final = 0.8  # of the median cell's resistance, beyond it
_OHM_SOON: Final = 2.0
_ERRORS: Final = 8.0  # of its own standard error
_FAR_PERCENT: Final = 6.0  # of charge less than the median cell: at once, not after days
_FAR_SIGMAS: Final = 6.0
_REST_PERCENT: Final = 2.0
_SPREAD_PERCENT: Final = 0.3

_WATCHED_NS: Final = 1800 * NS
_LEAK_SPAN_NS: Final = 480 * NS
_LEAK_BLOCKS: Final = 6
_LEAK_PERCENT: Final = 1.0
_LEAK_SIGMAS: Final = 8.0
_SURE_PERCENT: Final = 3.0
_LEAK_SPREAD_PERCENT: Final = 0.1
_LEAK_OF_CURRENT: Final = 0.15  # less may be a cell of less capacity
_STOP_PERCENT_PER_H: Final = 10.0  # of 100 Ah: ten amperes, forty watts within one cell
_STEEP_END_V: Final = {"nmc": 3.45, "lfp": 3.15}  # near empty all differences grow


class CellFaults:
    """Judges blocks of one pack, in order of time."""

    def __init__(self, chemistry: Chemistry, *, capacity_ah: float | None = None) -> None:
        self._chemistry = chemistry
        self._capacity_ah = capacity_ah
        self._blocks: deque[Block] = deque()
        self._recent: deque[tuple[frozenset[int], frozenset[int]]] = deque(maxlen=_OF_BLOCKS)
        self._middle_ohm: deque[float] = deque(maxlen=9)
        self._told: dict[tuple[str, int], int] = {}
        self._sensors = CellSensors()

    def feed(self, block: Block) -> list[Event]:
        """Take a block."""
        if np.isfinite(block.middle_ohm) and block.middle_ohm > 0:
            self._middle_ohm.append(block.middle_ohm)
        while self._blocks and (
            block.end_ns - self._blocks[0].end_ns > _WATCHED_NS or len(block.rest_v) != len(self._blocks[0].rest_v)
        ):
            self._blocks.popleft()
        self._blocks.append(block)
        events = self._sensors.feed(list(self._blocks))
        resistive = self._resistive(block)
        if block.ohm is not None or self._charge_told(block):
            self._recent.append((frozenset(resistive), frozenset(self._far(block))))
        events += self._standing(block)
        return events + self._leaks(block)

    def resistances(self, block: Block) -> Values | None:
        """Each cell's resistance beyond the median cell's where this block tells it well, in Ohm."""
        if block.ohm is None or block.ohm_error is None:
            return None
        known = block.ohm_error <= _OHM_SHARE / 2 * self.own_ohm()
        return np.where(known, block.ohm, np.nan) if known.any() else None

    def own_ohm(self) -> float:
        """Resistance of the median cell by the newest blocks that told it, in Ohm; a usual one where none did."""
        return max(float(np.median(self._middle_ohm)), OHM_MIN) if self._middle_ohm else 0.001

    def _charge_told(self, block: Block) -> bool:
        return volts_per_percent(self._chemistry, block.middle_v) >= STEEP_ENOUGH

    def _resistive(self, block: Block) -> list[int]:
        """Cells whose resistance stands out in this block."""
        if block.ohm is None or block.ohm_error is None:
            return []
        spread = max(spread_of(block.ohm), 0.1 * self.own_ohm())
        limit = max(_OHM_SHARE * self.own_ohm(), OHM_MIN)
        return [
            cell
            for cell in apart(block.ohm / spread)
            if block.ohm[cell] >= limit and block.ohm[cell] >= _ERRORS * block.ohm_error[cell]
        ]

    def _far(self, block: Block) -> list[int]:
        """Cells that lack far more charge than any other."""
        if not self._charge_told(block):
            return []
        charge = block.rest_v / volts_per_percent(self._chemistry, block.middle_v)
        sigmas = charge / max(spread_of(charge), _SPREAD_PERCENT)
        error = block.rest_error_v
        return [
            cell
            for cell in apart(-sigmas)
            if charge[cell] <= -_FAR_PERCENT and sigmas[cell] <= -_FAR_SIGMAS and -block.rest_v[cell] > 4 * error[cell]
        ]

    def _standing(self, block: Block) -> list[Event]:
        """Name what two of the last three blocks have found."""
        events: list[Event] = []
        for kind, feature in ((0, "resistance"), (1, "rest_voltage")):
            cells = {cell for found in self._recent for cell in found[kind]}
            beside = np.nan_to_num(block.rest_v if block.ohm is None or kind else block.ohm)
            for cell in sorted(cells, key=lambda at: (-abs(beside[at]), at)):  # the worse of two at one joint first
                share = sum(cell in found[kind] for found in self._recent)
                if share < _BAD_BLOCKS or self._sensors.is_lying(cell):
                    continue
                events += self._resistance(block, cell) if feature == "resistance" else self._weak(block, cell)
        return events

    def _resistance(self, block: Block, cell: int) -> list[Event]:
        if block.ohm is None or np.isnan(block.ohm[cell]):
            return []
        ohm, slope = float(block.ohm[cell]), volts_per_percent(self._chemistry, block.middle_v)
        lacks = -float(block.rest_v[cell]) / slope
        level: AdviceLevel = "service_soon" if ohm >= _OHM_SOON * self.own_ohm() else "advice"
        beside = [at for at in (cell - 1, cell + 1) if 0 <= at < len(block.ohm) and block.ohm[at] > ohm]
        if any(("resistance", at) in self._told for at in beside):
            return []  # one loose joint shows in the cells on both its sides
        if not self._is_news("resistance", cell, 1 + (level == "service_soon")):
            return []
        return [
            advise(
                block.end_ns,
                level=level,
                fault="weak_cell" if lacks >= _REST_PERCENT else "contact_resistance",
                cell=cell,
                feature="resistance",
                value=ohm,
                spread=spread_of(block.ohm),
                unit="Ohm",
                since_days=0.0,
                confidence=0.8,
            )
        ]

    def _weak(self, block: Block, cell: int) -> list[Event]:
        if self._may_leak(block, cell) or ("resistance", cell) in self._told or ("leak", cell) in self._told:
            return []
        if not self._is_news("rest", cell, 2):
            return []
        return [
            advise(
                block.end_ns,
                level="service_soon",
                fault="weak_cell",
                cell=cell,
                feature="rest_voltage",
                value=float(block.rest_v[cell]),
                spread=spread_of(block.rest_v),
                unit="V",
                since_days=0.0,
                confidence=0.8,
            )
        ]

    def _may_leak(self, block: Block, cell: int) -> bool:
        """Whether the cell was like the others minutes ago: then it is losing charge, and soon it is known how fast."""
        first = self._blocks[0]
        if block.end_ns - first.end_ns >= _LEAK_SPAN_NS + 60 * NS or not self._charge_told(first):
            return False
        return first is not block and float(self._charge(first)[cell]) > -_REST_PERCENT

    def _leaks(self, block: Block) -> list[Event]:
        """Cells that have lost charge for minutes, steadily, beyond all others and whatever the current did."""
        blocks = [b for b in self._blocks if b.middle_v >= _STEEP_END_V[self._chemistry] and self._charge_told(b)]
        if len(blocks) < _LEAK_BLOCKS or block.end_ns - blocks[0].end_ns < _LEAK_SPAN_NS:
            return []
        third = len(blocks) // 3
        parts = (blocks[:third], blocks[third:-third], blocks[-third:])
        charge = [np.median([self._charge(b) for b in part], axis=0) for part in parts]
        hours = (np.mean([b.end_ns for b in parts[2]]) - np.mean([b.end_ns for b in parts[0]])) / NS / 3600
        lost = charge[2] - charge[0]
        spread = max(spread_of(lost), _LEAK_SPREAD_PERCENT)
        current = float(np.mean([b.ampere for b in blocks]))
        events: list[Event] = []
        for cell in np.flatnonzero((np.abs(lost) >= _LEAK_PERCENT) & (np.abs(lost) >= _LEAK_SIGMAS * spread)).tolist():
            steps = np.array([charge[1][cell] - charge[0][cell], charge[2][cell] - charge[1][cell]])
            if self._sensors.is_lying(cell) or not (steps * np.sign(lost[cell]) >= abs(lost[cell]) / 5).all():
                continue
            lies = in_the_sensor(parts[0], parts[2], cell)
            if ("leak", cell) in self._told:
                lies = False
            if lies or (lies is None and _rose(parts[0], parts[2], cell)):
                events += self._sensors.lie(block, cell, "drift")
                continue
            if lost[cell] > 0:
                continue
            if lies is None and np.isfinite(block.pack_v) and -lost[cell] < _SURE_PERCENT:
                continue  # the pack's voltage will tell once there is more to see
            per_h = -float(lost[cell]) / float(hours)
            if per_h / 100 * (self._capacity_ah or 100.0) >= _LEAK_OF_CURRENT * current:
                events += self._leak(block, cell, per_h, spread / float(hours))
        return events

    def _leak(self, block: Block, cell: int, per_h: float, spread: float) -> list[Event]:
        level: AdviceLevel = "stop_now" if per_h >= _STOP_PERCENT_PER_H else "service_soon"
        if not self._is_news("leak", cell, 2 + (level == "stop_now")):
            return []
        known = self._capacity_ah is not None
        factor = (self._capacity_ah or 100.0) / 100
        return [
            advise(
                block.end_ns,
                level=level,
                fault="micro_short",
                cell=cell,
                feature="self_discharge",
                value=per_h * factor if known else per_h,
                spread=spread * factor if known else spread,
                unit="A" if known else "percent/h",
                since_days=round((block.end_ns - self._blocks[0].start_ns) / NS / 86_400, 3),
                confidence=0.9,
            )
        ]

    def _charge(self, block: Block) -> Values:
        return block.rest_v / volts_per_percent(self._chemistry, block.middle_v)

    def is_lying(self, cell: int) -> bool:
        """Whether the cell's sensor has been told to lie."""
        return self._sensors.is_lying(cell)

    def ask_again(self, cell: int) -> None:
        """What was found of the cell's voltage at rest has not been told: find it again."""
        self._told.pop(("rest", cell), None)

    def lie_later(self, t_ns: int, cell: int, beside_v: float) -> list[Event]:
        """A reading that days, not minutes, have shown to lie; told once."""
        return self._sensors.lie_later(t_ns, self._blocks[-1], cell, beside_v) if self._blocks else []

    def _is_news(self, kind: str, cell: int, level: int) -> bool:
        if level <= self._told.get((kind, cell), 0):
            return False
        self._told[kind, cell] = level
        return True


def _rose(before: list[Block], after: list[Block], cell: int) -> bool:
    """Whether a cell's voltage at rest rose beside the median cell's by more than rounding and the curve's bends."""
    moved = float(np.median([b.rest_v[cell] for b in after]) - np.median([b.rest_v[cell] for b in before]))
    return moved >= SENSOR_V / 2
