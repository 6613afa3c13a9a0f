"""`outrider profile check`: how much of a recording a vehicle profile decodes, identifier by identifier."""

import json
from collections import Counter, defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from agent.core.frames import EXTENDED_KEY
from agent.core.paths import DBC
from agent.core.signals import Quality, Samples, SignalCatalog
from agent.decode.decode import decode_batch
from agent.decode.profile import load_profile
from agent.decode.table import build_checker, build_table, by_pgn
from agent.proto.did import DidDecoder
from simulators.replay.recording import open_recording


def check_profile(name: str, files: Sequence[Path], *, dbc: Sequence[str], as_json: bool) -> int:
    """Print the report; exit code 0 where anything was decoded, else 1. Raises InputError."""
    report = examine(name, files, dbc=dbc)
    if as_json:
        print(json.dumps(report))
    else:
        _print(report)
    return 0 if report["decoded"] or report["signals"] else 1


def examine(name: str, files: Sequence[Path], *, dbc: Sequence[str] = ()) -> dict[str, Any]:
    """Frames decoded, unknown and bad for each identifier; samples of each quality for each signal."""
    profile = load_profile(name)
    paths = [Path(text) if Path(text).exists() else DBC / text for text in dbc]
    catalog = SignalCatalog()
    table = build_table(profile, paths, catalog)
    checker = build_checker(profile, paths)
    dids = DidDecoder(profile.dids, catalog)
    frames: defaultdict[int, Counter[str]] = defaultdict(Counter)
    signals: defaultdict[str, Counter[str]] = defaultdict(Counter)
    for file in files:
        for batch in open_recording(file):
            kept = batch if checker is None else checker.filter(batch)
            for key in sorted(set(kept.keys().tolist())):
                part = kept[kept.keys() == key]
                decoded = decode_batch(table, by_pgn(part) if profile.j1939 else part)
                frames[key].update(frames=len(part), decoded=decoded.decoded, unknown=decoded.unknown, bad=decoded.bad)
                _count(signals, catalog, decoded.samples)
            answers = dids.frames(batch)
            if answers is not None:
                _count(signals, catalog, answers)
    totals = sum(frames.values(), Counter())
    return {
        "profile": profile.name,
        "frames": totals["frames"],
        "decoded": totals["decoded"],
        "unknown": totals["unknown"],
        "bad": totals["bad"],
        "failed_checks": {} if checker is None else {what: n for what, n in checker.counts.items() if n},
        "uds_answers": {"messages": dids.messages, "unknown": dids.unknown, "bad": dids.bad},
        "identifiers": {_identifier(key): dict(count) for key, count in sorted(frames.items())},
        "signals": {path: dict(count) for path, count in sorted(signals.items())},
        "signals_missing": sorted(spec.path for spec in catalog.specs if spec.path not in signals),
    }


def _count(signals: defaultdict[str, Counter[str]], catalog: SignalCatalog, samples: Samples) -> None:
    pairs = zip(samples.signal.tolist(), samples.quality.tolist(), strict=True)
    for (number, kind), count in Counter(pairs).items():
        signals[catalog.specs[number].path][Quality(kind).name.lower()] += count


def _identifier(key: int) -> str:
    return f"{key & ~EXTENDED_KEY:08X}" if key & EXTENDED_KEY else f"{key:03X}"


def _print(report: dict[str, Any]) -> None:
    console = Console(highlight=False)
    table = Table(title=f"{report['profile']}: {report['decoded']} of {report['frames']} frames decoded")
    for column in ("identifier", "frames", "decoded", "unknown", "bad"):
        table.add_column(column, justify="left" if column == "identifier" else "right")
    for identifier, count in report["identifiers"].items():
        table.add_row(identifier, *(str(count.get(kind, 0)) for kind in ("frames", "decoded", "unknown", "bad")))
    console.print(table)
    kinds = [kind.name.lower() for kind in Quality]
    table = Table(title=f"{len(report['signals'])} signals; {len(report['signals_missing'])} never came")
    for column in ("signal", *kinds):
        table.add_column(column, justify="left" if column == "signal" else "right")
    for path, count in report["signals"].items():
        table.add_row(path, *(str(count.get(kind, 0)) for kind in kinds))
    console.print(table)
    for key in ("failed_checks", "uds_answers"):
        console.print(f"{key:<18} {json.dumps(report[key])}", markup=False)
