"""A scenario's bus as a recording that other tools read, and beside it what is true of it."""

import json
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Final

import can
from can.io.generic import MessageWriter

from agent.core.errors import InputError
from agent.core.frames import BIT_RATE_SWITCH, ERROR_FRAME, ERROR_STATE, EXTENDED, FD, OWN, REMOTE, FrameBatch
from simulators.arguments import SCENARIO_HELP, Parser, seed
from simulators.replay.mf4_writer import write_mf4
from simulators.world import Drive, load_scenario, simulate
from simulators.world.frames import encode_drive

START_S: Final = 1_790_000_000  # when every exported drive begins: the same seed gives the same times
_EXAMPLES: Final = """\
examples:
  python -m simulators export crash_chain --format blf
  python -m simulators export mine.toml --format mf4 --seed 12 --output /tmp/mine.mf4

FILE.truth.json says what a perfect agent would report of it: kind, seconds from the start, details."""


def export_drive(drive: Drive, path: Path, form: str) -> int:
    """Write the frames and return how many. Raises InputError where the file cannot be written."""
    frames = encode_drive(drive)
    try:
        _FORMATS[form][1](path, frames)
    except OSError as exc:
        raise InputError(f"{path}: cannot be written: {exc.strerror}") from exc
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
    """Exit code 0 done. Raises AgentError for what cannot be done as asked."""
    options = _parser().parse_args(argv)
    drive = simulate(load_scenario(options.scenario), options.seed)
    path = options.output or Path(drive.scenario.name + _FORMATS[options.format][0])
    truth = options.truth or path.with_name(path.name + ".truth.json")
    count = export_drive(drive, path, options.format)
    _write(truth, truth_json(drive))
    print(f"{path}: {count} frames; {truth}: {len(drive.truth)} truths")
    return 0


def _write(path: Path, text: str) -> None:
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as exc:
        raise InputError(f"{path}: cannot be written: {exc.strerror}") from exc


def _write_messages(make: Callable[[Path], MessageWriter], path: Path, frames: FrameBatch) -> None:
    """By one of python-can's writers. Raises OSError."""
    writer = make(path)
    try:
        for row, flags in enumerate(frames.flags.tolist()):
            writer.on_message_received(
                can.Message(
                    timestamp=START_S + int(frames.t_ns[row]) / 1e9,
                    arbitration_id=int(frames.can_id[row]),
                    is_extended_id=bool(flags & EXTENDED),
                    is_remote_frame=bool(flags & REMOTE),
                    is_error_frame=bool(flags & ERROR_FRAME),
                    is_fd=bool(flags & FD),
                    bitrate_switch=bool(flags & BIT_RATE_SWITCH),
                    error_state_indicator=bool(flags & ERROR_STATE),
                    is_rx=not flags & OWN,
                    dlc=int(frames.length[row]),
                    data=None if flags & REMOTE else frames.data[row, : frames.length[row]].tobytes(),
                    channel=int(frames.bus[row]),
                )
            )
    finally:
        writer.stop()


def _make_asc(path: Path) -> MessageWriter:
    """python-can's header bears the time of writing; this one the drive's, so that two exports are equal."""
    writer = can.ASCWriter(path)
    header = (
        f"date {time.strftime('%a %b %d %H:%M:%S.000 %Y', time.localtime(START_S))}\nbase hex  timestamps absolute\n"
    )
    writer.file.seek(0)
    writer.file.truncate()
    writer.file.write(f"{header}internal events logged\n")
    return writer


_FORMATS: Final[Mapping[str, tuple[str, Callable[[Path, FrameBatch], None]]]] = {
    "candump": (".log", partial(_write_messages, can.CanutilsLogWriter)),
    "asc": (".asc", partial(_write_messages, _make_asc)),
    "blf": (".blf", partial(_write_messages, can.BLFWriter)),
    "mf4": (".mf4", partial(write_mf4, start_ns=START_S * 1_000_000_000)),
    "csv": (".csv", partial(_write_messages, can.CSVWriter)),
}


def _parser() -> Parser:
    parser = Parser(
        prog="python -m simulators export", description="Write a scenario's bus and its truth.", epilog=_EXAMPLES
    )
    parser.add_argument("scenario", metavar="NAME", help=SCENARIO_HELP)
    parser.add_argument("--format", choices=list(_FORMATS), default="candump", help="without it: %(default)s")
    parser.add_argument("--output", type=Path, metavar="FILE", help="without it: NAME with the format's suffix, here")
    parser.add_argument("--truth", type=Path, metavar="FILE", help="without it: beside the output, .truth.json")
    parser.add_argument("--seed", type=seed, default=7, metavar="N", help="without it: %(default)s")
    return parser
