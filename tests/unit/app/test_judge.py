import asyncio
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress

import msgspec
import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.core.errors import ModelDown
from agent.core.events import Collision, Event, TripStarted
from agent.core.manifest import FeatureManifest, Golden
from agent.core.model_inputs import Feature
from agent.core.odds import join_confidence
from agent.detect.crash_features import FEATURES
from agent.inference import Models
from agent.judge import Judge, with_model
from drivers.clock import SystemClock
from simulators.clock import ManualClock
from tests.unit.detect.test_anomaly import MANIFEST as DRIVE

MANIFEST = FeatureManifest(
    name="collision",
    version=1,
    file="collision.onnx",
    sha256="0" * 64,
    opset=17,
    threshold=0.5,
    golden_tolerance=1e-3,
    profiles=[],
    card=DRIVE.card,
    golden=[Golden(input=[0.0] * len(FEATURES), output=[0.5])],
    clip=8.0,
    features=[Feature(name=name, mean=1.0, scale=2.0) for name in FEATURES],
)


class Answering:
    """An Inference that answers with its first input, when it is let."""

    def __init__(self) -> None:
        self.may_answer = asyncio.Event()
        self.may_answer.set()
        self.dead = False
        self.asked: list[npt.NDArray[np.float32]] = []

    async def load(self, models: Sequence[str]) -> Mapping[str, str]:
        return {} if models == ["collision"] else dict.fromkeys(models, "unknown")

    async def infer(self, model: str, inputs: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        assert model == "collision"
        self.asked.append(inputs)
        await self.may_answer.wait()
        if self.dead:
            raise ModelDown("died")
        return inputs[:, :1] / np.float32(10)

    async def ended(self) -> str:
        await asyncio.Event().wait()
        return ""

    async def close(self) -> None:
        pass


def _waits() -> Iterator[float]:
    while True:
        yield 1.0


def _collision(t_ns: int, *, first: float = 17.0, features: int = len(FEATURES)) -> Collision:
    values = [round(first * 1000), *[1000] * (features - 1)][:features]
    return Collision(
        t_ns=t_ns, delta_v_kmh=20.0, duration_ms=90.0, peak_mps2=80.0, stationary=False, confidence=0.9, features=values
    )


@asynccontextmanager
async def _judging(
    inference: Answering, clock: ManualClock | SystemClock, *, deadline_s: float = 0.02, loaded: bool = True
) -> AsyncIterator[tuple[Judge, list[Event]]]:
    told: list[Event] = []
    models = Models(
        inference,
        ["collision"],
        restarts_max=3,
        restarts_within_s=60,
        clock=clock,
        emit=told.append,
        make_waits=_waits,
    )
    judge = Judge(MANIFEST, models, deadline_s=deadline_s, clock=clock, emit=told.append)
    jobs = [asyncio.create_task(judge.run())]
    if loaded:
        jobs.append(asyncio.create_task(models.run()))
        await asyncio.sleep(0)
    yield judge, told
    for job in jobs:
        job.cancel()
        with suppress(asyncio.CancelledError):
            await job


async def test_a_collision_hears_the_model_and_the_rest_keeps_its_order() -> None:
    inference = Answering()
    trip, crash, after = TripStarted(t_ns=1), _collision(2), TripStarted(t_ns=3)
    async with _judging(inference, ManualClock()) as (judge, told):
        judge.on_events([trip, crash])
        judge.on_events([after])
        assert told == [trip]
        await judge.finish()
    assert told == [trip, with_model(crash, 0.8), after]
    assert inference.asked[0].shape == (1, len(FEATURES))
    assert inference.asked[0][0, :2].tolist() == [8.0, 0.0]  # (17 - 1) / 2, at the clip


async def test_simulated_time_waits_for_the_model() -> None:
    inference, clock = Answering(), ManualClock()
    inference.may_answer.clear()
    crash = _collision(2)
    async with _judging(inference, clock) as (judge, told):
        judge.on_events([crash])
        moving = asyncio.create_task(clock.advance(10))
        for _ in range(50):
            await asyncio.sleep(0)
        assert not moving.done()
        assert told == []
        inference.may_answer.set()
        await moving
        assert told == [with_model(crash, 0.8)]


async def test_in_the_car_a_late_model_is_not_waited_for() -> None:
    inference = Answering()
    inference.may_answer.clear()
    crash, after = _collision(2), TripStarted(t_ns=3)
    async with _judging(inference, SystemClock(), deadline_s=0.001) as (judge, told):
        judge.on_events([crash, after])
        await judge.finish()
        assert told == [crash, after]
        inference.may_answer.set()  # its answer is for nobody
        await asyncio.sleep(0)
    assert told == [crash, after]


@pytest.mark.parametrize("features", [0, 7])
async def test_what_the_model_cannot_judge_goes_out_at_once(features: int) -> None:
    crash = _collision(2, features=features)
    async with _judging(Answering(), ManualClock()) as (judge, told):
        judge.on_events([crash])
        assert told == [crash]


async def test_without_a_model_a_collision_goes_out_at_once() -> None:
    crash = _collision(2)
    async with _judging(Answering(), ManualClock(), loaded=False) as (judge, told):
        judge.on_events([crash])
        assert told == [crash]


async def test_a_model_that_dies_over_the_question_costs_only_its_word() -> None:
    inference = Answering()
    inference.dead = True
    crash, second = _collision(2), _collision(3)
    async with _judging(inference, ManualClock()) as (judge, told):
        judge.on_events([crash, second])
        await judge.finish()
        assert told == [crash, second]
        assert len(inference.asked) == 1


async def test_what_waits_when_the_agent_stops_goes_out_as_it_is() -> None:
    inference = Answering()
    inference.may_answer.clear()
    crash = _collision(2)
    async with _judging(inference, ManualClock()) as (judge, told):
        judge.on_events([crash])
        await asyncio.sleep(0)
    assert told == [crash]


@given(st.floats(0, 1), st.floats(0, 1))
def test_the_joined_confidence_lies_between_the_two(rules: float, model: float) -> None:
    joined = join_confidence(rules, model)
    held = [min(max(p, 0.01), 0.99) for p in (rules, model)]
    assert min(held) - 1e-9 <= joined <= max(held) + 1e-9
    assert joined == pytest.approx(join_confidence(model, rules))


@given(st.floats(-1, 2))
def test_a_model_never_takes_a_collision_back(word: float) -> None:
    crash = _collision(2)
    told = with_model(crash, word)
    assert told.confidence_model is not None
    assert 0 <= told.confidence_model <= 1
    assert told.confidence > 0.2
    assert msgspec.structs.replace(told, confidence=0.9, confidence_model=None) == crash
