from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from agent.core.events import ChargingFault, Event, HarshDriving, TripEnded, TripStarted
from agent.core.occasions import PartnerVisit
from agent.voice.facts import keys_of
from agent.voice.scene_file import load_scenes
from agent.voice.scene_memory import SceneMemory
from agent.voice.scene_watch import SceneWatch
from tests.held_state import HeldState

TAIL = '\n[say]\nzh = "好。"\nen = "Good."\n'
DAY_S = 86_400


@dataclass
class Watched:
    """One scene, and a box that may boot anew."""

    path: Path
    store: HeldState = field(default_factory=HeldState)
    utc_s: float | None = 1e9
    watch: SceneWatch = field(init=False)

    def __post_init__(self) -> None:
        self.boot()

    def boot(self) -> None:
        memory = SceneMemory(self.store, lambda: None if self.utc_s is None else round(self.utc_s * 1e9))
        self.watch = SceneWatch(load_scenes([self.path])[0], memory)

    def pulls(self, event: Event) -> bool:
        return bool(self.watch.take(event, keys_of(event)))


Write = Callable[..., Watched]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    def make(*triggers: str) -> Watched:
        path = tmp_path / "one.toml"
        path.write_text("".join(f"[[trigger]]\n{trigger}\n" for trigger in triggers) + TAIL, encoding="utf-8")
        return Watched(path)

    return make


def at(t_s: float) -> int:
    return round(t_s * 1e9)


def braked(t_s: float) -> HarshDriving:
    return HarshDriving(t_ns=at(t_s), maneuver="braking", peak_mps2=6, duration_s=1)


def ended(t_s: float, **more: Any) -> TripEnded:
    return TripEnded(t_ns=at(t_s), started_ns=0, duration_s=60, distance_m=900, speed_max_kmh=60, **more)


def fault(t_s: float, name: Any = "grid", grid_v: float | None = None) -> ChargingFault:
    return ChargingFault(t_ns=at(t_s), fault=name, power_kw=3, grid_v=grid_v)


def visit(t_s: float, place: str, *offers: str) -> PartnerVisit:
    return PartnerVisit(t_ns=at(t_s), place=place, offers=list(offers), minutes=40)


@pytest.mark.parametrize(
    ("where", "event", "fits"),
    [
        ("harsh_braking_count = 2", ended(1, harsh_braking_count=2), True),
        ("harsh_braking_count = [1, 3]", ended(1, harsh_braking_count=2), False),
        ("distance_m = { min = 900, max = 900 }", ended(1), True),
        ("distance_m = { max = 899.9 }", ended(1), False),
        ("distance_m = { min = 1 }, duration_s = { min = 61 }", ended(1), False),
    ],
)
def test_conditions_hold_for_all_fields_they_name(write: Write, where: str, event: Event, *, fits: bool) -> None:
    assert write(f'event = "trip_ended"\nwhere = {{ {where} }}').pulls(event) is fits


@pytest.mark.parametrize(
    ("condition", "value", "fits"),
    [("min = 100", None, False), ("set = true", None, False), ("set = false", None, True), ("set = true", 230.0, True)],
)
def test_a_value_that_the_car_does_not_tell_fits_no_bound(
    write: Write, condition: str, value: float | None, *, fits: bool
) -> None:
    one = write(f'event = "charging_fault"\nwhere = {{ grid_v = {{ {condition} }} }}')
    assert one.pulls(fault(1, grid_v=value)) is fits


def test_a_list_is_looked_through(write: Write) -> None:
    one = write('event = "partner_visit"\nwhere = { offers = { has = "tyres" } }')
    assert one.pulls(visit(1, "A", "repair", "tyres"))
    assert not one.pulls(visit(1, "A", "repair"))


def test_three_within_a_span_are_counted_by_place_over_boots(write: Write) -> None:
    one = write(f'event = "partner_visit"\ncount = 3\nper = "place"\nwithin_s = {90 * DAY_S}')
    told = []
    for place, days in (("A", 0), ("B", 1), ("A", 20), ("B", 80), ("A", 30), ("A", 40), ("B", 95), ("B", 99)):
        one.utc_s = 1e9 + days * DAY_S
        one.boot()
        told.append(one.pulls(visit(5, place)))
    assert told == [False] * 4 + [True, False, False, True], "spent once told; what is older than the span is let go"


def test_without_utc_only_this_boot_is_counted(write: Write) -> None:
    one = write('event = "charging_fault"\ncount = 2\nwithin_s = 1000.0')
    one.utc_s = None
    assert not one.pulls(fault(1))
    one.boot()
    assert not one.pulls(fault(1))
    assert one.pulls(fault(900))


def test_a_damaged_state_begins_anew(write: Write) -> None:
    one = write('event = "charging_fault"\ncount = 2\nwithin_s = 1000.0')
    for state in (b"\xff", b"{", b'{"put": 3}', b'{"counted": {"one.0": {"": [1e9]}}}'):
        one.store.state = state
        one.boot()
    assert one.pulls(fault(1)), "the last one was sound"


def test_a_sequence_must_come_in_its_order_and_in_time(write: Write) -> None:
    after = 'after = [{ event = "trip_started" }, { event = "harsh_driving.braking" }]'
    one = write(f'event = "trip_ended"\nwithin_s = 100.0\n{after}')
    for event in (braked(1), TripStarted(t_ns=at(2))):
        one.pulls(event)
    assert not one.pulls(ended(3)), "braked before the trip"
    one.pulls(braked(50))
    assert one.pulls(ended(60))
    assert not one.pulls(ended(103)), "too late"


def test_what_came_before_may_forbid(write: Write) -> None:
    one = write('event = "trip_ended"\nwithin_s = 100.0\nunless = [{ event = "harsh_driving" }]')
    assert one.pulls(ended(1))
    one.pulls(braked(2))
    assert not one.pulls(ended(50))
    assert one.pulls(ended(103))


def test_what_does_not_come_is_noticed_when_its_time_is_over(write: Write) -> None:
    one = write('event = "trip_started"\nwithin_s = 10.0\nmissing = { event = "trip_ended" }')
    assert not one.pulls(TripStarted(t_ns=at(1)))
    assert one.watch.due_ns() == at(11)
    assert one.watch.due(at(10.9)) == []
    assert [cue.event.t_ns for cue in one.watch.due(at(11))] == [at(1)]
    assert one.watch.due(at(12)) == []
    one.pulls(TripStarted(t_ns=at(20)))
    one.pulls(ended(25))
    assert one.watch.due_ns() is None


def test_of_several_triggers_the_more_specific_one_counts(write: Write) -> None:
    one = write(
        'event = "harsh_driving"',
        'event = "harsh_driving.braking"',
        'event = "harsh_driving"\nwhere = { speed_kmh = { min = 50 } }',
    )
    by_event: Mapping[str, HarshDriving] = {
        "harsh_driving.braking": braked(1),
        "harsh_driving": HarshDriving(t_ns=0, maneuver="cornering", peak_mps2=6, duration_s=1, speed_kmh=80),
    }
    for name, event in by_event.items():
        (cue,) = one.watch.take(event, keys_of(event))
        assert cue.trigger.event == name
    assert cue.trigger.where


def test_everything_remembered_has_a_limit(write: Write) -> None:
    one = write(
        f'event = "partner_visit"\ncount = 20\nper = "place"\nwithin_s = {DAY_S}',
        'event = "trip_started"\nwithin_s = 1000.0\nmissing = { event = "trip_ended" }',
    )
    for n in range(2000):
        one.pulls(visit(n / 10, f"place {n}"))
        one.pulls(TripStarted(t_ns=at(n / 10)))
    assert len(one.store.state) < 5000
    assert len(one.watch.due(at(2000))) == 1
