"""`./run eval bus`: frames that do not belong on a bus, on recordings of a real car with attacks put in.

can_attacks_volvo_v40 of ../shared/data: 153 s of a car, clean and with three attacks. Habits are learnt from the first
half of the clean drive, every figure is of the second halves, and what was tuned was tuned on the first. Beside them
published rules on the same split: identifiers in an order never seen, identifiers never seen, byte values never seen
at their place. Replay, masquerade and a flood of a known identifier are made here from the clean second half, since no
recording has them.

Keys of the JSON: f1: by attack, of frames; clean_fpr: share of honest frames of the clean half that are not believed;
baselines: F1 of the rules; made: recall and F1 of attacks made here; frames_per_s: how many are judged, in batches as
a bus of this load brings them.
"""

import csv
import json
import sys
import time
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import replace
from io import TextIOWrapper
from itertools import pairwise
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
from rich.console import Console
from rich.table import Table

from agent.core.errors import InputError
from agent.core.frames import FrameBatch, empty_batch
from agent.detect.bus import BusWatch, Finding
from agent.detect.bus_habits import Habit, learn
from simulators.arguments import Parser

DATA: Final = Path(__file__).resolve().parents[3] / "shared" / "data" / "can_attacks_volvo_v40"
ATTACKS: Final = {"dos": "denial_of_service", "id_fuzzing": "id_fuzzing", "payload_fuzzing": "payload_fuzzing_id_8"}
TARGET: Final = 0x150
ATTACKED: Final = 100
BATCH: Final = 50  # frames, about what 20 ms of this bus bring

Flags = npt.NDArray[np.bool_]
_NS: Final = 10**9
_WIDTH: Final = 8


def main(argv: Sequence[str]) -> int:
    """Exit code 0; 1 without recordings."""
    parser = Parser(prog="./run eval bus", description=__doc__)
    parser.add_argument("--json", action="store_true", help="the last line is one JSON object")
    options = parser.parse_args(argv)
    if not DATA.is_dir():
        sys.stderr.write(f"eval bus: no recordings at {DATA}\n")
        return 1
    result = measure(DATA)
    if options.json:
        sys.stdout.write(json.dumps(result) + "\n")
    else:
        _print(Console(width=120), result)
    return 0


def measure(folder: Path) -> dict[str, Any]:
    """All figures. Raises InputError where a recording cannot be read."""
    clean, _ = read_recording(folder / "clean.zip")
    middle_ns = int(clean.t_ns[-1]) // 2
    early, late = clean[clean.t_ns < middle_ns], clean[clean.t_ns >= middle_ns]
    habits = learn(early)
    begun = time.perf_counter()
    honest = judge(habits, late) > 0
    took_s = time.perf_counter() - begun
    result: dict[str, Any] = {"name": "bus", "f1": {}, "clean_fpr": float(honest.mean()), "baselines": {}}
    for name, file in ATTACKS.items():
        frames, truth = read_recording(folder / f"{file}.zip")
        rows = frames.t_ns >= middle_ns
        half, truth = frames[rows], truth[rows]
        result["f1"][name] = f1(judge(habits, half) > 0, truth)
        rules = {rule: f1(flags, truth) for rule, flags in baselines(early, half).items()}
        result["baselines"][name] = rules
    result["made"] = {name: _found(habits, *made) for name, made in make_attacks(late).items()}
    result["frames"] = len(late)
    result["frames_per_s"] = round(len(late) / took_s)
    return result


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


def baselines(clean: FrameBatch, frames: FrameBatch) -> dict[str, Flags]:
    """Published rules, learnt from the same clean frames."""
    pairs = set(pairwise(clean.can_id.tolist()))
    ids = frames.can_id.tolist()
    new_pair = [False, *(pair not in pairs for pair in pairwise(ids))]
    places = np.arange(_WIDTH, dtype=np.uint32) * 256
    seen = np.zeros((1 << 11, _WIDTH * 256), np.bool_)
    seen[clean.can_id[:, None], clean.data[:, :_WIDTH] + places] = True
    new_byte = ~seen[frames.can_id[:, None], frames.data[:, :_WIDTH] + places]
    return {
        "id_bigram": np.array(new_pair),
        "unknown_id": ~np.isin(frames.can_id, clean.can_id),
        "unknown_byte": new_byte.any(axis=1),
    }


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


def _print(console: Console, result: Mapping[str, Any]) -> None:
    table = Table(title="frames, second half", title_justify="left")
    for column in ("attack", "F1", "id bigram", "unknown id", "unknown byte"):
        table.add_column(column, justify="left" if column == "attack" else "right")
    for name, value in result["f1"].items():
        table.add_row(name, f"{value:.3f}", *(f"{x:.3f}" for x in result["baselines"][name].values()))
    for name, made in result["made"].items():
        table.add_row(f"{name} (made here)", f"{made['f1']:.3f}", "", "", f"recall {made['recall']:.2f}")
    console.print(table)
    console.print(
        f"clean: {result['clean_fpr']:.4%} of {result['frames']} frames; {result['frames_per_s']:,} frames a second"
    )


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
