"""A simulated crash through the whole agent with its models in a child that lives, dies or hangs."""

import asyncio
import sys
from pathlib import Path

import msgspec
import pytest

from agent import app
from agent.core.config import Consent
from agent.core.events import Collision, Event, ModelChanged
from agent.core.odds import join_confidence
from drivers.onnx_worker import OnnxWorker
from simulators.clock import ManualClock
from simulators.hardware import PROFILE, open_car, open_hardware
from simulators.world import load_scenario
from tests.scenario.test_emergency_data import read
from tests.unit.store.kit import KEYS, make_config

SCENARIO, SEED = "crash_front", 7


async def drive(folder: Path, worker: OnnxWorker | None) -> list[Event]:
    made = make_config(folder)
    consent = Consent(purposes=["claims", "diagnostics", "ubi_score"])
    config = msgspec.structs.replace(made, profile=PROFILE, consent=consent)
    clock = ManualClock()
    car = open_car(load_scenario(SCENARIO), SEED, clock, pace=0)
    hardware = open_hardware(car, keystore=KEYS.device, inference=worker)
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(app.run(config, hardware, clock))
        tasks.create_task(car.run())
    return await read(config)


def _new(folder: Path) -> Path:
    folder.mkdir()
    return folder


def _crash(events: list[Event]) -> Collision:
    (crash,) = [event for event in events if isinstance(event, Collision)]
    return crash


async def test_the_model_joins_its_word_to_a_collision_and_changes_nothing_else(tmp_path: Path) -> None:
    alone = await drive(_new(tmp_path / "rules"), None)
    both = await drive(_new(tmp_path / "both"), OnnxWorker(5.0))
    assert [(event.kind, event.t_ns) for event in both] == [(event.kind, event.t_ns) for event in alone]
    rules, joined = _crash(alone), _crash(both)
    assert rules.confidence_model is None
    assert joined.confidence_model is not None
    assert joined.confidence_model > 0.5
    assert joined.confidence == pytest.approx(join_confidence(rules.confidence, joined.confidence_model), abs=0.002)
    assert msgspec.structs.replace(joined, confidence=rules.confidence, confidence_model=None) == rules


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        ("import os, signal; os.kill(os.getpid(), signal.SIGILL)", "died (exit status -4)"),
        ("import time; time.sleep(60)", "no answer within 0.2 s"),
        ("print('x' * 99)", "announced"),
    ],
)
async def test_a_model_that_never_lives_costs_two_events_and_nothing_else(
    tmp_path: Path, code: str, reason: str
) -> None:
    alone = await drive(_new(tmp_path / "rules"), None)
    broken = OnnxWorker(command=(sys.executable, "-S", "-c", code), load_deadline_s=0.2 if "sleep" in code else 20.0)
    events = await drive(_new(tmp_path / "broken"), broken)
    told = [event for event in events if isinstance(event, ModelChanged)]
    assert {event.model for event in told} == {"drive", "collision", "battery"}
    assert [event.state for event in told if event.model == "drive"] == ["down", "given_up"]
    assert reason in told[0].reason
    assert _crash(events) == _crash(alone)
    assert broken.pid is None
