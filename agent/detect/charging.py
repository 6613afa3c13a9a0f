"""Charging: each session from plug to plug, and what broke it off.

Charge and energy are integrals of the pack's own current and voltage. AC or DC is told from power and grid, and left
open where a three-phase wall box and a small DC charger would look the same.
"""

from dataclasses import dataclass
from typing import Final, Literal

from agent.core import vss
from agent.core.battery_actions import charging_action
from agent.core.battery_events import ChargingFaultName as Fault
from agent.core.config import Detect
from agent.core.events import ChargeSession, ChargingFault, Event
from agent.core.signals import SignalWindow
from agent.detect.streams import NS, in_order

_VALUE_MAX: Final = 10_000.0  # no volts, amperes, percent or km/h of any car
_CURRENT_A: Final = 1.0
_STANDING_KMH: Final = 0.5
_DRIVING_KMH: Final = 3.0
_BEGIN_NS: Final = 30 * NS  # of current at standstill where no cable is told: braking is no charging
_STEP_NS: Final = 60 * NS  # longer gaps are not integrated over
_PAUSE_NS: Final = 10 * NS
_END_NS: Final = 900 * NS
_GAP_NS: Final = 900 * NS
_AC_KW, _DC_KW = 7.7, 23.0  # one phase of 32 A at most; three of them at least
_GRID_V: Final = (187.0, 253.0)  # common chargers wait outside; the grid's own promise is narrower
_GRID_GONE_V: Final = 20.0
_BAD_GRID_NS: Final = NS
_FULL_PERCENT: Final = 99.0
_FAULT, _FULL = 4, 3  # CHARGER_STATE
_AFTER_UNPLUG_NS: Final = NS
_SLOW_SHARE, _SLOW_NS = 0.5, 600 * NS
_SLOW_PERCENT: Final = 80.0  # above, every charger slows down
_SLOW_C: Final = (5.0, 40.0)
_TAPERED: Final = 0.7
_LAST_NS: Final = 60 * NS

_INPUTS: Final = (
    vss.SPEED,
    vss.STATE_OF_CHARGE,
    vss.PACK_TEMPERATURE_MAX,
    vss.CHARGER_STATE,
    vss.GRID_VOLTAGE,
    vss.CABLE_CONNECTED,
    vss.PACK_VOLTAGE,
    vss.PACK_CURRENT,
)


@dataclass(slots=True)
class _Session:
    started_ns: int
    soc_start: float | None
    kws: float = 0.0
    coulombs: float = 0.0
    power_max_kw: float = 0.0
    recent_kw: float = 0.0  # smoothed over a minute
    celsius: float | None = None
    flowed_ns: int | None = None  # the last sample with current
    paused: bool = False
    full: bool = False  # when it paused
    interrupted: int = 0
    slow_ns: int | None = None
    told: frozenset[Fault] = frozenset()
    faults: frozenset[Fault] = frozenset()  # told at any time


class ChargingDetector:
    """Sessions with their energy, and faults of charger, grid and plug."""

    inputs: tuple[str, ...] = _INPUTS

    def __init__(self, limits: Detect) -> None:  # noqa: ARG002  # what all detectors take
        self._latest: dict[str, tuple[int, float]] = {}
        self._session: _Session | None = None
        self._began_ns: int | None = None  # current at standstill, not yet a session
        self._before: tuple[int, float] | None = None  # ampere
        self._unplugged_ns: int | None = None
        self._bad_grid_ns: int | None = None

    def configure(self, limits: Detect) -> None:
        """Nothing here is configured."""

    def update(self, window: SignalWindow) -> list[Event]:
        """Judge the window's samples."""
        return [
            event
            for t_ns, order, value in in_order(window, _INPUTS)
            if abs(value) <= _VALUE_MAX  # and NaN is not
            for event in self._take(t_ns, _INPUTS[order], value)
        ]

    def finish(self, t_ns: int) -> list[Event]:
        """Tell the session that was still open."""
        return self._end(t_ns, "data_ended") if self._session is not None else []

    def _take(self, t_ns: int, path: str, value: float) -> list[Event]:
        events: list[Event] = []
        session = self._session
        if session is not None and t_ns - max(at_ns for at_ns, _ in self._latest.values()) > _GAP_NS:
            events = self._end(max(at_ns for at_ns, _ in self._latest.values()), "data_ended")
        before = self._latest.get(path)
        self._latest[path] = (t_ns, value)
        if path == vss.SPEED and value > _DRIVING_KMH:
            self._began_ns = None
            return events + (self._end(t_ns, "unplugged") if self._session is not None else [])
        if path == vss.CABLE_CONNECTED:
            return events + self._take_cable(t_ns, plugged=value > 0, was=before is not None and before[1] > 0)
        if path == vss.PACK_CURRENT:
            return events + self._take_current(t_ns, value)
        if self._session is None:
            return events
        if path == vss.CHARGER_STATE and value == _FAULT:
            return events + self._tell(t_ns, "charger")
        if path == vss.GRID_VOLTAGE and not _good(value):
            return events + self._take_bad_grid(t_ns, value)
        if path in {vss.CHARGER_STATE, vss.GRID_VOLTAGE}:
            self._forget("charger" if path == vss.CHARGER_STATE else "grid")
        if path == vss.PACK_TEMPERATURE_MAX:
            self._session.celsius = max(value, self._session.celsius or value)
        return events

    def _take_bad_grid(self, t_ns: int, volt: float) -> list[Event]:
        """A grid that is out of bounds for a second; no volts at all are a cable that was pulled."""
        if volt <= _GRID_GONE_V:
            self._bad_grid_ns = None
            return []
        since_ns = self._bad_grid_ns = t_ns if self._bad_grid_ns is None else self._bad_grid_ns
        return self._tell(since_ns, "grid") if t_ns - since_ns >= _BAD_GRID_NS else []

    def _take_cable(self, t_ns: int, *, plugged: bool, was: bool) -> list[Event]:
        if plugged:
            self._unplugged_ns = None
            if self._session is None:
                self._begin(t_ns)
            return []
        if was:
            self._unplugged_ns = t_ns
        return self._end(t_ns, "unplugged") if self._session is not None else []

    def _take_current(self, t_ns: int, ampere: float) -> list[Event]:
        before, self._before = self._before, (t_ns, ampere)
        if self._session is None:
            return self._look_for_current(t_ns, ampere)
        session = self._session
        volt = self._fresh(vss.PACK_VOLTAGE, t_ns) or 0.0
        kw = max(ampere, 0.0) * volt / 1000
        if before is not None and 0 < t_ns - before[0] <= _STEP_NS:
            step_s = (t_ns - before[0]) / NS
            mean = (max(ampere, 0.0) + max(before[1], 0.0)) / 2
            session.coulombs += mean * step_s
            session.kws += mean * volt / 1000 * step_s
            session.recent_kw += (kw - session.recent_kw) * min(1.0, (t_ns - before[0]) / _LAST_NS)
        session.power_max_kw = max(session.power_max_kw, kw)
        events = self._watch_pace(t_ns, session)
        if ampere >= _CURRENT_A:
            session.interrupted += session.paused and not session.full  # the pause before the end is none
            session.flowed_ns, session.paused = t_ns, False
        elif session.flowed_ns is not None:
            idle_ns = t_ns - session.flowed_ns
            if idle_ns >= _PAUSE_NS and not session.paused:
                session.paused, session.full = True, self._is_full(t_ns)
            if idle_ns >= _END_NS:
                events += self._end(t_ns, "full" if self._is_full(t_ns) else "stopped")
        return events

    def _look_for_current(self, t_ns: int, ampere: float) -> list[Event]:
        if self._unplugged_ns is not None and ampere >= 3 * _CURRENT_A and self._fresh(vss.SPEED, t_ns) == 0:
            late_ns = t_ns - self._unplugged_ns
            if _AFTER_UNPLUG_NS <= late_ns <= 10 * _AFTER_UNPLUG_NS:
                self._unplugged_ns = None
                return [self._fault(t_ns, "plug", ampere * (self._fresh(vss.PACK_VOLTAGE, t_ns) or 0.0) / 1000)]
        standing = (self._fresh(vss.SPEED, t_ns) or 0.0) <= _STANDING_KMH
        if not (standing and ampere >= _CURRENT_A and self._fresh(vss.CABLE_CONNECTED, t_ns) is None):
            self._began_ns = None
            return []
        self._began_ns = t_ns if self._began_ns is None else self._began_ns
        if t_ns - self._began_ns >= _BEGIN_NS:
            self._begin(self._began_ns)
        return []

    def _watch_pace(self, t_ns: int, session: _Session) -> list[Event]:
        """Far less power than this session had, for no reason that the pack could have."""
        soc = self._fresh(vss.STATE_OF_CHARGE, t_ns)
        celsius = self._fresh(vss.PACK_TEMPERATURE_MAX, t_ns)
        reason = soc is None or soc >= _SLOW_PERCENT or celsius is None or not _SLOW_C[0] <= celsius <= _SLOW_C[1]
        slow = _CURRENT_A / 10 < session.recent_kw < _SLOW_SHARE * session.power_max_kw
        if reason or not slow or session.paused:
            session.slow_ns = None
            return []
        session.slow_ns = t_ns if session.slow_ns is None else session.slow_ns
        return self._tell(session.slow_ns, "slow") if t_ns - session.slow_ns >= _SLOW_NS else []

    def _begin(self, t_ns: int) -> None:
        self._began_ns = None
        self._session = _Session(t_ns, self._fresh(vss.STATE_OF_CHARGE, t_ns))

    def _end(self, t_ns: int, how: Literal["full", "unplugged", "stopped", "data_ended"]) -> list[Event]:
        session, self._session = self._session, None
        if session is None or session.flowed_ns is None:
            return []  # a cable without a charge is no session
        full = how in {"unplugged", "data_ended"} and self._is_full(t_ns)
        return [
            ChargeSession(
                t_ns=t_ns,
                started_ns=session.started_ns,
                mode=self._mode(session),
                energy_kwh=round(session.kws / 3600, 3),
                charge_ah=round(session.coulombs / 3600, 3),
                power_max_kw=round(session.power_max_kw, 2),
                soc_start=session.soc_start,
                soc_end=self._latest.get(vss.STATE_OF_CHARGE, (0, None))[1],
                temperature_max_c=session.celsius,
                tapered=not session.paused and 0 < session.recent_kw < _TAPERED * session.power_max_kw,
                interrupted=session.interrupted,
                ended="full" if full else how,
                faults=sorted(session.faults),
            )
        ]

    def _mode(self, session: _Session) -> Literal["ac", "dc", "unknown"]:
        if session.power_max_kw >= _DC_KW:
            return "dc"
        return "ac" if session.power_max_kw <= _AC_KW else "unknown"

    def _is_full(self, t_ns: int) -> bool:
        soc = self._fresh(vss.STATE_OF_CHARGE, t_ns)
        return self._fresh(vss.CHARGER_STATE, t_ns) == _FULL or (soc is not None and soc >= _FULL_PERCENT)

    def _tell(self, t_ns: int, fault: Fault) -> list[Event]:
        session = self._session
        if session is None or fault in session.told or session.flowed_ns is None:
            return []
        session.told |= {fault}
        session.faults |= {fault}
        return [self._fault(t_ns, fault, session.recent_kw)]

    def _forget(self, fault: Fault) -> None:
        """It is over: the next one is told again."""
        if fault == "grid":
            self._bad_grid_ns = None
        if self._session is not None:
            self._session.told -= {fault}

    def _fault(self, t_ns: int, fault: Fault, kw: float) -> Event:
        grid = self._latest.get(vss.GRID_VOLTAGE)
        return ChargingFault(
            t_ns=t_ns,
            fault=fault,
            power_kw=round(kw, 2),
            grid_v=None if grid is None else round(grid[1], 1),
            action=charging_action(fault),
        )

    def _fresh(self, path: str, t_ns: int) -> float | None:
        known = self._latest.get(path)
        return known[1] if known is not None and t_ns - known[0] <= _STEP_NS else None


def _good(grid_v: float) -> bool:
    return _GRID_V[0] <= grid_v <= _GRID_V[1]
