"""What the battery's page shows, out of the two files that outlive a start. Pure but for reading them."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import numpy as np

from agent.cli.battery_words import word
from agent.core.events import BatteryReport
from agent.core.ports import Language
from agent.detect.battery_diary import Diary, Estimate, load_diary
from agent.detect.battery_report import look_at_cells, make_report
from agent.detect.cell_days import DAYS_MAX, CellDays
from agent.detect.cell_evidence import Evidence, look_at_cell
from agent.detect.cell_figures import Values
from agent.detect.cell_state import load_days
from agent.detect.health import Capacity, ChargeSegments
from drivers.state_file import FileDiaryStore, FilePackStore

REPORT_DAYS: Final = 30
_LINES_MAX: Final = 3
_DATED_DAY: Final = 3650  # a smaller number was counted by a box that never knew the date


@dataclass(frozen=True, slots=True)
class BatteryFacts:
    """report: of the last thirty days. numbers int[n] and volt float64[n, cells]: days of use and the cells at rest.

    evidence: of each cell with open advice.
    """

    device: str
    diary: Diary
    report: BatteryReport
    since: int
    until: int
    numbers: Sequence[int]
    volt: Values
    capacity: Capacity | None
    evidence: Sequence[Evidence]

    @property
    def estimates(self) -> list[Estimate]:
        """What was told of the capacity, and the newest estimate behind it."""
        told = list(self.diary.estimates)
        newest, today = self.capacity, self.until - 1
        if newest is not None:
            told = [one for one in told if one.day != today]
            told.append(Estimate(today, newest.segments, newest.ah, newest.low_ah, newest.high_ah, None, None, None))
        return told

    @property
    def lines(self) -> list[int]:
        """Cells that are drawn each by itself: those with open advice, and the weakest."""
        weakest = [] if self.report.weakest is None else [self.report.weakest]
        cells = self.volt.shape[1]
        return [cell for cell in dict.fromkeys([*self.report.cells, *weakest]) if 0 <= cell < cells][:_LINES_MAX]


def read_facts(directory: Path, device: str) -> BatteryFacts | None:
    """What a store directory holds of the battery; None where nothing is kept."""
    diary = load_diary(FileDiaryStore(directory).load())
    days = load_days(FilePackStore(directory).load())
    return gather(device, diary, days) if diary.start_day is not None or days is not None else None


def gather(device: str, diary: Diary, days: CellDays | None) -> BatteryFacts:
    """The month up to the last day that is known of, and everything before it for the charts."""
    numbers, volt = (np.zeros(0, np.int32), np.zeros((0, 0)))
    if days is not None:
        numbers, volt = days.last("volt", DAYS_MAX, since=0)
    until = max([diary.last_day, *numbers.tolist()[-1:]]) + 1
    first = [diary.start_day] if diary.start_day is not None else []
    since = max(until - REPORT_DAYS, min([*first, *(row.day for row in diary.charges), *numbers.tolist(), until - 1]))
    cells = None if days is None else look_at_cells(days, since=until - REPORT_DAYS, until=until)
    report = make_report(0, diary, cells, since=since, until=until)
    capacity = None if days is None else ChargeSegments(list(days.capacities)).capacity()
    cells_told = [] if days is None else [cell for cell in report.cells if cell < days.cells]
    evidence = [look_at_cell(days, cell, until=until) for cell in cells_told] if days is not None else []
    return BatteryFacts(device, diary, report, since, until, numbers.tolist(), volt, capacity, evidence)


def day_text(day: int, language: Language) -> str:
    """A date, or the day's number where nobody knew the date."""
    if not _DATED_DAY <= day < 2_900_000:
        return word("day_number", language, day=day)
    return datetime.fromtimestamp(day * 86_400, UTC).date().isoformat()
