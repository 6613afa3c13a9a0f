"""A driver who really speaks: sound, voice activity, the shipped keyword model in its child process, and the answer."""

import io
import re
import shutil

import msgspec
import pytest
from rich.console import Console

from agent.core.config import Voice
from agent.core.ports import Language
from drivers.keyword_replies import load_keywords
from simulators.clock import ManualClock
from simulators.demo import Outcome, main, run_demo
from simulators.demo_options import Options, parse_options
from simulators.driver_aloud import SpeakingDriver
from simulators.driver_person import Answer
from simulators.world import load_scenario
from simulators.world.scenario import Answer as Line
from simulators.world.scenario import Demo
from tests.scenario.test_conversation import crash, room

needs_espeak = pytest.mark.skipif(shutil.which("espeak-ng") is None, reason="espeak-ng is not installed")


@needs_espeak
@pytest.mark.parametrize(("language", "said"), [("zh", "我没事"), ("en", "I'm fine")])
async def test_an_answer_is_heard_from_sound(language: Language, said: str) -> None:
    speakers: list[SpeakingDriver] = []

    def microphone(clock: ManualClock) -> SpeakingDriver:
        answers = [Answer(said, reaction_s=2.0)]
        speakers.append(SpeakingDriver(clock, answers, language=language, seed=7, speed_kmh=lambda: 50.0))
        return speakers[0]

    async with room(config=Voice(language=language), microphone=microphone) as r:
        r.talk.on_event(crash(r.clock))
        for _ in range(300):
            await r.clock.advance(0.1)
            if r.feedback():
                break
        (feedback,) = r.feedback()
    (driver,) = speakers
    await driver.close()
    assert feedback.intent == "fine"
    assert feedback.transcript == load_keywords()[language].replies["fine"].text, "what the model read in the sound"
    assert 2.4 < (feedback.t_ns - feedback.asked_ns) / 1e9 < 15, "after as much sound as there was"
    assert driver.words in (1, 2)
    assert driver.heard == 1
    assert driver.typed == []


@needs_espeak
async def test_a_drive_with_a_speaking_driver_is_the_same_at_any_pace() -> None:
    first, text = await drive(pace=0.0)
    second, _ = await drive(pace=100.0)
    assert first.good
    assert first.lines == second.lines
    back = r"asks +您说您没事，对吗？(?s:.)+driver +是的\n(?s:.)+hears +是的\n"
    assert re.search(
        rf"driver +我没事\n(?s:.)+hears +没事\n(?s:.)+{back}(?s:.)+the driver's answer is on record: fine", text
    )
    assert re.search(r"typed, since its model does not know the words: 请找离家近的那家修理厂", text)
    assert re.search(r"hears +请找离家近的那家修理厂", text)


@needs_espeak
async def test_the_sound_is_kept_where_the_driver_agrees_to_that() -> None:
    """The same drive otherwise: the same is heard, and said."""
    without, _ = await drive(pace=0.0)
    kept, text = await drive(pace=0.0, keep_sound=True)
    assert without.good
    assert kept.good
    clips = [line for line in kept.lines if " voice_clip " in line]
    assert [line for line in kept.lines if line not in clips] == without.lines
    assert len(clips) == 1, "of what was said to the question back; the other answer was typed"
    assert re.search(r"so is its sound, as he agreed: [01]\.\d s, \d{4,5} bytes", text)


def test_to_keep_sound_there_must_be_some(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        parse_options(["--keep-sound"])
    assert "--keep-sound needs --speak" in capsys.readouterr().err
    assert not parse_options(["--speak"]).keep_sound


def test_without_espeak_it_is_one_line(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    assert main(["--speak", "--pace", "0", "--broker", "embedded"]) == 2
    error = capsys.readouterr().err
    assert "apt install espeak-ng" in error
    assert error.count("\n") == 1


async def drive(*, pace: float, keep_sound: bool = False) -> tuple[Outcome, str]:
    lines = [
        Line(about="collision", zh="我没事，没有受伤", en="", aloud_zh="我没事"),
        Line(about="collision", zh="对，没事", en="", aloud_zh="是的"),
        Line(about="collision", zh="请找离家近的那家修理厂", en=""),
    ]
    scenario = msgspec.structs.replace(load_scenario("crash_front"), demo=Demo(answers=lines))
    console = Console(file=io.StringIO(), width=200)
    options = Options(pace=pace, headless=True, speak=True, keep_sound=keep_sound, broker="embedded")
    outcome = await run_demo(options, console, scenario=scenario)
    assert isinstance(console.file, io.StringIO)
    return outcome, console.file.getvalue()
