"""The pack once a second: all cells, current, charge and probes side by side, whatever way they came.

On a bus the cells come in groups, in a log all at once, now and then as a sentinel. A row takes the last plausible
value that each of them had within one second of absolute time, so that any split into windows gives the same rows.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from math import inf
from typing import Final

import numpy as np
import numpy.typing as npt

from agent.core import vss
from agent.core.signals import SignalWindow
from agent.detect.streams import NS

Times = npt.NDArray[np.int64]
Values = npt.NDArray[np.float64]

CELLS_MAX: Final = 256
VOLT_MIN, VOLT_MAX = 1.5, 4.6  # beyond, alarms speak; what a trend learns comes from cells that work
_CELSIUS_MIN, _CELSIUS_MAX = -39.5, 125.0  # -40 and below: the zero of the usual coding, which is no temperature
_SPAN_NS: Final = NS

CELL_PATHS: Final = tuple(vss.cell_voltage(cell) for cell in range(CELLS_MAX))
PROBE_PATHS: Final = tuple(vss.cell_temperature(cell) for cell in range(CELLS_MAX))
_PACK_PATHS: Final = (vss.PACK_CURRENT, vss.STATE_OF_CHARGE, vss.PACK_VOLTAGE, vss.SPEED)
INPUTS: Final = (*CELL_PATHS, *PROBE_PATHS, *_PACK_PATHS)
_COLUMN: Final = {path: number for number, path in enumerate(INPUTS)}
_AMPERE, _SOC, _PACK, _SPEED = (len(INPUTS) - len(_PACK_PATHS) + k for k in range(len(_PACK_PATHS)))
_OTHERS: Final = len(_PACK_PATHS)
_LOWEST: Final = (*[VOLT_MIN] * CELLS_MAX, *[_CELSIUS_MIN] * CELLS_MAX, *[-inf] * _OTHERS)
_HIGHEST: Final = (*[VOLT_MAX] * CELLS_MAX, *[_CELSIUS_MAX] * CELLS_MAX, *[inf] * _OTHERS)


@dataclass(frozen=True, slots=True)
class Row:
    """One second of the pack; NaN where nothing plausible came.

    t_ns: of its last sample. volt float64[CELLS_MAX], celsius float64[CELLS_MAX], ampere + = charging, soc in percent,
    pack_v in V, speed in km/h.
    """

    t_ns: int
    volt: Values
    celsius: Values
    ampere: float
    soc: float
    pack_v: float
    speed: float


class CellRows:
    """Makes rows of windows. A row is finished by the first sample after its second, or by `flush`."""

    def __init__(self) -> None:
        self._number: int | None = None
        self._t_ns = 0
        self._open = np.full(len(INPUTS), np.nan)

    def feed(self, window: SignalWindow) -> Iterator[Row]:
        """Rows that this window finishes, in order of time."""
        if self._number is not None and window.t_ns // _SPAN_NS <= self._number:
            self._take(window)  # a bus has many windows a second
            return
        pieces = []
        for path in window.paths():
            column = _COLUMN.get(path)
            if column is None:
                continue
            series = window.new(path)
            good = _plausible(column, series.value)
            pieces.append((column, series.t_ns[good], series.value[good]))
        stamps = [t_ns for _, t_ns, _ in pieces if len(t_ns)]
        if not stamps:
            return
        t_all = np.sort(np.concatenate(stamps))
        second = self._seconds_of(t_all)
        last = np.append(np.flatnonzero(second[1:] != second[:-1]), len(second) - 1)
        numbers, newest = second[last], t_all[last]
        table = np.full((len(numbers), len(INPUTS)), np.nan)
        for column, t_ns, value in pieces:
            table[np.searchsorted(numbers, self._seconds_of(t_ns)), column] = value  # of several the last one stays
        for number, t_ns, values in zip(numbers.tolist(), newest.tolist(), table, strict=True):
            if number != self._number:
                yield from self.flush()
                self._number = number
            self._t_ns = max(self._t_ns, t_ns)
            self._open = np.where(np.isnan(values), self._open, values)

    def _seconds_of(self, t_ns: Times) -> Times:
        """Which second each sample counts for; one that comes late, for the open one."""
        return np.maximum(t_ns // _SPAN_NS, self._number) if self._number is not None else t_ns // _SPAN_NS

    def _take(self, window: SignalWindow) -> None:
        """Put the last plausible value of each signal into the open row."""
        for path in window.paths():
            column = _COLUMN.get(path)
            if column is None:
                continue
            series = window.new(path)
            for place in range(len(series) - 1, -1, -1):
                value = float(series.value[place])
                if _LOWEST[column] < value < _HIGHEST[column]:
                    self._open[column] = value
                    self._t_ns = max(self._t_ns, int(series.t_ns[place]))
                    break

    def flush(self) -> Iterator[Row]:
        """The row that is still open, if any."""
        if self._number is not None:
            values = self._open
            yield Row(
                self._t_ns,
                values[:CELLS_MAX],
                values[CELLS_MAX : 2 * CELLS_MAX],
                *(float(values[column]) for column in (_AMPERE, _SOC, _PACK, _SPEED)),
            )
        self._number = None
        self._open = np.full(len(INPUTS), np.nan)


def _plausible(column: int, value: Values) -> npt.NDArray[np.bool_]:
    return (value > _LOWEST[column]) & (value < _HIGHEST[column])
