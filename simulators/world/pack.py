"""The traction battery: 24 NMC cells in series, each with its own capacity, resistance, charge and temperature."""

from dataclasses import dataclass
from typing import Final

import numpy as np

from simulators.world.grid import CELL_STEP_S, SLOW_STEP_S, STEP_S, Floats, lag, stream, times
from simulators.world.happenings import Charging, ContactResistance, CoolantLoss, MicroShort, Runaway, WeakCell
from simulators.world.scenario import CELL_COUNT, Car, CellOverheat, Scenario

CAPACITY_AH: Final = 100.0
_OCV_SOC: Final = np.array([0.0, 5, 10, 20, 30, 40, 50, 60, 70, 80, 90, 100])
_OCV_V: Final = np.array([3.00, 3.28, 3.42, 3.53, 3.59, 3.63, 3.69, 3.79, 3.89, 3.99, 4.09, 4.18])
_RESISTANCE_OHM: Final = 0.0009  # at 25 Celsius
_HEAT_CAPACITY_JPK: Final = 1850.0
_TO_COOLANT_WPK: Final = 1.6
_TO_NEIGHBOUR_WPK: Final = 1.1
_SHORT_DROP_V: Final = 0.11  # of a cell with an internal short once it is hot
_OVERCHARGED_V: Final = 0.012  # a percent of charge beyond full
_BURNT_C: Final = 400.0
_BURNING_C: Final = 150.0  # a neighbour of such a cell follows
_COLLAPSED_V: Final = 3.3  # what a burning cell loses: its separator has molten


@dataclass(frozen=True, slots=True)
class Pack:
    """current_a: + = charging, on the motion grid like voltage_v and soc_percent.

    cell_v float64[CELL_COUNT, n] on the cell grid, cell_c float64[CELL_COUNT, m] on the slow grid.
    """

    current_a: Floats
    voltage_v: Floats
    soc_percent: Floats
    cell_v: Floats
    cell_c: Floats


def charging_kw(scenario: Scenario, t_s: Floats) -> Floats:
    """Power into the pack; a charger stops at a full pack unless told to overcharge."""
    total = np.zeros(len(t_s))
    left_kws = (100 - scenario.car.soc_percent) / 100 * CAPACITY_AH * 3.6 * CELL_COUNT * float(_OCV_V[-2])
    for event in scenario.events:
        if isinstance(event, Charging):
            full_s = np.inf if event.overcharge else event.at_s + left_kws / event.power_kw
            total += np.where((t_s >= event.at_s) & (t_s < min(event.until_s, full_s)), event.power_kw, 0.0)
    return total


def electrify(scenario: Scenario, seed: int, battery_kw: Floats, *, open_s: float) -> Pack:
    """Current from power (V I = P with the pack's own sag), charge from current, cells from both.

    battery_kw: drawn, on the motion grid. open_s: when the contactors open (crash); no current after that.
    """
    rng = stream(seed, "pack")
    car = scenario.car
    resistance = _RESISTANCE_OHM * (1 + 0.06 * rng.standard_normal(CELL_COUNT)) * (1 + 0.012 * (25 - car.pack_c))
    resistance = np.maximum(resistance, 0.3 * _RESISTANCE_OHM)
    offset = 0.5 * rng.standard_normal(CELL_COUNT)
    capacity = CAPACITY_AH * (1 + 0.01 * rng.standard_normal(CELL_COUNT))
    t_s = times(scenario.duration_s, STEP_S)
    drawn_kw = np.where(t_s < open_s, battery_kw - charging_kw(scenario, t_s), 0.0)
    rough_a = drawn_kw * 1000 / (CELL_COUNT * 3.75)
    rough_soc = np.clip(car.soc_percent - 100 * np.cumsum(rough_a) * STEP_S / 3600 / CAPACITY_AH, 0, 100)
    open_v = CELL_COUNT * np.interp(rough_soc, _OCV_SOC, _OCV_V)
    series_ohm = float(resistance.sum())
    drawn_a = (open_v - np.sqrt(np.maximum(open_v**2 - 4 * series_ohm * drawn_kw * 1000, 0))) / (2 * series_ohm)
    used_ah = np.cumsum(drawn_a) * STEP_S / 3600
    cell_c = _warm(scenario, rng, times(scenario.duration_s, SLOW_STEP_S), drawn_a, resistance)
    cell_s = times(scenario.duration_s, CELL_STEP_S)
    cell_v = _cells(cell_s, drawn_a, used_ah, resistance, offset, capacity, car)
    cell_v -= _short_drop(scenario, cell_s, cell_c)
    cell_v = _faulty(scenario, cell_s, cell_v, np.interp(cell_s, t_s, drawn_a), cell_c)
    return Pack(
        current_a=-drawn_a,
        voltage_v=np.interp(t_s, cell_s, cell_v.sum(axis=0)) + _sag_between(t_s, cell_s, drawn_a, series_ohm),
        soc_percent=np.clip(car.soc_percent - 100 * used_ah / CAPACITY_AH, 0, 100),
        cell_v=cell_v + 0.0006 * rng.standard_normal(cell_v.shape),
        cell_c=cell_c,
    )


def _cells(
    cell_s: Floats, drawn_a: Floats, used_ah: Floats, resistance: Floats, offset: Floats, capacity: Floats, car: Car
) -> Floats:
    """Open-circuit voltage of each cell's own charge, less its sag."""
    motion_s = np.arange(len(drawn_a)) * STEP_S
    amperes = np.interp(cell_s, motion_s, drawn_a)
    soc = car.soc_percent + offset[:, None] - 100 * np.interp(cell_s, motion_s, used_ah) / capacity[:, None]
    beyond = _OVERCHARGED_V * np.maximum(soc - 100, 0)
    return np.asarray(np.interp(soc, _OCV_SOC, _OCV_V) + beyond - amperes * resistance[:, None], np.float64)


def _sag_between(t_s: Floats, cell_s: Floats, drawn_a: Floats, series_ohm: float) -> Floats:
    """The pack follows the current faster than the cell grid shows."""
    slow_a = np.interp(t_s, cell_s, np.interp(cell_s, t_s, drawn_a))
    return (slow_a - drawn_a) * series_ohm


def _warm(scenario: Scenario, rng: np.random.Generator, slow_s: Floats, drawn_a: Floats, resistance: Floats) -> Floats:
    """A chain of thermal nodes: own losses, the cooling plate, the neighbours, and a short where there is one."""
    car = scenario.car
    faults = [event for event in scenario.events if isinstance(event, CellOverheat)]
    squared = np.interp(slow_s, np.arange(len(drawn_a)) * STEP_S, lag(drawn_a**2, STEP_S, SLOW_STEP_S))
    plate_c = car.pack_c - 1.0
    temperature = car.pack_c + 0.5 * rng.standard_normal(CELL_COUNT)
    out = np.empty((len(slow_s), CELL_COUNT))
    done = [False] * len(faults)
    dry_s = min((event.at_s for event in scenario.events if isinstance(event, CoolantLoss)), default=np.inf)
    fires = [_Fire(event) for event in scenario.events if isinstance(event, Runaway)]
    for row, (now, amperes2) in enumerate(zip(slow_s.tolist(), squared.tolist(), strict=True)):
        out[row] = temperature
        cooling = _TO_COOLANT_WPK if now < dry_s else 0.0
        watts = amperes2 * resistance - cooling * (temperature - plate_c)
        step = np.diff(temperature) * _TO_NEIGHBOUR_WPK
        watts[:-1] += step
        watts[1:] -= step
        for number, fault in enumerate(faults):
            done[number] |= temperature[fault.cell] >= fault.to_c
            if now >= fault.at_s and not done[number]:
                # The short supplies what the cell gives away too, so that the rate is the one asked for.
                watts[fault.cell] = fault.rate_kps * _HEAT_CAPACITY_JPK
        for fire in fires:
            fire.heat(now, temperature, watts)
        temperature = temperature + watts * (SLOW_STEP_S / _HEAT_CAPACITY_JPK)
    return out.T.copy()


class _Fire:
    """A runaway and the cells it has spread to; each burns once."""

    def __init__(self, event: Runaway) -> None:
        self._event = event
        self._lit = {event.cell: event.at_s}
        self._burnt: set[int] = set()

    def heat(self, now: float, temperature: Floats, watts: Floats) -> None:
        """Set the burning cells' watts, and light their neighbours when their time has come."""
        for cell, lit_s in list(self._lit.items()):
            if now < lit_s or cell in self._burnt:
                continue
            if temperature[cell] >= _BURNT_C:
                self._burnt.add(cell)
                continue
            watts[cell] = self._event.rate_kps * _HEAT_CAPACITY_JPK
            if temperature[cell] >= _BURNING_C:
                for neighbour in (cell - 1, cell + 1):
                    if 0 <= neighbour < CELL_COUNT:
                        self._lit.setdefault(neighbour, now + self._event.propagation_s)


def _faulty(scenario: Scenario, cell_s: Floats, cell_v: Floats, amperes: Floats, cell_c: Floats) -> Floats:
    """Cell voltages with the faults that show in them."""
    out = cell_v
    for event in scenario.events:
        since = np.maximum(cell_s - event.at_s, 0)
        if isinstance(event, WeakCell):
            lost = (event.resistance_factor - 1) * _RESISTANCE_OHM * amperes + _emptier(
                cell_v[event.cell], event.charge_below_percent
            )
            out[event.cell] -= np.where((since > 0) & (cell_s < event.until_s), lost, 0.0)
        elif isinstance(event, MicroShort):
            leaked = np.minimum(since, event.duration_s) * (3.7 / event.ohm) / 3600 / CAPACITY_AH * 100
            out[event.cell] -= (
                _emptier(cell_v[event.cell], leaked)
                + np.where(since > 0, 1.0, 0.0) * 3.7 / (event.ohm) * _RESISTANCE_OHM
            )
        elif isinstance(event, ContactResistance):
            loose = (since > 0) & (cell_s < event.until_s)
            out[event.cell] -= np.where(loose, amperes * event.milliohm / 1000, 0.0)
        elif isinstance(event, Runaway):
            slow_s = np.arange(cell_c.shape[1]) * SLOW_STEP_S
            hot = np.array([np.interp(cell_s, slow_s, celsius) for celsius in cell_c])
            burning = np.maximum.accumulate(hot, axis=1)
            out = np.maximum(out - _COLLAPSED_V * np.clip((burning - _BURNING_C) / 20, 0, 1), 0.0)
    return out


def _emptier(volts: Floats, percent: Floats | float) -> Floats:
    """How many volts a cell at this voltage loses with this much of its charge."""
    soc = np.interp(volts, _OCV_V, _OCV_SOC)
    return np.asarray(np.interp(soc, _OCV_SOC, _OCV_V) - np.interp(soc - percent, _OCV_SOC, _OCV_V))


def _short_drop(scenario: Scenario, cell_s: Floats, cell_c: Floats) -> Floats:
    """Voltage that a shorted cell loses, growing with its heat."""
    drop = np.zeros((CELL_COUNT, len(cell_s)))
    slow_s = np.arange(cell_c.shape[1]) * SLOW_STEP_S
    for event in scenario.events:
        if isinstance(event, CellOverheat):
            heat = np.interp(cell_s, slow_s, cell_c[event.cell]) - scenario.car.pack_c
            share = np.clip(heat / max(event.to_c - scenario.car.pack_c, 1.0), 0, 1)
            drop[event.cell] += np.where(cell_s >= event.at_s, _SHORT_DROP_V * share, 0.0)
    return drop
