"""Coverage hints: every rule of the shipped file, what leaves a hint out, and files that are refused."""

from pathlib import Path
from typing import get_args

import pytest

from agent.core.battery_events import ChargingFaultName
from agent.core.errors import ConfigError
from agent.core.events import (
    AnyEvent,
    BatteryAlarm,
    ChargeSession,
    ChargingFault,
    Collision,
    DeviceShock,
    Feedback,
    RoadImpact,
    Rollover,
    TripStarted,
)
from agent.core.paths import COVERAGE
from fleet.coverage import Powertrain, Situation, hints, load_coverage, situation_of


def crash(*, stationary: bool = False, occupants: int | None = None) -> Collision:
    return Collision(
        t_ns=0, delta_v_kmh=20.0, duration_ms=90.0, peak_mps2=99.0, stationary=stationary, occupants=occupants
    )


def alarm(level: int, *, cleared: bool = False) -> BatteryAlarm:
    return BatteryAlarm(
        t_ns=0, alarm="over_temperature", level=level, value=90.0, limit=60.0, unit="Celsius", cleared=cleared
    )


def charge(*, faults: list[ChargingFaultName]) -> ChargeSession:
    return ChargeSession(
        t_ns=0,
        started_ns=0,
        mode="ac",
        energy_kwh=9.0,
        charge_ah=20.0,
        power_max_kw=7.0,
        soc_start=None,
        soc_end=None,
        temperature_max_c=None,
        tapered=False,
        interrupted=0,
        ended="unplugged",
        faults=faults,
    )


def said(question: str, intent: str) -> Feedback:
    return Feedback(
        t_ns=0,
        question=question,
        about="charge_session",
        intent=intent,
        transcript="",
        confidence=1.0,
        language="zh",
        asked_ns=0,
    )


@pytest.mark.parametrize(
    ("event", "situation"),
    [
        (crash(), "collision"),
        (crash(stationary=True), "parked_hit"),
        (Rollover(t_ns=0), "rollover"),
        (RoadImpact(t_ns=0, peak_mps2=40.0), "wheel_damage"),
        (alarm(4), "thermal_event"),
        (alarm(3), None),
        (ChargingFault(t_ns=0, fault="grid", power_kw=7.0), "charging_fault"),
        (ChargingFault(t_ns=0, fault="slow", power_kw=7.0), None),
        (charge(faults=["charger"]), "charging_fault"),
        (charge(faults=["slow"]), None),
        (said("charge", "hot"), "charging_fault"),
        (said("charge_where", "home"), "charger_damage"),
        (said("charge_where", "public"), None),
        (said("charge", "slow"), None),
        (alarm(4, cleared=True), None),
        (DeviceShock(t_ns=0, what="knock", peak_mps2=40.0), None),
        (TripStarted(t_ns=0), None),
    ],
)
def test_what_an_event_means_to_a_policy(event: AnyEvent, situation: Situation | None) -> None:
    assert situation_of(event) == situation
    assert bool(hints([event], None)) == (situation is not None)


@pytest.mark.parametrize(
    ("situation", "powertrain", "names"),
    [
        ("collision", "fuel", ["机动车损失保险", "机动车第三者责任保险", "机动车车上人员责任保险"]),
        ("rollover", "new_energy", ["新能源汽车损失保险", "新能源汽车第三者责任保险", "新能源汽车车上人员责任保险"]),
        ("parked_hit", "fuel", ["机动车损失保险", "机动车第三者责任保险", "机动车车上人员责任保险"]),
        ("wheel_damage", "fuel", ["附加车轮单独损失险"]),
        ("wheel_damage", "new_energy", []),
        ("water_ingress", "fuel", ["机动车损失保险"]),
        ("thermal_event", "new_energy", ["新能源汽车损失保险", "附加火灾事故限额翻倍险"]),
        ("charging_fault", "new_energy", ["附加外部电网故障损失险"]),
        ("charging_fault", "fuel", []),
        ("charger_damage", "new_energy", ["附加自用充电桩损失保险", "附加自用充电桩责任保险"]),
        ("theft_or_tow", "fuel", ["机动车损失保险"]),
        ("battery_ageing", "new_energy", ["新能源汽车损失保险"]),
    ],
)
def test_a_situation_has_its_covers(situation: Situation, powertrain: Powertrain, names: list[str]) -> None:
    told = hints([situation], powertrain)
    assert [hint.cover.zh for hint in told] == names
    assert all(hint.excluded == (situation == "battery_ageing") for hint in told)


@pytest.mark.parametrize("situation", get_args(Situation))
def test_each_situation_has_a_rule_and_an_unknown_powertrain_hears_all_of_them(situation: Situation) -> None:
    both = hints([situation], None)
    assert both
    known = [hint for powertrain in get_args(Powertrain) for hint in hints([situation], powertrain)]
    assert {(h.cover.zh, h.condition) for h in known} == {(h.cover.zh, h.condition) for h in both}
    assert all(hint.edition.source and hint.certainty in {"A", "B", "M"} for hint in both)


def test_every_rule_of_the_file_can_be_reached() -> None:
    coverage = load_coverage()
    reached = {(h.cover.zh, h.condition) for h in hints(get_args(Situation), None)}
    assert reached == {(coverage.covers[name].zh, rule.condition) for rule in coverage.rules for name in rule.covers}
    assert {name for rule in coverage.rules for name in rule.covers} == coverage.covers.keys()


def test_a_cover_is_named_once_however_many_impacts_there_were() -> None:
    assert hints([crash(), crash(), Rollover(t_ns=1)], "fuel") == hints([crash()], "fuel")


def test_an_empty_car_has_no_occupants_to_insure() -> None:
    assert len(hints([crash(occupants=None)], "fuel")) == 3
    assert len(hints([crash(occupants=2)], "fuel")) == 3
    assert len(hints([crash(occupants=0)], "fuel")) == 2


@pytest.mark.parametrize(
    ("find", "put", "message"),
    [
        ('covers = ["wheel"]', 'covers = ["wheels"]', "there is no 'wheels'"),
        ('edition = "motor_2020"', 'edition = "motor_2099"', "there is no 'motor_2099'"),
        ('situations = ["wheel_damage"]', 'situations = ["wheel"]', "situations"),
        ('en = "own damage"', 'en = ""', "coverage.toml:28: covers.en"),
        ('zh = "机动车损失保险"', "", "missing required field `zh`"),
        ('certainty = "B"', 'certainty = "sure"', "certainty"),
    ],
)
def test_a_file_that_cannot_be_used_is_one_error_that_says_where(
    tmp_path: Path, find: str, put: str, message: str
) -> None:
    text = COVERAGE.read_text(encoding="utf-8")
    assert find in text
    path = tmp_path / "coverage.toml"
    path.write_text(text.replace(find, put), encoding="utf-8")
    with pytest.raises(ConfigError, match=message) as refused:
        load_coverage(path)
    assert "coverage.toml" in str(refused.value)
