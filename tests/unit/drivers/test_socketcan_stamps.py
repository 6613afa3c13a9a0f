"""Stamps of a wall clock that may be set at any time."""

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from drivers.socketcan_receive import FRAME, Received
from drivers.socketcan_stamps import Timeline, to_monotonic

MS = 1_000_000
S = 1_000 * MS
WALL = 1_790_000_000 * S


class Clock:
    """Two clocks that are what the test says; each reading of either takes 100 ns."""

    def __init__(self, now_ns: int, *, offset_ns: int = -WALL) -> None:
        self.now_ns, self.offset_ns = now_ns, offset_ns

    def monotonic_ns(self) -> int:
        self.now_ns += 100
        return self.now_ns

    def wall_ns(self) -> int:
        return self.monotonic_ns() - self.offset_ns


def received(wall_ns: npt.NDArray[np.int64]) -> Received:
    count = len(wall_ns)
    rows = np.zeros(count, FRAME)
    none = np.zeros(count, np.uint32)
    columns = (rows["id"], rows["length"], rows["word"], none, none, *np.divmod(wall_ns, S))
    return Received(rows, *columns, count=count, plain=True)


def times(timeline: Timeline, clock: Clock, came_ns: list[int]) -> list[int]:
    """What a look right now gives for frames that came at these monotonic times, by today's wall clock."""
    stamped: list[int] = timeline.stamp(received(np.array(came_ns) - clock.offset_ns)).tolist()
    return stamped


def test_stamps_become_monotonic_across_seconds() -> None:
    clock = Clock(50 * S)
    timeline = Timeline(clock, 20 * MS)  # type: ignore[arg-type]  # all of a clock that it uses
    for look in range(1, 200):
        clock.now_ns = 50 * S + look * 20 * MS
        came_ns = [clock.now_ns - ago * MS for ago in (19, 12, 11, 5)]
        assert times(timeline, clock, came_ns) == came_ns
        timeline.since_ns = clock.now_ns


@pytest.mark.parametrize("start_ns", [51 * S, 52 * S - 2 * MS])
def test_stamps_out_of_order_are_put_in_order(start_ns: int) -> None:
    """In the midst of a second, and about the turn of one."""
    clock = Clock(50 * S)
    timeline = Timeline(clock, 20 * MS)  # type: ignore[arg-type]  # all of a clock that it uses
    for look_ns in (start_ns, start_ns + 20 * MS):
        clock.now_ns = look_ns + 9 * MS
        first, third, second = (look_ns + n * MS for n in (1, 3, 2))
        assert times(timeline, clock, [first, third, second]) == [first, third, third]


@pytest.mark.parametrize("wall_ns", [0, 200 * S, 90 * S, -5])
def test_a_stamp_that_cannot_be_means_now(wall_ns: int) -> None:
    t_ns = to_monotonic(np.array([wall_ns]), now_ns=100 * S, since_ns=99 * S, latest_ns=0, offsets_ns=[0])
    assert t_ns.tolist() == [100 * S]


def test_time_does_not_go_back_between_drains() -> None:
    t_ns = to_monotonic(np.array([99 * S]), now_ns=100 * S, since_ns=99 * S, latest_ns=99 * S + 7, offsets_ns=[0])
    assert t_ns.tolist() == [99 * S + 7]


@given(
    st.lists(st.integers(min_value=0, max_value=20 * MS), min_size=1, max_size=30).map(sorted),
    st.integers(min_value=-4000 * S, max_value=4000 * S),
    st.integers(min_value=0, max_value=20 * MS),
    st.sampled_from([0, 20 * MS, 3600 * S]),
)
def test_a_step_of_the_wall_clock_moves_no_frame_by_more_than_the_window(
    came_ns: list[int], step_ns: int, stepped_ns: int, quiet_ns: int
) -> None:
    now_ns, start_ns = 5000 * S + 20 * MS, 5000 * S
    before_ns, after_ns = -WALL, -WALL - step_ns  # monotonic minus wall time on either side of the step
    true_ns = np.array([start_ns + n for n in came_ns])
    wall_ns = np.where(true_ns < start_ns + stepped_ns, true_ns - before_ns, true_ns - after_ns)
    since_ns = start_ns - quiet_ns
    t_ns = to_monotonic(wall_ns, now_ns=now_ns, since_ns=since_ns, latest_ns=since_ns, offsets_ns=[before_ns, after_ns])
    assert (np.diff(t_ns) >= 0).all()
    assert (t_ns >= true_ns).all(), "never before it came, and"
    assert (t_ns <= now_ns).all(), "never after it was read"


@given(
    st.lists(
        st.tuples(
            st.lists(st.integers(min_value=0, max_value=20 * MS), min_size=1, max_size=8).map(sorted),
            st.sampled_from([0, 0, 0, 300 * MS, -300 * MS, S, -S, 3600 * S, 2 * MS, 100_000]),
        ),
        max_size=60,
    ),
    st.integers(min_value=0, max_value=S),
)
def test_look_after_look_no_frame_moves_by_more_than_its_window(
    looks: list[tuple[list[int], int]], phase_ns: int
) -> None:
    """The wall clock is set at the start of a window, now and then."""
    clock = Clock(5000 * S, offset_ns=-WALL - phase_ns)
    timeline = Timeline(clock, 20 * MS)  # type: ignore[arg-type]  # all of a clock that it uses
    latest_ns = 0
    for number, (came_ns, step_ns) in enumerate(looks):
        start_ns = 5000 * S + MS + number * 21 * MS
        clock.now_ns = start_ns + 20 * MS + 1000
        clock.offset_ns -= step_ns
        got = times(timeline, clock, [start_ns + n for n in came_ns])
        assert got == sorted(got)
        assert latest_ns <= got[0]
        assert got[-1] <= clock.now_ns
        allowed_ns = 100_000 if not step_ns else 20 * MS + 100_000
        moved_ns = [t_ns - start_ns - n for t_ns, n in zip(got, came_ns, strict=True)]
        assert all(-100_000 <= moved <= allowed_ns for moved in moved_ns), (moved_ns, step_ns)
        latest_ns = got[-1]
        timeline.since_ns = start_ns + 20 * MS
