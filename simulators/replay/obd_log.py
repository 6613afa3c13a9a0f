"""Drives of an OBD-II logger as CSV, one row a second, as samples.

Columns are found by name, as `ENGINE_RPM ()`; units in brackets are not read, since the logger leaves them out. A row
ends in a comma, the header does not: what counts is a column's place from the left. A row may lack columns at its end,
as long as those that are read are there. Longer rows, and values that are no numbers, are counted as bad. Values keep
the units of SAE J1979, which are those of VSS.
"""

import csv
from collections.abc import Iterable
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt

from agent.core import vss
from agent.core.errors import InputError
from agent.core.signals import Samples, SignalSpec, interleave

NS: Final = 1_000_000_000
_COLUMNS: Final = {
    "ENGINE_RPM": vss.ENGINE_SPEED,
    "VEHICLE_SPEED": vss.SPEED,
    "THROTTLE": vss.THROTTLE,
    "ENGINE_LOAD": vss.ENGINE_LOAD,
    "COOLANT_TEMPERATURE": vss.COOLANT_TEMPERATURE,
    "LONG_TERM_FUEL_TRIM_BANK_1": vss.LONG_TERM_FUEL_TRIM,
    "SHORT_TERM_FUEL_TRIM_BANK_1": vss.SHORT_TERM_FUEL_TRIM,
    "INTAKE_MANIFOLD_PRESSURE": vss.MANIFOLD_PRESSURE,
    "FUEL_TANK": "Vehicle.Powertrain.FuelSystem.RelativeLevel",
    "ABSOLUTE_BAROMETRIC_PRESSURE": "Vehicle.Private.OBD.BarometricPressure",
    "RELATIVE_THROTTLE_POSITION": "Vehicle.Private.OBD.RelativeThrottlePosition",
    "ENGINE_RUN_TINE": vss.RUN_TIME,  # the logger's spelling
    "INTAKE_AIR_TEMP": vss.INTAKE_TEMPERATURE,
    "TIMING_ADVANCE": "Vehicle.Private.OBD.TimingAdvance",
    "CONTROL_MODULE_VOLTAGE": vss.LOW_VOLTAGE,
}


class ObdLog:
    """One drive. specs: its signals; samples count in them; bad: rows that could not be read."""

    name = "obd log"

    def __init__(self, lines: Iterable[str], *, name: str) -> None:
        """Raises InputError where the header has none of the columns known here."""
        reader = csv.reader(lines)
        header = [cell.split("(")[0].strip() for cell in next(reader, [])]
        wanted = [(place, _COLUMNS[cell]) for place, cell in enumerate(header) if cell in _COLUMNS]
        if not wanted:
            raise InputError(f"{name}: line 1: no column of an OBD-II log, such as ENGINE_RPM")
        self.specs = [SignalSpec(path, stale_after_s=3.0) for _, path in wanted]
        self.bad = 0
        self.seconds = 0
        places = [place for place, _ in wanted]
        self._t_s: list[int] = []
        self._rows: list[list[float]] = []
        for row in reader:
            self._take(row, places, len(header))

    @classmethod
    def read(cls, path: Path) -> "ObdLog":
        """Read a file. Raises InputError where that cannot be done."""
        try:
            with path.open(newline="", encoding="ascii") as lines:
                return cls(lines, name=path.name)
        except (OSError, UnicodeDecodeError) as exc:
            raise InputError(f"{path}: cannot be read: {exc}") from exc

    def batch(self, first: int, last: int) -> Samples:
        """Rows first to last - 1, counted without the bad ones."""
        t_ns = np.array(self._t_s[first:last], np.int64) * NS
        return interleave(t_ns, np.array(self._rows[first:last], np.float64).reshape(-1, len(self.specs)))

    def times(self) -> npt.NDArray[np.int64]:
        """When each row was, t_ns int64[n]."""
        return np.array(self._t_s, np.int64) * NS

    def values(self) -> npt.NDArray[np.float64]:
        """All rows, float64[n, signals], without the bad ones."""
        return np.array(self._rows, np.float64).reshape(-1, len(self.specs))

    def __len__(self) -> int:
        return len(self._rows)

    def _take(self, row: list[str], places: list[int], width: int) -> None:
        """One row is one second, whether it can be read or not."""
        self.seconds += 1
        cells = row[:-1] if len(row) == width + 1 and not row[-1].strip() else row
        try:
            values = [float(cells[place]) for place in places] if len(cells) <= width else []
        except (ValueError, IndexError):
            values = []
        if not values or not np.isfinite(values).all():
            self.bad += 1
            return
        self._t_s.append(self.seconds)
        self._rows.append(values)
