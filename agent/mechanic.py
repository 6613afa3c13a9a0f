"""Hears what control units remember of faults, and tells what changed and what may be behind it."""

from collections import deque
from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime
from typing import Final

from agent.core import vss
from agent.core.config import Config, PastRepair
from agent.core.diagnosis_events import Diagnosis, EngineAdvice, TroubleCodes
from agent.core.errors import ConfigError
from agent.core.event_base import Event
from agent.core.ports import StateStore
from agent.core.signals import SignalWindow
from agent.core.trouble import CodeReading
from agent.diagnosis.engine import Findings, Repair, Verdict, diagnose, frame_figures, points_of
from agent.diagnosis.knowledge import Knowledge
from agent.diagnosis.trends import Trends
from agent.diagnosis.watch import CodeWatch

_ADVICE_MAX: Final = 32
_BASE: Final = 5  # characters of a code; UDS adds a failure type, as in P0171-00
_METRES: Final = 1000.0
_SAVE_S: Final = 900  # of a running warm engine, between two times of keeping what was learnt


class Mechanic:
    """Emits a TroubleCodes at each change, then a Diagnosis for each group of codes that is new, or newly confirmed."""

    def __init__(
        self,
        config: Config,
        knowledge: Knowledge,
        *,
        utc_ns: Callable[[], int | None],
        emit: Callable[[Event], None],
        store: StateStore | None = None,
    ) -> None:
        """utc_ns: the time, None where it is not known; store: where trends outlive a boot.

        Raises ConfigError where a repair has an unknown name.
        """
        for place, repair in enumerate(config.vehicle.repairs):
            if repair.what not in knowledge.repairs:
                known = ", ".join(sorted(knowledge.repairs))
                raise ConfigError(f"vehicle.repairs.{place}.what: {repair.what!r} is unknown; known are {known}")
        self._repairs = config.vehicle.repairs
        self._knowledge = knowledge
        self._utc_ns = utc_ns
        self._emit = emit
        self._watch = CodeWatch()
        self._store = store
        self._trends = Trends(store.load() if store else b"")
        self._saved_s = self._trends.seconds
        self._advice: deque[str] = deque(maxlen=_ADVICE_MAX)
        self._odometer_km: float | None = None
        self._explained: dict[str, bool] = {}  # code -> whether it was confirmed then

    def on_codes(self, reading: CodeReading) -> None:
        """Take what a source has read."""
        changed = self._watch.take(reading)
        if changed is None:
            return
        self._emit(changed)
        for code in changed.gone:
            self._explained.pop(_known_as(code), None)
        fresh = self._fresh(changed)
        if not fresh:
            return
        for verdict in diagnose(self._knowledge, list(fresh), self._findings(changed)):
            self._emit(_event(reading, verdict, confirmed=any(fresh[code] for code in verdict.codes)))

    def on_window(self, window: SignalWindow) -> None:
        """Learn how the engine is."""
        self._trends.update(window)
        if self._trends.seconds - self._saved_s >= _SAVE_S:
            self.save()
        metres = window.latest(vss.TRAVELED_DISTANCE)
        self._odometer_km = self._odometer_km if metres is None else metres / _METRES

    def figures(self) -> Mapping[str, float]:
        """Trends of the engine that are known by now, by the names of the rules."""
        return self._trends.figures()

    def save(self) -> None:
        """Keep what was learnt."""
        if self._store and self._trends.seconds != self._saved_s:
            self._store.save(self._trends.state())
            self._saved_s = self._trends.seconds

    def on_event(self, event: Event) -> None:
        """Keep in mind what the signals have shown."""
        if isinstance(event, EngineAdvice) and event.fault not in self._advice:
            self._advice.append(event.fault)

    def _fresh(self, changed: TroubleCodes) -> dict[str, bool]:
        """Codes that were not explained yet, and whether each is more than pending."""
        confirmed = set(map(_known_as, (*changed.stored, *changed.permanent)))
        fresh = {
            code: code in confirmed
            for code in sorted(confirmed | set(map(_known_as, changed.pending)))
            if code not in self._explained or (code in confirmed and not self._explained[code])
        }
        self._explained |= fresh
        return fresh

    def _findings(self, changed: TroubleCodes) -> Findings:
        frame = dict(zip(changed.frame_signals, changed.frame_values, strict=True))
        return Findings(
            codes=frozenset(map(_known_as, self._watch.codes())),
            frame=frame_figures(frame),
            trends=self._trends.figures(),
            repairs=[self._aged(repair) for repair in self._repairs],
            advice=frozenset(self._advice),
        )

    def _aged(self, repair: PastRepair) -> Repair:
        days = km = None
        if repair.date and (utc_ns := self._utc_ns()) is not None:
            today = datetime.fromtimestamp(utc_ns / 1e9, UTC).date()
            days = float((today - date.fromisoformat(repair.date)).days)
        if repair.odometer_km is not None and self._odometer_km is not None:
            km = self._odometer_km - repair.odometer_km
        return Repair(repair.what, days, km)


def _known_as(code: str) -> str:
    """A code as the rule base writes it."""
    return code if code.startswith("SPN") else code[:_BASE]


def _event(reading: CodeReading, verdict: Verdict, *, confirmed: bool) -> Diagnosis:
    rows = [(place, seen) for place, ranked in enumerate(verdict.causes) for seen in ranked.evidence]
    limits = [seen.condition.id for seen in verdict.limits]
    return Diagnosis(
        t_ns=reading.t_ns,
        codes=list(verdict.codes),
        confirmed=confirmed,
        drive="stop_now" if reading.stop else verdict.drive,
        causes=[ranked.cause.id for ranked in verdict.causes],
        points=[ranked.points for ranked in verdict.causes],
        evidence_of=[place for place, _ in rows],
        evidence=[seen.condition.id for _, seen in rows],
        evidence_points=[points_of(seen) for _, seen in rows],
        evidence_values=[None if seen.value is None else round(seen.value, 2) for _, seen in rows],
        limits=[*limits, "red_lamp"] if reading.stop else limits,
    )
