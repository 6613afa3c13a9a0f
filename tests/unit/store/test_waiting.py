"""Who goes first among events that wait for the disk."""

import msgspec

from agent.core.events import AgentStopped, Collision, CrashRecord, Event, Priority
from agent.store.waiting import BULK, BULK_MAX, CRITICAL, ORDINARY, WaitingRoom
from tests.unit.store.kit import braking, thermal

NOTICE = Collision(t_ns=1, delta_v_kmh=30.0, duration_ms=100.0, peak_mps2=150.0, stationary=False)
PIECE = CrashRecord(t_ns=1, record=1, fragment=0, part="imu", from_ns=0, until_ns=1)


def room(*events: Event, count_max: int = 100) -> WaitingRoom:
    waiting = WaitingRoom(count_max)
    assert [waiting.put(event) for event in events] == [None] * len(events)
    return waiting


def test_notices_go_before_detail_and_detail_before_the_rest() -> None:
    waiting = room(braking(), PIECE, thermal(), PIECE, NOTICE)
    assert waiting.take(50) == (CRITICAL, [thermal(), NOTICE])
    assert waiting.take(50) == (BULK, [PIECE, PIECE])
    assert waiting.take(50) == (ORDINARY, [braking()])
    assert waiting.take(50) == (ORDINARY, [])


def test_detail_is_taken_in_small_lots_and_what_is_given_back_comes_first() -> None:
    pieces = [msgspec.structs.replace(PIECE, fragment=number) for number in range(2 * BULK_MAX)]
    waiting = room(*pieces)
    line, taken = waiting.take(50)
    assert (line, taken) == (BULK, pieces[:BULK_MAX])
    waiting.give_back(line, taken[3:])
    assert waiting.take(50) == (BULK, pieces[3 : 3 + BULK_MAX])


def test_what_is_more_urgent_is_known() -> None:
    waiting = room(braking())
    assert (waiting.hurries, waiting.ordinary, waiting.holds(Priority.CRASH)) == (False, 1, False)
    waiting.put(PIECE)
    assert (waiting.hurries, waiting.holds(Priority.CRASH)) == (True, True)
    assert (waiting.outranks(ORDINARY), waiting.outranks(BULK)) == (True, False)
    waiting.put(NOTICE)
    assert (waiting.outranks(BULK), waiting.outranks(CRITICAL), len(waiting)) == (True, False, 3)


def test_the_oldest_of_the_lowest_priority_goes_and_detail_before_a_notice() -> None:
    first, second = AgentStopped(t_ns=1, reason="a"), AgentStopped(t_ns=2, reason="b")
    waiting = room(NOTICE, PIECE, first, braking(), count_max=4)
    assert waiting.put(second) == first
    assert waiting.put(NOTICE) == second
    assert waiting.put(NOTICE) == braking()
    assert waiting.put(NOTICE) == PIECE
    assert waiting.put(NOTICE) == NOTICE
