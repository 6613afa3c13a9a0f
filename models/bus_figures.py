"""How well habits of a bus tell attacks apart, for the card and for `./run eval bus`."""

import csv
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass, replace
from io import TextIOWrapper
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from agent.core.errors import InputError
from agent.core.frames import FrameBatch, empty_batch
from agent.detect.bus import BusWatch, Finding
from agent.detect.bus_habits import Habit, learn

DATA: Final = Path(__file__).resolve().parents[2] / "shared" / "data" / "can_attacks_volvo_v40"
ATTACKS: Final = {"dos": "denial_of_service", "id_fuzzing": "id_fuzzing", "payload_fuzzing": "payload_fuzzing_id_8"}
TARGET: Final = 0x150
ATTACKED: Final = 100
BATCH: Final = 50  # frames, about what 20 ms of this bus bring

Flags = npt.NDArray[np.bool_]
_NS: Final = 10**9
_WIDTH: Final = 8


@dataclass(frozen=True, slots=True)
class Halves:
    """A recorded car: its first half and the habits learnt from it; the second half, and that of each attack."""

    early: FrameBatch
    habits: Mapping[int, Habit]
    late: FrameBatch
    attacked: Mapping[str, tuple[FrameBatch, Flags]]


def read_halves(folder: Path) -> Halves:
    """The recordings of a folder. Raises InputError where one cannot be read."""
    clean, _ = read_recording(folder / "clean.zip")
    middle_ns = int(clean.t_ns[-1]) // 2
    attacked = {}
    for name, file in ATTACKS.items():
        frames, truth = read_recording(folder / f"{file}.zip")
        rows = frames.t_ns >= middle_ns
        attacked[name] = frames[rows], truth[rows]
    early = clean[clean.t_ns < middle_ns]
    return Halves(early, learn(early), clean[clean.t_ns >= middle_ns], attacked)


def figures(halves: Halves) -> dict[str, Any]:
    """F1 by attack, honest frames not believed, attacks made here, and how many identifiers can be seen to be held."""
    habits = halves.habits
    return {
        "f1": {name: f1(judge(habits, frames) > 0, truth) for name, (frames, truth) in halves.attacked.items()},
        "clean_fpr": float((judge(habits, halves.late) > 0).mean()),
        "made": {name: _found(habits, *made) for name, made in make_attacks(halves.late).items()},
        "identifiers": len(habits),
        "restless_identifiers": sum(habit.rest_most > 0 for habit in habits.values()),
        "frames": len(halves.late),
    }


def read_recording(path: Path) -> tuple[FrameBatch, Flags]:
    """Frames and which of them were put in. Raises InputError naming the file."""
    try:
        with zipfile.ZipFile(path) as archive, archive.open(archive.namelist()[0]) as file:
            rows = list(csv.DictReader(TextIOWrapper(file, "ascii")))
        frames = empty_batch(len(rows))
        frames.t_ns[:] = [round(float(row["timestamp"]) * _NS) for row in rows]
        frames.can_id[:] = [int(row["CAN_ID"], 16) for row in rows]
        frames.length[:] = [int(row["DLC"]) // 8 for row in rows]  # this recording counts bits
        payloads = b"".join(bytes.fromhex(row["PAYLOAD_HEX"]).ljust(_WIDTH, b"\0") for row in rows)
        frames.data[:, :_WIDTH] = np.frombuffer(payloads, np.uint8).reshape(-1, _WIDTH)
        return frames, np.array([row["ANOMALY"] == "True" for row in rows])
    except (OSError, KeyError, ValueError, zipfile.BadZipFile) as exc:
        raise InputError(f"{path}: not a recording of this kind: {exc}") from exc


def judge(habits: Mapping[int, Habit], frames: FrameBatch) -> npt.NDArray[np.uint8]:
    """Findings, in batches as a bus brings them."""
    watch = BusWatch(habits)
    return np.concatenate([watch.judge(frames[row : row + BATCH]) for row in range(0, len(frames), BATCH)])


def f1(said: Flags, truth: Flags) -> float:
    """Of frames."""
    right, wrong = int((said & truth).sum()), int((said != truth).sum())
    return round(2 * right / max(2 * right + wrong, 1), 4)


def make_attacks(clean: FrameBatch) -> dict[str, tuple[FrameBatch, Flags]]:
    """Frames with an attack in them, and where: seeded, two seconds of an identifier that comes every 20 ms."""
    rng = np.random.default_rng(20261128)
    rows = np.flatnonzero(clean.can_id == TARGET)
    hit = rows[len(rows) // 2 : len(rows) // 2 + ATTACKED]
    old = clean[rows[len(rows) // 4 : len(rows) // 4 + ATTACKED]]
    between_ns = clean.t_ns[hit] + 3_000_000 + rng.integers(0, 4_000_000, len(hit))
    flood = clean[np.repeat(hit[:1], 10 * ATTACKED)]
    flood_ns = np.arange(len(flood), dtype=np.int64) * 500_000 + flood.t_ns
    forged, held = clean.data.copy(), clean.data.copy()
    forged[hit, :_WIDTH] = rng.integers(0, 256, (len(hit), _WIDTH))
    held[hit] = clean.data[rows[0]]
    truth = np.zeros(len(clean), np.bool_)
    truth[hit] = True
    return {
        "replay_between": _put_in(clean, replace(old, t_ns=between_ns)),
        "flood_of_known_id": _put_in(clean, replace(flood, t_ns=flood_ns)),
        "masquerade_random": (replace(clean, data=forged), truth),
        "masquerade_old_payload": (replace(clean, data=held), truth),
    }


def _put_in(clean: FrameBatch, put: FrameBatch) -> tuple[FrameBatch, Flags]:
    order = np.argsort(np.concatenate([clean.t_ns, put.t_ns]), kind="stable")
    columns = zip(_columns(clean), _columns(put), strict=True)
    frames = FrameBatch(*(np.concatenate(pair)[order] for pair in columns))
    return frames, order >= len(clean)


def _columns(frames: FrameBatch) -> tuple[Any, ...]:
    return frames.t_ns, frames.bus, frames.can_id, frames.flags, frames.length, frames.data


def _found(habits: Mapping[int, Habit], frames: FrameBatch, truth: Flags) -> dict[str, float | list[str]]:
    findings = judge(habits, frames)
    told = findings > 0
    reasons = [reason.name or "" for reason in Finding if (findings[told & truth] & reason).any()]
    return {"recall": round(float(told[truth].mean()), 4), "f1": f1(told, truth), "by": reasons}
