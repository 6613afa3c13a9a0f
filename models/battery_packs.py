"""What the agent keeps of simulated packs and of a real healthy one, as steps of cells with what they truly are."""

from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from multiprocessing import get_context
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt

from agent.core.config import Detect
from agent.core.signals import Samples, Series
from agent.detect.cell_features import DAYS_MIN, CellHistory, Kept, kept_of, look_back
from agent.detect.cell_figures import nanmedian, spread_of
from agent.detect.cells import CellDetector
from simulators.blows.feed import Window
from simulators.packs import DAY_S, Kind, Life, Lived, live
from simulators.replay.cell_log import CellLog

Floats = npt.NDArray[np.float64]

NS: Final = 1_000_000_000
KINDS: Final = ("healthy", "weak_cell", "contact_resistance", "micro_short", "sensor")
"""What the model tells apart, in the order of its output."""

_TRUTH: Final[Mapping[Kind, str]] = {
    "weak_cell": "weak_cell",
    "contact_resistance": "contact_resistance",
    "contact_wear": "contact_resistance",
    "micro_short": "micro_short",
    "volt_stuck": "sensor",
    "volt_drift": "sensor",
    "volt_offset": "sensor",
}
_DAYS: Final[Mapping[Kind, int]] = {
    "healthy": 30,
    "aged": 30,
    "cold": 30,
    "fast_charging": 30,
    "micro_short": 45,
    "contact_wear": 36,
}
_SHOWS_DAYS: Final[Mapping[Kind, float]] = {"weak_cell": 3, "contact_wear": 12, "micro_short": 5}
"""From its beginning to where anybody could know, others a day; what lies between is nobody's lesson."""
_PIECE_S: Final = 7200.0
_LATE_DAYS: Final = 4.0
_OTHERS: Final = 3
_WIDER_PERCENT: Final = 2.5  # of charge: the most that a pack's spread gains; the same in Ohm below
_WIDER_OHM: Final = 6e-5
_NOISE_OHM: Final = 2e-4  # a day's resistance out of a log of a row a half minute
_LACKS_PERCENT: Final = 2.0  # and the sigmas: from where rules name a cell
_LACKS_SIGMAS: Final = (3.4, 9.0)


@dataclass(frozen=True, slots=True)
class Pack:
    """What was kept of a pack, and which cell was what from which day on (None: all healthy)."""

    history: CellHistory
    kind: str
    cell: int | None = None
    fault_day: float = 0.0
    shows_after_days: float = 0.0

    def truth(self, cell: int, *, before: int = 0) -> str | None:
        """What the cell was, so many days of use ago; None where nobody could have told yet."""
        if cell != self.cell:
            beside = self.kind == "contact_resistance" and self.cell is not None and abs(cell - self.cell) == 1
            return None if beside else "healthy"  # a joint belongs to both
        since = float(self.history.numbers[-1 - before]) - self.fault_day
        return "healthy" if since < 0 else None if since < self.shows_after_days else self.kind


@dataclass(frozen=True, slots=True)
class Told:
    """A life as the agent keeps it, and what was true of it: cell None where the pack was healthy."""

    seed: int
    kept: Kept
    kind: str
    cell: int | None
    fault_day: float
    shows_after_days: float


def simulate(kinds: Mapping[Kind, int], first_seed: int, *, workers: int) -> list[Told]:
    """So many lives of each kind, seeds from the first one on, in their order."""
    lives = [
        Life(kind, first_seed + 1000 * place + number, _DAYS.get(kind, 26))
        for place, (kind, count) in enumerate(kinds.items())
        for number in range(count)
    ]
    with ProcessPoolExecutor(workers, get_context("spawn")) as pool:
        return [told for told in pool.map(live_through, lives, chunksize=4) if told is not None]


def live_through(life: Life) -> Told | None:
    """One life as the agent keeps it; None of too few days."""
    lived, detector = Lived(), CellDetector(Detect(), epoch_ns=0)
    paths = [spec.path for spec in life.specs]
    for samples in live(life, lived):
        _feed(detector, paths, samples)
    kept = None if detector.days is None else kept_of(detector.days)
    if kept is None or len(kept.numbers) < DAYS_MIN:
        return None
    kind = _TRUTH.get(life.kind, KINDS[0])
    healthy = kind == KINDS[0]
    shows = _SHOWS_DAYS.get(life.kind, 1.0)
    return Told(life.seed, kept, kind, None if healthy else lived.cell, (lived.fault_s or 0.0) / DAY_S, shows)


def packs_of(told: Told) -> list[Pack]:
    """The pack of a life, and others made of it: cells less alike, a cell that lacks charge, a box that came late."""
    rng = np.random.default_rng([told.seed, 78])
    late = told.kind in {"weak_cell", "contact_resistance"}
    seen = [told.kept] + ([_from(told.kept, told.fault_day + _LATE_DAYS)] if late else [])
    others = [other for kept in seen for other in (kept, *(_as_other(kept, rng, loaded=late) for _ in range(_OTHERS)))]
    packs = [
        Pack(history, told.kind, told.cell, told.fault_day, told.shows_after_days)
        for other in others
        if (history := _history(other)) is not None
    ]
    if told.kind == KINDS[0]:
        packs += [pack for other in others if (pack := _weakened(other, rng)) is not None]
    return packs


def real_pack(log: Path, *, share: float, offset_s: float = 0.0) -> Pack:
    """The first part of a healthy car's log, cut into pieces of two hours, each taken for a day of use.

    Raises InputError where the log cannot be read.
    """
    source, detector = CellLog(log), CellDetector(Detect(), epoch_ns=0)
    rows = [(piece.t_ns, piece.samples) for piece in source]
    end_ns = round(share * rows[-1][0][-1])
    paths = [spec.path for spec in source.specs]
    for t_ns, samples in rows:
        if t_ns[-1] > end_ns:
            break
        number = (samples.t_ns / NS + offset_s) // _PIECE_S
        moved = samples.t_ns + np.rint(number * (DAY_S - _PIECE_S) * NS).astype(np.int64)
        _feed(detector, paths, Samples(moved, samples.signal, samples.value, samples.quality))
    detector.finish(0)
    days = detector.days
    history = None if days is None else look_back(kept_of(days))
    if history is None:
        raise ValueError(f"{log.name}: no cells in it")
    return Pack(history, "healthy")


def _feed(detector: CellDetector, paths: Sequence[str], samples: Samples) -> None:
    """Hand rows of all signals at once to the detector, as one window; NaN is no sample."""
    width = len(paths)
    t_ns, values = samples.t_ns[::width], samples.value.reshape(-1, width)
    known = ~np.isnan(values)
    recording = {path: Series(t_ns[known[:, k]], values[known[:, k], k]) for k, path in enumerate(paths)}
    detector.update(Window(recording, int(t_ns[0]) - 1, int(t_ns[-1])))


def _history(kept: Kept) -> CellHistory | None:
    return look_back(kept) if len(kept.numbers) >= DAYS_MIN else None


def _from(kept: Kept, first: float) -> Kept:
    """The days from a day on, as if those before had never been seen."""
    seen = kept.numbers >= first
    return Kept(
        kept.numbers[seen], kept.charge[seen], kept.volt[seen], kept.ohm[seen], kept.gap[seen], kept.own_ohm[seen]
    )


def _as_other(kept: Kept, rng: np.random.Generator, *, loaded: bool) -> Kept:
    """The same of cells that are less alike, read by coarser sensors, and unless loaded also of cars that hardly drive.

    Simulated cells are as good as new; a real healthy pack of some years had six times their spread of charge.
    """
    cells = kept.charge.shape[1]
    charge, ohm, noise = (rng.uniform(0, most) for most in (_WIDER_PERCENT, _WIDER_OHM, _NOISE_OHM))
    apart = charge * rng.standard_normal(cells)
    ohms = kept.ohm + ohm * rng.standard_normal(cells) + noise * rng.standard_normal(kept.ohm.shape)
    if not loaded:  # else its fault is in what a load tells
        ohms[rng.random(len(ohms)) < rng.choice([0.0, 0.5, 1.0])] = np.nan
    return replace(kept, charge=kept.charge + apart, ohm=ohms)


def _weakened(kept: Kept, rng: np.random.Generator) -> Pack | None:
    """The same with one cell that lacks charge and nothing else: from the first day on, or within some days."""
    lacks = max(_LACKS_PERCENT, rng.uniform(*_LACKS_SIGMAS) * spread_of(nanmedian(kept.charge)))
    old = rng.random() < 0.5
    begins, ramp = (-100.0, 0.0) if old else (rng.uniform(0.2, 0.6) * float(kept.numbers[-1]), rng.uniform(1, 15))
    share = np.clip((kept.numbers - begins) / max(ramp, 1e-3), 0, 1)
    cell = int(rng.integers(0, kept.charge.shape[1]))
    percent_v = np.nanmedian(np.abs(kept.volt) / np.maximum(np.abs(kept.charge), 0.1)) if not old else 0.0
    beside = np.zeros(kept.charge.shape)
    beside[:, cell] = -(lacks + float(np.nan_to_num(nanmedian(kept.charge)[cell]))) * share
    history = _history(replace(kept, charge=kept.charge + beside, volt=kept.volt + percent_v * beside))
    return None if history is None else Pack(history, "weak_cell", cell, begins, ramp + _SHOWS_DAYS["weak_cell"])


def cells_of(pack: Pack, before: int, rng: np.random.Generator) -> Iterator[int]:
    """The cells worth learning from at a day: the faulty one, the most extreme of the others, and some at random."""
    newest = pack.history.features[-1 - before]
    picked = [*(int(newest[:, k].argmin()) for k in (0, 1, 2)), *(int(newest[:, k].argmax()) for k in (0, 3, 4))]
    picked += rng.integers(0, pack.history.cells, 3).tolist()
    yield from dict.fromkeys([*([pack.cell] if pack.cell is not None else []), *picked])
