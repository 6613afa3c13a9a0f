"""From readings to events: what changed, then what may be behind it, each once."""

from typing import Any

import pytest

from agent.core import vss
from agent.core.config import Config, PastRepair, Vehicle
from agent.core.diagnosis_events import Diagnosis, EngineAdvice, TroubleCodes
from agent.core.errors import ConfigError
from agent.core.event_base import Event
from agent.core.trouble import CodeReading
from agent.diagnosis.knowledge import load_knowledge
from agent.mechanic import Mechanic
from tests.held_state import HeldState
from tests.unit.detect.feed import series, windows

S = 10**9
UTC_NS = 1_790_000_000 * S  # 2026-09-21
LEAN = {vss.SHORT_TERM_FUEL_TRIM: 9.4, vss.LONG_TERM_FUEL_TRIM: 14.1}


class Shop:
    def __init__(self, *repairs: PastRepair, utc_ns: int | None = UTC_NS) -> None:
        self.events: list[Event] = []
        config = Config(vehicle=Vehicle(repairs=list(repairs)))
        self.mechanic = Mechanic(config, load_knowledge(), utc_ns=lambda: utc_ns, emit=self.events.append)

    def read(self, at_s: float, **codes: Any) -> list[Event]:
        self.events.clear()
        self.mechanic.on_codes(CodeReading(source="obd", t_ns=round(at_s * S), **codes))
        return list(self.events)

    def diagnose(self, at_s: float, **codes: Any) -> Diagnosis:
        _, diagnosis = self.read(at_s, **codes)
        assert isinstance(diagnosis, Diagnosis)
        return diagnosis


def evidence(found: Diagnosis, place: int = 0) -> list[str]:
    return [name for name, of in zip(found.evidence, found.evidence_of, strict=True) if of == place]


def test_codes_then_causes_and_each_once() -> None:
    shop = Shop(PastRepair(what="spark_plugs", date="2026-09-18"))
    codes, found = shop.read(0, stored=("P0171",), frozen="P0171", frame=LEAN)
    assert isinstance(codes, TroubleCodes)
    assert isinstance(found, Diagnosis)
    assert (found.codes, found.confirmed, found.drive) == (["P0171"], True, "to_a_garage")
    assert found.causes[:2] == ["intake_leak", "connector_loose"]
    assert evidence(found) == ["intake_opened", "trim_frozen"]
    assert found.evidence_values[:2] == [None, 23.5]
    assert found.points[0] == 3 + sum(found.evidence_points[:2])
    assert shop.read(600, stored=("P0171",), frozen="P0171", frame=LEAN) == []


def test_a_pending_code_is_explained_again_once_it_is_confirmed() -> None:
    shop = Shop()
    assert shop.read(0, pending=("P0301",), stored=()) == []
    assert not shop.diagnose(10, pending=("P0301",), stored=()).confirmed
    assert shop.diagnose(600, pending=("P0301",), stored=("P0301",)).confirmed
    assert [event.kind for event in shop.read(700, pending=(), stored=("P0301",))] == ["trouble_codes"]
    assert [event.kind for event in shop.read(1400, pending=(), stored=())] == ["trouble_codes"]
    assert shop.diagnose(2000, pending=(), stored=("P0301",)).codes == ["P0301"]


def test_age_of_a_repair_by_odometer_by_date_and_by_neither() -> None:
    def seen(repair: PastRepair, *, km: float | None = None, utc_ns: int | None = UTC_NS) -> bool:
        shop = Shop(repair, utc_ns=utc_ns)
        if km is not None:
            for window in windows({vss.TRAVELED_DISTANCE: series([1.0, 2.0], km * 1000)}, []):
                shop.mechanic.on_window(window)
        return "intake_opened" in evidence(shop.diagnose(9, stored=("P0171",)))

    assert seen(PastRepair(what="spark_plugs"))
    assert seen(PastRepair(what="spark_plugs", date="2026-09-01"))
    assert not seen(PastRepair(what="spark_plugs", date="2025-09-01"))
    assert seen(PastRepair(what="spark_plugs", date="2025-09-01"), utc_ns=None)
    assert seen(PastRepair(what="spark_plugs", date="2025-09-01", odometer_km=81_000), km=82_000)
    assert not seen(PastRepair(what="spark_plugs", date="2026-09-18", odometer_km=61_000), km=82_000)
    assert not seen(PastRepair(what="tyres"))


def test_what_the_signals_showed_counts() -> None:
    shop = Shop()
    hot = EngineAdvice(
        t_ns=0,
        level="stop_now",
        fault="overheating",
        signal=vss.COOLANT_TEMPERATURE,
        value=121.0,
        expected=118.0,
        unit="Celsius",
        seconds=15.0,
    )
    shop.mechanic.on_event(hot)
    found = shop.diagnose(9, stored=("P0128",))
    assert (found.drive, found.limits) == ("stop_now", ["overheats"])


def test_failure_types_of_uds_and_faults_of_trucks() -> None:
    shop = Shop()
    assert shop.diagnose(0, stored=("P0A0A-13",)).causes[0] == "plug_open"
    unknown = shop.diagnose(40, stored=("SPN 110 FMI 0",), stop=True)
    assert (unknown.codes, unknown.causes, unknown.drive) == (["SPN 110 FMI 0"], [], "stop_now")
    assert unknown.limits == ["red_lamp"]


def test_trends_are_kept_now_and_then_and_at_the_end() -> None:
    store = HeldState()
    mechanic = Mechanic(Config(), load_knowledge(), utc_ns=lambda: None, emit=lambda _: None, store=store)
    running = {
        vss.ENGINE_SPEED: series(range(2000), 2000.0),
        vss.LONG_TERM_FUEL_TRIM: series(range(2000), 3.0),
    }
    for window in windows(running, range(0, 2000 * S, S)):
        mechanic.on_window(window)
    assert store.saves == 2
    mechanic.save()
    mechanic.save()
    assert store.saves == 3


def test_an_unknown_repair_is_named_with_its_place() -> None:
    with pytest.raises(ConfigError, match=r"vehicle\.repairs\.1\.what: 'gnomes' is unknown; known are accessory, "):
        Shop(PastRepair(what="tyres"), PastRepair(what="gnomes"))
