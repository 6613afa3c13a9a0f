"""What is said of the battery ends in what to do, and where."""

from typing import Literal, get_args

import pytest

from agent.core.battery_actions import AlarmAction, alarm_action, charging_action, low_voltage_action
from agent.core.battery_events import AlarmName, ChargingFaultName
from agent.core.events import BatteryAdvice, BatteryAlarm, Event, LowVoltageAlarm
from agent.core.paths import PROMPTS
from agent.voice.prompts import Phrases, choose_prompt, load_phrases

LOW_VOLTAGE: tuple[Literal["weak_crank", "not_charging", "low", "flat", "over_voltage"], ...] = (
    "weak_crank",
    "not_charging",
    "low",
    "flat",
    "over_voltage",
)
WHERE = {
    "en": ("garage", "tow", "get out", "well away", "safe place", "charge soon", "stop charging", "please stop"),
    "zh": ("维修点", "拖车", "下车", "走远", "安全的地方", "尽快充电", "停止充电", "先停下来"),
}


@pytest.fixture(scope="module")
def phrases() -> Phrases:
    return load_phrases(PROMPTS)


def _alarm(alarm: AlarmName, level: int) -> BatteryAlarm:
    return BatteryAlarm(t_ns=0, alarm=alarm, level=level, value=70.0, limit=60.0, unit="", cell=3)


def _advice(level: Literal["advice", "service_soon", "stop_now"]) -> BatteryAdvice:
    return BatteryAdvice(
        t_ns=0,
        level=level,
        fault="micro_short",
        cell=3,
        feature="self_discharge",
        value=0.02,
        spread=0.001,
        unit="A",
        since_days=9.0,
        confidence=0.7,
        action="book_service",
    )


SPOKEN: list[Event] = [
    *(_alarm(alarm, level) for alarm in get_args(AlarmName) for level in (1, 2, 3, 4)),
    *(_advice(level) for level in ("advice", "service_soon", "stop_now")),
    *(LowVoltageAlarm(t_ns=0, alarm=alarm, value=11.5, limit=11.8) for alarm in LOW_VOLTAGE),
]


@pytest.mark.parametrize("language", ["zh", "en"])
def test_each_phrase_says_where_to_go(phrases: Phrases, language: Literal["zh", "en"]) -> None:
    said = 0
    for event in SPOKEN:
        prompt = choose_prompt(event, phrases, language)
        if prompt is not None and prompt.text:
            said += 1
            assert any(words in prompt.text.lower() for words in WHERE[language]), prompt.text
    assert said >= 30


def test_what_ends_is_no_call_to_anything(phrases: Phrases) -> None:
    over = LowVoltageAlarm(t_ns=0, alarm="flat", value=12.7, limit=11.8, cleared=True)
    assert choose_prompt(over, phrases, "en") is None


def test_each_alarm_has_an_action_that_grows_with_its_level() -> None:
    order = get_args(AlarmAction)
    for alarm in get_args(AlarmName):
        actions = [alarm_action(alarm, level) for level in (1, 2, 3, 4)]
        assert "none" not in actions
        assert [order.index(action) for action in actions] == sorted(order.index(action) for action in actions)
        assert actions[-1] == "leave_the_car"
    assert alarm_action("thermal_runaway", 3) == alarm_action("over_temperature", 3) == "leave_the_car"
    assert alarm_action("insulation", 0) == "none"


def test_the_12_v_battery_and_chargers_have_theirs() -> None:
    assert [low_voltage_action(alarm) for alarm in LOW_VOLTAGE].count("none") == 0
    told = {fault: charging_action(fault) for fault in get_args(ChargingFaultName)}
    assert told["charger"] == told["grid"] == "other_charger"
    assert told["plug"] == "book_partner_garage"
    assert low_voltage_action("unknown") == charging_action("unknown") == "none"
