import asyncio
from collections.abc import Callable, Iterator
from contextlib import suppress

import numpy as np
import numpy.typing as npt

from agent.core.errors import ModelDown, ModelRefused
from agent.core.events import Event, ModelChanged
from agent.core.manifest import load_manifest
from agent.core.paths import MODELS
from agent.core.signals import EMPTY_SERIES, Series
from agent.detect.anomaly import AnomalyWatch
from agent.inference import Watch
from simulators.clock import ManualClock

MANIFEST = load_manifest(MODELS / "drive.toml")


class SteadyDrive:
    """A window of one second in which every input of the model stands still."""

    def __init__(self, second: int) -> None:
        self.t_ns = (second + 1) * 10**9
        self._times = np.arange(second * 10**9, self.t_ns, 250_000_000)

    def paths(self) -> list[str]:
        return [signal.path for signal in MANIFEST.inputs]

    def new(self, path: str) -> Series:
        if path not in {signal.path for signal in MANIFEST.inputs}:
            return EMPTY_SERIES
        return Series(self._times, np.full(len(self._times), 10.0))

    def recent(self, path: str, seconds: float) -> Series:
        raise NotImplementedError(path, seconds)

    def latest(self, path: str) -> float | None:
        raise NotImplementedError(path)


class Scripted:
    """An Inference that answers, dies or refuses as told, one word a call."""

    def __init__(self, loads: list[str], answers: list[str]) -> None:
        self.loads, self.answers = loads, answers
        self.closed = 0

    async def load(self) -> None:
        word = self.loads.pop(0) if self.loads else "ok"
        if word == "refuse":
            raise ModelRefused("sha256 differs")
        if word == "down":
            raise ModelDown("killed by signal 4")

    async def infer(self, window: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        if self.answers and self.answers.pop(0) == "down":
            raise ModelDown("no answer in 0.5 s")
        return window[:, 0, :]  # one score an input

    async def close(self) -> None:
        self.closed += 1


def waits() -> Iterator[float]:
    while True:
        yield 1.0


async def watch_drive(inference: Scripted, *, seconds: int) -> tuple[list[Event], Watch]:
    clock = ManualClock()
    events: list[Event] = []
    emit: Callable[[Event], None] = events.append
    watch = Watch(AnomalyWatch(MANIFEST), inference, model="drive", clock=clock, emit=emit, make_waits=waits)
    task = asyncio.create_task(watch.run())
    for second in range(seconds):
        await clock.advance_to((second + 1) * 10**9)
        watch.on_window(SteadyDrive(second))
    await clock.advance(5)
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task
    return events, watch


def states(events: list[Event]) -> list[tuple[str, str]]:
    return [(event.state, event.reason) for event in events if isinstance(event, ModelChanged)]


async def test_a_refused_model_is_told_once_and_never_tried_again() -> None:
    inference = Scripted(["refuse"], [])
    events, _ = await watch_drive(inference, seconds=30)
    assert states(events) == [("refused", "sha256 differs")]
    assert inference.closed == 1


async def test_a_dead_model_is_told_once_and_comes_back() -> None:
    inference = Scripted(["ok", "down", "down", "ok"], ["ok", "down"])
    events, _ = await watch_drive(inference, seconds=40)
    assert states(events) == [("down", "no answer in 0.5 s"), ("restored", "")]
    assert inference.closed == 1


async def test_a_model_that_never_loads_does_not_gather_windows_without_limit() -> None:
    inference = Scripted(["down"] * 100, [])
    events, watch = await watch_drive(inference, seconds=60)
    assert states(events) == [("down", "killed by signal 4")]
    assert watch.dropped > 0
