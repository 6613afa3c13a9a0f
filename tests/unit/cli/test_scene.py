import io
import json
from pathlib import Path
from typing import Any

import pytest

from agent.cli.main import main
from agent.core.paths import PROMPTS, SCENES
from agent.voice.prompts import Phrases, load_phrases
from agent.voice.scene_file import find_scenes, load_scenes

SHIPPED = find_scenes(SCENES)
TRIGGERS = [
    pytest.param(scene.path, place, id=f"{scene.name}-{place}")
    for scene in load_scenes(SHIPPED)[0]
    for place in range(1, len(scene.triggers) + 1)
]
MISSING = """
[[trigger]]
event = "trip_started"
within_s = 60.0
missing = { event = "trip_ended" }
after = [{ event = "low_voltage_alarm", where = { cleared = false } }]
[say]
zh = "好。"
en = "Good."
"""


def run(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    code = main(["scene", *arguments])
    told = capsys.readouterr()
    return code, told.out, told.err


def outcomes(text: str) -> list[dict[str, Any]]:
    return [json.loads(line.removeprefix("outcome ")) for line in text.splitlines() if line.startswith("outcome")]


def test_the_shipped_scenes_are_good(capsys: pytest.CaptureFixture[str]) -> None:
    code, text, _ = run(capsys, "check", *map(str, SHIPPED))
    assert code == 0
    assert text.count(": good") == len(SHIPPED)
    assert "doubtful" not in text
    assert "trigger 1: partner_visit, offers has repair, 3 times at one place, within 7776000 s -> shop_again" in text


@pytest.mark.parametrize(
    ("event", "where"),
    [
        ("collision.severe", 'severity = "minor"'),
        ("battery_alarm.over_temperature", "cleared = true"),
        ("low_voltage_alarm.flat", 'alarm = "low"'),
        ("harsh_driving.braking", 'maneuver = ["cornering"]'),
    ],
)
def test_a_step_at_odds_with_itself_is_doubted(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, event: str, where: str
) -> None:
    path = tmp_path / "at_odds.toml"
    path.write_text(f'say = {{ zh = "好。", en = "Good." }}\n[[trigger]]\nevent = "{event}"\nwhere = {{ {where} }}\n')
    code, text, _ = run(capsys, "check", str(path))
    assert code == 0, "what the search finds no event for is no proof"
    field = where.partition(" ")[0]
    assert f"doubtful: no event could be made up that is {event} with {field} as wanted" in text


@pytest.fixture(scope="module")
def phrases() -> Phrases:
    return load_phrases(PROMPTS)


@pytest.mark.parametrize(("path", "place"), TRIGGERS)
def test_every_shipped_trigger_can_be_tried(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, phrases: Phrases, path: Path, place: int
) -> None:
    monkeypatch.setattr("agent.cli.scene._load", lambda _: phrases)
    code, text, _ = run(capsys, "play", str(path), "--trigger", str(place), "--answer", "别再问")
    assert code == 0
    assert "says " in text or "asks " in text
    for outcome in outcomes(text):
        assert (outcome["intent"], outcome["language"]) == ("stop_asking", "zh")


def test_a_talk_goes_on_as_in_the_car(capsys: pytest.CaptureFixture[str]) -> None:
    path = str(SCENES / "after_collision.toml")
    code, text, _ = run(
        capsys, "play", path, "--language", "en", "--answer", "well", "--answer", "fine", "--answer", ""
    )
    assert code == 0
    assert [outcome["intent"] for outcome in outcomes(text)] == ["fine", "none"]
    assert text.count("asks ") == 3


def test_an_answer_that_wants_confirming_is_shown_and_asked_back(capsys: pytest.CaptureFixture[str]) -> None:
    path = str(SCENES / "after_severe_collision.toml")
    _, text, _ = run(capsys, "check", path)
    assert "    fine is asked back: 您说您没事，对吗？" in text.splitlines()
    assert "    false_alarm is asked back: You said there was no accident. Is that right?" in text.splitlines()
    _, text, _ = run(capsys, "play", path, "--language", "en", "--answer", "fine", "--answer", "yes", "--answer", "no")
    assert "asks     You said you are fine. Is that right?" in text.splitlines()
    assert [(one["intent"], one["transcript"]) for one in outcomes(text)] == [("fine", "fine / yes"), ("no", "no")]
    _, text, _ = run(capsys, "play", path, "--answer", "没事")
    assert [(one["intent"], one["transcript"]) for one in outcomes(text)] == [("unclear", "没事")]


def test_answers_are_typed_where_none_are_given(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO("不用，以后别问了\n"))
    _, text, _ = run(capsys, "play", str(SCENES / "battery_hot.toml"))
    assert [outcome["intent"] for outcome in outcomes(text)] == ["no", "stop_asking"]


def test_what_does_not_come_is_played_too(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    path = tmp_path / "no_end.toml"
    path.write_text(MISSING, encoding="utf-8")
    code, text, _ = run(capsys, "play", str(path), "--language", "en")
    assert code == 0
    assert text.splitlines()[-1] == "says     Good."


@pytest.mark.parametrize(
    ("old", "new", "error"),
    [
        ("cleared = false", "cleard = false", "no.toml:5: trigger 1: after: low_voltage_alarm has no field 'cleard'"),
        ("cleared = false", 'value = "abc"', "no.toml:5: trigger 1: after: value: is never 'abc'; it is a number"),
        ("trip_ended", "trip_end", "no.toml:4: trigger 1: missing: there is no 'trip_end'; near it: trip_ended"),
        ('en = "Good."', "", "no.toml:6: say: Object missing required field `en`"),
    ],
)
def test_a_bad_file_is_one_line(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, old: str, new: str, error: str
) -> None:
    path = tmp_path / "no.toml"
    path.write_text(MISSING.lstrip().replace(old, new), encoding="utf-8")
    for action in ("check", "play"):
        code, _, told = run(capsys, action, str(path))
        assert (code, told.count("\n")) == (2, 1)
        assert error in told


def test_a_trigger_that_is_not_there_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    code, _, error = run(capsys, "play", str(SCENES / "renewal_near.toml"), "--trigger", "2")
    assert code == 2
    assert "has 1 triggers, not 2" in error
