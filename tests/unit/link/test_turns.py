"""Whose turn it is, in plain numbers."""

from itertools import islice

from agent.core.backoff import backoff_waits
from agent.core.records import Position, Range
from agent.link.turns import Patience, Turns

_ONE, _TWO = Position(1, 1), Position(1, 2)


def _answered(first: int, last: int) -> list[Range]:
    return [Range(1, first, last, bytes(32))]


def test_an_unanswered_record_goes_again_ever_more_rarely() -> None:
    turns, now_s, gaps = Turns(answer_s=60.0), 0.0, []
    for _ in range(10):
        turns.sent(_ONE, now_s)
        assert not turns.is_due(_ONE, now_s)
        before_s = now_s
        while not turns.is_due(_ONE, now_s):
            now_s = turns.next_s(now_s) or 0.0
        gaps.append(now_s - before_s)
    assert gaps == [60, 120, 240, 480, 960, 1920, 3600, 3600, 3600, 3600]


def test_only_those_that_may_still_be_answered_fill_the_window() -> None:
    turns = Turns(answer_s=60.0)
    turns.sent(_ONE, 0.0)
    turns.sent(_TWO, 30.0)
    turns.refused(_TWO, 31.0)
    assert [turns.waiting(now_s) for now_s in (31.0, 59.0, 60.0)] == [1, 1, 0]
    assert turns.is_due(_TWO, 32.0)


def test_refusals_of_one_record_space_out() -> None:
    turns = Turns(answer_s=60.0)
    for wait_s in (1.0, 2.0, 4.0):
        turns.sent(_ONE, 0.0)
        turns.refused(_ONE, 0.0)
        assert turns.next_s(0.0) == wait_s


def test_a_receipt_ends_it() -> None:
    turns = Turns(answer_s=60.0)
    turns.sent(_ONE, 0.0)
    turns.sent(_TWO, 0.0)
    turns.received(_answered(2, 5))
    assert (turns.waiting(1.0), turns.is_due(_ONE, 1.0), turns.is_due(_TWO, 1.0)) == (1, False, True)


def test_a_new_connection_sends_all_but_the_hopeless_again() -> None:
    turns = Turns(answer_s=60.0)
    for tries, sequence in ((4, 1), (2, 2), (1, 3)):
        for _ in range(tries):
            turns.sent(Position(1, sequence), 0.0)
    turns.reconnected(10.0)
    assert turns.waiting(10.0) == 0
    assert [turns.is_due(Position(1, sequence), 10.0) for sequence in (1, 2, 3, 4)] == [False, True, False, True]
    assert turns.next_s(10.0) == 10.5  # its receipt may lie at the broker
    assert [turns.is_due(Position(1, sequence), 10.5) for sequence in (1, 2, 3, 4)] == [False, True, True, True]


def test_what_a_new_connection_sends_again_waits_no_longer_than_what_is_new() -> None:
    turns = Turns(answer_s=60.0)
    turns.sent(_ONE, 0.0)
    turns.reconnected(10.0)
    waits_s = []
    for now_s in (11.0, 80.0):  # and is lost as well: the insurer comes back after the car
        turns.sent(_ONE, now_s)
        waits_s.append((turns.next_s(now_s + 60.0) or now_s + 60.0) - now_s)
    assert waits_s == [60.0, 120.0]


def test_memory_is_bounded_and_the_longest_known_goes_first() -> None:
    turns = Turns(answer_s=60.0, known_max=100)
    for sequence in range(1, 10_001):
        turns.sent(Position(1, sequence), 0.0)
    assert len(turns) == 100
    assert not turns.is_due(Position(1, 10_000), 1.0)
    assert turns.is_due(Position(1, 9900), 1.0)


def test_patience_counts_only_what_concerns_all_records() -> None:
    patience = Patience(lambda: backoff_waits(lambda: 0.0, first_s=10.0))
    for code in (0x95, 0x99) * 20:
        patience.refused(code, 0.0)
    assert not patience.one_by_one
    for reason in islice((0x87, 0x97, None) * 3, 8):
        patience.refused(reason, 0.0)
    assert (patience.one_by_one, patience.wait_s(0.0)) == (True, 1.0)
    patience.refused(0x87, 0.5)  # one that was on its way: no longer wait for it
    assert patience.wait_s(0.5) == 0.5
    patience.refused(0x87, 1.0)
    assert patience.wait_s(1.0) == 2.0
    patience.restore()
    assert (patience.one_by_one, patience.wait_s(1.0)) == (False, 0.0)
