"""Scenarios through the agent's real pipeline as fast as the machine can, and the score of it."""

import argparse
import json
from collections.abc import Iterator, Sequence
from typing import Any, Final

import msgspec
import numpy as np

from agent.core.config import Detect
from agent.core.errors import InputError
from agent.core.events import Event
from agent.core.paths import DBC
from agent.decode.profile import load_profile
from agent.pipeline import Pipeline
from simulators.arguments import Parser
from simulators.clock import ManualClock
from simulators.gnss import SimulatedGnss
from simulators.hardware import PROFILE
from simulators.imu import SimulatedImu, interleave
from simulators.score import NS, Outcome, Report, judge, table_json, table_text, tabulate
from simulators.world import Drive, Scenario, load_scenario, random_commute, scenario_names, simulate
from simulators.world.frames import encode_drive
from simulators.world.scenario import Car

WINDOW_NS: Final = 100_000_000  # latencies are known to this
_COMMUTE: Final = "commute"  # the family of the healthy drives without a file
_COMMUTE_S: Final = 600.0
_COMMUTES_SMALL: Final = 6
_COMMUTES: Final = 60
_SEEDS_MAX: Final = 10_000


def watch(drive: Drive, *, window_ns: int = WINDOW_NS) -> list[Report]:
    """Every report of the agent's rules about this drive, in the order told; no cloud, no voice, no model."""
    imu, gnss = SimulatedImu(drive, ManualClock()), SimulatedGnss(drive, ManualClock())
    reports: list[Report] = []
    now_ns = 0

    def note(events: Sequence[Event]) -> None:
        reports.extend(Report(event, now_ns) for event in events)

    pipeline = Pipeline(
        load_profile(PROFILE),
        [DBC / "outrider_sim.dbc"],
        limits=Detect(),
        sample_sources=[imu, gnss],
        on_events=note,
        on_window=lambda _: None,
    )
    frames = encode_drive(drive)
    fixes = drive.gnss
    columns = [
        (imu.name, drive.imu.t_ns, np.column_stack([drive.imu.acceleration, drive.imu.rotation])),
        (
            gnss.name,
            fixes.t_ns,
            np.column_stack(
                [
                    fixes.latitude,
                    fixes.longitude,
                    fixes.altitude_m,
                    fixes.heading_deg,
                    fixes.accuracy_m,
                    fixes.speed_kmh,
                ]
            ),
        ),
    ]
    ends_ns = np.arange(window_ns, drive.duration_ns + 2 * window_ns, window_ns)
    cuts = [np.searchsorted(t_ns, ends_ns).tolist() for t_ns in (frames.t_ns, *(t_ns for _, t_ns, _ in columns))]
    last = [0] * len(cuts)
    for turn, end_ns in enumerate(ends_ns.tolist()):
        now_ns = min(end_ns, drive.duration_ns)
        if cuts[0][turn] > last[0]:
            pipeline.on_frames(frames[last[0] : cuts[0][turn]])
        for (name, t_ns, values), cut, first in zip(columns, cuts[1:], last[1:], strict=True):
            if cut[turn] > first:
                pipeline.on_samples(name, interleave(t_ns[first : cut[turn]], values[first : cut[turn]]))
        last = [cut[turn] for cut in cuts]
    pipeline.finish()
    return reports


def score_drive(drive: Drive, *, family: str) -> Outcome:
    """Drive, watch, judge."""
    return judge(family, drive.scenario.name, drive.duration_ns / NS, drive.truth, watch(drive))


def with_parameter(scenario: Scenario, key: str, text: str) -> Scenario:
    """The scenario with one value changed: `car.mass_kg`, `events.0.delta_v_kmh`, or the start of a [car] key.

    Raises InputError naming the key where it, or the value, is not possible.
    """
    path = key.split(".") if "." in key else ["car", *_car_key(key)]
    whole: Any = msgspec.to_builtins(scenario)
    try:
        value = json.loads(text)
    except ValueError:
        value = text
    where = whole
    try:
        for step in path[:-1]:
            where = where[int(step)] if isinstance(where, list) else where[step]
        if isinstance(where, list) or path[-1] not in where:
            raise InputError(f"--param {key}: the scenario {scenario.name} has no such key")
        where[path[-1]] = value
        return msgspec.convert(whole, Scenario)
    except (KeyError, IndexError, ValueError, TypeError) as exc:
        if isinstance(exc, msgspec.ValidationError):
            raise InputError(f"--param {key}={text}: {exc}") from exc
        raise InputError(f"--param {key}: the scenario {scenario.name} has no such key") from exc


def main(argv: Sequence[str]) -> int:
    """Exit code 0 done. Raises AgentError for what cannot be done as asked."""
    options = _parser().parse_args(argv)
    drives = _plan(options)
    outcomes = []
    for scenario, seed, family in drives:
        outcome = score_drive(simulate(scenario, seed), family=family)
        outcomes.append(outcome)
        if not options.json and (outcome.missed or outcome.false):
            print(_details(outcome, seed), flush=True)
    rows = tabulate(outcomes)
    print(json.dumps(table_json(rows)) if options.json else table_text(rows))
    return 0


def _plan(options: argparse.Namespace) -> list[tuple[Scenario, int, str]]:
    """Which drives with which seeds. Raises InputError or ConfigError."""
    if options.names:
        scenarios = list(_vary([load_scenario(name) for name in options.names], options.param))
        seeds, commutes = options.seeds or range(7, 8), 0
    else:
        scenarios = list(_vary([load_scenario(name) for name in scenario_names()], options.param))
        seeds = options.seeds or range(7, 8 if options.small else 17)
        commutes = _COMMUTES_SMALL if options.small else _COMMUTES
    healthy = [(random_commute(seed, _COMMUTE_S), seed, _COMMUTE) for seed in range(commutes)]
    return [(scenario, seed, scenario.family) for scenario in scenarios for seed in seeds] + healthy


def _vary(scenarios: Sequence[Scenario], parameters: Sequence[str]) -> Iterator[Scenario]:
    varied = list(scenarios)
    for parameter in parameters:
        key, equals, values = parameter.partition("=")
        if not equals or not values:
            raise InputError(f"--param {parameter}: write KEY=VALUE or KEY=VALUE,VALUE")
        varied = [with_parameter(scenario, key, text) for scenario in varied for text in values.split(",")]
    yield from varied


def _car_key(start: str) -> list[str]:
    keys = Car.__struct_fields__
    fitting = [name for name in keys if name.startswith(start)]
    if len(fitting) != 1:
        raise InputError(f"--param {start}: [car] has {', '.join(keys)}")
    return fitting


def _details(outcome: Outcome, seed: int) -> str:
    missed = [f"missed {truth.kind} at {truth.t_ns / NS:.1f} s" for truth in outcome.missed]
    false = [f"false {report.event.kind} at {report.event.t_ns / NS:.1f} s" for report in outcome.false]
    return f"{outcome.name} (seed {seed}): " + "; ".join(missed + false)


def _parser() -> argparse.ArgumentParser:
    parser = Parser(prog="python -m simulators sweep", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help="scenarios; all of them without a name")
    parser.add_argument("--small", action="store_true", help="one seed of each, and an hour of healthy commutes")
    parser.add_argument("--param", action="append", default=[], metavar="KEY=V[,V]", help="such as mass=1200,2400")
    parser.add_argument("--seeds", type=_seeds, metavar="A..B", help="both ends included")
    parser.add_argument("--json", action="store_true")
    return parser


def _seeds(text: str) -> range:
    first, dots, last = text.partition("..")
    if not (first.isdecimal() and (last.isdecimal() if dots else not last)):
        raise argparse.ArgumentTypeError(f"{text!r} is no range of seeds: write 0..99")
    seeds = range(int(first), int(last or first) + 1)
    if not 0 < len(seeds) <= _SEEDS_MAX:
        raise argparse.ArgumentTypeError(f"{text!r}: from 1 to {_SEEDS_MAX} seeds")
    return seeds
