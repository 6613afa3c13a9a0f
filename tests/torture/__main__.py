"""`python -m tests.torture store --trials N`: kill the store's writer, break its disk, count what is lost.

`network --events N --hours H`: so long without a network, then deliver it all. `backlog --records N`: a crash behind so
many records, which is to be first on the wire of a new connection within a second. `crash --trials N`: kill the box at
T0 + 250 ms of a crash or at any time later. Each prints a table. The exit code is 1 where anything was lost, invented
or out of order.
"""

import argparse
import asyncio
import dataclasses
import logging
import sys
import tempfile
from collections import defaultdict
from pathlib import Path
from typing import Final

from rich.console import Console
from rich.table import Table

from tests.torture import backlog, crash, offline
from tests.torture.trial import KINDS, Kind, Result, run_trial

_DISK: Final = "/var/tmp"  # a million records are too much for memory
_MEMORY: Final = Path("/dev/shm")  # the faults are ours; the machine's own disk only slows them


def main() -> int:
    """Spread the trials evenly over the kinds of faults."""
    parser = argparse.ArgumentParser(prog="torture", description="Nothing committed may be lost.")
    parser.add_argument("what", choices=["store", "network", "backlog", "crash"])
    parser.add_argument("--trials", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--events", type=int, default=100_000, help="of network")
    parser.add_argument("--records", type=int, default=1_000_000, help="of backlog")
    parser.add_argument("--hours", type=float, default=72.0, help="of network")
    arguments = parser.parse_args()
    logging.disable()  # a refusing disk is news to the agent, not here
    if arguments.what == "network":
        return _torture_network(arguments.events, arguments.hours)
    if arguments.what == "backlog":
        return _torture_backlog(arguments.records)
    if arguments.what == "crash":
        return _torture_crash(arguments.trials, arguments.seed)
    totals: dict[Kind, list[Result]] = defaultdict(list)
    for number in range(arguments.trials):
        kind = KINDS[number % len(KINDS)]
        seed = arguments.seed + number // len(KINDS)
        with tempfile.TemporaryDirectory(prefix="torture-", dir=_MEMORY if _MEMORY.is_dir() else None) as folder:
            result = run_trial(kind, seed, Path(folder))
        totals[kind].append(result)
        for problem in result.problems:
            sys.stderr.write(f"{kind} seed {seed}: {problem}\n")
        if result.lost or result.invented:
            sys.stderr.write(f"{kind} seed {seed}: {result.lost} lost, {result.invented} invented\n")
    return _report(totals)


def _torture_network(events: int, hours: float) -> int:
    with tempfile.TemporaryDirectory(prefix="torture-", dir=_MEMORY if _MEMORY.is_dir() else None) as folder:
        result = asyncio.run(offline.run(Path(folder), events=events, hours=hours))
    table = Table("what", "figure")
    for name, value in dataclasses.asdict(result).items():
        table.add_row(name, f"{value:.1f}" if isinstance(value, float) else f"{value}")
    Console().print(table)
    sys.stdout.write(
        f"{hours:g} h offline, {events} events: {result.lost} lost, {result.invented} invented, "
        f"{result.out_of_order} out of order\n"
    )
    return int(not result.is_sound)


def _torture_backlog(records: int) -> int:
    with tempfile.TemporaryDirectory(prefix="torture-", dir=_DISK) as folder:
        result = asyncio.run(backlog.run(Path(folder), records=records))
    table = Table("what", "figure")
    for name, value in dataclasses.asdict(result).items():
        table.add_row(name, f"{value:.3f}" if isinstance(value, float) else f"{value}")
    Console().print(table)
    sys.stdout.write(
        f"{records} records waiting: the crash went as number {result.place}, {result.crash_s * 1e3:.0f} ms after "
        f"CONNACK; memory {result.memory_before_mb:.0f} MB before, {result.memory_after_mb:.0f} MB after\n"
    )
    return int(not result.is_sound)


def _torture_crash(trials: int, first_seed: int) -> int:
    table = Table("killed", "trials", "promised", "lost", "records complete", "other")
    sums: dict[str, list[crash.Result]] = {"at T0 + 250 ms": [], "later": []}
    for seed in range(first_seed, first_seed + trials):
        with tempfile.TemporaryDirectory(prefix="torture-", dir=_MEMORY if _MEMORY.is_dir() else None) as folder:
            result = crash.run_trial(seed, Path(folder))
        sums["later" if seed % 4 else "at T0 + 250 ms"].append(result)
        for problem in result.problems:
            sys.stderr.write(f"crash seed {seed}: {problem}\n")
    for name, results in sums.items():
        table.add_row(name, str(len(results)), *map(str, _crash_row(results)))
    Console().print(table)
    promised, lost, _, problems = _crash_row([result for results in sums.values() for result in results])
    sys.stdout.write(f"{trials} kills in a crash: {promised} events promised, {lost} lost\n")
    return int(bool(lost or problems))


def _crash_row(results: list[crash.Result]) -> tuple[int, int, int, int]:
    return (
        sum(r.promised for r in results),
        sum(r.lost for r in results),
        sum(r.complete for r in results),
        sum(len(r.problems) for r in results),
    )


def _report(totals: dict[Kind, list[Result]]) -> int:
    table = Table("fault", "trials", "refusals", "committed", "critical", "lost", "invented", "other")
    for kind, results in totals.items():
        table.add_row(kind, *map(str, _row(results)))
    Console().print(table)
    trials, _, committed, _, lost, invented, problems = _row([r for results in totals.values() for r in results])
    sys.stdout.write(f"{trials} trials: {committed} committed, {lost} lost, {invented} invented\n")
    return int(bool(lost or invented or problems))


def _row(results: list[Result]) -> tuple[int, ...]:
    return (
        len(results),
        sum(r.failures for r in results),
        sum(r.committed for r in results),
        sum(r.critical for r in results),
        sum(r.lost for r in results),
        sum(r.invented for r in results),
        sum(len(r.problems) for r in results),
    )


if __name__ == "__main__":
    sys.exit(main())
