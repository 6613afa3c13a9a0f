"""A pack for months, coarsely: a row a half minute of two drives and a charge a day, with faults that develop in weeks.

The drives of `simulators/world` last minutes and are fine in time; this one is for what takes days. Cells have the same
curves. Amplitudes are ours: it compares detectors and finds their faults, and is no proof about any real fleet.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final, Literal

import numpy as np

from agent.core import vss
from agent.core.signals import Samples, SignalSpec, interleave
from simulators.world.cells import RESISTANCE_OHM, open_circuit_v
from simulators.world.grid import Floats
from simulators.world.scenario import Car

Kind = Literal[
    "healthy",
    "aged",
    "cold",
    "fast_charging",
    "towed",
    "weak_cell",
    "contact_resistance",
    "contact_wear",
    "micro_short",
    "micro_short_fast",
    "coolant_loss",
    "volt_stuck",
    "volt_drift",
    "volt_offset",
    "probe_stuck",
    "probe_offset",
]

HEALTHY: Final[tuple[Kind, ...]] = ("healthy", "aged", "cold", "fast_charging", "towed")
SENSORS: Final[tuple[Kind, ...]] = ("volt_stuck", "volt_drift", "volt_offset", "probe_stuck", "probe_offset")
RUNAWAYS: Final[tuple[Kind, ...]] = ("micro_short", "micro_short_fast", "coolant_loss")

CELLS: Final = 32
PROBES: Final = 8
DAY_S: Final = 86_400.0

_AH: Final = 100.0
_HEAT_JPK: Final = 1850.0
_COOLING_WPK: Final = 1.6
_RUNAWAY_C: Final = 80.0  # from here on it cannot be stopped
_DAILY_C: Final = 6.0
_NOISE_V: Final = 0.0005
_SKEW_A: Final = 4.0  # cells are read within the same half minute, not at the same instant
_SENTINEL_SHARE: Final = 0.0005
_BLEED_PERCENT: Final = 0.15  # a charge
_LEAK_DOUBLES_DAYS: Final = 5.0
_WORN_DAYS: Final = 20.0
_WORN_SHARE: Final = 0.5  # of a cell's resistance: below what a single drive shows
_LEAK_FATAL_A: Final = 6.0


@dataclass(frozen=True, slots=True)
class Life:
    """One pack's life. step_s: between two rows."""

    kind: Kind
    seed: int
    days: int
    step_s: float = 30.0
    specs: tuple[SignalSpec, ...] = field(
        default=(
            *(SignalSpec(vss.cell_voltage(cell)) for cell in range(CELLS)),
            *(SignalSpec(vss.cell_temperature(probe)) for probe in range(PROBES)),
            SignalSpec(vss.PACK_CURRENT),
            SignalSpec(vss.PACK_VOLTAGE),
            SignalSpec(vss.STATE_OF_CHARGE),
            SignalSpec(vss.SPEED),
            SignalSpec(vss.PACK_TEMPERATURE_MAX),
            SignalSpec(vss.CELL_VOLTAGE_MAX),
        )
    )


@dataclass(slots=True)
class Lived:
    """What came of it so far: the cell at fault, when the fault began and when it burnt, in s."""

    cell: int = 0
    fault_s: float | None = None
    runaway_s: float | None = None
    leak_a: float = 0.0  # at the fault's beginning
    beside: list[tuple[float, float]] = field(default_factory=list)  # s, percent of charge beside the median cell

    def mean_leak_a(self, since_s: float, until_s: float) -> float:
        """Of a slow short, over the time given."""
        if self.fault_s is None or until_s <= self.fault_s:
            return 0.0
        doubles = _LEAK_DOUBLES_DAYS * DAY_S
        grown = 2 ** ((until_s - self.fault_s) / doubles) - 2 ** (max(since_s - self.fault_s, 0.0) / doubles)
        return float(self.leak_a * grown * doubles / np.log(2) / (until_s - since_s))

    def mean_loss_a(self, since_s: float, until_s: float) -> float:
        """What the cell lost beside the median cell: its leak, less what balancing took from the others meanwhile."""
        t_s, percent = np.array(self.beside).T
        lost = np.interp(since_s, t_s, percent) - np.interp(until_s, t_s, percent)
        return float(lost / 100 * _AH * 3600 / (until_s - since_s))


def live(life: Life, lived: Lived) -> Iterator[Samples]:
    """The samples of one stretch of use after another; `lived` is filled in meanwhile. Ends with a runaway."""
    pack = _Pack(life, lived)
    for day in range(life.days):
        for start_s, ampere, speed in pack.plan(day):
            yield pack.run(start_s, ampere, speed)
            if lived.runaway_s is not None:
                return


class _Pack:
    def __init__(self, life: Life, lived: Lived) -> None:
        rng = np.random.default_rng([life.seed, 77])
        self._life, self._lived, self._rng = life, lived, rng
        self._car = Car()
        aged = 2.0 if life.kind in {"aged", "coolant_loss"} else 1.0
        self._ambient_c = -20.0 if life.kind == "cold" else float(rng.uniform(5, 30))
        cold = 1 + 0.05 * max(0.0, 25 - self._ambient_c) if life.kind == "cold" else 1.0
        self._ohm = RESISTANCE_OHM * aged * cold * np.maximum(0.5, 1 + 0.06 * rng.standard_normal(CELLS))
        self._capacity = _AH * (0.8 if life.kind == "aged" else 1.0) * (1 + 0.01 * rng.standard_normal(CELLS))
        self._soc = 70 + (1.0 if life.kind == "aged" else 0.5) * rng.standard_normal(CELLS)
        self._celsius = np.full(CELLS, max(self._ambient_c, -20.0) + 4.0)
        self._now_s = 0.0
        self._still: Floats | None = None
        lived.cell = int(rng.integers(1, CELLS))
        acute = life.kind in {"micro_short_fast", "coolant_loss"}
        first = 0.3 if acute or life.kind in HEALTHY else float(rng.uniform(2, 6))
        lived.fault_s = None if life.kind in HEALTHY else first * DAY_S
        self._size = float(rng.uniform(1.0, 2.0))
        lived.leak_a = 0.01 * self._size

    def plan(self, day: int) -> list[tuple[float, Floats, float]]:
        """Start in s, current in A by row (+ = charging) and speed in km/h, of each stretch of use."""
        rest = np.zeros(round(600 / self._life.step_s))
        hours = (7,) if self._life.kind == "coolant_loss" else (7, 18)
        stretches = [
            (day * DAY_S + hour * 3600 + float(self._rng.uniform(0, 1800)), self._drive(rest), 45.0) for hour in hours
        ]
        if self._soc.mean() < 60 or self._life.kind == "coolant_loss":
            fast = self._life.kind in {"fast_charging", "coolant_loss"}
            if self._life.kind == "coolant_loss":
                self._soc -= max(0.0, float(self._soc.mean()) - 25.0)
            wanted_a = 200.0 if self._life.kind == "coolant_loss" else 120.0 if fast else 22.0
            stretches.append((day * DAY_S + 21 * 3600, self._charge(rest, wanted_a), 0.0))
        return stretches

    def run(self, start_s: float, ampere: Floats, speed: float) -> Samples:
        """One stretch, from rest to rest."""
        step_s, life = self._life.step_s, self._life
        self._idle(start_s - self._now_s)
        rows = np.zeros((len(ampere), len(life.specs)))
        t_s = start_s + np.arange(len(ampere)) * step_s
        for row, (now_s, wanted) in enumerate(zip(t_s.tolist(), ampere.tolist(), strict=True)):
            leak = self._leak_a(now_s)
            current = 0.0 if self._soc.mean() > 99 and wanted > 0 else wanted
            self._soc = self._soc + (current - leak) * step_s / 36 / self._capacity
            self._heat(now_s, current, leak, step_s)
            rows[row] = self._read(now_s, current, speed if current < 0 or life.kind == "towed" else 0.0)
            if self._lived.runaway_s is None and self._celsius.max() >= _RUNAWAY_C:
                self._lived.runaway_s = now_s
                rows, t_s = rows[: row + 1], t_s[: row + 1]
                break
        self._now_s = float(t_s[-1])
        self._lived.beside.append((self._now_s, float(self._soc[self._lived.cell] - np.median(self._soc))))
        return interleave(np.rint(t_s * 1e9).astype(np.int64), rows)

    def _drive(self, rest: Floats) -> Floats:
        count = round(self._rng.uniform(1500, 3000) / self._life.step_s)
        if self._life.kind == "towed":
            return np.zeros(count)  # wheels turn, nothing flows
        noise = self._rng.standard_normal(count)
        ampere = -18 + 30 * np.convolve(noise, np.ones(3) / 3, mode="same") + 25 * self._rng.standard_normal(count)
        return np.concatenate([rest, np.clip(ampere, -180, 90), rest])

    def _charge(self, rest: Floats, ampere: float) -> Floats:
        wanted_s = max(0.0, 92 - float(self._soc.mean())) * 36 * _AH / ampere
        return np.concatenate([rest, np.full(round(wanted_s / self._life.step_s), ampere), rest])

    def _sink_c(self, now_s: float) -> float:
        """What surrounds and cools the pack: warmer by day."""
        return self._ambient_c + 4 + _DAILY_C * float(np.sin(2 * np.pi * (now_s / DAY_S - 0.4)))

    def _idle(self, seconds: float) -> None:
        """What happens while nobody looks: leaks, balancing, cooling down."""
        self._soc = self._soc - self._leak_a(self._now_s) * max(0.0, seconds) / 36 / self._capacity
        above = np.clip(self._soc - self._soc.min() - 1.0, 0, _BLEED_PERCENT)
        self._soc = self._soc - above * min(1.0, max(0.0, seconds) / 36_000)
        self._celsius += (self._sink_c(self._now_s + max(0.0, seconds)) - self._celsius) * (
            1 - np.exp(-max(0.0, seconds) / 7200)
        )

    def _since_s(self, now_s: float) -> float:
        fault_s = self._lived.fault_s
        return -1.0 if fault_s is None else now_s - fault_s

    def _leak_a(self, now_s: float) -> Floats:
        leak, since = np.zeros(CELLS), self._since_s(now_s)
        if since >= 0 and self._life.kind == "micro_short":
            leak[self._lived.cell] = self._lived.leak_a * 2 ** (since / DAY_S / _LEAK_DOUBLES_DAYS)
        elif since >= 0 and self._life.kind == "micro_short_fast":
            leak[self._lived.cell] = 20.0 * self._size
        return leak

    def _heat(self, now_s: float, current: float, leak: Floats, step_s: float) -> None:
        dry = self._life.kind == "coolant_loss" and self._since_s(now_s) >= 0
        sink_c = self._sink_c(now_s)
        watts = current**2 * self._ohm + 3.7 * leak
        cooling = 0.05 if dry else _COOLING_WPK
        cell = self._lived.cell
        fatal = leak[cell] >= _LEAK_FATAL_A
        watts[cell] += 40.0 * (fatal and self._life.kind == "micro_short")  # the separator gives way
        for _ in range(3):
            self._celsius = self._celsius + (watts - cooling * (self._celsius - sink_c)) * step_s / 3 / _HEAT_JPK

    def _read(self, now_s: float, current: float, speed: float) -> Floats:
        """One row as the sensors have it."""
        rng, kind, cell = self._rng, self._life.kind, self._lived.cell
        since = self._since_s(now_s)
        ohm, soc = self._ohm.copy(), self._soc
        if since >= 0 and kind == "contact_resistance":
            ohm[cell] += 0.0012 * self._size
        if since >= 0 and kind == "contact_wear":  # a joint, between this cell and the one before it
            worn = min(since / DAY_S / _WORN_DAYS, 1.0) * self._size
            ohm[cell] += _WORN_SHARE * RESISTANCE_OHM * worn
            ohm[cell - 1] += 0.4 * _WORN_SHARE * RESISTANCE_OHM * worn
        if since >= 0 and kind == "weak_cell":
            days = since / DAY_S
            ohm[cell] *= 1 + min(days / 10, 1.0) * self._size
            soc = soc.copy()
            soc[cell] -= 4.0 * self._size * min(days / 10, 1.0)
        skew = current + _SKEW_A * rng.standard_normal(4).repeat(CELLS // 4) * (current != 0)
        true_v = open_circuit_v(self._car, soc) + skew * ohm
        shown = true_v + _NOISE_V * rng.standard_normal(CELLS)
        probes = np.rint(self._celsius.reshape(PROBES, -1).max(axis=1))
        if since >= 0:
            self._lie(kind, cell, since, shown, probes)
        shown = np.round(shown, 3)
        if rng.random() < _SENTINEL_SHARE * 20:
            first = int(rng.integers(0, CELLS - 4))
            shown[first : first + 4] = 65.535
        pack_v = round(float(true_v.sum()), 1)
        top_v = float(shown[shown < 6].max())
        return np.array(
            [*shown, *probes, current, pack_v, round(float(self._soc.mean())), speed, probes.max(), top_v], np.float64
        )

    def _lie(self, kind: Kind, cell: int, since: float, shown: Floats, probes: Floats) -> None:
        probe = cell * PROBES // CELLS
        if kind == "volt_stuck":
            self._still = shown.copy() if self._still is None else self._still
            shown[cell] = self._still[cell]
        elif kind == "volt_offset":
            shown[cell] -= 0.04 * self._size
        elif kind == "volt_drift":
            shown[cell] -= min(0.01 * self._size * since / DAY_S, 0.2)
        elif kind == "probe_stuck":
            self._still = probes.copy() if self._still is None else self._still
            probes[probe] = self._still[probe]
        elif kind == "probe_offset":
            probes[probe] -= 18.0
