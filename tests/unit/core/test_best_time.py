"""UTC is never held for earlier than somebody signed, and never for later than the clock or a signature says."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.core.best_time import EARLIEST_NS, SLACK_NS, BestTime, Now
from simulators.clock import ManualClock

S = 10**9
TRUTH_NS = 1_790_000_000 * S


def unset(wall_ns: int = 0) -> ManualClock:
    clock = ManualClock(wall_start_ns=wall_ns)
    clock.synced = False
    return clock


@pytest.mark.parametrize("wall_ns", [0, TRUTH_NS, 2_082_758_400 * S])
def test_a_clock_that_was_not_set_says_nothing_whatever_it_shows(wall_ns: int) -> None:
    now = BestTime(unset(wall_ns)).now()
    assert now == Now(floor_ns=EARLIEST_NS)
    assert now.passed(EARLIEST_NS) is True
    assert now.passed(EARLIEST_NS + 1) is None


def test_a_set_clock_decides() -> None:
    now = BestTime(ManualClock(wall_start_ns=TRUTH_NS)).now()
    assert (now.wall_ns, now.best_ns) == (TRUTH_NS, TRUTH_NS)
    assert (now.passed(TRUTH_NS), now.passed(TRUTH_NS + 1)) == (True, False)


async def test_the_floor_rises_with_signatures_and_with_time() -> None:
    clock = unset()
    best = BestTime(clock)
    assert best.learn(TRUTH_NS)
    await clock.advance(10)
    assert best.learn(TRUTH_NS - S)  # an old receipt again
    assert best.now() == Now(floor_ns=TRUTH_NS + 10 * S)


@pytest.mark.parametrize(("behind_ns", "believed"), [(SLACK_NS, True), (SLACK_NS + 1, False)])
def test_a_clock_behind_what_was_signed_is_not_believed(behind_ns: int, *, believed: bool) -> None:
    clock = unset(TRUTH_NS - behind_ns)
    best = BestTime(clock)
    best.learn(TRUTH_NS)
    clock.synced = True
    assert (best.now().wall_ns is not None) == believed


def test_one_wrong_server_does_not_turn_a_good_clock_away() -> None:
    best = BestTime(ManualClock(wall_start_ns=TRUTH_NS))
    assert not best.learn(TRUTH_NS + SLACK_NS + 1)
    assert best.now() == Now(floor_ns=EARLIEST_NS, wall_ns=TRUTH_NS)


@given(st.lists(st.integers(0, 2**62)), st.integers(0, 2**62), st.booleans())
def test_the_floor_is_never_above_what_was_signed(signed: list[int], wall_ns: int, synced: bool) -> None:  # noqa: FBT001 - hypothesis
    clock = unset(wall_ns)
    clock.synced = synced
    best = BestTime(clock)
    for signed_ns in signed:
        best.learn(signed_ns)
    assert best.now().floor_ns <= max([EARLIEST_NS, *signed])
    if not synced:
        assert best.now().floor_ns == max([EARLIEST_NS, *signed])
