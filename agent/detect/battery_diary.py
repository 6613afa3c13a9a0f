"""What happened to the traction battery, by day: charges, estimates of health, advice, alarms, sensors that lie. Pure.

A report is made of the rows of its days, so it does not matter which start or window of a recording they came in.
"""

from typing import Final

import msgspec

from agent.core.battery_events import AdviceLevel, CellFault, ChargingFaultName
from agent.core.events import BatteryAdvice, BatteryAlarm, BatteryHealth, ChargeSession, Event, PackSensorFault
from agent.detect.streams import NS

DAY_NS: Final = 86_400 * NS
CHARGES_MAX: Final = 400
_KWH_MIN: Final = 0.1  # less is a cable that was tried
_ESTIMATES_MAX: Final = 60
_ADVICE_MAX: Final = 64
_SENSORS_MAX: Final = 64
_ALARM_DAYS_MAX: Final = 400
_VERSION: Final = 1


class Charge(msgspec.Struct, frozen=True, array_like=True):
    """One ChargeSession."""

    day: int
    mode: str
    energy_kwh: float
    power_max_kw: float
    soc_start: float | None
    soc_end: float | None
    interrupted: int
    faults: list[ChargingFaultName]
    ended: str


class Estimate(msgspec.Struct, frozen=True, array_like=True):
    """One BatteryHealth: capacity in Ah and SOH in percent, each with its 90 % interval."""

    day: int
    segments: int
    ah: float
    low_ah: float
    high_ah: float
    soh: float | None
    low: float | None
    high: float | None


class Advised(msgspec.Struct, frozen=True, array_like=True):
    """One BatteryAdvice; cell None: from here on it is another pack."""

    day: int
    cell: int | None
    level: AdviceLevel
    fault: CellFault


class Diary(msgspec.Struct):
    """Days are numbered from 1970 where the date is known. alarms: day, and how many of level 1 to 4. All bounded."""

    version: int = _VERSION
    start_day: int | None = None  # of the month that the next report is about
    last_day: int = 0
    charges: list[Charge] = []
    estimates: list[Estimate] = []
    advice: list[Advised] = []
    sensors: list[tuple[int, str]] = []
    alarms: list[tuple[int, list[int]]] = []

    def note(self, event: Event, day: int) -> bool:
        """Write down what concerns the battery; whether it did."""
        match event:
            case ChargeSession() if event.energy_kwh >= _KWH_MIN or event.faults:
                self.charges = [*self.charges, _charge(event, day)][-CHARGES_MAX:]
            case BatteryHealth():
                self.estimates = [*self.estimates, _estimate(event, day)][-_ESTIMATES_MAX:]
            case BatteryAdvice():
                row = Advised(day, event.cell, event.level, event.fault)
                self.advice = [*self.advice, row][-_ADVICE_MAX:]
            case PackSensorFault():
                self.sensors = [*self.sensors, (day, event.signal)][-_SENSORS_MAX:]
            case BatteryAlarm(cleared=False):
                self._count_alarm(day, event.level)
            case _:
                return False
        return True

    def dump(self) -> bytes:
        """Everything, to be kept across boots."""
        return msgspec.msgpack.encode(self)

    def _count_alarm(self, day: int, level: int) -> None:
        rows = dict(self.alarms)
        counts = rows.setdefault(day, [0, 0, 0, 0])
        counts[min(max(level, 1), 4) - 1] += 1
        self.alarms = sorted(rows.items())[-_ALARM_DAYS_MAX:]


def load_diary(state: bytes) -> Diary:
    """What `dump` gave; an empty one where it is nothing, damaged or of other software."""
    try:
        diary = msgspec.msgpack.decode(state, type=Diary)
    except (msgspec.MsgspecError, ValueError):
        return Diary()
    whole = diary.version == _VERSION and all(len(counts) == 4 for _, counts in diary.alarms)
    return diary if whole else Diary()


def _charge(event: ChargeSession, day: int) -> Charge:
    return Charge(
        day,
        event.mode,
        event.energy_kwh,
        event.power_max_kw,
        event.soc_start,
        event.soc_end,
        event.interrupted,
        event.faults,
        event.ended,
    )


def _estimate(event: BatteryHealth, day: int) -> Estimate:
    return Estimate(
        day,
        event.segments,
        event.capacity_ah,
        event.capacity_low_ah,
        event.capacity_high_ah,
        event.soh_percent,
        event.soh_low_percent,
        event.soh_high_percent,
    )
