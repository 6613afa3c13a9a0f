from collections.abc import Callable, Collection, Sequence
from itertools import pairwise

import pytest

from agent.proto.generic_polls import generic_polls
from agent.proto.schedule import Poll, Schedule

SECOND = 1_000_000_000
FAST = (0x0C, 0x0D, 0x11)
SLOW = (0x05, 0x0F, 0x2F, 0x33, 0x46, 0x5C, 0x0B)
POLLS = [Poll(pid=pid, period_s=0.5, priority=0) for pid in FAST] + [Poll(pid=pid, period_s=2.0) for pid in SLOW]

Car = Callable[[Sequence[int]], Collection[int]]


def drive(schedule: Schedule, car: Car, seconds: float, *, round_trip_s: float = 0.01) -> list[tuple[float, list[int]]]:
    t_ns, end_ns = 0, round(seconds * SECOND)
    asked: list[tuple[float, list[int]]] = []
    while t_ns < end_ns:
        request = schedule.take(t_ns)
        if request is None:
            due = schedule.next_ns()
            if due is None:
                return asked
            assert due > t_ns
            t_ns = due
            continue
        asked.append((t_ns / SECOND, list(request.idents)))
        round_trip_ns = round(round_trip_s * SECOND)
        t_ns += round_trip_ns
        schedule.settle(request, car(request.idents), t_ns=t_ns, round_trip_ns=round_trip_ns)
    return asked


def count(asked: list[tuple[float, list[int]]], pid: int) -> int:
    return sum(pid in idents for _, idents in asked)


def test_every_wish_gets_its_rate_in_requests_of_six() -> None:
    schedule = Schedule(POLLS)
    asked = drive(schedule, lambda idents: idents, 20)
    for pid in FAST:
        assert count(asked, pid) == 40
    for pid in SLOW:
        assert count(asked, pid) == 10
    assert max(len(idents) for _, idents in asked) == 6
    assert len(asked) <= 60


def test_a_bus_too_slow_for_all_starves_nothing_and_serves_the_important_best() -> None:
    schedule = Schedule([*POLLS, Poll(pid=0x42, period_s=0.5, priority=3)], pack_max=1)
    asked = drive(schedule, lambda idents: idents, 60, round_trip_s=0.09)
    assert all(count(asked, pid) >= 5 for pid in (*FAST, *SLOW, 0x42))
    assert min(count(asked, pid) for pid in FAST) > 2 * count(asked, 0x42)
    assert min(count(asked, pid) for pid in FAST) > 2 * max(count(asked, pid) for pid in SLOW)


def test_a_slow_ecu_is_left_alone_half_of_the_time() -> None:
    schedule = Schedule(POLLS)
    asked = drive(schedule, lambda idents: idents, 30, round_trip_s=0.4)
    gaps = [later - earlier for (earlier, _), (later, _) in pairwise(asked)]
    assert min(gaps) >= 0.8 - 1e-6


def test_a_car_that_answers_only_the_first_pid_gets_single_requests_and_loses_none() -> None:
    schedule = Schedule(POLLS)
    drive(schedule, lambda idents: idents[:1], 60)
    assert schedule.pack_max() == 1
    assert schedule.pids == {*FAST, *SLOW}
    assert schedule.dropped == []


def test_an_adapter_that_takes_three_at_most_keeps_three() -> None:
    schedule = Schedule(POLLS)
    drive(schedule, lambda idents: idents if len(idents) <= 3 else (), 60)
    assert schedule.pack_max() == 3
    assert schedule.pids == {*FAST, *SLOW}


def test_a_pid_that_never_answers_is_dropped_and_packing_goes_on() -> None:
    schedule = Schedule(POLLS)
    drive(schedule, lambda idents: [pid for pid in idents if pid != 0x2F], 30)
    assert schedule.dropped == [0x2F]
    assert schedule.pack_max() == 6


def test_packing_is_learnt_for_each_ecu() -> None:
    other = 0x7E1
    schedule = Schedule([*POLLS, *(Poll(pid=pid, ecu=other, period_s=1.0) for pid in SLOW)])
    t_ns = 0
    for _ in range(200):
        request = schedule.take(t_ns)
        if request is None:
            t_ns = schedule.next_ns() or 0
            continue
        answered = request.idents[:1] if request.ecu == other else request.idents
        schedule.settle(request, answered, t_ns=t_ns)
    assert (schedule.pack_max(), schedule.pack_max(other)) == (6, 1)


def test_a_car_that_went_to_sleep_is_asked_no_more() -> None:
    schedule = Schedule(POLLS)
    asked = drive(schedule, lambda _: (), 3600)
    assert schedule.empty
    assert len(asked) < 60


@pytest.mark.parametrize("code", [0x21, 0x78])
def test_a_busy_ecu_is_asked_again_later_and_later(code: int) -> None:
    schedule = Schedule([Poll(pid=0x0C, period_s=0.1)])
    t_ns, times = 0, []
    for _ in range(10):
        t_ns = max(t_ns, schedule.next_ns() or 0)
        request = schedule.take(t_ns)
        assert request is not None
        times.append(t_ns / SECOND)
        schedule.settle(request, (), t_ns=t_ns, refusal=code)
    gaps = [b - a for a, b in pairwise(times)]
    assert gaps == pytest.approx([0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 5.0, 5.0, 5.0])
    assert schedule.pids == {0x0C}
    t_ns = schedule.next_ns() or 0
    request = schedule.take(t_ns)
    assert request is not None
    schedule.settle(request, (0x0C,), t_ns=t_ns)
    assert (schedule.next_ns() or 0) - t_ns == 100_000_000


def test_what_the_session_does_not_allow_is_put_off_for_minutes_and_not_dropped() -> None:
    schedule = Schedule([Poll(did=0x0101, ecu=0x7E4, period_s=1.0)])
    t_ns = 0
    for wait_s in (60, 120, 240):
        request = schedule.take(t_ns)
        assert request is not None
        assert request.data == b"\x22\x01\x01"
        schedule.settle(request, (), t_ns=t_ns, refusal=0x7F)
        due_ns = schedule.next_ns() or 0
        assert (due_ns - t_ns) / SECOND == wait_s
        t_ns = due_ns
    assert not schedule.empty


def test_codes_are_asked_for_slowly_and_first_after_a_period() -> None:
    schedule = Schedule([], dtc_period_s=600)
    assert schedule.empty
    assert schedule.next_ns() == 600 * SECOND
    taken = [schedule.take(600 * SECOND) for _ in range(4)]
    assert [request and request.data for request in taken] == [b"\x03", b"\x07", b"\x0a", None]
    assert schedule.next_ns() == 1200 * SECOND


def test_a_poll_is_one_question_to_a_diagnostic_identifier() -> None:
    for options in ({}, {"pid": 1, "did": 2, "ecu": 0x7E4}, {"did": 1}, {"pid": 1, "ecu": 0x800}):
        with pytest.raises(ValueError, match=r"poll|DID|identifier"):
            Poll(**options)


def test_the_generic_rates() -> None:
    rates = {poll.pid: (poll.period_s, poll.priority) for poll in generic_polls([0x0D, 0x42, 0x05, 0x0D], 0.5)}
    assert rates == {0x0D: (0.5, 0), 0x42: (2.0, 1), 0x05: (10.0, 2)}
