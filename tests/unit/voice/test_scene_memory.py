"""What scenes remember stays small enough to be read again."""

from collections import deque

import pytest

from agent.voice.scene_memory import Instant, SceneMemory
from tests.held_state import HeldState

S = 10**9
FILE_MAX = 200_000


def times(count: int, utc_s: float = 1.79e9) -> deque[Instant]:
    return deque(Instant(None, utc_s + number / 7) for number in range(count))


def test_what_is_counted_is_bounded_and_who_counted_last_stays() -> None:
    store = HeldState()
    memory = SceneMemory(store, utc_ns=lambda: 1_790_000_000 * S)
    memory.silence("a scene")
    for number in range(210):
        for group in range(34):
            memory.count(f"a trigger of some scene or other {number % 200}", f"group {group}", times(20))
    assert len(store.state) < FILE_MAX
    again = SceneMemory(store)
    assert again.silenced == {"a scene"}
    assert list(again.counted) == list(memory.counted)
    assert list(memory.counted)[-1] == "a trigger of some scene or other 9"
    assert {len(groups) for groups in memory.counted.values()} == {32}


def test_of_many_names_those_that_were_put_last_are_kept() -> None:
    store = HeldState()
    memory = SceneMemory(store, utc_ns=lambda: 1_790_000_000 * S)
    memory.note_put("often", 0, counts=False)
    for number in range(400):
        memory.note_put(f"visit:place {number}", 0, counts=False)
        if number % 100 == 0:
            memory.note_put("often", 0, counts=False)
    for known in (memory, SceneMemory(store, utc_ns=lambda: 1_790_000_000 * S)):
        assert known.put_s_ago("often", 0) == 0
        assert known.put_s_ago("visit:place 399", 0) == 0
        assert known.put_s_ago("visit:place 0", 0) == float("inf")


def test_triggers_that_have_counted_nothing_are_not_kept() -> None:
    store = HeldState()
    memory = SceneMemory(store, utc_ns=lambda: 1_790_000_000 * S)
    memory.count("one", "", times(2))
    memory.count("one", "", deque())
    memory.count("two", "", times(1))
    assert list(SceneMemory(store).counted) == ["two"]


def test_a_wish_to_be_asked_no_more_outlives_a_disk_that_was_full(caplog: pytest.LogCaptureFixture) -> None:
    store = HeldState(refuses=True)
    memory = SceneMemory(store)
    memory.silence("coach")
    memory.note_put("battery_hot", 1, counts=True)
    assert memory.silenced == {"coach"}, "it holds meanwhile"
    assert [record.getMessage() for record in caplog.records] == ["memory of scenes: not kept yet, tried again: full"]
    store.refuses = False
    memory.look(100 * S)
    assert SceneMemory(store).silenced == {"coach"}


def test_a_damaged_memory_is_told_and_begun_anew(caplog: pytest.LogCaptureFixture) -> None:
    assert SceneMemory(HeldState(b'{"silenced":["coach')).silenced == set()
    (record,) = caplog.records
    assert record.getMessage() == "memory of scenes: cannot be read, begun anew: Input data was truncated"
