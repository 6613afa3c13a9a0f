"""A pack with a weak cell through the whole agent, with the battery model in a child that lives or dies."""

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import msgspec
import numpy as np
import pytest

from agent import app
from agent.core import vss
from agent.core.config import Consent
from agent.core.errors import EndOfSource
from agent.core.events import BatteryAdvice, Event, ModelChanged
from agent.core.odds import join_confidence
from agent.core.ports import Hardware
from agent.core.signals import Samples, SignalSpec, interleave
from drivers.onnx_worker import OnnxWorker
from simulators.clock import ManualClock
from tests.scenario.test_emergency_data import read
from tests.unit.store.kit import KEYS, make_config

CELLS, WEAK, DAY_S = 24, 7, 86_400


class Days:
    """Ten minutes of rest a day; one cell lacks charge, more from the tenth on. A batch moves the clock by a second."""

    name = "pack"

    def __init__(self, clock: ManualClock, days: int) -> None:
        paths = [*(vss.cell_voltage(cell) for cell in range(CELLS)), vss.PACK_CURRENT]
        self.specs: Sequence[SignalSpec] = [SignalSpec(path) for path in paths]
        self._clock = clock
        self._days = iter(range(days))
        self._rng = np.random.default_rng(5)
        self._pattern_v = 0.004 * self._rng.standard_normal(CELLS)

    async def open(self) -> None:
        """Nothing to open."""

    async def close(self) -> None:
        """Nothing to close."""

    def counters(self) -> Mapping[str, int]:
        return {}

    async def read_batch(self) -> Samples:
        day = next(self._days, None)
        if day is None:
            raise EndOfSource("no more days")
        await self._clock.advance(1)
        t_s = day * DAY_S + np.arange(20) * 30.0
        volt = 3.9 + self._pattern_v + 0.0005 * self._rng.standard_normal((len(t_s), CELLS))
        volt[:, WEAK] = 3.9 - (0.04 if day < 10 else 0.08)
        rows = np.column_stack([np.round(volt, 3), np.zeros(len(t_s))])
        return interleave(np.rint(t_s * 1e9).astype(np.int64), rows)


async def live(folder: Path, worker: OnnxWorker | None) -> list[Event]:
    """Eighteen days; what is in the store then."""
    made = make_config(_new(folder))
    config = msgspec.structs.replace(made, consent=Consent(purposes=["safety", "diagnostics"]))
    clock = ManualClock(wall_start_ns=1_790_035_200_000_000_000)
    hardware = Hardware(keystore=KEYS.device, samples=[Days(clock, 18)], inference=worker)
    await app.run(config, hardware, clock)
    return await read(config)


def _new(folder: Path) -> Path:
    folder.mkdir()
    return folder


def advice(events: list[Event]) -> list[BatteryAdvice]:
    return [event for event in events if isinstance(event, BatteryAdvice)]


async def test_advice_on_a_cell_carries_the_models_word_and_goes_on_without(tmp_path: Path) -> None:
    alone = advice(await live(tmp_path / "rules", None))
    assert {event.cell for event in alone} == {WEAK}
    assert [event.confidence_model for event in alone] == [None] * len(alone)
    both = advice(await live(tmp_path / "both", OnnxWorker(5.0)))
    assert {event.cell for event in both} == {WEAK}
    told = [event for event in both if event.confidence_rules is not None]
    assert [(event.t_ns, event.level) for event in told] == [(event.t_ns, event.level) for event in alone]
    heard = [event for event in told if event.confidence_model is not None]
    assert heard
    for event in heard:
        assert event.confidence_rules is not None
        assert event.confidence_model is not None
        joined = join_confidence(event.confidence_rules, event.confidence_model)
        assert event.confidence == pytest.approx(joined, abs=0.02)
    assert (heard[0].confidence_model or 0.0) > 0.5


async def test_with_the_model_killed_the_rules_go_on(tmp_path: Path) -> None:
    alone = await live(tmp_path / "rules", None)
    killed = OnnxWorker(command=(sys.executable, "-S", "-c", "import os, signal; os.kill(os.getpid(), signal.SIGILL)"))
    events = await live(tmp_path / "killed", killed)
    assert advice(events) == advice(alone) != []
    assert {event.model for event in events if isinstance(event, ModelChanged)} >= {"battery"}
