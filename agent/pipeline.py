"""From frames and samples to events: the synchronous middle of the main path."""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt

from agent.core.config import Detect, Telemetry
from agent.core.events import Event
from agent.core.frames import FrameBatch
from agent.core.paths import QUALITY
from agent.core.ports import Probe, SampleSource, StateStore
from agent.core.signals import Quality, Samples, SignalCatalog, SignalWindow
from agent.core.toml import load_toml
from agent.core.trouble import CodeListener
from agent.decode.decode import decode_batch
from agent.decode.history import History
from agent.decode.profile import Profile, load_pin, load_pinned
from agent.decode.quality import Ledger, Plausibility, QualityRules
from agent.decode.table import build_checker, build_table, by_pgn
from agent.detect import Detector, make_detectors
from agent.detect.battery_report import BatteryReports
from agent.detect.bus_guard import BusGuard
from agent.detect.bus_pin import check_pin
from agent.detect.cell_days import CellDays
from agent.detect.cells import CellDetector
from agent.detect.telemetry import TelemetrySampler
from agent.proto.bus_codes import CarCodes, TruckCodes
from agent.proto.did import DidDecoder

NO_TELEMETRY: Final = Telemetry()

_VALID: Final = Quality.VALID.name.lower()


@dataclass(slots=True)
class PipelineCounts:
    """What went through, for status and replay."""

    frames: int = 0
    decoded: int = 0
    unknown: int = 0
    bad: int = 0
    failed: int = 0  # frames whose counter or checksum was wrong: they never become signals
    samples: int = 0
    quality: Counter[str] = field(default_factory=Counter)


class Pipeline:
    """decode_batch -> History -> detectors. No clock, no I/O: time comes with the data."""

    def __init__(
        self,
        profile: Profile,
        dbc_paths: Sequence[Path],
        *,
        limits: Detect,
        telemetry: Telemetry = NO_TELEMETRY,
        sample_sources: Sequence[SampleSource] = (),
        on_events: Callable[[Sequence[Event]], None],
        on_window: Callable[[SignalWindow], None],
        probe: Probe | None = None,
        pack_store: StateStore | None = None,
        diary_store: StateStore | None = None,
        bus_store: StateStore | None = None,
        epoch_ns: int | None = None,
        on_codes: CodeListener | None = None,
    ) -> None:
        """epoch_ns: UTC at t_ns 0, where it is known; on_codes: hears of trouble codes on the buses.

        Raises InputError where profile or DBC are not usable.
        """
        self.counts = PipelineCounts()
        self._catalog = SignalCatalog()
        self._table = build_table(profile, dbc_paths, self._catalog)
        self._checker = build_checker(profile, dbc_paths)
        self._by_pgn = profile.j1939
        self._dids = DidDecoder(profile.dids, self._catalog) if profile.dids else None
        self._on_codes = on_codes
        self._codes = TruckCodes() if profile.j1939 else CarCodes()
        known = len(self._catalog)
        self._numbers = {
            source.name: np.array([self._catalog.add(spec) for spec in source.specs], np.int32)
            for source in sample_sources
        }
        self._sources = {
            int(number): name for name, numbers in self._numbers.items() for number in numbers if number >= known
        }
        self._history = History(self._catalog)
        self._plausibility = Plausibility(self._catalog, load_toml(QUALITY, QualityRules), profile.quality)
        self._ledger = Ledger(self._catalog)
        self._detectors: list[Detector] = [
            *make_detectors(limits, pack_store=pack_store, diary_store=diary_store, epoch_ns=epoch_ns),
            TelemetrySampler(telemetry),
        ]
        self._guard: BusGuard | None = None
        if limits.bus.enabled:
            pinned, pin = load_pinned(profile.habits), load_pin(profile.habits)
            if pin is not None:
                check_pin(pin, pinned)
            self._guard = BusGuard(limits.bus, store=bus_store, pinned=pinned)
        self._inputs = [self._rows(detector.inputs) for detector in self._detectors]
        self._reports = [detector for detector in self._detectors if isinstance(detector, BatteryReports)]
        self._on_events = on_events
        self._on_window = on_window
        self._probe = probe
        self._window: SignalWindow | None = None
        self._newest_ns = 0

    def on_frames(self, batch: FrameBatch) -> None:
        """One batch from a bus."""
        self.counts.frames += len(batch)
        good = None
        if self._checker is not None:
            good = self._checker.judge(batch)
            self.counts.failed = self._checker.failed()
        if self._guard is not None and (events := self._guard.update(batch, None if good is None else ~good)):
            self._tell(events)
        if good is not None and not good.all():
            batch = batch[good]
        decoded = decode_batch(self._table, by_pgn(batch) if self._by_pgn else batch)
        self.counts.decoded += decoded.decoded
        self.counts.unknown += decoded.unknown
        self.counts.bad += decoded.bad
        self._take(decoded.samples, batch.t_ns)
        if self._dids is not None and (answers := self._dids.frames(batch)) is not None:
            self._take(answers, batch.t_ns)

        if self._on_codes is not None:
            for reading in self._codes.feed(batch):
                self._on_codes(reading)

    def on_samples(self, source: str, samples: Samples) -> None:
        """Samples of a SampleSource, numbered in its own specs."""
        renumbered = Samples(samples.t_ns, self._numbers[source][samples.signal], samples.value, samples.quality)
        self._take(renumbered, samples.t_ns)

    def configure(self, limits: Detect) -> None:
        """Take new limits at once; the detectors keep their state."""
        for detector in self._detectors:
            detector.configure(limits)

    def finish(self) -> None:
        """The data has ended: close what is open (trips)."""
        if self._guard is not None:
            self._tell(self._guard.finish())
        for detector in self._detectors:
            self._tell(detector.finish(self._newest_ns))

    def latest(self) -> dict[str, float]:
        """Newest valid value of every signal that has one and is not stale."""
        if self._window is None:
            return {}
        values = ((spec.path, self._window.latest(spec.path)) for spec in self._catalog.specs)
        return {path: value for path, value in values if value is not None}

    def units(self) -> dict[str, str]:
        """VSS unit of every signal."""
        return {spec.path: spec.unit for spec in self._catalog.specs}

    def quality(self, t_ns: int) -> dict[str, dict[str, int | float | str]]:
        """Every path's account: values of each quality, and the newest one's quality, age and source."""
        return self._ledger.report(t_ns, self._sources)

    @property
    def cell_days(self) -> CellDays | None:
        """What is kept of the traction battery's cells; None where no pack has been seen."""
        return next((detector.days for detector in self._detectors if isinstance(detector, CellDetector)), None)

    def hear(self, events: Sequence[Event]) -> None:
        """Let the battery's report know of what others than detectors found."""
        for report in self._reports:
            report.hear(events)

    def failed_checks(self) -> dict[str, int]:
        """Frames with a wrong checksum or a counter that stood still, and frames that counters say are missing."""
        return {} if self._checker is None else {name: count for name, count in self._checker.counts.items() if count}

    def _rows(self, paths: Sequence[str]) -> npt.NDArray[np.intp]:
        found = (self._catalog.index(path) for path in paths)
        return np.array([number for number in found if number is not None], np.intp)

    def _take(self, samples: Samples, t_ns: npt.NDArray[np.int64]) -> None:
        if len(t_ns) == 0:
            return
        self._newest_ns = max(self._newest_ns, int(t_ns[-1]))
        if len(samples) == 0:
            return
        samples = self._plausibility.judge(samples)
        self._count(samples.quality)
        self._ledger.add(samples)
        self._history.extend(samples)
        window = self._window = self._history.window(samples, int(t_ns[-1]))
        arrived = np.zeros(len(self._catalog), np.bool_)
        arrived[samples.signal] = True
        for detector, rows in zip(self._detectors, self._inputs, strict=True):
            if arrived[rows].any() and (events := detector.update(window)):
                self._tell(events)
        self._on_window(window)
        if self._probe:
            self._probe(window, samples, self._catalog)

    def _tell(self, events: Sequence[Event]) -> None:
        self.hear(events)
        self._on_events(events)

    def _count(self, quality: npt.NDArray[np.uint8]) -> None:
        self.counts.samples += len(quality)
        if not quality.any():
            self.counts.quality[_VALID] += len(quality)
            return
        per_kind = np.bincount(quality, minlength=len(Quality))
        for kind in Quality:
            if per_kind[kind]:
                self.counts.quality[kind.name.lower()] += int(per_kind[kind])
