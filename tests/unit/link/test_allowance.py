"""What can wait fills no slow line, and is not held back on a fast one."""

from collections import deque

from agent.link.allowance import LEAST_BYTES, Allowance

_SIZE = 700


def _drive(allowance: Allowance, *, rate_bytes_per_s: float, round_trip_s: float, records: int) -> tuple[float, float]:
    """Send as much as the allowance lets over a line with a queue; longest queue in s, bytes/s in the end."""
    now_s = free_s = longest_s = 0.0
    out: deque[tuple[float, float]] = deque()  # answered at, sent at
    answered: list[float] = []
    while len(answered) < records:
        while allowance.has_room(_SIZE):
            allowance.sent(_SIZE)
            free_s = max(free_s, now_s) + _SIZE / rate_bytes_per_s
            out.append((free_s + round_trip_s, now_s))
        longest_s = max(longest_s, free_s - now_s)
        now_s, sent_s = out.popleft()
        allowance.answered(_SIZE, now_s - sent_s, patient=True)
        answered.append(now_s)
    half = records // 2
    return longest_s, _SIZE * (records - half) / (answered[-1] - answered[half - 1])


def test_a_slow_line_never_holds_more_than_some_seconds_of_it_and_is_busy_all_the_same() -> None:
    longest_s, rate = _drive(Allowance(), rate_bytes_per_s=1200, round_trip_s=2.0, records=400)
    assert longest_s < 6
    assert rate > 0.9 * 1200


def test_a_fast_line_is_not_held_back() -> None:
    _, rate = _drive(Allowance(), rate_bytes_per_s=1e6, round_trip_s=0.1, records=4000)
    assert rate > 0.9e6


def test_a_far_line_is_not_taken_for_a_slow_one() -> None:
    _, rate = _drive(Allowance(), rate_bytes_per_s=1e5, round_trip_s=4.0, records=4000)
    assert rate > 0.8e5


def test_one_record_always_goes_and_others_wait_for_its_answer() -> None:
    allowance = Allowance()
    assert allowance.has_room(60_000)
    allowance.sent(60_000)
    assert not allowance.has_room(1)
    allowance.answered(300, 0.1, patient=False)
    assert not allowance.has_room(1)
    allowance.answered(60_000, 50.0, patient=True)
    assert allowance.has_room(1)


def test_another_connection_is_another_line() -> None:
    allowance = Allowance()
    allowance.sent(LEAST_BYTES)
    assert not allowance.has_room(1)
    allowance.reconnected()
    assert allowance.has_room(1)
