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

import json
import sys
import time
from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
from rich.console import Console
from rich.table import Table

from agent.core.frames import FrameBatch
from models.bus_figures import DATA, f1, figures, judge, read_halves
from simulators.arguments import Parser

Flags = npt.NDArray[np.bool_]
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
    halves = read_halves(folder)
    result: dict[str, Any] = {"name": "bus", **figures(halves)}
    result["baselines"] = {
        name: {rule: f1(flags, truth) for rule, flags in baselines(halves.early, frames).items()}
        for name, (frames, truth) in halves.attacked.items()
    }
    begun = time.perf_counter()
    judge(halves.habits, halves.late)
    result["frames_per_s"] = round(len(halves.late) / (time.perf_counter() - begun))
    return result


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
