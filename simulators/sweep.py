"""Scenarios through the agent's real pipeline as fast as the machine can, and the score of it."""

import argparse
import json
import os
import shlex
import signal
import sys
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import get_context
from pathlib import Path
from typing import Final

import numpy as np

from agent.core.config import Detect
from agent.core.errors import InputError
from agent.core.events import Event
from agent.core.limits import BusLimits
from agent.core.paths import DBC
from agent.decode.profile import load_profile
from agent.pipeline import Pipeline
from simulators.arguments import Parser, count
from simulators.clock import ManualClock
from simulators.gnss import SimulatedGnss
from simulators.hardware import PROFILE
from simulators.imu import SimulatedImu
from simulators.report_table import table_json, table_text, tabulate
from simulators.score import NS, Outcome, Report, Run, judge, name_of
from simulators.supply import SimulatedSupply
from simulators.sweep_plan import COMMUTE, Job, plan
from simulators.world import Drive, simulate
from simulators.world.frames import encode_drive

WINDOW_NS: Final = 100_000_000  # latencies are known to this
_REPORT: Final = Path("build/sweep.html")
_SEEDS_MAX: Final = 10_000
_EXAMPLES: Final = """\
examples:
  python -m simulators sweep                       # everything, about 40 hours of driving, and build/sweep.html
  python -m simulators sweep --small               # one seed of each scenario, an hour of healthy commutes
  python -m simulators sweep crash_chain --seeds 0..99
  python -m simulators sweep crash_light --param events.0.delta_v_kmh=5,8,12 --param mass=1200,2400 --report x.html
  python -m simulators sweep --commutes 12         # one healthy drive without a file

A --param is the start of a [car] key (mass), or the way to any value: imu.rate_hz, events.0.cell, legs.1.speed_kmh.
"no event" counts truths that the agent has no event for yet; recall leaves them out, "of all" counts them as missed.
Lead is the median time from the first warning to the hazard (thermal runaway, a flat 12 V battery)."""


def watch(drive: Drive, *, window_ns: int = WINDOW_NS) -> list[Report]:
    """Every report of the agent's rules about this drive, in the order told; no cloud, no voice, no model."""
    sources = [make(drive, ManualClock()) for make in (SimulatedImu, SimulatedGnss, SimulatedSupply)]
    reports: list[Report] = []
    now_ns = 0

    def note(events: Sequence[Event]) -> None:
        reports.extend(Report(event, now_ns) for event in events)

    pipeline = Pipeline(
        load_profile(PROFILE),
        [DBC / "outrider_sim.dbc"],
        limits=Detect(bus=BusLimits(enabled=True)),
        sample_sources=sources,
        on_events=note,
        on_window=lambda _: None,
    )
    frames = encode_drive(drive)
    ends_ns = np.arange(window_ns, drive.duration_ns + 2 * window_ns, window_ns)
    cuts = [np.searchsorted(t_ns, ends_ns).tolist() for t_ns in (frames.t_ns, *(source.t_ns for source in sources))]
    last = [0] * len(cuts)
    for turn, end_ns in enumerate(ends_ns.tolist()):
        now_ns = min(end_ns, drive.duration_ns)
        if cuts[0][turn] > last[0]:
            pipeline.on_frames(frames[last[0] : cuts[0][turn]])
        for source, cut, first in zip(sources, cuts[1:], last[1:], strict=True):
            if cut[turn] > first:
                pipeline.on_samples(source.name, source.samples(slice(first, cut[turn])))
        last = [cut[turn] for cut in cuts]
    pipeline.finish()
    return reports


def score_drive(drive: Drive, *, family: str) -> Outcome:
    """Drive, watch, judge."""
    return judge(family, drive.scenario.name, drive.duration_ns / NS, drive.truth, watch(drive))


def run_job(job: Job) -> Run:
    """One drive of the plan. Raises InputError where the scenario cannot be driven."""
    outcome = score_drive(simulate(job.scenario, job.seed), family=job.family)
    return Run(outcome, job.source, job.seed, job.parameters)


def run_jobs(jobs: Sequence[Job], *, workers: int, tell: Callable[[int], None]) -> list[Run]:
    """In the order of the plan, on so many processes; tell hears how many are done. Raises InputError."""
    if workers == 1 or len(jobs) == 1:
        runs = []
        for job in jobs:
            runs.append(run_job(job))
            tell(len(runs))
        return runs
    found: dict[int, Run] = {}
    # The longest first, so that no process is left with an hour at the end. Spawned: threads of this one do not fork.
    order = sorted(range(len(jobs)), key=lambda n: -jobs[n].scenario.duration_s)
    # An interrupt is this process's business alone.
    deaf = (signal.SIGINT, signal.SIG_IGN)
    with ProcessPoolExecutor(min(workers, len(jobs)), get_context("spawn"), signal.signal, deaf) as pool:
        waiting = {pool.submit(run_job, jobs[n]): n for n in order}
        try:
            for future in as_completed(waiting):
                found[waiting[future]] = future.result()
                tell(len(found))
        except BrokenProcessPool as exc:
            raise InputError("a process of the sweep was killed, for want of memory perhaps: try --jobs 1") from exc
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise
    return [found[n] for n in range(len(jobs))]


def main(argv: Sequence[str]) -> int:
    """Exit code 0 done, 1 where --strict is broken. Raises AgentError for what cannot be done as asked."""
    options = _parser().parse_args(argv)
    jobs = plan(options.names, options.param, seeds=options.seeds, commutes=options.commutes, small=options.small)
    full = not (options.names or options.small or options.json or options.commutes)
    report = options.report or (_REPORT if full else None)
    if report is not None:
        _make_room(report)
    began_s = time.monotonic()
    runs = run_jobs(jobs, workers=options.jobs, tell=_progress(len(jobs)))
    rows = tabulate(run.outcome for run in runs)
    if options.json:
        print(json.dumps(table_json(rows)))
    else:
        for run in runs:
            if run.outcome.missed or run.outcome.false:
                print(_details(run))
        print(table_text(rows))
    if report is not None:
        from simulators.report import Title, render  # noqa: PLC0415  # most sweeps write none

        title = Title(
            command=shlex.join(["./run", "sweep", *argv]), took_s=time.monotonic() - began_s, processes=options.jobs
        )
        report.write_text(render(runs, title), encoding="utf-8")
        if not options.json:
            print(f"report: {report}")
    return 1 if options.strict and falls_short(runs) else 0


def falls_short(runs: Sequence[Run]) -> bool:
    """Whether a truth was missed, or an alarm told about a healthy commute."""
    return any(run.outcome.missed or (run.outcome.family == COMMUTE and run.outcome.false) for run in runs)


def _details(run: Run) -> str:
    outcome = run.outcome
    missed = [f"missed {name_of(truth)} at {truth.t_ns / NS:.1f} s" for truth in outcome.missed]
    false = [f"false {report.event.kind} at {report.event.t_ns / NS:.1f} s" for report in outcome.false]
    changes = "".join(f", {key}={value}" for key, value in run.parameters)
    return f"{outcome.name} (seed {run.seed}{changes}): " + "; ".join(missed + false)


def _progress(total: int) -> Callable[[int], None]:
    """A counter on a terminal; nothing in a log."""
    if not sys.stderr.isatty():
        return lambda _: None

    def tell(done: int) -> None:
        print(f"\r{done} of {total} drives", end="\n" if done == total else "", file=sys.stderr, flush=True)

    return tell


def _make_room(report: Path) -> None:
    """Before an hour's work, not after it. Raises InputError."""
    try:
        report.parent.mkdir(parents=True, exist_ok=True)
        report.touch()
    except OSError as exc:
        raise InputError(f"--report {report}: cannot be written: {exc.strerror}") from exc


def _parser() -> Parser:
    parser = Parser(
        prog="python -m simulators sweep",
        description="Drive scenarios through the agent's rules as fast as the machine can, and score its reports.",
        epilog=_EXAMPLES,
    )
    parser.add_argument("names", nargs="*", metavar="NAME", help="scenarios or .toml files; all without a name")
    parser.add_argument("--small", action="store_true", help="one seed of each, and an hour of healthy commutes")
    parser.add_argument("--param", action="append", default=[], metavar="KEY=V[,V]", help="such as mass=1200,2400")
    parser.add_argument("--seeds", type=_range, metavar="A..B", help="both ends included; 7 without it")
    parser.add_argument("--commutes", type=_range, metavar="A..B", help="healthy ten-minute drives of these seeds")
    parser.add_argument(
        "--jobs", type=count, default=os.cpu_count() or 1, metavar="N", help="processes; %(default)s here"
    )
    parser.add_argument("--report", type=Path, metavar="FILE", help=f"HTML with plots; {_REPORT} for a full sweep")
    parser.add_argument("--strict", action="store_true", help="exit code 1 for a miss or an alarm on a healthy commute")
    parser.add_argument("--json", action="store_true", help="the table for machines")
    return parser


def _range(text: str) -> range:
    first, dots, last = text.partition("..")
    if not (first.isdecimal() and (last.isdecimal() if dots else not last)):
        raise argparse.ArgumentTypeError(f"{text!r} is no range of seeds: write 0..99")
    seeds = range(int(first), int(last or first) + 1)
    if not 0 < len(seeds) <= _SEEDS_MAX:
        raise argparse.ArgumentTypeError(f"{text!r}: from 1 to {_SEEDS_MAX} seeds")
    return seeds
