"""`--sweep`: recall, false alarms and errors of the collision detector over the library of blows.

Collisions come at 400 and at 100 Hz. What only looks like one comes as often as the library says it does in so many
hours of driving and as many of parking, even seeds at 400 Hz, odd ones at 100 Hz; rare classes come more often, so that
each has its figure, and the hours beside it say how many that stands for. Between the events of the library nothing
happens that could pass the detector's gate; whole healthy drives, sample by sample through the pipeline, show it.

Seeds: reported figures come from simulators.blows.HELD_OUT (10,000,000 to 19,999,999), which nobody may train or tune
on; --tuning draws from TUNING (1,000,000 to 1,999,999); models train on TRAINING (0 to 999,999). Commutes: seeds from
40,000 on for reports, from 30,000 on for tuning; models/train_drive.py uses those below 4,000.
"""

import argparse
import json
import os
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from rich.console import Console

from simulators.arguments import count
from simulators.blows import HELD_OUT, KINDS, NEGATIVES, TUNING
from tests.eval.collision_report import render, summarise
from tests.eval.judges import judges
from tests.eval.scenes import COMMUTE_S, Job, Row, run_all

RATES_HZ: Final = (400, 100)
COMMUTES: Final = 40_000
COMMUTES_TUNING: Final = 30_000


@dataclass(frozen=True, slots=True)
class Size:
    """How much: collisions at each rate, parked hits at each rate, hours, scenes of the rarest class, whole drives."""

    crashes: int
    parked: int
    hours: float
    rare: int
    commutes: int


SMALL: Final = Size(crashes=400, parked=200, hours=60, rare=20, commutes=2)
USUAL: Final = Size(crashes=3000, parked=1500, hours=1000, rare=200, commutes=12)


def plan(size: Size, *, tuning: bool = False, only: Sequence[str] = ()) -> list[Job]:
    """Every scene to draw; only: these classes alone."""
    start = (TUNING if tuning else HELD_OUT).start
    jobs: list[Job] = []
    for rate_hz in RATES_HZ:
        jobs += [Job("crash", start + n, rate_hz) for n in range(size.crashes)]
        jobs += [Job("parked_hit", start + n, rate_hz) for n in range(size.parked)]
    for kind, negative in NEGATIVES.items():
        scenes = max(size.rare, round(size.hours * negative.per_hour))
        jobs += [Job(kind, start + n, RATES_HZ[n % 2]) for n in range(scenes)]
    first = COMMUTES_TUNING if tuning else COMMUTES
    jobs += [Job("commute", first + n) for n in range(size.commutes)]
    return [job for job in jobs if not only or job.kind in only]


def main(options: argparse.Namespace) -> int:
    """Draw, watch, count, tell."""
    size = SMALL if options.small else USUAL
    if options.hours:
        size = Size(size.crashes, size.parked, options.hours, size.rare, size.commutes)
    jobs = plan(size, tuning=options.tuning, only=options.only)
    began_s = time.monotonic()
    rows = run_all(_mixed(jobs), workers=options.jobs, tell=_progress)
    took_s = time.monotonic() - began_s
    console = Console(width=150)
    result: dict[str, object] = {
        "name": "collision_sweep",
        "seeds": "tuning" if options.tuning else "held out",
        "scenes": len(rows),
        "took_s": round(took_s, 1),
        "processes": options.jobs,
        "hours_sample_by_sample": round(_whole_hours(rows), 1),
    }
    for name, judge in judges().items():
        summary = summarise(rows, judge)
        result[name] = summary
        if not options.json:
            render(console, name, summary)
    if options.json:
        sys.stdout.write(json.dumps(result) + "\n")
    else:
        whole = f"{result['hours_sample_by_sample']} h of whole drives sample by sample"
        console.print(f"{len(rows)} scenes, {whole}, in {took_s:.0f} s on {options.jobs} processes: {result['seeds']}")
    return 0


def add_options(parser: argparse.ArgumentParser) -> None:
    """What only the sweep understands."""
    parser.add_argument("--small", action="store_true", help="about a minute")
    parser.add_argument("--hours", type=_hours, default=0.0, metavar="H", help="of driving, and as many of parking")
    parser.add_argument("--tuning", action="store_true", help="seeds that one may look at while tuning")
    parser.add_argument(
        "--only", action="append", default=[], choices=(*KINDS, "commute"), metavar="CLASS", help="may be repeated"
    )
    parser.add_argument("--jobs", type=count, default=os.cpu_count() or 1, metavar="N", help="processes; %(default)s")


def _hours(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 1 <= value <= 100_000:
        raise argparse.ArgumentTypeError(f"{text!r}: hours from 1 to 100,000")
    return value


def _mixed(jobs: list[Job]) -> list[Job]:
    """Whole drives first, so that no process is left with them at the end."""
    return sorted(jobs, key=lambda job: job.kind != "commute")


def _whole_hours(rows: Sequence[Row]) -> float:
    return sum(row.job.kind == "commute" for row in rows) * COMMUTE_S / 3600


def _progress(done: int, total: int) -> None:
    if sys.stderr.isatty():
        print(f"\r{done} of {total} scenes", end="\n" if done == total else "", file=sys.stderr, flush=True)
