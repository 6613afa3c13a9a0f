"""What the store has to say of itself: records it let go, records that the disk spoilt. As events, like any other."""

import logging
from collections import Counter
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Final

from agent.core.erasure import Selection
from agent.core.events import Event, Priority, RecordsDamaged, RecordsErased, RecordsShed
from agent.store.erase import Run, joined
from agent.store.quota import Shed
from agent.store.rebuild import Damage

_LOG: Final = logging.getLogger(__name__)
_RUNS_MAX: Final = 1024  # more are told as fewer, longer ones that are not gone as a whole
_RUNS_TOLD: Final = 128  # in one event
_RUNS_LEAST: Final = 16
_RECORDS_TOLD: Final = 4096  # gone: it is time to tell
_SHED_TOLD_EVERY_NS: Final = 60_000_000_000


class Reports:
    """shed counts records by priority, damaged those set aside or known to be unreadable."""

    def __init__(self, put: Callable[[Event], None], now_ns: Callable[[], int]) -> None:
        self.shed: Counter[Priority] = Counter()
        self.damaged = 0
        self._put = put
        self._now_ns = now_ns
        self._untold: dict[Priority, Shed] = {}
        self._told_ns: int | None = None

    def note_shed(self, parts: Sequence[Shed]) -> None:
        """A full store lets go at every commit: the first time is told at once, then what each minute brought."""
        for part in parts:
            self.shed[part.priority] += part.records
            before = self._untold.get(part.priority)
            self._untold[part.priority] = part if before is None else before.joined(part)
        now_ns = self._now_ns()
        if self._told_ns is None or now_ns - self._told_ns >= _SHED_TOLD_EVERY_NS:
            self._told_ns = now_ns
            self.tell_shed()

    def tell_shed(self) -> None:
        """One event for each priority of which records went since the last time."""
        for priority, part in sorted(self._untold.items()):
            _LOG.warning("the store is full: %d records of priority %d are let go", part.records, priority)
            event = RecordsShed(
                t_ns=self._now_ns(),
                of_priority=int(priority),
                records=part.records,
                size_bytes=part.size_bytes,
                first_boot=part.first.boot,
                first_sequence=part.first.sequence,
                first_ns=part.first_ns,
                last_boot=part.last.boot,
                last_sequence=part.last.sequence,
                last_ns=part.last_ns,
            )
            self._put(event)
        self._untold.clear()

    async def tell_erased(self, slices: AsyncIterator[Sequence[Run]], selection: Selection, request: str) -> int:
        """So that what is missing in the chain is no riddle; returns how many records went.

        It is told as it goes, in parts, also of what is broken off: a power cut leaves little that nobody names.
        """
        records = told = 0
        untold: list[Run] = []
        try:
            async for runs in slices:
                records += sum(run.records for run in runs)
                untold = joined([*untold, *runs], _RUNS_MAX)
                if sum(run.records for run in untold) >= _RECORDS_TOLD:
                    told += self._tell_part(untold, told, selection, request)
                    untold = []
        finally:
            self._tell_part(untold, told, selection, request)
        return records

    def _tell_part(self, untold: Sequence[Run], told: int, selection: Selection, request: str) -> int:
        """How many runs were told. The first ones exactly; the rest of a large erasure in few words."""
        runs = joined(untold, max(_RUNS_MAX - told, _RUNS_LEAST))
        for at in range(0, len(runs), _RUNS_TOLD):
            part = runs[at : at + _RUNS_TOLD]
            event = RecordsErased(
                t_ns=self._now_ns(),
                request=request,
                of_purposes=sorted(selection.purposes or ()),
                records=[run.records for run in part],
                boots=[run.first.boot for run in part],
                firsts=[run.first.sequence for run in part],
                lasts=[run.last.sequence for run in part],
                digests=[run.digest for run in part],
            )
            self._put(event)
        return len(runs)

    def report_damage(self, damage: Damage) -> None:
        """One event for each finding."""
        self.damaged += damage.quarantined + (damage.unreadable or 0)
        event = RecordsDamaged(
            t_ns=self._now_ns(),
            quarantined=damage.quarantined,
            unreadable=damage.unreadable,
            recovered=damage.recovered,
            file="" if damage.file is None else damage.file.name,
        )
        _LOG.error("outbox: damaged: %s", event)
        self._put(event)
