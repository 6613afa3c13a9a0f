from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.core.frames import EXTENDED, OWN, REMOTE, Frame, FrameBatch, batch_of, concatenate, empty_batch
from agent.detect.bus import BusWatch, Finding
from agent.detect.bus_habits import learn

MS = 1_000_000
SPEED, RARE, STILL = 0x100, 0x3E0, 0x120


def _traffic(start_ms: int, end_ms: int) -> FrameBatch:
    """A number that wanders, a counter and two fixed bytes every 10 ms; a slow flag; a frame that never changes."""
    frames = []
    for ms in range(start_ms, end_ms):
        if ms % 10 == 0:
            value = 3000 + round(900 * np.sin(ms / 3000)) + (ms * 7919) % 5
            data = bytes([value >> 8, value & 0xFF, (ms // 10) % 16, 0x5A, 0xC3])
            frames.append(Frame(ms * MS + (ms * 104_729) % 300_000, SPEED, data))
        if ms % 20 == 3:
            frames.append(Frame(ms * MS, STILL, b"\1\2\3\4"))
        if ms % 500 == 7:
            frames.append(Frame(ms * MS, RARE, bytes([(ms // 4000) % 2, 0, 0])))
    return batch_of(frames)


CLEAN = _traffic(0, 60_000)
HABITS = learn(CLEAN)
LATER = _traffic(60_000, 90_000)


def _judge(frames: FrameBatch, cuts: Sequence[int] = ()) -> np.ndarray:
    watch = BusWatch(HABITS)
    edges = [0, *sorted(cuts), len(frames)]
    return np.concatenate([watch.judge(frames[a:b]) for a, b in pairwise(edges)])


def _put_in(frames: FrameBatch, put: Sequence[Frame]) -> tuple[FrameBatch, np.ndarray]:
    both = concatenate([frames, batch_of(put)])
    order = np.argsort(both.t_ns, kind="stable")
    return both[order], order >= len(frames)


def _forge(frames: FrameBatch, can_id: int, count: int) -> tuple[FrameBatch, np.ndarray]:
    rows = np.flatnonzero(frames.can_id == can_id)[50 : 50 + count]
    data = frames.data.copy()
    data[rows, :5] = np.random.default_rng(3).integers(0, 256, (len(rows), 5))
    truth = np.zeros(len(frames), np.bool_)
    truth[rows] = True
    return replace(frames, data=data), truth


def test_honest_traffic_is_believed() -> None:
    assert not _judge(LATER).any()
    assert set(HABITS) == {SPEED, STILL, RARE}


def test_an_identifier_of_another_car_is_unknown() -> None:
    frames, truth = _put_in(LATER, [Frame((70_000 + k) * MS, 0x188, b"\0") for k in range(20)])
    found = _judge(frames)
    assert (found[truth] == Finding.UNKNOWN).all()
    assert not found[~truth].any()


def test_a_flood_of_a_known_identifier_is_early_and_honest_frames_stay_believed() -> None:
    one = LATER[np.flatnonzero(LATER.can_id == STILL)[100:101]]
    put = [Frame(int(one.t_ns[0]) + k * MS // 4, STILL, b"\1\2\3\4") for k in range(1, 50)]
    frames, truth = _put_in(LATER, put)
    found = _judge(frames)
    assert (found[truth] == Finding.EARLY).mean() > 0.9
    assert np.count_nonzero(found[~truth]) <= 1  # the frame that comes when one of the flood was believed


def test_a_forged_payload_is_found_and_the_next_honest_one_believed() -> None:
    frames, truth = _forge(LATER, SPEED, 30)
    found = _judge(frames)
    assert (found[truth] == Finding.PAYLOAD).all()
    assert not found[~truth].any()


def test_a_new_state_of_the_car_is_believed_after_a_few_frames() -> None:
    rows = np.flatnonzero(LATER.can_id == STILL)[10:]
    data = LATER.data.copy()
    data[rows, :4] = np.array([9, 250, 77, 140], np.uint8)
    found = _judge(replace(LATER, data=data))
    assert np.flatnonzero(found).tolist() == rows[:4].tolist()
    one_by_one = _judge(replace(LATER, data=data), range(len(LATER)))  # as a slow identifier comes in a car
    assert np.flatnonzero(one_by_one).tolist() == rows[:4].tolist()


def _hold(frames: FrameBatch, can_id: int, count: int) -> tuple[FrameBatch, np.ndarray]:
    rows = np.flatnonzero(frames.can_id == can_id)[50 : 50 + count]
    data = frames.data.copy()
    data[rows] = data[rows[0]]
    truth = np.zeros(len(frames), np.bool_)
    truth[rows] = True
    return replace(frames, data=data), truth


def test_an_old_payload_held_in_its_senders_place_is_found_where_payloads_never_rest() -> None:
    assert {can_id: habit.rest_most for can_id, habit in HABITS.items()} == {SPEED: 3, STILL: 0, RARE: 0}
    frames, truth = _hold(LATER, SPEED, 30)
    found = _judge(frames)
    rows = np.flatnonzero(truth)
    assert not found[~truth].any()
    assert np.flatnonzero(found).tolist() == rows[4:].tolist()  # the first is as honest as it was, three may follow
    assert set(found[rows[4:]].tolist()) == {Finding.HELD}


def test_a_frame_that_may_rest_may_rest_for_ever() -> None:
    longer = _traffic(60_000, 200_000)
    assert not _judge(longer[longer.can_id == STILL]).any()


def test_what_is_no_frame_of_the_car_is_not_judged() -> None:
    odd = [Frame(70_000 * MS, 0x7FF, b"", REMOTE), Frame(70_000 * MS, 0x7FE, b"\1", OWN)]
    frames, truth = _put_in(LATER, odd)
    assert not _judge(frames)[truth].any()
    assert len(_judge(empty_batch())) == 0


def test_29_bits_are_another_identifier_than_11() -> None:
    frames, truth = _put_in(LATER, [Frame(70_001 * MS, STILL, b"\1\2\3\4", EXTENDED)])
    assert _judge(frames)[truth].tolist() == [Finding.UNKNOWN]


def test_without_habits_everything_is_unknown() -> None:
    assert (BusWatch({}).judge(LATER) == Finding.UNKNOWN).all()
    assert learn(empty_batch()) == {}


@settings(max_examples=30, deadline=None)
@given(st.lists(st.integers(0, 4_000), max_size=40))
def test_findings_do_not_depend_on_the_batches(cuts: list[int]) -> None:
    frames, _ = _forge(LATER[:4_000], SPEED, 5)
    frames, _ = _put_in(frames, [Frame((60_100 + 3 * k) * MS, SPEED, b"\x0b\xb8\1\x5a\xc3") for k in range(40)])
    whole = _judge(frames)
    assert whole.any()
    np.testing.assert_array_equal(_judge(frames, [min(cut, len(frames)) for cut in cuts]), whole)


@pytest.mark.parametrize("flag", [0, EXTENDED])
def test_long_payloads_are_learnt_too(flag: int) -> None:
    data = [bytes([*range(60), k % 7, 0, 0, 1]) for k in range(400)]
    habits = learn(batch_of([Frame(k * 10 * MS, 0x77, payload, flag) for k, payload in enumerate(data)]))
    forged = [Frame(4_000 * MS, 0x77, data[0], flag), Frame(4_010 * MS, 0x77, bytes(range(100, 164)), flag)]
    assert BusWatch(habits).judge(batch_of(forged)).tolist() == [0, Finding.PAYLOAD]
