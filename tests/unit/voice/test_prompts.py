import shutil
from pathlib import Path
from typing import Final, Literal, get_args

import pytest

from agent.core.config import Voice
from agent.core.errors import ConfigError
from agent.core.event_base import Purpose
from agent.core.events import (
    AgentStarted,
    Anomaly,
    BatteryAlarm,
    Collision,
    ConfigApplied,
    CrashRecord,
    DeviceShock,
    EmergencyData,
    Event,
    Feedback,
    HarshDriving,
    RoadImpact,
    Rollover,
    SourceChanged,
    TripEnded,
    TripStarted,
)
from agent.core.paths import PROMPTS
from agent.core.ports import Language
from agent.voice.director import Cabin, Director
from agent.voice.facts import KNOWN_KEYS, facts_of, keys_of
from agent.voice.prompts import Phrases, Prompt, choose_prompt, load_phrases

HOT: Final = "prompts.battery_alarm.over_temperature"


def directed(event: Event, phrases: Phrases, language: Language, *, sent: bool = True, empty: bool = False) -> Prompt:
    """What is said and asked about an event that calls for one thing."""
    purposes = get_args(Purpose) if sent else ()
    (prompt,) = Director(Voice(language=language), phrases, sent=purposes).take(event, Cabin(empty=empty), 0)
    return prompt


def collision(
    *,
    stationary: bool = False,
    severity: Literal["minor", "moderate", "severe"] = "moderate",
    confidence: float = 1.0,
) -> Collision:
    return Collision(
        t_ns=0,
        delta_v_kmh=30,
        duration_ms=90,
        peak_mps2=200,
        stationary=stationary,
        severity=severity,
        confidence=confidence,
    )


def overheated(*, level: int = 2, cell: int | None = 4, value: float = 56.4, cleared: bool = False) -> BatteryAlarm:
    return BatteryAlarm(
        t_ns=0, alarm="over_temperature", level=level, value=value, limit=55.0, unit="C", cell=cell, cleared=cleared
    )


def trip(*, braking: int = 0, distance_m: float = 12_345, duration_s: float = 1500) -> TripEnded:
    return TripEnded(
        t_ns=0,
        started_ns=0,
        duration_s=duration_s,
        distance_m=distance_m,
        speed_max_kmh=80,
        harsh_braking_count=braking,
    )


@pytest.mark.parametrize(
    ("event", "zh", "en"),
    [
        (overheated(), "第5号电芯温度偏高，已有56度。", "Battery warning: cell 5 is hot, 56 degrees."),
        (overheated(cell=None), "电池温度偏高，已有56度。", "Battery warning: the battery is hot, 56 degrees."),
        (overheated(level=3), "第5号电芯温度过高，已到56度。", "Battery alarm: cell 5 is too hot, 56 degrees."),
        (overheated(value=1.2), "第5号电芯温度偏高，已有1度。", "Battery warning: cell 5 is hot, 1 degree."),
        (overheated(cleared=True), "电池告警解除了。", "The battery warning is over."),
        (trip(), "这一程12公里，用了25分钟，一路平稳", "That was 12 kilometres in 25 minutes, smoothly"),
        (
            trip(braking=2, distance_m=1000, duration_s=3660),
            "这一程1公里，用了1小时1分钟，有2次急操作",
            "That was 1 kilometre in 1 hour 1 minute, with 2 hasty moves.",
        ),
        (
            trip(braking=1),
            "这一程12公里，用了25分钟，有1次急操作",
            "That was 12 kilometres in 25 minutes, with 1 hasty move.",
        ),
        (trip(distance_m=4_512), "这一程4.5公里", "That was 4.5 kilometres"),
        (trip(distance_m=423, duration_s=20), "这一程420米，用了1分钟", "That was 420 metres in 1 minute"),
        (
            ConfigApplied(t_ns=0, bundle="b", config_version=3, sha256=""),
            "设置已经更新。",
            "The settings were updated.",
        ),
    ],
)
def test_numbers_and_units_are_read_as_people_say_them(phrases: Phrases, event: Event, zh: str, en: str) -> None:
    for language, start in (("zh", zh), ("en", en)):
        prompt = choose_prompt(event, phrases, language)  # type: ignore[arg-type]  # the loop widens the literal
        assert prompt is not None
        assert prompt.text.startswith(start)


@pytest.mark.parametrize(
    ("event", "key", "urgency", "question"),
    [
        (collision(), "collision", 0, "all_right"),
        (collision(stationary=True), "collision.stationary", 0, "all_right"),
        (collision(severity="minor"), "collision.minor", 0, "all_right"),
        (collision(confidence=0.5), "collision.minor", 0, "all_right"),
        (collision(confidence=float("nan")), "collision.minor", 0, "all_right"),
        (collision(severity="severe"), "collision.severe", 0, "all_right_severe"),
        (collision(severity="severe", confidence=0.1), "collision.severe", 0, "all_right_severe"),
        (collision(severity="severe", stationary=True), "collision.severe", 0, "all_right_severe"),
        (Rollover(t_ns=0, roll_deg=180.0), "rollover", 0, "all_right_severe"),
        (overheated(), "battery_alarm.over_temperature", 1, "rescue"),
        (overheated(level=3), "battery_alarm.over_temperature.stop", 1, "rescue"),
        (HarshDriving(t_ns=0, maneuver="braking", peak_mps2=6, duration_s=1), "harsh_driving.braking", 2, None),
        (Anomaly(t_ns=0, model="drive", score=2, threshold=1), "anomaly", 2, None),
        (trip(), "trip_ended.calm", 2, None),
    ],
)
def test_the_event_decides_key_urgency_and_question(
    phrases: Phrases, event: Event, key: str, urgency: int, question: str | None
) -> None:
    prompt = directed(event, phrases, "zh")
    assert (prompt.key, prompt.urgency) == (key, urgency)
    assert (prompt.question.name if prompt.question else None) == question


def test_an_empty_car_is_spoken_to_only_after_a_severe_blow(phrases: Phrases) -> None:
    prompt = choose_prompt(collision(stationary=True), phrases, "zh", empty=True)
    assert prompt is not None
    assert (prompt.key, prompt.needs_driver, prompt.urgency) == ("collision.parked", True, 2)
    severe = choose_prompt(collision(stationary=True, severity="severe"), phrases, "zh", empty=True)
    assert severe is not None
    assert (severe.key, severe.needs_driver) == ("collision.severe", False)


@pytest.mark.parametrize("language", ["zh", "en"])
def test_nobody_is_promised_what_no_consent_sends(phrases: Phrases, language: Literal["zh", "en"]) -> None:
    told = {"zh": "上报", "en": "report"}[language]
    for event in (collision(severity="severe"), Rollover(t_ns=0)):
        sent, unsent = (directed(event, phrases, language, sent=sent) for sent in (True, False))
        assert told in sent.text
        assert told not in unsent.text
        assert unsent.question is not None
        for intent in unsent.question.replies:
            assert told not in unsent.question.reply(intent, sent=False)


def test_a_burning_battery_speaks_like_a_crash_and_is_never_declared_safe(phrases: Phrases) -> None:
    def runaway(*, cleared: bool) -> BatteryAlarm:
        return BatteryAlarm(
            t_ns=0, alarm="thermal_runaway", level=4, value=99, limit=60, unit="C", cell=1, cleared=cleared
        )

    prompt = choose_prompt(runaway(cleared=False), phrases, "en")
    assert prompt is not None
    assert prompt.urgency == 0
    assert choose_prompt(runaway(cleared=True), phrases, "en") is None


@pytest.mark.parametrize(
    "event",
    [
        AgentStarted(t_ns=0, agent_version="1", config_version=0, profile="p"),
        SourceChanged(t_ns=0, source="can0", state="lost"),
        RoadImpact(t_ns=0, peak_mps2=20),
        TripStarted(t_ns=0),
        DeviceShock(t_ns=0, what="drop", peak_mps2=60),
        CrashRecord(t_ns=0, record=1, fragment=0, part="trigger", from_ns=0, until_ns=0),
        EmergencyData(t_ns=0, msd=bytes(140)),
        Feedback(
            t_ns=0, question="q", about="a", intent="none", transcript="", confidence=1, language="zh", asked_ns=0
        ),
    ],
)
def test_what_is_no_matter_for_the_driver_is_silent(phrases: Phrases, event: Event) -> None:
    assert choose_prompt(event, phrases, "zh") is None


@pytest.mark.parametrize("event", [overheated(), overheated(level=3), collision(), trip(), trip(braking=1)])
def test_events_offer_what_their_keys_promise(event: Event) -> None:
    for key in keys_of(event):
        assert KNOWN_KEYS[key] <= facts_of(event).keys()


def test_a_value_that_is_not_a_number_still_speaks(phrases: Phrases) -> None:
    prompt = choose_prompt(overheated(value=float("nan")), phrases, "zh")
    assert prompt is not None
    assert "未知" in prompt.text


@pytest.mark.parametrize(
    ("language", "old", "new", "reason"),
    [
        ("en", "[prompts.collision]", "[prompts.colision]", "prompts.colision: no event has this key"),
        ("zh", "{temperature}。请慢些开", "{temprature}。请慢些开", f"{HOT}: text: the event offers no {{temprature}}"),
        ("en", "is hot, {temperature}", "is hot", f"{HOT}: text: other placeholders than in zh.toml"),
        ("en", "{cell} is hot", "{cell!r} is hot", f"{HOT}: text: a placeholder is a name in braces"),
        ("zh", '检测到碰撞。"', '检测到碰撞。{"', "prompts.collision: text: "),
        ("zh", 'per = "wheel"', 'per = "lamp"', "prompts.low_tyre: per: the event has no field 'lamp'"),
        ("en", 'per = "wheel"', "", "prompts.low_tyre: per: other than in zh.toml"),
        (
            "zh",
            'late = "trip_end"',
            'late = "trip_over"',
            "prompts.battery_alarm.temperature_difference: Invalid enum value",
        ),
        ("en", "lamp_airbag =", "lamp_airbags =", "names: lamp_airbag: stands in zh.toml but not here"),
        (
            "en",
            'collision."\ncooldown_s = 60.0',
            'collision."\ncooldown_s = 61.0',
            "prompts.collision: cooldown_s: other than in zh.toml",
        ),
        ("en", 'text = "I felt a collision."', 'text = ""', "prompts.collision: Expected `str` of length >= 1"),
        (
            "en",
            'text = "I felt a collision."\n',
            'txt = "I felt a collision."\n',
            "prompts.collision: Object contains",
        ),
        ("en", 'unsent = "A severe', 'unsent = "{x} severe', "prompts.collision.severe: unsent: the"),
        ("en", "needs_driver = true", "needs_driver = false", "prompts.collision.parked: needs_driver: other than"),
    ],
)
def test_a_bad_file_is_refused_with_key_file_and_line(
    tmp_path: Path, language: Literal["zh", "en"], old: str, new: str, reason: str
) -> None:
    shutil.copytree(PROMPTS, tmp_path, dirs_exist_ok=True)
    path = tmp_path / f"{language}.toml"
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new, 1), encoding="utf-8")
    with pytest.raises(ConfigError) as caught:
        load_phrases(tmp_path)
    assert caught.value.reason.startswith(reason)
    assert caught.value.path == path
    where = reason.split(":", maxsplit=1)[0].split(".", maxsplit=1)[-1]
    assert caught.value.line is not None
    lines = path.read_text(encoding="utf-8").splitlines()[: caught.value.line]
    header = next(line for line in reversed(lines) if line.startswith("["))
    assert where in header.replace('"', "")


@pytest.mark.parametrize("language", ["zh", "en"])
def test_every_key_stands_in_both_languages(tmp_path: Path, language: str) -> None:
    shutil.copytree(PROMPTS, tmp_path, dirs_exist_ok=True)
    path = tmp_path / f"{language}.toml"
    path.write_text(
        path.read_text(encoding="utf-8")
        + '\n[prompts.trip_started]\ntext = "Hello."\ncooldown_s = 1.0\nstale_after_s = 5.0\n',
        encoding="utf-8",
    )
    with pytest.raises(ConfigError, match=rf"prompts.trip_started: stands in {language}.toml but not here"):
        load_phrases(tmp_path)


def test_a_missing_file_and_the_wrong_language_are_named(tmp_path: Path) -> None:
    shutil.copytree(PROMPTS, tmp_path, dirs_exist_ok=True)
    shutil.copy(tmp_path / "en.toml", tmp_path / "zh.toml")
    with pytest.raises(ConfigError, match=r"zh.toml: language: is 'en'"):
        load_phrases(tmp_path)
    (tmp_path / "zh.toml").unlink()
    with pytest.raises(ConfigError, match=r"zh.toml: cannot be read"):
        load_phrases(tmp_path)


@pytest.mark.parametrize("language", ["zh", "en"])
def test_no_word_about_a_charge_promises_what_nobody_is_told(phrases: Phrases, language: Language) -> None:
    told = {"zh": "保险公司", "en": "insurer"}[language]
    questions = [one for name, one in phrases.languages[language].questions.items() if name.startswith("charge")]
    assert len(questions) == 6
    for question in questions:
        for intent in question.replies:
            assert told not in question.reply(intent, sent=False)
