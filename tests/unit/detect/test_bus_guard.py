from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.core.errors import ConfigError
from agent.core.events import BusAnomaly, BusHabits, Event
from agent.core.frames import EXTENDED, Frame, FrameBatch, batch_of, concatenate
from agent.core.limits import BusLimits
from agent.detect.bus_guard import BusGuard
from tests.held_state import HeldState

NS, MS = 1_000_000_000, 1_000_000
SPEED, STEERING, STILL, FOREIGN = 0x100, 0x110, 0x120, 0x2F0
LIMITS = BusLimits(enabled=True, learn_s=60)


def traffic(start_s: float, end_s: float, ids: Sequence[int] = (SPEED, STEERING, STILL), bus: int = 0) -> FrameBatch:
    """The first wanders and counts every 20 ms, others every 100 ms, the last never changes."""
    frames = []
    for tick in range(round(start_s * 50), round(end_s * 50)):
        t_ns, wave = tick * 20 * MS, 3000 + round(900 * np.sin(tick / 150))
        frames.append(Frame(t_ns, ids[0], bytes([wave >> 8, wave & 0xFF, tick % 16, 0x5A, 0xC3]), bus=bus))
        if tick % 5 == 0:
            frames += [
                Frame(t_ns + k * MS, can_id, bytes([0, (wave >> 2) % 256 if k < len(ids) - 1 else 1, 7, 7]), bus=bus)
                for k, can_id in enumerate(ids[1:], 1)
            ]
    return batch_of(frames)


CLEAN = traffic(0, 61)


def learnt(store: HeldState | None = None) -> BusGuard:
    guard = BusGuard(LIMITS, store=store)
    assert [event.kind for event in guard.update(CLEAN)] == ["bus_habits"]
    return guard


PINNED = learnt().dump()


def put_in(frames: FrameBatch, put: Sequence[Frame]) -> FrameBatch:
    both = concatenate([frames, batch_of(put)])
    return both[np.argsort(both.t_ns, kind="stable")]


def foreign(start_s: float, count: int, apart_ms: float, can_id: int = FOREIGN) -> list[Frame]:
    return [Frame(round(start_s * NS + k * apart_ms * MS) + 3 * MS, can_id, bytes([k % 256])) for k in range(count)]


def watched(frames: FrameBatch, guard: BusGuard | None = None) -> list[BusAnomaly]:
    guard = guard or BusGuard(LIMITS, pinned=PINNED)
    events = [*guard.update(frames), *guard.finish()]
    return [event for event in events if isinstance(event, BusAnomaly)]


def test_it_learns_from_so_many_seconds_of_traffic_and_says_so() -> None:
    guard = BusGuard(LIMITS)
    assert guard.update(traffic(0, 59)) == []
    assert guard.update(traffic(5_000, 5_000.5)) == []  # an hour's sleep taught nothing
    (event,) = guard.update(traffic(5_001, 5_003))
    assert isinstance(event, BusHabits)
    assert (event.state, event.identifiers, event.bus, event.t_ns // NS) == ("learnt", 3, 0, 5_000)


def test_short_drives_add_up_over_boots() -> None:
    store = HeldState()
    for boot in range(3):
        guard = BusGuard(LIMITS, store=store)
        told = [*guard.update(traffic(30 * boot, 30 * boot + 25)), *guard.finish()]
        assert [event.kind for event in told] == (["bus_habits"] if boot == 2 else [])
    guard = BusGuard(LIMITS, store=store)
    events = watched(put_in(traffic(100, 110), foreign(102, 30, 50)), guard)
    assert {event.finding for event in events} == {"unknown_identifier"}


def test_what_was_learnt_is_kept_and_not_said_again() -> None:
    store = HeldState()
    learnt(store).finish()
    saves = store.saves
    guard = BusGuard(LIMITS, store=store)
    assert [*guard.update(traffic(70, 140)), *guard.finish()] == []
    assert store.saves == saves


def test_a_damaged_state_is_learnt_anew_and_a_damaged_pin_refused() -> None:
    store = HeldState()
    store.state = PINNED[:-40]
    assert [event.kind for event in BusGuard(LIMITS, store=store).update(CLEAN)] == ["bus_habits"]
    for state in (PINNED[:-40], BusGuard(LIMITS).dump(), b"habits"):
        with pytest.raises(ConfigError, match="the profile's habits: damaged, not learnt to the end"):
            BusGuard(LIMITS, pinned=state)
    half = BusGuard(LIMITS)
    half.update(traffic(0, 40))
    with pytest.raises(ConfigError, match="not learnt to the end"):
        BusGuard(LIMITS, pinned=half.dump())


def test_nothing_is_learnt_while_frames_fail_their_checks() -> None:
    frames = put_in(traffic(0, 80), foreign(10, 200, 20))
    failed = (frames.can_id == SPEED) & (frames.t_ns >= 9.99 * NS) & (frames.t_ns < 14 * NS)
    guard = BusGuard(LIMITS)
    (event,) = guard.update(frames, failed)
    assert isinstance(event, BusHabits)
    assert (event.identifiers, event.t_ns // NS) == (3, 72)  # the foreign one is none of them, and 13 s were left out
    believing = BusGuard(LIMITS).update(frames)[0]
    assert isinstance(believing, BusHabits)
    assert believing.identifiers == 4  # what an attacker says while nothing fails is learnt: docs say so


def test_honest_traffic_and_single_odd_frames_are_not_told() -> None:
    assert watched(traffic(70, 200)) == []
    odd = [frame for s in range(80, 180, 4) for frame in foreign(s, 1, 1)]
    assert watched(put_in(traffic(70, 200), odd)) == []


def test_an_unknown_identifier_is_told_once_and_then_in_ten_minutes_with_counts() -> None:
    frames = put_in(traffic(70, 800), foreign(100, 6_500, 100))
    first, second, last = watched(frames)
    assert (first.finding, first.identifiers, first.more) == ("unknown_identifier", [FOREIGN], False)
    assert first.first_ns == 100 * NS + 3 * MS
    assert (first.frames, first.t_ns - first.first_ns) == (10, 900 * MS)
    assert second.t_ns - first.t_ns >= 600 * NS
    assert 6_480 <= first.frames + second.frames + last.frames <= 6_500


def test_a_slow_fuzzer_is_found_too() -> None:
    (event,) = watched(put_in(traffic(70, 200), [Frame((80 + k) * NS, 0x300 + k, b"\1") for k in range(19)]))
    assert (event.finding, event.frames, event.t_ns) == ("unknown_identifier", 10, 89 * NS)


def test_a_fuzzer_has_more_identifiers_than_are_named() -> None:
    put = [Frame(80 * NS + k * MS, 0x300 + k, b"\1") for k in range(200)]
    (event,) = watched(put_in(traffic(70, 90), put))
    assert (event.finding, event.identifiers, event.more) == ("unknown_identifier", [*range(0x300, 0x308)], True)


@pytest.mark.parametrize("can_id", [0, STILL])
def test_a_flood_is_called_so_whoever_is_said_to_send_it(can_id: int) -> None:
    events = watched(put_in(traffic(70, 90), foreign(80, 2_000, 1, can_id)))
    assert events[0].finding == "flood"
    assert (events[0].identifiers, events[0].t_ns // NS) == ([can_id], 80)


def test_a_second_sender_is_injected() -> None:
    frames = traffic(70, 90)
    rows = (frames.can_id == SPEED) & (frames.t_ns >= 80 * NS)
    beside = replace(frames[rows], t_ns=frames.t_ns[rows] + 5 * MS)
    both = concatenate([frames, beside])
    events = watched(both[np.argsort(both.t_ns, kind="stable")])
    assert {event.finding for event in events} == {"injected"}
    assert events[0].identifiers == [SPEED]


def test_forged_payloads_are_told_and_a_new_state_of_the_car_is_not() -> None:
    frames = traffic(70, 90)
    rows = np.flatnonzero((frames.can_id == SPEED) & (frames.t_ns >= 80 * NS))[:40]
    forged, settled = frames.data.copy(), frames.data.copy()
    forged[rows, :5] = np.random.default_rng(5).integers(0, 256, (len(rows), 5))
    (event,) = watched(replace(frames, data=forged))
    assert (event.finding, event.identifiers, event.first_ns) == ("forged_payload", [SPEED], int(frames.t_ns[rows[0]]))
    still = np.flatnonzero((frames.can_id == STILL) & (frames.t_ns >= 80 * NS))
    settled[still, :4] = [9, 250, 77, 140]
    assert watched(replace(frames, data=settled)) == []


def test_a_held_payload_is_told_by_its_name() -> None:
    frames = traffic(70, 90)
    rows = np.flatnonzero((frames.can_id == SPEED) & (frames.t_ns >= 80 * NS))[:100]
    held = frames.data.copy()
    held[rows] = held[rows[0]]
    first, rest = watched(replace(frames, data=held))
    assert (first.finding, first.identifiers) == ("held_payload", [SPEED])
    assert first.last_ns - int(frames.t_ns[rows[0]]) < NS
    assert (rest.finding, first.frames + rest.frames) == ("held_payload", 100 - 4)


def test_a_tester_at_the_diagnostics_port_is_no_stranger() -> None:
    put = [Frame(80 * NS + k * 20 * MS, (0x7DF, 0x7E8)[k % 2], bytes([2, 1, k % 256])) for k in range(200)]
    put += [Frame(85 * NS + k * 20 * MS, 0x18DAF110, bytes([k % 256]), EXTENDED) for k in range(100)]
    assert watched(put_in(traffic(70, 90), put)) == []


def test_a_car_with_new_software_is_learnt_anew_and_a_fuzzed_one_is_not() -> None:
    guard = learnt()
    events = guard.update(traffic(70, 300, (SPEED, 0x200, 0x210)))
    told = [(event.state, event.identifiers) for event in events if isinstance(event, BusHabits)]
    assert told == [("relearning", 2), ("learnt", 3)]
    assert next(event.finding for event in events if isinstance(event, BusAnomaly)) == "unknown_identifier"
    assert watched(traffic(300, 340, (SPEED, 0x200, 0x210)), guard) == []
    fuzzed = put_in(traffic(70, 200), [Frame(71 * NS + k * MS, 0x300 + k % 500, b"\1") for k in range(100_000)])
    assert not [event for event in learnt().update(fuzzed) if isinstance(event, BusHabits)]


def test_pinned_habits_stay() -> None:
    guard = BusGuard(LIMITS, pinned=PINNED)
    events = guard.update(traffic(70, 200, (SPEED, 0x200, 0x210)))
    assert {event.kind for event in events} == {"bus_anomaly"}
    assert guard.dump() == PINNED


def test_buses_are_apart() -> None:
    guard = learnt()
    other = traffic(62, 130, (0x400, 0x410), bus=1)
    both = concatenate([traffic(62, 130), other])
    events = guard.update(both[np.argsort(both.t_ns, kind="stable")])
    assert [(event.bus, event.identifiers) for event in events if isinstance(event, BusHabits)] == [(1, 2)]
    assert not [event for event in events if isinstance(event, BusAnomaly)]


def _attacked() -> tuple[FrameBatch, np.ndarray]:
    """Learnt with a pause, then foreign frames, a flood, forged payloads."""
    frames = put_in(traffic(0, 110), [*foreign(85, 60, 30), *foreign(95, 600, 1, STILL)])
    rows = np.flatnonzero((frames.can_id == SPEED) & (frames.t_ns >= 100 * NS))[:40]
    frames.data[rows, :5] = np.random.default_rng(5).integers(0, 256, (len(rows), 5))
    return frames, (frames.can_id == SPEED) & (np.abs(frames.t_ns - 20 * NS) < NS // 10)


ATTACKED, FAILED = _attacked()


def _cut(cuts: Sequence[int]) -> tuple[list[Event], bytes]:
    guard, events = BusGuard(LIMITS), list[Event]()
    for start, end in pairwise([0, *sorted(min(cut, len(ATTACKED)) for cut in cuts), len(ATTACKED)]):
        events += guard.update(ATTACKED[start:end], FAILED[start:end])
    return [*events, *guard.finish()], guard.dump()


WHOLE = _cut([])


@settings(max_examples=25)
@given(st.lists(st.integers(0, len(ATTACKED)), max_size=40))
def test_events_and_habits_do_not_depend_on_the_batches(cuts: list[int]) -> None:
    assert {"bus_habits", "bus_anomaly"} == {event.kind for event in WHOLE[0]}
    assert _cut(cuts) == WHOLE


def test_single_frames_and_usual_batches_give_the_same() -> None:
    assert _cut(range(0, len(ATTACKED), 37)) == WHOLE
    assert _cut(range(len(ATTACKED) - 3_000, len(ATTACKED))) == WHOLE


@given(st.lists(st.tuples(st.integers(0, len(PINNED) - 1), st.integers(0, 255)), min_size=1, max_size=8))
def test_a_spoilt_state_never_stops_the_box(changes: list[tuple[int, int]]) -> None:
    store = HeldState()
    spoilt = bytearray(PINNED)
    for place, value in changes:
        spoilt[place] = value
    store.state = bytes(spoilt)
    guard = BusGuard(LIMITS, store=store)
    guard.update(traffic(0, 2))
    guard.finish()
