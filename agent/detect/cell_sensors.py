"""Voltage sensors that lie: they stand still, step or drift, and the pack's own voltage knows nothing of it. Pure."""

import dataclasses
from typing import Final

import numpy as np

from agent.core import vss
from agent.core.battery_events import PackSensorFault
from agent.core.events import Event
from agent.detect.cell_blocks import Block
from agent.detect.cell_figures import spread_of

SENSOR_V: Final = 0.02
_GAP_ERRORS: Final = 4.0
_STILL_V: Final = 0.03  # the others moved by so much
_STILL_CHANGES: Final = 12  # and read anew so often: some logs read a cell twice a minute


class CellSensors:
    """Who of one pack lies; told once each."""

    def __init__(self) -> None:
        self._lying: set[int] = set()
        self._still: dict[int, tuple[float, float, float]] = {}  # cell: changes of the others, their range, since

    def feed(self, recent: list[Block]) -> list[Event]:
        """Take the newest blocks, the last of them new.

        Told are readings that stand still while all others move, or step while the pack's own voltage does not.
        """
        block = recent[-1]
        events: list[Event] = []
        usual = float(np.median(block.changes))
        still = (block.changes == 0) & ~np.isnan(block.last_v)
        kept, self._still = self._still, {}
        for cell in np.flatnonzero(still).tolist() if still.sum() <= len(still) // 4 or usual == 0 else []:
            changes, low, high = kept.get(cell, (0.0, block.lowest_v, block.highest_v))
            changes, low, high = changes + usual, min(low, block.lowest_v), max(high, block.highest_v)
            self._still[cell] = (changes, low, high)
            if changes >= _STILL_CHANGES and high - low >= _STILL_V:
                events += self.lie(block, cell, "stuck")
        return events + self._steps(recent[-4:])

    def _steps(self, recent: list[Block]) -> list[Event]:
        """Readings that have stepped: steady over two blocks before and two after, and only in the sensor."""
        if len(recent) < 4:
            return []
        values = np.array([b.rest_v for b in recent])
        moved = values[2:].mean(axis=0) - values[:2].mean(axis=0)
        unsteady = np.maximum(np.abs(values[1] - values[0]), np.abs(values[3] - values[2]))
        stepped = (np.abs(moved) >= max(SENSOR_V, 8 * spread_of(moved))) & (unsteady <= np.abs(moved) / 4)
        events: list[Event] = []
        for cell in np.flatnonzero(stepped).tolist() if stepped.sum() <= len(stepped) // 4 else []:
            if cell not in self._lying and in_the_sensor(recent[:2], recent[2:], cell):
                events += self.lie(recent[-1], cell, "offset")
        return events

    def lie(self, block: Block, cell: int, fault: str) -> list[Event]:
        """Tell of a cell's sensor, once: stuck, offset or drift."""
        if cell in self._lying:
            return []
        self._lying.add(cell)
        return [
            PackSensorFault(
                t_ns=block.end_ns,
                signal=vss.cell_voltage(cell),
                fault=fault,  # type: ignore[arg-type]
                value=round(float(block.last_v[cell]), 4),
                expected=round(block.middle_v, 4),
                unit="V",
            )
        ]

    def is_lying(self, cell: int) -> bool:
        """Whether the cell's sensor has been told to lie."""
        return cell in self._lying

    def lie_later(self, t_ns: int, block: Block, cell: int, beside_v: float) -> list[Event]:
        """A reading that days, not minutes, have shown to lie; told once."""
        shown = dataclasses.replace(block, end_ns=t_ns, last_v=block.last_v.copy())
        shown.last_v[cell] = block.middle_v + beside_v
        return self.lie(shown, cell, "offset")


def in_the_sensor(before: list[Block], after: list[Block], cell: int) -> bool | None:
    """Whether the pack's own voltage knows nothing of what this cell's reading did; None where it cannot tell."""
    moved = float(np.median([b.rest_v[cell] for b in after]) - np.median([b.rest_v[cell] for b in before]))
    gaps = [float(np.median([b.pack_v for b in part])) for part in (before, after)]
    errors = [float(np.median([b.pack_error_v for b in part])) / len(part) ** 0.5 for part in (before, after)]
    if not np.isfinite(gaps).all() or abs(moved) < _GAP_ERRORS * (errors[0] ** 2 + errors[1] ** 2) ** 0.5:
        return None
    return bool(0.5 <= (gaps[1] - gaps[0]) / -moved <= 1.5)
