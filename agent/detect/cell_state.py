"""The days of a pack as bytes that outlive a boot. Pure."""

from typing import Any, Final

import msgspec
import numpy as np

from agent.detect.cell_days import BINS, FEATURES, KINDS, PACK, TYPES, CellDays
from agent.detect.cell_motion import CHANGES, TERMS, Motion
from agent.detect.cell_today import OpenDay

CAPACITIES_MAX: Final = 36
_CELLS_MAX: Final = 256
_VERSION: Final = 2


class _Saved(msgspec.Struct, frozen=True):
    """Arrays are little-endian bytes."""

    version: int
    cells: int
    day: int
    stride: int
    seen: int
    top: int
    numbers: bytes
    values: dict[str, bytes]
    pack: dict[str, bytes]
    levels: bytes
    weights: bytes
    rows: bytes
    slopes: bytes
    socs: bytes
    ohms: bytes
    own_ohms: bytes
    counts: bytes
    sums: bytes
    gap_sums: list[float]
    told: bytes
    capacities: list[float]
    reported: int


def dump_days(days: CellDays) -> bytes:
    """Everything, to be kept across boots."""
    day = days.open or OpenDay(-1, Motion.of(days.cells))
    saved = _Saved(
        version=_VERSION,
        cells=days.cells,
        day=day.number,
        stride=day.stride,
        seen=day.seen,
        top=day.top,
        numbers=days.numbers.tobytes(),
        values={feature: values.tobytes() for feature, values in days.values.items()},
        pack={name: values.tobytes() for name, values in days.pack.items()},
        levels=days.levels.tobytes(),
        weights=days.weights.tobytes(),
        rows=np.array(day.rows, np.float32).tobytes(),
        slopes=np.array(day.slopes, np.float32).tobytes(),
        socs=np.array(day.socs, np.float32).tobytes(),
        ohms=np.array(day.ohms, np.float32).tobytes(),
        own_ohms=np.array(day.own_ohms, np.float32).tobytes(),
        counts=day.motion.counts.tobytes(),
        sums=day.motion.sums.tobytes(),
        gap_sums=day.gap_sums,
        told=days.told.tobytes(),
        capacities=days.capacities,
        reported=days.reported,
    )
    return msgspec.msgpack.encode(saved)


def load_days(state: bytes) -> CellDays | None:
    """What `dump_days` gave; None where it is nothing, damaged or of other software: it can be learnt again."""
    try:
        saved = msgspec.msgpack.decode(state, type=_Saved)
        if saved.version != _VERSION or not 0 < saved.cells <= _CELLS_MAX or saved.stride < 1:
            return None
        days = CellDays(saved.cells)
        days.numbers = _array(saved.numbers, np.int32, (-1,))
        count = len(days.numbers)
        days.values = {f: _array(saved.values[f], TYPES[f], (count, saved.cells)) for f in FEATURES}
        days.pack = {name: _array(saved.pack[name], np.float32, (count,)) for name in PACK}
        days.levels = _array(saved.levels, np.float32, (BINS, saved.cells))
        days.weights = _array(saved.weights, np.uint8, (BINS, saved.cells))
        days.told = _array(saved.told, np.uint8, (KINDS, saved.cells))
        days.capacities, days.reported = saved.capacities[:CAPACITIES_MAX], saved.reported
        if len(saved.gap_sums) != 5:
            return None
        if saved.day >= 0:
            days.open = _load_today(saved)
    except (msgspec.MsgspecError, KeyError, ValueError):
        return None
    return days


def _load_today(saved: _Saved) -> OpenDay:
    cells = saved.cells
    rows = _array(saved.rows, np.float32, (-1, cells))
    ohms = _array(saved.ohms, np.float32, (-1, cells))
    return OpenDay(
        saved.day,
        Motion(_array(saved.counts, np.uint16, (cells, CHANGES)), _array(saved.sums, np.float64, (TERMS, cells))),
        list(rows),
        _array(saved.slopes, np.float32, (len(rows),)).tolist(),
        _array(saved.socs, np.float32, (len(rows),)).tolist(),
        list(ohms),
        _array(saved.own_ohms, np.float32, (len(ohms),)).tolist(),
        saved.stride,
        saved.seen,
        saved.gap_sums,
        saved.top,
    )


def _array(raw: bytes, kind: Any, shape: tuple[int, ...]) -> Any:  # NumPy's own types of shape and kind
    """Raises ValueError where the bytes do not fill the shape."""
    return np.frombuffer(raw, kind).reshape(shape).copy()
