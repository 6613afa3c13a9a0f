"""Logs of a cloud platform: one row of the whole pack a second or half a minute, as CSV (also zipped), as samples.

Columns are found by name: `tboxTime`, `V_1`.. (cells, V), `T_1`.. (probes), pack current (discharging positive), pack
voltage, state of charge, speed, insulation in MOhm, the BMS's own warning level. Sentinels are left in: to tell them is
the agent's business. Probes coded +40 are told by the log's own extremes.
"""

import csv
import io
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt

from agent.core import vss
from agent.core.errors import EndOfSource, InputError
from agent.core.signals import Samples, SignalSpec, interleave

NS: Final = 1_000_000_000

_TIME: Final = "tboxTime"
_LEVEL: Final = "BMSWarningInformation"
_PACK: Final = {  # column: path, factor
    "vehSpeed": (vss.SPEED, 1.0),
    "BMSBatteryVoltage": (vss.PACK_VOLTAGE, 1.0),
    "BMSBatteryCurrent": (vss.PACK_CURRENT, -1.0),
    "vehBMSPackSOC": (vss.STATE_OF_CHARGE, 1.0),
    "BMSCellVoltageMax": (vss.CELL_VOLTAGE_MAX, 1.0),
    "BMSCellVoltageMin": (vss.CELL_VOLTAGE_MIN, 1.0),
    "BMSProbeTempMax": (vss.PACK_TEMPERATURE_MAX, 1.0),
    "BMSProbeTempMin": (vss.PACK_TEMPERATURE_MIN, 1.0),
    "insulationResistance": (vss.INSULATION_RESISTANCE, 1000.0),
}
_CODED_C: Final = 40.0
_ROWS: Final = 256
_SIZE_MAX: Final = 1 << 30


@dataclass(frozen=True, slots=True)
class Piece:
    """Rows of a log. samples count in CellLog.specs; bms_level int64[n], 0 where the log has none; wall_s: UTC."""

    samples: Samples
    t_ns: npt.NDArray[np.int64]
    bms_level: npt.NDArray[np.int64]
    wall_s: npt.NDArray[np.float64]


class CellLog:
    """One log, read anew at every iteration; a sample source, too. Times count from the first row and never go back.

    Raises InputError naming the file and line where a row cannot be read.
    """

    name = "cell log"

    def __init__(self, path: Path) -> None:
        self.path = path
        self._pieces: Iterator[Piece] = iter(())
        with _open(path) as lines:
            header = next(csv.reader(lines), [])
        if _TIME not in header:
            raise InputError(f"{path.name}: no column {_TIME}")
        cells = [(k, vss.cell_voltage(int(name[2:]) - 1), 1.0) for k, name in enumerate(header) if _is(name, "V_")]
        probes = [(k, vss.cell_temperature(int(name[2:]) - 1), 1.0) for k, name in enumerate(header) if _is(name, "T_")]
        pack = [(header.index(name), *what) for name, what in _PACK.items() if name in header]
        columns = cells + probes + pack
        self.cells = len(cells)
        self.specs: Sequence[SignalSpec] = [SignalSpec(path) for _, path, _ in columns]
        self._width = len(header)
        self._time = header.index(_TIME)
        self._level = header.index(_LEVEL) if _LEVEL in header else None
        self._columns = np.array([column for column, _, _ in columns])
        self._factors = np.array([factor for _, _, factor in columns])
        self._probes = slice(len(cells), len(cells) + len(probes))
        self._extremes = [
            k for k, spec in enumerate(self.specs) if spec.path in {vss.PACK_TEMPERATURE_MAX, vss.PACK_TEMPERATURE_MIN}
        ]

    async def open(self) -> None:
        """Begin at the first row."""
        self._pieces = iter(self)

    async def close(self) -> None:
        """Let go of the file."""
        self._pieces = iter(())

    def counters(self) -> Mapping[str, int]:
        """Nothing is counted: a log has no buffers."""
        return {}

    async def read_batch(self) -> Samples:
        """The next rows. Raises EndOfSource after the last ones."""
        for piece in self._pieces:
            return piece.samples
        raise EndOfSource(f"{self.path.name}: read to its end")

    def __iter__(self) -> Iterator[Piece]:
        first_s = newest_s = None
        with _open(self.path) as lines:
            reader = csv.reader(lines)
            next(reader)
            while rows := list(islice((row for row in reader if row), _ROWS)):
                wall_s, values, level = self._parse(rows, reader.line_num)
                if first_s is None:
                    first_s = newest_s = float(wall_s[0])
                wall_s = np.maximum.accumulate(np.maximum(wall_s, newest_s or first_s))
                newest_s = float(wall_s[-1])
                t_ns = np.rint((wall_s - first_s) * NS).astype(np.int64)
                yield Piece(interleave(t_ns, values), t_ns, level, wall_s)

    def _parse(
        self, rows: list[list[str]], line: int
    ) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64], npt.NDArray[np.int64]]:
        try:
            wall_s = np.array([_utc_s(row[self._time]) for row in rows])
            values = np.array([[float(row[k]) if row[k] else np.nan for k in self._columns] for row in rows])
            level = np.array([int(float(row[self._level])) if self._level is not None else 0 for row in rows])
        except (ValueError, IndexError) as exc:
            raise InputError(f"{self.path.name}: rows up to line {line}: {exc}") from exc
        values = values * self._factors
        probes = values[:, self._probes]
        if self._extremes and probes.size:
            known = float(np.nanmedian(values[:, self._extremes]))
            middle = float(np.nanmedian(probes))
            if abs(middle - _CODED_C - known) < abs(middle - known):
                values[:, self._probes] = probes - _CODED_C
        return wall_s, values, level


def _is(name: str, prefix: str) -> bool:
    return name.startswith(prefix) and name[2:].isdecimal()


def _utc_s(text: str) -> float:
    """Seconds since 1970; the logs name no zone, and only differences matter."""
    return datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()


def _open(path: Path) -> io.TextIOBase:
    """The CSV, out of its zip where it is in one. Raises InputError."""
    try:
        if path.suffix != ".zip":
            return path.open(encoding="utf-8", newline="")
        archive = zipfile.ZipFile(path)
        (member,) = archive.infolist()
        if member.file_size > _SIZE_MAX:
            raise InputError(f"{path.name}: {member.filename} unpacks to {member.file_size} bytes")
        return io.TextIOWrapper(archive.open(member), encoding="utf-8", newline="")
    except (OSError, zipfile.BadZipFile, ValueError) as exc:
        raise InputError(f"{path}: no log, or no zip with one file: {exc}") from exc
