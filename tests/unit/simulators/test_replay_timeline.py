"""A recorder's clock made fit for replay."""

import numpy as np
import pytest

from simulators.replay.timeline import Timeline

S = 1_000_000_000
DAY = 86_400 * S


def play(*raw: int, wrap_ns: int | None = None, split: int | None = None) -> tuple[list[int], Timeline]:
    timeline = Timeline(wrap_ns=wrap_ns)
    parts = [raw] if split is None else [raw[:split], raw[split:]]
    return [int(t) for part in parts for t in timeline.advance(np.array(part, np.int64))], timeline


def test_times_start_at_zero() -> None:
    assert play(500, 600, 800)[0] == [0, 100, 300]


def test_small_steps_back_are_held_and_counted() -> None:
    t_ns, timeline = play(0, 100, 60, 70, 110, 105)
    assert t_ns == [0, 100, 100, 100, 110, 110]
    assert timeline.backward_steps == 2


def test_a_restarted_recorder_goes_on_from_where_it_was() -> None:
    t_ns, timeline = play(0, 30 * S, 1 * S, 2 * S)
    assert t_ns == [0, 30 * S, 30 * S, 31 * S]
    assert timeline.backward_steps == 1


def test_a_clock_being_set_leaves_no_gap_of_years() -> None:
    t_ns, timeline = play(0, S, 20_000 * DAY, 20_000 * DAY + S)
    assert t_ns == [0, S, S, 2 * S]
    assert timeline.clock_jumps == 1


def test_an_hour_without_frames_stays_an_hour() -> None:
    assert play(0, 3600 * S)[0] == [0, 3600 * S]


def test_an_overflow_is_no_step_back() -> None:
    t_ns, timeline = play(990, 5, 20, wrap_ns=1000)
    assert t_ns == [0, 15, 30]
    assert timeline.backward_steps == 0


@pytest.mark.parametrize("split", range(7))
def test_chunks_do_not_matter(split: int) -> None:
    raw = (0, 100, 60, 40 * S, 2 * S, 2 * S + 5)
    whole, one = play(*raw)
    parts, two = play(*raw, split=split)
    assert parts == whole
    assert (two.backward_steps, two.clock_jumps) == (one.backward_steps, one.clock_jumps)
