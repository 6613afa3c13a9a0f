"""What the car's control units remember of faults: pending, confirmed and permanent codes, the lamp, freeze frames.

The logic of two drive cycles, as OBD-II has it. Common knowledge in the field; neither SAE J1979 nor the regulations
were read, and no conformity is claimed: a fault is pending in the drive cycle that finds it, with a freeze frame;
found again in the next cycle whose monitor ran it is confirmed, permanent, and lights the lamp (faults of the
high-voltage system at once). A cycle whose monitor ran and found nothing ends what was only pending; three of them in a
row put out the lamp and end the permanent code; after forty warm-ups more without the fault the code is forgotten.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

import numpy as np

from simulators.world.grid import STEP_S, Floats
from simulators.world.happenings import LeanMixture, Misfire, Restart
from simulators.world.happenings_pack import HvilOpen, InsulationLoss, WaterIngress
from simulators.world.scenario import PastCycle, Scenario

GOOD_CYCLES: Final = 3
WARM_UPS: Final = 40
DTC_COUNT: Final = "Vehicle.Diagnostics.DTCCount"
MIL: Final = "Vehicle.Private.OBD.IsMILOn"
_MISFIRE_S: Final = 10.0
_LEAN_PERCENT: Final = 20.0
_LEAN_S: Final = 2.0
_MONITOR_S: Final = 20.0  # of a running engine, by when the monitors have looked
_WARM_C: Final = 71.0
_WARM_RISE_K: Final = 22.0
_INSULATION_KOHM: Final = 100.0
_AT_ONCE: Final = frozenset({"P0A0A", "P0AA6"})  # interlock open, insulation lost: one drive cycle is enough


@dataclass(frozen=True, slots=True)
class Memory:
    """What the diagnostics port would tell from t_ns on. frozen: (code, when its freeze frame was taken)."""

    t_ns: int
    pending: tuple[str, ...] = ()
    confirmed: tuple[str, ...] = ()
    permanent: tuple[str, ...] = ()
    lamp: bool = False
    frozen: tuple[tuple[str, int], ...] = ()


@dataclass(slots=True)
class _Code:
    frame_ns: int
    failed: bool = True  # in this drive cycle
    failed_before: bool = False  # in the last one whose monitor ran
    pending: bool = True
    confirmed: bool = False
    lamp: bool = False  # what lights it also makes the code permanent
    good: int = 0
    warm_ups: int = 0


@dataclass(slots=True)
class Diagnosis:
    """The memory of codes through drive cycles."""

    codes: dict[str, _Code] = field(default_factory=dict)

    def fail(self, code: str, t_ns: int) -> bool:
        """A monitor found the fault. Return whether that is news in this cycle."""
        entry = self.codes.get(code)
        if entry is not None and entry.failed:
            return False
        if entry is None:
            entry = self.codes[code] = _Code(frame_ns=t_ns)
        entry.failed = entry.pending = True
        entry.good = entry.warm_ups = 0
        if entry.failed_before or entry.confirmed or code in _AT_ONCE:
            entry.confirmed = entry.lamp = True
        return True

    def end_cycle(self, *, ran: bool, warm_up: bool) -> None:
        """The ignition goes off. ran: the monitors had time to look, so silence means health."""
        for code, entry in list(self.codes.items()):
            if entry.failed:
                entry.failed, entry.failed_before = False, True
                continue
            if ran:
                entry.failed_before = entry.pending = False
                entry.good += 1
            entry.warm_ups += warm_up and not entry.lamp
            if entry.good >= GOOD_CYCLES:
                entry.lamp = False
            if not entry.pending and (not entry.confirmed or (not entry.lamp and entry.warm_ups >= WARM_UPS)):
                del self.codes[code]

    def memory(self, t_ns: int) -> Memory:
        """As it is now."""
        codes = sorted(self.codes.items(), key=lambda item: (not item[1].confirmed, item[1].frame_ns, item[0]))
        return Memory(
            t_ns,
            pending=tuple(code for code, entry in codes if entry.pending),
            confirmed=tuple(code for code, entry in codes if entry.confirmed),
            permanent=tuple(code for code, entry in codes if entry.lamp),
            lamp=any(entry.lamp for _, entry in codes),
            frozen=tuple((code, entry.frame_ns) for code, entry in codes),
        )


@dataclass(frozen=True, slots=True)
class Health:
    """What the monitors look at, on the slow grid: the long fuel trim, kOhm, Celsius; rpm is on the motion grid."""

    trim_percent: Floats
    insulation_kohm: Floats
    coolant_c: Floats
    engine_rpm: Floats


def remember(scenario: Scenario, slow_s: Floats, health: Health) -> tuple[Memory, ...]:
    """The memory from the start on, and after each change, in order of time."""
    diagnosis = Diagnosis()
    for cycle in scenario.past_cycles:
        _live_through(diagnosis, cycle)
    memories = [diagnosis.memory(0)]
    restarts = [event for event in scenario.events if isinstance(event, Restart)]
    starts = [0.0, *(event.at_s for event in restarts)]
    for number, start_s in enumerate(starts):
        end_s = restarts[number].at_s if number < len(restarts) else scenario.duration_s
        if number:
            before = slice(*np.searchsorted(slow_s, (starts[number - 1], start_s)))
            ran = _running_s(health, starts[number - 1], start_s) >= _MONITOR_S
            told = restarts[number - 1].warm_up
            diagnosis.end_cycle(ran=ran, warm_up=_warmed(health.coolant_c[before]) if told is None else told)
            memories.append(diagnosis.memory(round(start_s * 1e9)))
        for at_s, code in sorted(_found(scenario, slow_s, health, start_s, end_s)):
            if diagnosis.fail(code, round(at_s * 1e9)):
                memories.append(diagnosis.memory(round(at_s * 1e9)))
    return tuple(memories)


def lit(memories: Iterable[Memory], slow_s: Floats) -> dict[str, Floats]:
    """Lamp and number of confirmed codes as signals."""
    lamp, count = np.zeros(len(slow_s)), np.zeros(len(slow_s))
    for memory in memories:
        later = slow_s * 1e9 >= memory.t_ns
        lamp[later], count[later] = float(memory.lamp), float(len(memory.confirmed))
    return {MIL: lamp, DTC_COUNT: count}


def news(memories: Iterable[Memory]) -> list[tuple[float, str, str]]:
    """(s, code, `pending` or `confirmed`) of every code that a cycle of this drive found."""
    found = []
    before: Memory | None = None
    for memory in memories:
        if before is not None:
            for code in memory.pending:
                confirmed = code in memory.confirmed and code not in before.confirmed
                if confirmed or code not in before.pending:
                    found.append((memory.t_ns / 1e9, code, "confirmed" if code in memory.confirmed else "pending"))
        before = memory
    return found


def _live_through(diagnosis: Diagnosis, cycle: PastCycle) -> None:
    for _ in range(cycle.times):
        for code in cycle.failed:
            diagnosis.fail(code, 0)
        diagnosis.end_cycle(ran=cycle.ran, warm_up=cycle.warm_up)


def _found(
    scenario: Scenario, slow_s: Floats, health: Health, start_s: float, end_s: float
) -> Iterable[tuple[float, str]]:
    """(s, code) of what the monitors of one drive cycle find."""
    for event in scenario.events:
        if isinstance(event, Misfire):
            at_s = _after_running(health, max(event.at_s, start_s), min(event.until_s, end_s), _MISFIRE_S)
            if at_s is not None:
                yield at_s, f"P03{event.cylinder:02d}"
        elif isinstance(event, LeanMixture):
            lean = slow_s[(health.trim_percent > _LEAN_PERCENT) & (slow_s >= max(event.at_s, start_s))]
            running_s = _after_running(health, start_s, end_s, _LEAN_S)
            if len(lean) and running_s is not None and max(lean[0], running_s) < end_s:
                yield max(float(lean[0]), running_s), "P0171"
        elif isinstance(event, HvilOpen) and event.at_s < end_s and event.until_s > start_s:
            yield max(event.at_s, start_s), "P0A0A"
    if any(isinstance(event, InsulationLoss | WaterIngress) for event in scenario.events):
        low = slow_s[(health.insulation_kohm < _INSULATION_KOHM) & (slow_s >= start_s) & (slow_s < end_s)]
        if len(low):
            yield float(low[0]), "P0AA6"


def _running(health: Health, from_s: float, until_s: float) -> Floats:
    """Instants of the span at which the engine turns."""
    first, last = round(from_s / STEP_S), round(min(until_s, len(health.engine_rpm) * STEP_S) / STEP_S)
    return np.asarray((first + np.flatnonzero(health.engine_rpm[first : max(last, first)] > 0)) * STEP_S, np.float64)


def _running_s(health: Health, from_s: float, until_s: float) -> float:
    return len(_running(health, from_s, until_s)) * STEP_S


def _after_running(health: Health, from_s: float, until_s: float, seconds: float) -> float | None:
    """When the engine has run this long within the span."""
    turning = _running(health, from_s, until_s)
    count = round(seconds / STEP_S)
    return float(turning[count]) if len(turning) > count else None


def _warmed(coolant_c: Floats) -> bool:
    return len(coolant_c) > 0 and coolant_c.max() >= _WARM_C and coolant_c.max() - coolant_c[0] >= _WARM_RISE_K
