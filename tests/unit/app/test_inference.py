import asyncio
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress

import msgspec
import numpy as np
import numpy.typing as npt
import pytest

from agent.core.errors import ModelDown
from agent.core.events import Event, ModelChanged, ModelReport
from agent.core.manifest import Golden
from agent.core.signals import EMPTY_SERIES, Series
from agent.inference import Models
from agent.watch import Watch
from simulators.clock import ManualClock
from tests.unit.detect.test_anomaly import MANIFEST as TINY

MANIFEST = msgspec.structs.replace(
    TINY, name="drive", version=1, steps=20, threshold=5.0, golden=[Golden(input=[0.0] * 40, output=[0.0, 0.0])]
)
NS = 10**9


class SteadyDrive:
    """A window of one second in which every input of the model stands still."""

    def __init__(self, second: int) -> None:
        self.t_ns = (second + 1) * NS
        self._times = np.arange(second * NS, self.t_ns, 250_000_000)

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
        self.asked: list[str] = []
        self.closed = 0
        self._end: asyncio.Future[str] | None = None

    async def load(self, models: Sequence[str]) -> Mapping[str, str]:
        word = self.loads.pop(0) if self.loads else "ok"
        if word == "down":
            raise ModelDown("killed by signal 4")
        self._end = asyncio.get_running_loop().create_future()
        return {models[0]: "sha256 differs"} if word == "refuse" else {}

    async def infer(self, model: str, inputs: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        self.asked.append(model)
        if self.answers and self.answers.pop(0) == "down":
            self.die("no answer in 0.5 s")
            raise ModelDown("no answer in 0.5 s")
        return inputs[:, 0, :] if model == "drive" else inputs[:, 0, :] + 10  # one score an input

    async def ended(self) -> str:
        assert self._end is not None
        return await self._end

    def die(self, reason: str) -> None:
        assert self._end is not None
        self._end.set_result(reason)

    async def close(self) -> None:
        self.closed += 1


def waits() -> Iterator[float]:
    while True:
        yield 1.0


class Box:
    """Models and watch on a clock of their own."""

    def __init__(self, inference: Scripted, *, shadow: bool = False, restarts_max: int = 1000) -> None:
        self.clock = ManualClock()
        self.events: list[Event] = []
        emit: Callable[[Event], None] = self.events.append
        second = msgspec.structs.replace(MANIFEST, name="newer", version=7)
        self.models = Models(
            inference,
            ["drive", "newer"] if shadow else ["drive"],
            restarts_max=restarts_max,
            restarts_within_s=60.0,
            clock=self.clock,
            emit=emit,
            make_waits=waits,
        )
        self.watch = Watch(MANIFEST, self.models, shadow=second if shadow else None, clock=self.clock, emit=emit)

    async def drive(self, seconds: int, *, at: Mapping[int, Callable[[], None]] | None = None) -> None:
        jobs = [asyncio.create_task(self.models.run()), asyncio.create_task(self.watch.run())]
        for second in range(seconds):
            if at and second in at:
                at[second]()
            await self.clock.advance_to((second + 1) * NS)
            self.watch.on_window(SteadyDrive(second))
        await self.clock.advance(5)
        self.watch.close()
        for job in jobs:
            job.cancel()
            with suppress(asyncio.CancelledError):
                await job

    def states(self) -> list[tuple[str, str]]:
        return [(event.state, event.reason) for event in self.events if isinstance(event, ModelChanged)]


async def test_a_refused_model_is_told_once_and_never_tried_again() -> None:
    inference = Scripted(["refuse"], [])
    box = Box(inference)
    await box.drive(30)
    assert box.states() == [("refused", "sha256 differs")]
    assert inference.closed == 1
    assert inference.asked == []


async def test_one_refused_model_does_not_silence_the_other() -> None:
    inference = Scripted(["refuse"], [])
    box = Box(inference, shadow=True)
    await box.drive(30)
    assert box.states() == [("refused", "sha256 differs")]
    assert box.models.serves("drive") is False
    assert inference.asked == []  # the shadow alone has nothing to be compared with


async def test_a_dead_model_is_told_once_and_comes_back() -> None:
    inference = Scripted(["ok", "down", "down", "ok"], ["ok", "down"])
    box = Box(inference)
    await box.drive(40)
    assert box.states() == [("down", "no answer in 0.5 s"), ("restored", "")]
    assert inference.closed == 1


async def test_a_process_that_dies_unasked_is_told_in_the_same_instant() -> None:
    inference = Scripted([], [])
    box = Box(inference)
    await box.drive(5, at={2: lambda: inference.die("exit status -4")})
    (down,) = [event for event in box.events if isinstance(event, ModelChanged)]
    assert (down.state, down.reason, down.t_ns) == ("down", "exit status -4", 2 * NS)


async def test_a_process_that_dies_too_often_is_given_up() -> None:
    inference = Scripted(["down"] * 100, [])
    box = Box(inference, restarts_max=3)
    await box.drive(60)
    assert box.states() == [("down", "killed by signal 4"), ("given_up", "killed by signal 4")]
    assert len(inference.loads) == 96  # the first, and three more
    assert inference.closed == 1


async def test_deaths_far_apart_are_forgiven() -> None:
    inference = Scripted([], [])
    box = Box(inference, restarts_max=2)
    deaths = {second: lambda: inference.die("exit status -9") for second in range(20, 400, 40)}
    await box.drive(400, at=deaths)
    assert [state for state, _ in box.states()] == ["down", "restored"] * 10


@pytest.mark.parametrize("shadow", [False, True])
async def test_every_model_of_a_dead_process_is_told(shadow: bool) -> None:  # noqa: FBT001  # pytest hands it over by name
    inference = Scripted(["ok", "down"], [])
    box = Box(inference, shadow=shadow)
    await box.drive(4, at={2: lambda: inference.die("exit status -9")})
    told = [event.model for event in box.events if isinstance(event, ModelChanged) and event.state == "down"]
    assert told == (["drive", "newer"] if shadow else ["drive"])


async def test_a_shadow_scores_in_silence_and_its_disagreement_is_reported() -> None:
    inference = Scripted([], [])
    box = Box(inference, shadow=True)
    await box.drive(30)
    (report,) = box.events
    assert isinstance(report, ModelReport)
    assert (report.model, report.shadow) == ("drive-1", "newer-7")
    assert report.windows == report.compared == report.shadow_over == report.disagreed == 20
    assert (report.over, report.drifted, report.psi_max) == (0, [], None)
