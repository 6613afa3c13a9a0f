"""Scenes of the library through the collision detector, on all cores: one row each."""

import signal
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from multiprocessing import get_context
from typing import Final

from agent.core.events import Collision, Event
from agent.detect.collision import CollisionDetector
from simulators.blows import Blow, Conditions, draw, watch
from simulators.sweep import watch as watch_drive
from simulators.world import simulate_commute

WINDOW_S: Final = 0.1  # as simulators.sweep: no detector can tell
COMMUTE_S: Final = 600.0
_CHUNK: Final = 64
_EARLY_NS: Final = 150_000_000  # T0 may lie so long before the true onset: the span that the trigger looks back over
_LATE_NS: Final = 300_000_000


@dataclass(frozen=True, slots=True)
class Job:
    """Which scene to draw; kind commute: a healthy drive of ten minutes through the whole pipeline."""

    kind: str
    seed: int
    rate_hz: int = 400


@dataclass(frozen=True, slots=True)
class Row:
    """What was true, and what was told. blow None: no collision of the car."""

    job: Job
    blow: Blow | None
    conditions: Conditions | None
    car_delta_v_kmh: float
    clipped: bool
    events: tuple[Event, ...]

    def collisions(self) -> list[Collision]:
        """Every collision told."""
        return [event for event in self.events if isinstance(event, Collision)]

    def found(self) -> Collision | None:
        """The collision told of the true one, None where it was missed."""
        if self.blow is None:
            return None
        since_ns = self.blow.t_ns - _EARLY_NS
        until_ns = self.blow.t_ns + _LATE_NS
        return next((event for event in self.collisions() if since_ns <= event.t_ns <= until_ns), None)


def run(job: Job) -> Row:
    """Draw it and watch it."""
    if job.kind == "commute":
        reports = watch_drive(simulate_commute(job.seed, COMMUTE_S))
        return Row(job, None, None, 0.0, clipped=False, events=tuple(report.event for report in reports))
    scene = draw(job.kind, job.seed, rate_hz=job.rate_hz)
    events = watch(CollisionDetector(scene.limits()), scene.signals, window_s=WINDOW_S)
    return Row(job, scene.blow, scene.conditions, scene.car_delta_v_kmh, clipped=scene.clipped, events=tuple(events))


def run_many(jobs: Sequence[Job]) -> list[Row]:
    """One after another."""
    return [run(job) for job in jobs]


def run_all(jobs: Sequence[Job], *, workers: int, tell: Callable[[int, int], None]) -> list[Row]:
    """In the order of the jobs, on so many processes; tell hears how many of how many are done."""
    chunks = [jobs[first : first + _CHUNK] for first in range(0, len(jobs), _CHUNK)]
    if workers == 1 or len(chunks) == 1:
        return run_many(jobs)
    done: dict[int, list[Row]] = {}
    deaf = (signal.SIGINT, signal.SIG_IGN)  # an interrupt is this process's business alone
    with ProcessPoolExecutor(workers, get_context("spawn"), signal.signal, deaf) as pool:
        waiting = {pool.submit(run_many, chunk): place for place, chunk in enumerate(chunks)}
        try:
            for future in as_completed(waiting):
                done[waiting[future]] = future.result()
                tell(sum(map(len, done.values())), len(jobs))
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise
    return [row for place in range(len(chunks)) for row in done[place]]
