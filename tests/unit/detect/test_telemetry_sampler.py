"""Sampling at an even rate: means, values that stand, silence, batches."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.core import vss
from agent.core.config import Telemetry as Wanted
from agent.core.config import TelemetrySignal, parse_config
from agent.core.errors import ConfigError
from agent.core.events import Telemetry
from agent.core.telemetry import unpack_columns
from agent.detect.telemetry import TelemetrySampler
from tests.unit.detect.feed import NS, Recording, run, series

SIGNALS = [TelemetrySignal(path=vss.SPEED, step=0.5), TelemetrySignal(path=vss.COOLANT_TEMPERATURE, step=1.0)]


def sampled(recording: Recording, *, cuts: list[int] | None = None, batch_s: float = 600.0) -> list[Telemetry]:
    sampler = TelemetrySampler(Wanted(enabled=True, batch_s=batch_s, signals=SIGNALS))
    return [event for event in run(sampler, recording, cuts_ns=cuts or []) if isinstance(event, Telemetry)]


def column(event: Telemetry, path: str) -> list[float | None]:
    return [None if math.isnan(value) else float(value) for value in unpack_columns(event)[path]]


def test_a_sample_is_the_mean_of_its_second() -> None:
    t_s = np.array([0.2, 0.7, 1.0, 1.5, 2.6])
    (event,) = sampled({vss.SPEED: series(t_s, np.array([10.0, 11.0, 12.0, 30.0, 50.2]))})
    assert (event.t_ns, event.period_s, event.count) == (NS, 1.0, 3)
    assert column(event, vss.SPEED) == [11.0, 30.0, 50.0]
    assert column(event, vss.COOLANT_TEMPERATURE) == [None] * 3


def test_a_slow_signal_stands_for_ten_seconds() -> None:
    speed = series(np.arange(0.5, 25, 1.0), np.full(25, 50.0))
    (event,) = sampled(
        {vss.SPEED: speed, vss.COOLANT_TEMPERATURE: series(np.array([2.5, 20.5]), np.array([80.0, 81.0]))}
    )
    assert column(event, vss.COOLANT_TEMPERATURE) == [None] * 2 + [80.0] * 10 + [None] * 8 + [81.0] * 5


def test_batches_follow_without_a_gap_and_silence_ends_one() -> None:
    t_s = np.concatenate([np.arange(0.5, 30, 1.0), np.arange(100.5, 110, 1.0)])
    events = sampled({vss.SPEED: series(t_s, t_s)}, batch_s=15)
    assert [(event.t_ns // NS, event.count) for event in events] == [(1, 15), (16, 15), (31, 9), (101, 10)]
    values = [value for event in events for value in column(event, vss.SPEED)]
    assert values[:30] == [second + 0.5 for second in range(30)]
    assert values[30:39] == [29.5] * 9


def test_nothing_wanted_is_nothing_told() -> None:
    assert TelemetrySampler(Wanted(enabled=False, signals=SIGNALS)).inputs == ()


@pytest.mark.parametrize("path", ["Vehicle.CurrentLocation.Latitude", "Vehicle.CurrentLocation.Longitude", "Speed"])
def test_where_the_car_was_cannot_be_asked_for(path: str) -> None:
    with pytest.raises(ConfigError, match=r"telemetry\.signals\.0\.path"):
        parse_config(f'[telemetry]\nsignals = [{{ path = "{path}", step = 1.0 }}]')


@settings(max_examples=40)
@given(seed=st.integers(0, 999), cuts=st.lists(st.integers(0, 90 * NS), max_size=30))
def test_any_split_into_windows_gives_the_same_batches(seed: int, cuts: list[int]) -> None:
    rng = np.random.default_rng(seed)
    t_s = np.sort(rng.uniform(0, 80, rng.integers(1, 400)))
    hole = (t_s > 20) & (t_s < rng.uniform(20, 60))
    recording = {
        vss.SPEED: series(t_s[~hole], rng.uniform(0, 200, len(t_s))[~hole]),
        vss.COOLANT_TEMPERATURE: series(np.arange(0.3, 80, 7.7), rng.uniform(20, 90, 11)),
    }
    assert sampled(recording, cuts=sorted(cuts), batch_s=13) == sampled(recording, batch_s=13)
