"""What a cell is made of: rest voltage by chemistry, resistance and one RC element, capacity, age, balancing."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np

from simulators.world.grid import Floats, stream
from simulators.world.scenario import CELL_COUNT, Car

RESISTANCE_OHM: Final = 0.0009  # of 100 Ah at 25 Celsius, new
POLARISATION_S: Final = 25.0  # time constant of the RC element
_POLARISATION_SHARE: Final = 0.4  # of the ohmic resistance
_NOMINAL_AH: Final = 100.0
_AGED_OHM: Final = 20.0  # percent of capacity lost at which the resistance has doubled: common knowledge, varies
_BLEED_A: Final = 0.2
_BALANCED_PERCENT: Final = 0.5

# Percent of charge and volts at rest: typical of data sheets, no cell in particular.
_CURVES: Final[Mapping[str, tuple[Floats, Floats]]] = {
    "nmc": (
        np.array([0.0, 5, 10, 20, 30, 40, 50, 60, 70, 80, 90, 100]),
        np.array([3.00, 3.28, 3.42, 3.53, 3.59, 3.63, 3.69, 3.79, 3.89, 3.99, 4.09, 4.18]),
    ),
    "lfp": (
        np.array([0.0, 5, 10, 20, 30, 40, 50, 60, 70, 80, 90, 95, 100]),
        np.array([2.75, 3.05, 3.17, 3.225, 3.26, 3.28, 3.29, 3.305, 3.325, 3.332, 3.337, 3.35, 3.45]),
    ),
}
_FULL_V: Final = {"nmc": 4.09, "lfp": 3.34}  # on average while the last percents go in


@dataclass(frozen=True, slots=True)
class Cells:
    """The pack's cells, float64[CELL_COUNT] each: ohm, ohm, percent of charge beside the pack's, Ah.

    size: how much bigger than 100 Ah they are.
    """

    resistance: Floats
    polarisation: Floats
    offset: Floats
    capacity: Floats
    size: float


def make_cells(car: Car, seed: int, rng: np.random.Generator) -> Cells:
    """Cells of one seed: a few percent apart, more resistive when cold or old."""
    size = car.capacity_ah / _NOMINAL_AH
    aged = (100 - car.soh_percent) / _AGED_OHM
    new_ohm = RESISTANCE_OHM / size * (1 + aged)
    resistance = new_ohm * (1 + 0.06 * rng.standard_normal(CELL_COUNT)) * (1 + 0.012 * (25 - car.pack_c))
    offset = 0.5 * rng.standard_normal(CELL_COUNT)
    capacity = car.capacity_ah * car.soh_percent / 100 * (1 + 0.01 * rng.standard_normal(CELL_COUNT))
    spread = 1 + 0.08 * stream(seed, "cells").standard_normal(CELL_COUNT)
    resistance = np.maximum(resistance, 0.3 * new_ohm)
    return Cells(resistance, _POLARISATION_SHARE * resistance * spread, offset, capacity, size)


def usable_ah(car: Car) -> float:
    """Charge from empty to full, aged."""
    return car.capacity_ah * car.soh_percent / 100


def capacity_kwh(car: Car) -> float:
    """Energy that fills an empty pack."""
    return usable_ah(car) * CELL_COUNT * _FULL_V[car.chemistry] / 1000


def open_circuit_v(car: Car, soc_percent: Floats) -> Floats:
    """Voltage at rest."""
    return np.asarray(np.interp(soc_percent, *_CURVES[car.chemistry]), np.float64)


def charge_percent(car: Car, volts: Floats) -> Floats:
    """The charge whose voltage at rest this is."""
    percent, at_rest = _CURVES[car.chemistry]
    return np.asarray(np.interp(volts, at_rest, percent), np.float64)


def bled_percent(cells: Cells, charged_s: Floats) -> tuple[Floats, Floats]:
    """Charge that passive balancing has taken from each cell, and how many it works on; charged_s: seconds of charging.

    While it charges, every cell more than half a percent above the emptiest is bled.
    """
    excess = np.maximum(cells.offset - cells.offset.min() - _BALANCED_PERCENT, 0)
    could = 100 * _BLEED_A * charged_s / 3600 / cells.capacity[:, None]
    charging = np.diff(charged_s, prepend=0.0) > 0
    return np.minimum(could, excess[:, None]), ((could < excess[:, None]) & charging).sum(axis=0).astype(np.float64)
