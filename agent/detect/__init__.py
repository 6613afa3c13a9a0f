"""Detectors: small classes that see samples and time as data, and give events."""

from typing import Protocol

from agent.core.config import Detect
from agent.core.events import Event
from agent.core.ports import StateStore
from agent.core.signals import SignalWindow
from agent.detect.battery import BatteryDetector
from agent.detect.battery_report import BatteryReports
from agent.detect.cells import CellDetector
from agent.detect.charging import ChargingDetector
from agent.detect.collision import CollisionDetector
from agent.detect.crash_record import CrashRecords
from agent.detect.engine import EngineDetector
from agent.detect.low_voltage import LowVoltageDetector
from agent.detect.pack_alarms import PackAlarmDetector
from agent.detect.trip import TripDetector


class Detector(Protocol):
    """Finds one kind of thing. Events are a function of the samples alone.

    A recording may be cut into windows anywhere in time: the events are the same, in the same order per detector.
    Samples of one instant come in one window, and a window holds all samples up to its t_ns that none held before.
    """

    inputs: tuple[str, ...]

    def configure(self, limits: Detect) -> None:
        """Take new limits; what is known of the drive stays."""
        ...

    def update(self, window: SignalWindow) -> list[Event]:
        """Judge a window that has new samples of one of `inputs`."""
        ...

    def finish(self, t_ns: int) -> list[Event]:
        """Return what was still open when the data ended at t_ns."""
        ...


def make_detectors(
    limits: Detect,
    *,
    pack_store: StateStore | None = None,
    diary_store: StateStore | None = None,
    epoch_ns: int | None = None,
) -> list[Detector]:
    """Every rule detector, in the order in which the app should ask them.

    pack_store, diary_store: where what is learnt of the cells, and of the battery's use, outlives a boot; epoch_ns: UTC
    at t_ns 0, None where it is not known. Battery reports come last: they hear what the others found.
    """
    cells = CellDetector(limits, store=pack_store, epoch_ns=epoch_ns)
    records = CrashRecords(limits)
    return [
        CollisionDetector(limits, records),
        records,
        BatteryDetector(limits),
        PackAlarmDetector(limits),
        cells,
        LowVoltageDetector(limits),
        ChargingDetector(limits),
        TripDetector(limits),
        EngineDetector(limits),
        BatteryReports(limits, days=lambda: cells.days, store=diary_store, epoch_ns=epoch_ns),
    ]
