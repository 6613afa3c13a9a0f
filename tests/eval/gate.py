"""`./run eval gate`: is the driver left alone when he needs both hands, and told at once when it matters?

Drawn drives (commutes with hard braking, tight corners, reversing, crashes, burning cells) run through the real
pipeline and the real voice room, with more to say than any day has, half of it close to a manoeuvre; the driver presses
his button, says what nobody asked for, and takes consents back, also as an answer. The judge knows
the world's motion, its gear and its impacts, and what sounded when; of the gate itself it knows nothing.

Closed by truth: braking above 0.3 g or cornering above 0.25 g for 0.2 s, reversing, 30 s from an impact, and 5 s after
any of these. A crash's own word (urgency 0) may pass; and a crash, other than a manoeuvre, keeps back no answer to what
the driver said or pressed of his own accord, who may need help (own_after_crash counts these). Speech that runs when a
manoeuvre begins is to end, and nothing may begin, from 0.5 s after the limit was passed: nobody knows of it before.

Keys of the JSON: inside_gate: sounds in the closed gate; critical: crash-level events that called for a word, and
critical_late those that had none within 1 s from when the agent was told, or from the end of the pulse that it was in,
or from the end of the crash-level word that was being said then (behind_critical counts these). Within 30 s of one
crash-level event the next is told only where it is graver. critical_wait_p95_s: from told to heard; from_impact_p95_s:
from the impact's first instant to the first word; overlaps: sounds that began while another sounded; cut_short: sounds
that the gate or something graver cut; begun: all sounds, asked: questions among them; closed_share: of the time, by
truth.
"""

import json
import os
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass, field
from itertools import pairwise
from multiprocessing import get_context
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from agent.core.events import BatteryAlarm, Event
from agent.core.events import Collision as CollisionEvent
from agent.core.events import Rollover as RolloverEvent
from simulators.arguments import Parser, count
from simulators.world.happenings import Reversing
from simulators.world.motion import GRAVITY, move
from simulators.world.scenario import Collision
from tests.eval.gate_drives import Played, Sound, play

_NS: Final = 10**9
_BRAKING_MPS2: Final = 0.3 * GRAVITY
_CORNERING_MPS2: Final = 0.25 * GRAVITY
_LASTS_S: Final = 0.2
_KNOWN_S: Final = 0.5
_QUIET_S: Final = 5.0
_CRASH_S: Final = 30.0
_PROMPT_S: Final = 1.0
_STANDING_MPS: Final = 1.0
_ROLL_S: Final = 30.0
_SURE: Final = 0.7
_TELL_EVERY: Final = 25

_CRASHES: Final = ("collision", "second_impact", "rollover")  # of the world's truth

Spans = list[tuple[float, float]]


@dataclass(slots=True)
class Verdict:
    """What the judge found in one drive."""

    seed: int
    begun: int = 0
    asked: int = 0
    inside: list[str] = field(default_factory=list)
    own_after_crash: int = 0
    critical: int = 0
    late: list[str] = field(default_factory=list)
    behind: int = 0
    waits_s: list[float] = field(default_factory=list)
    from_impact_s: list[float] = field(default_factory=list)
    overlaps: int = 0
    cut_short: int = 0
    duration_s: float = 0.0
    closed_s: float = 0.0


def main(argv: Sequence[str]) -> int:
    """Exit code 0 where the bar is kept, else 1."""
    parser = Parser(prog="./run eval gate", description=__doc__)
    parser.add_argument("--drives", type=count, default=500, metavar="N")
    parser.add_argument("--first", type=int, default=0, metavar="SEED", help="the first drive's seed; default 0")
    parser.add_argument("--seconds", type=count, default=60, help="of each drive; default 60")
    parser.add_argument("--small", action="store_true", help="40 drives")
    parser.add_argument("--jobs", type=count, default=os.cpu_count() or 1, metavar="N", help="processes; %(default)s")
    parser.add_argument("--json", action="store_true", help="the last line is one JSON object")
    options = parser.parse_args(argv)
    drives = 40 if options.small else options.drives
    begun_s = time.perf_counter()
    jobs = [(seed, float(options.seconds)) for seed in range(options.first, options.first + drives)]
    verdicts = _run(jobs, options.jobs)
    result = _sum_up(verdicts) | {"took_s": round(time.perf_counter() - begun_s)}
    for verdict in verdicts:
        for text in (*verdict.inside, *verdict.late):
            sys.stdout.write(f"drive {verdict.seed}: {text}\n")
    if options.json:
        sys.stdout.write(json.dumps(result) + "\n")
    else:
        sys.stdout.write("".join(f"{key:<20} {value}\n" for key, value in result.items()))
    return 1 if result["inside_gate"] or result["critical_late"] else 0


def judge_drive(job: tuple[int, float]) -> Verdict:
    """Draw, drive and judge one seed."""
    return judge(play(*job))


def judge(played: Played) -> Verdict:
    """Hold what sounded against the world's truth."""
    sounds = sorted(played.sounds, key=lambda sound: sound.begun_ns)
    verdict = Verdict(played.drive.seed, begun=len(sounds), asked=played.asked)
    manoeuvres, crashes = manoeuvre_spans(played), crash_spans(played)
    closed = [*manoeuvres, *crashes]
    verdict.duration_s = played.drive.duration_ns / _NS
    verdict.closed_s = sum(until - since for since, until in _union(closed))
    verdict.cut_short = sum(sound.cut for sound in sounds)
    verdict.overlaps = sum(later.begun_ns < earlier.ended_ns for earlier, later in pairwise(sounds))
    for sound in sounds:
        own = sound.text in played.own
        verdict.own_after_crash += own and sound.urgency > 0 and _within(sound, crashes) is not None
        span = _within(sound, manoeuvres if own else closed)
        if sound.urgency > 0 and span is not None:
            when = f"{sound.begun_ns / _NS:.2f}-{sound.ended_ns / _NS:.2f} s, closed {span[0]:.2f}-{span[1]:.2f}"
            verdict.inside.append(f"{when}, urgency {sound.urgency}: {sound.text}")
    _judge_critical(played, [sound for sound in sounds if sound.urgency == 0], verdict)
    return verdict


def _within(sound: Sound, spans: Spans) -> tuple[float, float] | None:
    """The first of the spans in which it sounded when that was known."""
    begun_s, ended_s = sound.begun_ns / _NS, sound.ended_ns / _NS
    return next((span for span in spans if begun_s < span[1] and ended_s > span[0] + _KNOWN_S), None)


def crash_spans(played: Played) -> Spans:
    """The 30 s from each impact or rollover of the world, in seconds."""
    crashes = [truth.t_ns / _NS for truth in played.drive.truth if truth.kind in _CRASHES]
    return [(t_s, t_s + _CRASH_S) for t_s in crashes]


def manoeuvre_spans(played: Played) -> Spans:
    """When the world brakes, corners or reverses, in seconds, and the 5 s after."""
    scenario = played.drive.scenario
    motion = move(scenario, played.drive.seed)
    moving = np.abs(motion.speed) > _STANDING_MPS
    spans = [
        (since, until + _QUIET_S)
        for beyond in (-motion.acceleration > _BRAKING_MPS2, np.abs(motion.lateral) > _CORNERING_MPS2)
        for since, until in _spans_of(beyond & moving, motion.t_s)
        if until - since >= _LASTS_S
    ]
    backwards = (event for event in scenario.events if isinstance(event, Reversing))
    return spans + [(event.at_s, event.until_s + _QUIET_S) for event in backwards]


def _judge_critical(played: Played, sounds: list[Sound], verdict: Verdict) -> None:
    """Every event of a crash's rank must be heard, unless its crash, or the same alarm, is being told already."""
    told: list[tuple[float, Event]] = [
        (t_ns / _NS, event)
        for t_ns, event in played.told
        if _is_critical(event) and t_ns < played.drive.duration_ns - 2 * _NS
    ]
    pulses = [
        (event.at_s, event.at_s + event.duration_ms / 1000)
        for event in played.drive.scenario.events
        if isinstance(event, Collision)
    ]
    for place, (told_s, event) in enumerate(told):
        if any(_covers(earlier, event) for _, earlier in told[:place]):
            continue
        verdict.critical += 1
        since_s = max([told_s, *(until for since, until in pulses if since <= told_s <= until)])
        first = next((sound for sound in sounds if sound.begun_ns / _NS >= told_s - 1e-6), None)
        running = [sound.ended_ns / _NS for sound in sounds if sound.begun_ns / _NS < told_s < sound.ended_ns / _NS]
        behind = bool(running) and (first is None or first.begun_ns / _NS > since_s + _PROMPT_S)
        verdict.behind += behind
        due_s = max([since_s, *running]) + _PROMPT_S
        if first is None or first.begun_ns / _NS > due_s:
            heard = "never" if first is None else f"{first.begun_ns / _NS:.2f} s"
            verdict.late.append(f"{event.kind} told at {told_s:.2f} s, due {due_s:.2f} s, heard {heard}")
            continue
        verdict.waits_s.append(first.begun_ns / _NS - told_s)
        if isinstance(event, CollisionEvent):
            verdict.from_impact_s.append((first.begun_ns - event.t_ns) / _NS)


def _is_critical(event: Event) -> bool:
    if isinstance(event, BatteryAlarm):
        return event.alarm == "thermal_runaway" and not event.cleared
    return isinstance(event, CollisionEvent | RolloverEvent)


def _covers(earlier: Event, event: Event) -> bool:
    """Whether the talk about the earlier event is about this one too: no graver, and within 30 s of it."""
    after_s = (event.t_ns - earlier.t_ns) / _NS
    if isinstance(event, BatteryAlarm) or isinstance(earlier, BatteryAlarm):
        return type(event) is type(earlier) and after_s < _ROLL_S
    return after_s < _ROLL_S and _gravity(event) <= _gravity(earlier)


def _gravity(event: Event) -> int:
    if isinstance(event, RolloverEvent):
        return 3
    if not isinstance(event, CollisionEvent):
        return 0
    if event.severity == "severe":
        return 3
    return 1 if event.severity == "minor" or event.confidence < _SURE else 2


def _spans_of(rows: npt.NDArray[np.bool_], t_s: npt.NDArray[np.float64]) -> Spans:
    edges = np.flatnonzero(np.diff(np.concatenate([[0], rows.astype(np.int8), [0]])))
    return [(float(t_s[a]), float(t_s[b - 1])) for a, b in edges.reshape(-1, 2)]


def _union(spans: Spans) -> Spans:
    merged: Spans = []
    for since, until in sorted(spans):
        if merged and since <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(merged[-1][1], until))
        else:
            merged.append((since, until))
    return merged


def _run(jobs: Sequence[tuple[int, float]], workers: int) -> list[Verdict]:
    if workers == 1:
        return [judge_drive(job) for job in jobs]
    with ProcessPoolExecutor(workers, get_context("spawn")) as pool:
        return [_told(verdict, place) for place, verdict in enumerate(pool.map(judge_drive, jobs, chunksize=4), 1)]


def _told(verdict: Verdict, done: int) -> Verdict:
    if done % _TELL_EVERY == 0:
        sys.stderr.write(f"{done} drives\n")
    return verdict


def _sum_up(verdicts: Sequence[Verdict]) -> dict[str, Any]:
    rows = [asdict(verdict) for verdict in verdicts]
    waits = [wait_s for verdict in verdicts for wait_s in verdict.waits_s]
    impacts = [wait_s for verdict in verdicts for wait_s in verdict.from_impact_s]

    def p95(values: list[float]) -> float | None:
        return round(float(np.quantile(values, 0.95)), 2) if values else None

    return {
        "drives": len(verdicts),
        "inside_gate": sum(len(verdict.inside) for verdict in verdicts),
        "own_after_crash": sum(verdict.own_after_crash for verdict in verdicts),
        "critical_late": sum(len(verdict.late) for verdict in verdicts),
        "critical": sum(verdict.critical for verdict in verdicts),
        "behind_critical": sum(verdict.behind for verdict in verdicts),
        "critical_wait_p95_s": p95(waits),
        "from_impact_p95_s": p95(impacts),
        "begun": sum(row["begun"] for row in rows),
        "asked": sum(row["asked"] for row in rows),
        "cut_short": sum(row["cut_short"] for row in rows),
        "overlaps": sum(row["overlaps"] for row in rows),
        "closed_share": round(
            sum(verdict.closed_s for verdict in verdicts) / sum(verdict.duration_s for verdict in verdicts), 3
        ),
    }
