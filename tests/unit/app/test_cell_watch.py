import asyncio
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress

import msgspec
import numpy as np
import numpy.typing as npt
import pytest

from agent.cell_watch import CellWatch
from agent.core.errors import ModelDown
from agent.core.events import BatteryAdvice, Event, TripStarted
from agent.detect.cell_days import CellDays
from agent.inference import Models
from drivers.clock import SystemClock
from simulators.blows.feed import Window
from simulators.clock import ManualClock
from tests.unit.detect.test_cell_features import make_days
from tests.unit.detect.test_cell_scores import MANIFEST, rules, weak_below

WINDOW = Window({}, 0, 99)


class Answering:
    """An Inference that knows weak cells, when it is let, and dies when it is told."""

    def __init__(self) -> None:
        self.may_answer = asyncio.Event()
        self.may_answer.set()
        self.dies_at = -1
        self.asked = 0

    async def load(self, models: Sequence[str]) -> Mapping[str, str]:
        assert models == ["battery"]
        return {}

    async def infer(self, model: str, inputs: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        assert model == "battery"
        await self.may_answer.wait()
        if self.asked == self.dies_at:
            raise ModelDown("died")
        self.asked += 1
        return np.array([weak_below(-3.0)(inputs)], np.float32)

    async def ended(self) -> str:
        await asyncio.Event().wait()
        return ""

    async def close(self) -> None:
        pass


class Pack:
    """What the pipeline tells."""

    def __init__(self, days: CellDays) -> None:
        self.cell_days: CellDays | None = days
        self.heard: list[Event] = []

    def hear(self, events: Sequence[Event]) -> None:
        self.heard += events


def _waits() -> Iterator[float]:
    while True:
        yield 1.0


@asynccontextmanager
async def _watching(
    inference: Answering, pack: Pack, clock: ManualClock | SystemClock
) -> AsyncIterator[tuple[CellWatch, list[Event]]]:
    told: list[Event] = []
    models = Models(
        inference, ["battery"], restarts_max=3, restarts_within_s=60, clock=clock, emit=told.append, make_waits=_waits
    )
    watch = CellWatch(MANIFEST, models, clock=clock, emit=told.append)
    watch.watch(pack)
    jobs = [asyncio.create_task(watch.run()), asyncio.create_task(models.run())]
    await asyncio.sleep(0)
    yield watch, told
    for job in jobs:
        job.cancel()
        with suppress(asyncio.CancelledError):
            await job


@pytest.fixture
def pack() -> Pack:
    return Pack(make_days([0, 1, 2, 3, 4], charge={5: [-4.0] * 5}))


def _a_day_ends(pack: Pack) -> None:
    assert pack.cell_days is not None
    pack.cell_days.numbers[-1] += 1


async def test_a_day_that_has_ended_is_looked_at_once(pack: Pack) -> None:
    inference = Answering()
    async with _watching(inference, pack, ManualClock()) as (watch, told):
        watch.on_window(WINDOW)
        await watch.finish()
        assert inference.asked == 0  # what was there at the start was looked at when it ended
        _a_day_ends(pack)
        watch.on_window(WINDOW)
        await watch.finish()
        asked = inference.asked
        watch.on_window(WINDOW)
        await watch.finish()
    assert asked == inference.asked > 12
    (event,) = told
    assert isinstance(event, BatteryAdvice)
    assert (event.t_ns, event.cell, event.level, event.confidence_rules) == (99, 5, "advice", None)
    assert pack.heard == [event]  # for the battery's report


async def test_rules_advice_waits_and_everything_else_does_not(pack: Pack) -> None:
    trip, urgent = TripStarted(t_ns=1), rules(5, level="stop_now")
    async with _watching(Answering(), pack, ManualClock()) as (watch, told):
        assert watch.hold([trip, rules(5), urgent]) == [trip, urgent]
        assert told == []
        await watch.finish()
    (event,) = told
    assert isinstance(event, BatteryAdvice)
    assert event.confidence_model == 0.98
    assert msgspec.structs.replace(event, confidence=0.8, confidence_model=None) == rules(5)
    assert pack.heard == []  # the report has it from the rules


async def test_simulated_time_waits_for_the_look(pack: Pack) -> None:
    inference, clock = Answering(), ManualClock()
    inference.may_answer.clear()
    async with _watching(inference, pack, clock) as (watch, told):
        watch.hold([rules(5)])
        moving = asyncio.create_task(clock.advance(10))
        for _ in range(50):
            await asyncio.sleep(0)
        assert not moving.done()
        inference.may_answer.set()
        await moving
        assert len(told) == 1


@pytest.mark.parametrize("dies_at", [0, 3])
async def test_where_the_model_dies_rules_speak_alone(pack: Pack, dies_at: int) -> None:
    inference = Answering()
    inference.dies_at = dies_at
    async with _watching(inference, pack, ManualClock()) as (watch, told):
        assert watch.hold([rules(5)]) == []
        await watch.finish()
        assert told == [rules(5)]
        assert watch.hold([rules(6)]) == [rules(6)]  # nobody is there to be waited for


async def test_what_waits_when_the_agent_stops_goes_out_as_it_is(pack: Pack) -> None:
    inference = Answering()
    inference.may_answer.clear()
    async with _watching(inference, pack, ManualClock()) as (watch, told):
        watch.hold([rules(5)])
        await asyncio.sleep(0)
    assert told == [rules(5)]


async def test_a_model_that_is_too_slow_is_not_waited_for_at_every_window(
    pack: Pack, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("agent.cell_watch._LOOK_MAX_NS", -1)
    inference = Answering()
    async with _watching(inference, pack, SystemClock()) as (watch, told):
        _a_day_ends(pack)
        watch.hold([rules(5)])
        await watch.finish()
        watch.on_window(WINDOW)
        await watch.finish()
    assert told == [rules(5)]
    assert inference.asked == 0
