"""Drives for the drive model: made ones, those of the simulated world, and recorded ones where they are at hand."""

import io
import sys
import zipfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import msgspec
import numpy as np
import numpy.typing as npt

from models.drive_cars import Cars, columns, draw_cars, drive_cars
from models.drive_faults import COLD_C, FAULTS, INPUTS, PLACE, REQUIRED, Fault, put_in, shows
from simulators.replay.obd_log import ObdLog
from simulators.world import simulate
from simulators.world.commutes import random_commute

Floats = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]

DRIVE_S: Final = 1200
RECORDINGS: Final = Path(__file__).resolve().parents[2] / "shared" / "data" / "obd_drives_etios" / "drives.zip"
RECORDINGS_SEEN: Final = 22
"""Of 64, in the order of the archive: the others are for measuring alone."""

_RUNNING_RPM: Final = 400.0
_HEALTHY_SHARE: Final = 0.4


@dataclass(frozen=True, slots=True)
class Told:
    """A drive as a port tells it: rows float64[n, inputs] of a running engine, NaN where nothing is told.

    shown bool[n, outputs]: from where a fault shows; present: the outputs whose fault is there at all.
    """

    rows: Floats
    shown: Flags
    present: Flags


def made_drives(count: int, rng: np.random.Generator, *, healthy: bool = False) -> Iterator[Told]:
    """Drives of cars that nobody built; a share of them healthy, or all."""
    cars = draw_cars(count, rng)
    state = rng.integers(1 << 62)
    sound = rows_of(cars, np.random.default_rng(state))
    open_cars = replace(cars, open_share=rng.uniform(0.1, 1.0, count))
    cold = rows_of(open_cars, np.random.default_rng(state))
    for rows, colder in zip(sound, cold, strict=True):
        lacking = _lack(rng)
        if not healthy and rng.random() < 0.08 and PLACE["coolant"] not in lacking:
            yield _told(colder, lacking, _colder(rows, colder), rng)
        else:
            yield spoil(rows, lacking, rng, healthy=healthy)


def world_drives(seeds: Sequence[int], rng: np.random.Generator, *, healthy: bool = False) -> Iterator[Told]:
    """Drives of the simulated world's car, with an engine alone."""
    for seed in seeds:
        scenario = random_commute(seed, float(DRIVE_S))
        drive = simulate(msgspec.structs.replace(scenario, car=msgspec.structs.replace(scenario.car, kind="ice")), seed)
        t_ns = np.arange(DRIVE_S) * 1_000_000_000
        rows = np.full((DRIVE_S, len(INPUTS)), np.nan)
        for place, signal in enumerate(INPUTS):
            if signal.path in drive.signals:
                times, values = drive.signals[signal.path]
                rows[:, place] = values[np.clip(np.searchsorted(times, t_ns, side="right") - 1, 0, None)]
        yield spoil(rows, frozenset(), rng, healthy=healthy)


def recorded_drives(path: Path) -> Iterator[Floats]:
    """Rows of recorded drives, of a running engine, in the order of the archive."""
    with zipfile.ZipFile(path) as archive:
        for name in [name for name in archive.namelist() if name.endswith(".csv")]:
            with io.TextIOWrapper(archive.open(name), encoding="ascii", newline="") as lines:
                rows = log_rows(ObdLog(lines, name=name))
            yield rows[rows[:, PLACE["rpm"]] >= _RUNNING_RPM]


def log_rows(log: ObdLog) -> Floats:
    """Rows of a log, float64[n, inputs]; what it does not tell is NaN."""
    paths = [spec.path for spec in log.specs]
    values = log.values()
    rows = np.full((len(values), len(INPUTS)), np.nan)
    for place, signal in enumerate(INPUTS):
        if signal.path in paths:
            rows[:, place] = values[:, paths.index(signal.path)]
    return rows


def spoil(rows: Floats, lacking: frozenset[int], rng: np.random.Generator, *, healthy: bool = False) -> Told:
    """A drive with a fault that its signals can show, from anywhere on; or none."""
    rows = rows.copy()
    rows[:, list(lacking)] = np.nan
    able = [fault for fault in FAULTS if np.isfinite(rows[:, PLACE[fault.name]]).any()]
    if healthy or rng.random() < _HEALTHY_SHARE:
        return _told(rows, lacking, None, rng)
    fault = able[rng.integers(len(able))]
    onset = 0 if rng.random() < 0.4 else int(rng.integers(0, max(len(rows) - 200, 1)))
    broken, wrong = put_in(fault, rows, onset, rng)
    return _told(broken, lacking, (fault, wrong), rng)


def as_port(rows: Floats, rng: np.random.Generator) -> Floats:
    """The rows as polls bring them: late, held, in steps."""
    seconds = np.arange(len(rows))
    fast_s, slow_s = int(rng.choice([1, 1, 1, 2, 3])), int(rng.choice([1, 1, 2, 5, 10]))
    out = np.empty_like(rows)
    for place, signal in enumerate(INPUTS):
        period_s = max(fast_s, slow_s) if signal.slow else fast_s
        held = np.maximum(seconds - (seconds + int(rng.integers(period_s))) % period_s, 0)
        out[:, place] = np.rint(rows[held, place] / signal.step) * signal.step
    return out


def rows_of(cars: Cars, rng: np.random.Generator, *, seconds: int = DRIVE_S) -> Floats:
    """Drives of these cars, float64[cars, seconds, inputs], as they are and not as a port tells them."""
    driven = columns(drive_cars(cars, seconds, rng))
    return np.stack([driven[signal.name] for signal in INPUTS], axis=2)


def _colder(rows: Floats, colder: Floats) -> tuple[Fault, Flags]:
    thermostat = next(fault for fault in FAULTS if fault.fault == "thermostat")
    place = PLACE["coolant"]
    cold = (rows[:, place] - colder[:, place] >= thermostat.least) & (colder[:, place] < COLD_C)
    return thermostat, shows(cold)


def _lack(rng: np.random.Generator) -> frozenset[int]:
    """What this car does not tell: air by flow, by pressure or by both, and a few more."""
    air = rng.random()
    names = ["map_kpa"] if air < 0.4 else ["maf_gps"] if air < 0.7 else []
    seldom = {"short": 0.05, "throttle": 0.07, "load": 0.15, "coolant": 0.05, "intake": 0.2, "volts": 0.2, "run_s": 0.3}
    names += [name for name, share in seldom.items() if rng.random() < share]
    return frozenset(PLACE[name] for name in names)


def _told(rows: Floats, lacking: frozenset[int], wrong: tuple[Fault, Flags] | None, rng: np.random.Generator) -> Told:
    rows = as_port(rows, rng)
    rows[:, list(lacking)] = np.nan
    shown = np.zeros((len(rows), len(FAULTS)), np.bool_)
    present = np.zeros(len(FAULTS), np.bool_)
    if wrong is not None:
        output = FAULTS.index(wrong[0])
        shown[:, output], present[output] = wrong[1], True
    runs = (rows[:, PLACE["rpm"]] >= _RUNNING_RPM) & np.isfinite(rows[:, :REQUIRED]).all(axis=1)
    return Told(rows[runs], shown[runs], present)


def tell_absence(path: Path) -> None:
    """On the screen, that the recordings are not there."""
    sys.stderr.write(f"no recordings at {path}: trained on made drives alone, and another model than the shipped one\n")
