from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest

from agent.core.config import Config, parse_config
from agent.core.errors import ConfigError
from agent.core.event_base import Event
from agent.core.occasions import LowTyre, PartnerVisit, RenewalNear, WarningLamp
from agent.core.partners import Partner, Policy
from agent.core.vss import ENGINE_LAMP, LATITUDE, LONGITUDE, SPEED, TYRE_PRESSURES, TYRES_LOW
from agent.voice.occasions import Occasions
from agent.voice.scene_memory import SceneMemory
from tests.held_state import HeldState

MakeWindow = Callable[..., Any]
GARAGE = Partner(name="老王修车", offers=["repair", "tyres"], latitude=31.2, longitude=121.4, phone="021 5555")
FAR = Partner(name="远的店", offers=["tyres"], latitude=31.5, longitude=121.4)
START_S = 1_790_000_000  # 2026-09-21


@dataclass
class Box:
    """A box in a car; t_s counts since the first boot, and boots begin at 0 again."""

    make_window: MakeWindow
    store: HeldState = field(default_factory=HeldState)
    policy: Policy = field(default_factory=Policy)
    synced: bool = True
    t_s: float = 0.0
    booted_s: float = 0.0

    def __post_init__(self) -> None:
        self.boot()

    def boot(self) -> None:
        self.booted_s = self.t_s

        def utc_ns() -> int | None:
            return round((START_S + self.t_s) * 1e9) if self.synced else None

        self.occasions = Occasions([FAR, GARAGE], self.policy, SceneMemory(self.store, utc_ns), utc_ns)

    def see(self, seconds: float, **latest: float) -> list[Event]:
        found: list[Event] = []
        paths = {"speed": SPEED, "lamp": ENGINE_LAMP, "latitude": LATITUDE, "longitude": LONGITUDE}
        paths |= {f"tyre{n}": path for n, path in enumerate(TYRE_PRESSURES)} | {"low2": TYRES_LOW[2]}
        for _ in range(round(seconds)):
            self.t_s += 1
            samples = {paths[name]: [(self.t_s - self.booted_s, value)] for name, value in latest.items()}
            found += self.occasions.update(self.make_window(samples))
        return found


@pytest.fixture
def box(make_window: MakeWindow) -> Box:
    return Box(make_window)


def at(partner: Partner, north_m: float = 0.0) -> dict[str, float]:
    return {"latitude": partner.latitude + north_m / 111_320, "longitude": partner.longitude}


def test_a_stay_is_told_when_the_car_leaves_even_in_another_boot(box: Box) -> None:
    assert box.see(200, speed=0.0, **at(GARAGE, 50)) == []
    box.t_s += 3000  # switched off
    box.boot()
    assert box.see(5, speed=0.0, **at(GARAGE, 50)) == []
    (visit,) = box.see(3, speed=20.0)
    assert isinstance(visit, PartnerVisit)
    assert (visit.place, visit.offers, visit.phone) == ("老王修车", ["repair", "tyres"], "021 5555")
    assert visit.minutes == pytest.approx(53.4, abs=0.2)
    assert box.see(3, speed=20.0) == []


@pytest.mark.parametrize(("north_m", "stood_s"), [(300, 3000), (50, 600), (50, 40 * 86_400)])
def test_who_only_passes_by_or_stays_too_short_has_not_been_there(box: Box, north_m: float, stood_s: float) -> None:
    box.see(200, speed=0.0, **at(GARAGE, north_m))
    box.t_s += stood_s
    box.boot()
    assert box.see(5, speed=30.0) == []


def test_without_utc_a_stay_over_boots_waits_for_it_and_one_within_a_boot_does_not(box: Box) -> None:
    box.see(200, speed=0.0, **at(GARAGE))
    box.t_s += 3000
    box.synced = False
    box.boot()
    assert box.see(5, speed=30.0) == []
    box.synced = True
    assert len(box.see(1, speed=30.0)) == 1
    box.synced = False
    box.see(1500, speed=0.0, **at(GARAGE))
    assert len(box.see(1, speed=30.0)) == 1


def test_a_queue_past_the_place_is_no_stay(box: Box) -> None:
    for _ in range(30):
        box.see(60, speed=0.0, **at(GARAGE))
        assert box.see(5, speed=8.0, **at(GARAGE)) == []
    assert box.store.state == b""


@pytest.mark.parametrize(
    ("renewal", "days"), [("2026-10-01", 10), ("2026-09-21", 0), ("2026-09-20", None), ("2027-09-01", None)]
)
def test_a_renewal_is_told_once_a_start_with_the_drive(make_window: MakeWindow, renewal: str, days: int | None) -> None:
    box = Box(make_window, policy=Policy(renewal=renewal))
    assert box.see(5, speed=0.0) == []
    expected = [] if days is None else [RenewalNear(t_ns=6_000_000_000, days=days)]
    assert box.see(5, speed=30.0) == expected


def test_a_lamp_that_was_on_all_along_or_is_only_tested_has_not_come_on(box: Box) -> None:
    assert box.see(60, lamp=1.0) == []
    assert box.see(4, lamp=0.0) == []
    assert box.see(60, lamp=1.0) == []
    box.see(10, lamp=0.0)
    assert box.see(4, lamp=1.0) == []
    box.see(1, lamp=0.0)
    (lamp,) = box.see(60, lamp=1.0)
    assert isinstance(lamp, WarningLamp)
    assert lamp.lamp == "engine"


def test_a_tyre_is_held_against_the_other_one_of_its_axle(box: Box) -> None:
    even = {"tyre0": 240.0, "tyre1": 240.0, "tyre2": 150.0, "tyre3": 160.0}
    assert box.see(300, **even) == []
    assert box.see(59, **(even | {"tyre1": 180.0})) == []
    assert box.see(1, **even) == []
    (tyre,) = box.see(300, **(even | {"tyre1": 180.0}), **at(GARAGE, 2000))
    assert isinstance(tyre, LowTyre)
    assert (tyre.wheel, tyre.pressure_kpa, tyre.place, tyre.distance_m) == ("front_right", 180.0, "老王修车", 2000)
    assert tyre.phone == "021 5555"


def test_the_cars_own_word_on_a_tyre_counts_and_without_a_fix_no_place_is_named(box: Box) -> None:
    (tyre,) = box.see(100, low2=1.0)
    assert isinstance(tyre, LowTyre)
    assert (tyre.wheel, tyre.pressure_kpa, tyre.place, tyre.distance_m) == ("rear_left", None, "", None)


def test_partners_and_policy_are_config() -> None:
    text = (
        '[policy]\nrenewal = "2027-01-15"\n[[partners]]\nname = "A"\noffers = ["tyres"]\nlatitude = 1\nlongitude = 2\n'
    )
    config = parse_config(text)
    assert config.partners[0].radius_m == 120
    assert Config().partners == []
    for old, new, reason in (
        ("2027-01-15", "2027-02-30", "policy"),
        ('"tyres"', '"pizza"', "offers"),
        ("latitude = 1", "latitude = 91", "partners"),
    ):
        with pytest.raises(ConfigError, match=reason):
            parse_config(text.replace(old, new))
