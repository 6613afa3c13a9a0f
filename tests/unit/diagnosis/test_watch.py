"""Each change of the codes is told once; what flickers is not believed."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from agent.core.diagnosis_events import TroubleCodes
from agent.core.trouble import CodeReading
from agent.diagnosis.watch import CodeWatch

S = 10**9


def tell(*readings: tuple[float, dict[str, Any]]) -> list[TroubleCodes]:
    watch = CodeWatch()
    found = [watch.take(CodeReading(source="obd", t_ns=round(at_s * S), **codes)) for at_s, codes in readings]
    return [event for event in found if event is not None]


def test_a_confirmed_code_is_told_at_once_with_its_frame() -> None:
    frame = {"Vehicle.Speed": 52.0, "Vehicle.Private.OBD.EngineLoad": 33.33333}
    one = {"stored": ("P0171",), "pending": (), "frozen": "P0171", "frame": frame}
    (event,) = tell((5, {"stored": (), "pending": ()}), (605, one), (1205, one))
    assert (event.stored, event.added, event.gone, event.frozen) == (["P0171"], ["P0171"], [], "P0171")
    assert event.frame_signals == ["Vehicle.Private.OBD.EngineLoad", "Vehicle.Speed"]
    assert event.frame_values == [33.333, 52.0]
    assert not event.after_restart


def test_what_is_there_at_the_start_may_have_been_told_before() -> None:
    (event,) = tell((5, {"stored": ("P0171",)}))
    assert event.after_restart


def test_a_pending_code_must_be_seen_twice() -> None:
    there, away = {"stored": (), "pending": ("P0301",)}, {"stored": (), "pending": ()}
    assert tell((0, there), (10, away), (20, there)) == []
    (event,) = tell((0, there), (1, there), (10, there))
    assert (event.t_ns, event.pending, event.added) == (10 * S, ["P0301"], ["P0301"])


def test_a_pending_code_that_is_confirmed_changes_its_list_and_is_not_new() -> None:
    pending = {"stored": (), "pending": ("P0301",)}
    first, second = tell((0, pending), (10, pending), (600, {"stored": ("P0301",), "pending": ("P0301",)}))
    assert first.added == ["P0301"]
    assert (second.stored, second.added, second.gone) == (["P0301"], [], [])


def test_no_answer_says_nothing() -> None:
    assert len(tell((0, {"stored": ("P0171",)}), (600, {"stored": None}), (1200, {"stored": ("P0171",)}))) == 1


def test_a_code_is_gone_after_half_a_minute() -> None:
    assert len(tell((0, {"stored": ("P0171",)}), (1, {"stored": ()}), (2, {"stored": ("P0171",)}))) == 1
    events = tell((0, {"stored": ("P0171",)}), (600, {"stored": ()}))
    assert [event.gone for event in events] == [[], ["P0171"]]


def test_active_faults_of_a_truck_must_last_and_parts_of_a_list_take_nothing_away() -> None:
    active, none = {"stored": ("SPN 110 FMI 0",), "sure": False}, {"stored": (), "sure": False}
    assert tell((0, active), (1, none), (2, active), (6, active)) == []
    assert len(tell((0, active), (1, active), (6, active), (7, none), (20, active))) == 1
    assert len(tell((0, {"stored": ("P0171-00",), "whole": False}), (600, {"stored": (), "whole": False}))) == 1


def test_a_frame_of_a_code_that_is_not_there_is_left_out() -> None:
    (event,) = tell((0, {"stored": ("P0171",), "frozen": "P0420", "frame": {"Vehicle.Speed": 1.0}}))
    assert (event.frozen, event.frame_signals) == ("", [])


codes = st.lists(st.sampled_from(["P0171", "P0301", "P0420"]), max_size=3, unique=True).map(tuple)
readings = st.lists(st.tuples(st.sampled_from([1, 4, 8, 40, 600]), st.none() | codes, st.none() | codes), max_size=30)


@given(readings)
def test_what_is_added_was_not_there_and_what_is_gone_was(steps: list[tuple[int, Any, Any]]) -> None:
    watch, now_s, there = CodeWatch(), 0, set[str]()
    for step_s, stored, pending in steps:
        now_s += step_s
        event = watch.take(CodeReading(source="obd", t_ns=now_s * S, stored=stored, pending=pending))
        if event is not None:
            assert not there & set(event.added)
            assert set(event.gone) <= there
            there = there - set(event.gone) | set(event.added)
            assert there == {*event.stored, *event.pending, *event.permanent}
        assert there == watch.codes()


def test_memory_is_bounded() -> None:
    watch = CodeWatch()
    for number in range(200):
        watch.take(CodeReading(source=f"bus {number}", t_ns=0, stored=("P0171",)))
    assert len(watch._memories) == 64
