"""The traction battery: 24 cells in series, each with its own capacity, resistances, charge and temperature."""

from dataclasses import dataclass
from typing import Final

import numpy as np

from simulators.world.cells import (
    POLARISATION_S,
    RESISTANCE_OHM,
    Cells,
    bled_percent,
    capacity_kwh,
    charge_percent,
    make_cells,
    open_circuit_v,
    usable_ah,
)
from simulators.world.charging import charging_kw
from simulators.world.grid import CELL_STEP_S, SLOW_STEP_S, STEP_S, Floats, lag, stream, times
from simulators.world.happenings_pack import ContactResistance, CoolantLoss, MicroShort, Runaway, WeakCell
from simulators.world.scenario import CELL_COUNT, Car, CellOverheat, Scenario

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

    cell_v float64[CELL_COUNT, n] and balancing (how many cells are) on the cell grid, cell_c float64[CELL_COUNT, m] on
    the slow grid. charging_kw: into the pack, on the motion grid.
    """

    current_a: Floats
    voltage_v: Floats
    soc_percent: Floats
    cell_v: Floats
    cell_c: Floats
    balancing: Floats
    charging_kw: Floats


def electrify(scenario: Scenario, seed: int, battery_kw: Floats, *, open_s: float) -> Pack:
    """Current from power (V I = P with the pack's own sag), charge from current, cells from both.

    battery_kw: drawn, on the motion grid. open_s: when the contactors open (crash); no current after that.
    """
    rng = stream(seed, "pack")
    car = scenario.car
    cells = make_cells(car, seed, rng)
    t_s = times(scenario.duration_s, STEP_S)
    into_kw = charging_kw(scenario, t_s, capacity_kwh(car))
    drawn_kw = np.where(t_s < open_s, battery_kw - into_kw, 0.0)
    rough_a = drawn_kw * 1000 / float(CELL_COUNT * open_circuit_v(car, np.array([car.soc_percent]))[0])
    rough_soc = np.clip(car.soc_percent - 100 * np.cumsum(rough_a) * STEP_S / 3600 / usable_ah(car), 0, 100)
    series_ohm = float(cells.resistance.sum())
    lagging_v = float(cells.polarisation.sum()) * lag(rough_a, STEP_S, POLARISATION_S)
    open_v = CELL_COUNT * open_circuit_v(car, rough_soc) - lagging_v
    drawn_a = (open_v - np.sqrt(np.maximum(open_v**2 - 4 * series_ohm * drawn_kw * 1000, 0))) / (2 * series_ohm)
    cell_c = _warm(scenario, rng, times(scenario.duration_s, SLOW_STEP_S), drawn_a, cells)
    cell_s = times(scenario.duration_s, CELL_STEP_S)
    amperes = np.interp(cell_s, t_s, drawn_a)
    used_ah = np.cumsum(drawn_a) * STEP_S / 3600
    charged_s = np.interp(cell_s, t_s, np.cumsum(into_kw > 0) * STEP_S)
    bled, balancing = bled_percent(cells, charged_s)
    soc = car.soc_percent + cells.offset[:, None] - bled
    soc -= 100 * np.interp(cell_s, t_s, used_ah) / cells.capacity[:, None]
    lagging_a = np.interp(cell_s, t_s, lag(drawn_a, STEP_S, POLARISATION_S))
    cell_v = open_circuit_v(car, soc) + _OVERCHARGED_V * np.maximum(soc - 100, 0)
    cell_v -= amperes * cells.resistance[:, None] + lagging_a * cells.polarisation[:, None]
    cell_v -= _short_drop(scenario, cell_s, cell_c)
    cell_v = _faulty(scenario, cell_s, cell_v, amperes, cell_c)
    return Pack(
        current_a=-drawn_a,
        voltage_v=np.interp(t_s, cell_s, cell_v.sum(axis=0)) + _sag_between(t_s, cell_s, drawn_a, series_ohm),
        soc_percent=np.clip(car.soc_percent - 100 * used_ah / usable_ah(car), 0, 100),
        cell_v=cell_v + 0.0006 * rng.standard_normal(cell_v.shape),
        cell_c=cell_c,
        balancing=balancing,
        charging_kw=into_kw,
    )


def _sag_between(t_s: Floats, cell_s: Floats, drawn_a: Floats, series_ohm: float) -> Floats:
    """The pack follows the current faster than the cell grid shows."""
    slow_a = np.interp(t_s, cell_s, np.interp(cell_s, t_s, drawn_a))
    return (slow_a - drawn_a) * series_ohm


def _warm(scenario: Scenario, rng: np.random.Generator, slow_s: Floats, drawn_a: Floats, cells: Cells) -> Floats:
    """A chain of thermal nodes: own losses, the cooling plate, the neighbours, and a short where there is one."""
    car = scenario.car
    faults = [event for event in scenario.events if isinstance(event, CellOverheat)]
    squared = np.interp(slow_s, np.arange(len(drawn_a)) * STEP_S, lag(drawn_a**2, STEP_S, SLOW_STEP_S))
    plate_c, heat_capacity = car.pack_c - 1.0, cells.size * _HEAT_CAPACITY_JPK
    temperature = car.pack_c + 0.5 * rng.standard_normal(CELL_COUNT)
    out = np.empty((len(slow_s), CELL_COUNT))
    done = [False] * len(faults)
    dry_s = min((event.at_s for event in scenario.events if isinstance(event, CoolantLoss)), default=np.inf)
    fires = [_Fire(event) for event in scenario.events if isinstance(event, Runaway)]
    for row, (now, amperes2) in enumerate(zip(slow_s.tolist(), squared.tolist(), strict=True)):
        out[row] = temperature
        cooling = _TO_COOLANT_WPK if now < dry_s else 0.0
        watts = amperes2 * cells.resistance - cells.size * cooling * (temperature - plate_c)
        step = np.diff(temperature) * (cells.size * _TO_NEIGHBOUR_WPK)
        watts[:-1] += step
        watts[1:] -= step
        for number, fault in enumerate(faults):
            done[number] |= temperature[fault.cell] >= fault.to_c
            if now >= fault.at_s and not done[number]:
                # The short supplies what the cell gives away too, so that the rate is the one asked for.
                watts[fault.cell] = fault.rate_kps * heat_capacity
        for fire in fires:
            fire.heat(now, temperature, watts, heat_capacity)
        temperature = temperature + watts * (SLOW_STEP_S / heat_capacity)
    return out.T.copy()


class _Fire:
    """A runaway and the cells it has spread to; each burns once."""

    def __init__(self, event: Runaway) -> None:
        self._event = event
        self._lit = {event.cell: event.at_s}
        self._burnt: set[int] = set()

    def heat(self, now: float, temperature: Floats, watts: Floats, heat_capacity: float) -> None:
        """Set the burning cells' watts, and light their neighbours when their time has come."""
        for cell, lit_s in list(self._lit.items()):
            if now < lit_s or cell in self._burnt:
                continue
            if temperature[cell] >= _BURNT_C:
                self._burnt.add(cell)
                continue
            watts[cell] = self._event.rate_kps * heat_capacity
            if temperature[cell] >= _BURNING_C:
                for neighbour in (cell - 1, cell + 1):
                    if 0 <= neighbour < CELL_COUNT:
                        self._lit.setdefault(neighbour, now + self._event.propagation_s)


def _faulty(scenario: Scenario, cell_s: Floats, cell_v: Floats, amperes: Floats, cell_c: Floats) -> Floats:
    """Cell voltages with the faults that show in them."""
    out, car = cell_v, scenario.car
    for event in scenario.events:
        since = np.maximum(cell_s - event.at_s, 0)
        if isinstance(event, WeakCell):
            lost = (event.resistance_factor - 1) * RESISTANCE_OHM * amperes + _emptier(
                car, cell_v[event.cell], event.charge_below_percent
            )
            out[event.cell] -= np.where((since > 0) & (cell_s < event.until_s), lost, 0.0)
        elif isinstance(event, MicroShort):
            leaked = np.minimum(since, event.duration_s) * (3.7 / event.ohm) / 3600 / usable_ah(car) * 100
            out[event.cell] -= (
                _emptier(car, cell_v[event.cell], leaked)
                + np.where(since > 0, 1.0, 0.0) * 3.7 / (event.ohm) * RESISTANCE_OHM
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


def _emptier(car: Car, volts: Floats, percent: Floats | float) -> Floats:
    """How many volts a cell at this voltage loses with this much of its charge."""
    soc = charge_percent(car, volts)
    return open_circuit_v(car, soc) - open_circuit_v(car, soc - percent)


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
