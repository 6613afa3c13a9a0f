"""A scenario's bus as a recording that other tools read, and beside it what is true of it."""

import argparse
import json
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Final

import can
from can.io.generic import MessageWriter

from agent.core.errors import AgentError, InputError
from agent.core.frames import EXTENDED
from simulators.arguments import Parser, seed
from simulators.world import Drive, load_scenario, simulate
from simulators.world.frames import encode_drive

START_S: Final = 1_790_000_000  # when every exported drive begins: the same seed gives the same times

_FORMATS: Final[Mapping[str, tuple[str, Callable[[Path], MessageWriter]]]] = {
    "candump": (".log", can.CanutilsLogWriter),
    "asc": (".asc", can.ASCWriter),
    "blf": (".blf", can.BLFWriter),
    "csv": (".csv", can.CSVWriter),
}


def export_drive(drive: Drive, path: Path, form: str) -> int:
    """Write the frames and return how many. Raises InputError where the file cannot be written."""
    frames = encode_drive(drive)
    try:
        writer = _FORMATS[form][1](path)
    except OSError as exc:
        raise InputError(f"{path}: cannot be written: {exc.strerror}") from exc
    try:
        for row in range(len(frames)):
            writer.on_message_received(
                can.Message(
                    timestamp=START_S + int(frames.t_ns[row]) / 1e9,
                    arbitration_id=int(frames.can_id[row]),
                    is_extended_id=bool(frames.flags[row] & EXTENDED),
                    data=frames.data[row, : frames.length[row]].tobytes(),
                    channel=0,
                )
            )
    finally:
        writer.stop()
    return len(frames)


def truth_json(drive: Drive) -> str:
    """What a perfect agent would report: kind, seconds from the start, and the details."""
    whole = {
        "scenario": drive.scenario.name,
        "description": drive.scenario.description,
        "family": drive.scenario.family,
        "seed": drive.seed,
        "start_s": START_S,
        "duration_s": drive.duration_ns / 1e9,
        "truth": [{"kind": t.kind, "t_s": t.t_ns / 1e9, **t.details} for t in drive.truth],
    }
    return json.dumps(whole, indent=2) + "\n"


def main(argv: Sequence[str]) -> int:
    """Exit code 0 done, 2 for what cannot be done as asked."""
    options = _parser().parse_args(argv)
    try:
        drive = simulate(load_scenario(options.scenario), options.seed)
        path = options.output or Path(drive.scenario.name + _FORMATS[options.format][0])
        truth = options.truth or path.with_name(path.name + ".truth.json")
        count = export_drive(drive, path, options.format)
        _write(truth, truth_json(drive))
    except AgentError as exc:
        print(f"simulators export: {exc}", file=sys.stderr)
        return 2
    print(f"{path}: {count} frames; {truth}: {len(drive.truth)} truths")
    return 0


def _write(path: Path, text: str) -> None:
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as exc:
        raise InputError(f"{path}: cannot be written: {exc.strerror}") from exc


def _parser() -> argparse.ArgumentParser:
    parser = Parser(prog="python -m simulators export", description=__doc__)
    parser.add_argument("scenario", metavar="NAME", help="a name from `list`, or a .toml file")
    parser.add_argument("--format", choices=sorted(_FORMATS), default="candump")
    parser.add_argument("--output", type=Path, metavar="FILE", help="NAME with the format's suffix without it")
    parser.add_argument("--truth", type=Path, metavar="FILE", help="FILE.truth.json without it")
    parser.add_argument("--seed", type=seed, default=7, metavar="N")
    return parser
