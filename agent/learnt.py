"""What was learnt of the car, as plain values with names: state files are packed for the disk, not for their owner."""

from collections.abc import Callable, Mapping
from dataclasses import asdict
from typing import Any, Final

import msgspec
import numpy as np
import numpy.typing as npt

from agent.core.desk_state import DeskBook, load_book
from agent.detect.battery_diary import Diary, load_diary
from agent.detect.bus_guard import load_habits
from agent.detect.bus_habits import Habit, HabitLearner
from agent.detect.cell_days import FEATURES
from agent.detect.cell_state import load_days
from agent.detect.cell_today import OpenDay

_ROWS: Final = ("charges", "estimates", "advice")
_LAST: Final = 0x7FFF_FFFF  # of a frame key, without the bit that marks 29-bit identifiers


def plain_state(name: str, data: bytes) -> Any:
    """A state file's content, which JSON can hold; name: of the file, without its ending.

    What this software cannot read is told as far as its packing goes; else {"base64": ...}.
    """
    try:
        return msgspec.json.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError):
        pass
    told = _READERS[name](data) if name in _READERS else None
    if told is not None:
        return told
    try:
        return msgspec.to_builtins(msgspec.msgpack.decode(data), str_keys=True)  # bytes become base64
    except (msgspec.MsgspecError, ValueError, TypeError):
        return {"base64": msgspec.to_builtins(data)}


def _diary(data: bytes) -> Any:
    """Days are numbered from 1970 where the date was known."""
    diary = load_diary(data)
    if diary == Diary():
        return None
    return {
        **{field: _named(getattr(diary, field)) for field in ("start_day", "last_day", *_ROWS)},
        "sensors": [{"day": day, "signal": signal} for day, signal in diary.sensors],
        "alarms": [{"day": day, "count_by_level": counts} for day, counts in diary.alarms],
    }


def _pack(data: bytes) -> Any:
    """Units as agent.detect.cell_days has them; by day and cell, null where nothing was measured."""
    days = load_days(data)
    if days is None:
        return None
    numbers, values = days.by_day()
    return {
        "cells": days.cells,
        "days": numbers.tolist(),
        "by_day": {feature: _numbers(values[:, :, place]) for place, feature in enumerate(FEATURES)},
        "pack_by_day": {name: _numbers(row) for name, row in days.pack.items()},
        "levels_by_charge": _numbers(days.levels),
        "weights_by_charge": days.weights.tolist(),
        "advice_given": days.told.tolist(),
        "capacities_ah": days.capacities,
        "reported_month": days.reported,
        "today": None if days.open is None else _today(days.open),
    }


def _today(day: OpenDay) -> Mapping[str, Any]:
    return {
        "day": day.number,
        "rows_v": _numbers(day.rows),
        "slopes_v_per_percent": _numbers(day.slopes),
        "soc_percent": _numbers(day.socs),
        "resistances_ohm": _numbers(day.ohms),
        "own_resistance_ohm": _numbers(day.own_ohms),
        "rows_seen": day.seen,
        "top": day.top,
        "gap_sums": day.gap_sums,
        "motion_counts": day.motion.counts.tolist(),
        "motion_sums": _numbers(day.motion.sums),
    }


def _buses(data: bytes) -> Any:
    """By bus and identifier (hexadecimal, `x` behind one of 29 bits), what is normal, as far as enough was seen."""
    saved = load_habits(data)
    told = {}
    for number, bus in saved.items():
        learner = HabitLearner.load(bus.habits)
        habits = learner.habits() if learner else {}
        identifiers = {f"{key & _LAST:X}{'x' if key > _LAST else ''}": _habit(habit) for key, habit in habits.items()}
        told[str(number)] = {"seconds": bus.seconds, "span_s": bus.span_s, "identifiers": identifiers}
    return told or None


def _habit(habit: Habit) -> Mapping[str, Any]:
    return asdict(habit) | {"cost": _numbers(habit.cost)}


def _desk(data: bytes) -> Any:
    """Without tickets and messages, which are told by themselves, in words."""
    book = load_book(data)
    if book == DeskBook():
        return None
    return {"channel": book.channel, "points": book.points, "seen": book.seen, "floor_ns": book.floor_ns}


def _numbers(array: npt.ArrayLike) -> Any:
    """As lists; not-a-number is null in JSON, and float32 has six digits."""
    values = np.asarray(array, np.float64)
    return np.array([float(f"{value:.6g}") for value in values.ravel()]).reshape(values.shape).tolist()


def _named(value: Any) -> Any:
    """Rows of structs by the names of their fields, whatever way they are packed."""
    if isinstance(value, msgspec.Struct):
        return {field: _named(getattr(value, field)) for field in value.__struct_fields__}
    return [_named(each) for each in value] if isinstance(value, list) else value


_READERS: Final[Mapping[str, Callable[[bytes], Any]]] = {
    "battery": _diary,
    "pack": _pack,
    "bus": _buses,
    "desk": _desk,
}
