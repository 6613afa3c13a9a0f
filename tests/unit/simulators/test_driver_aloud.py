import asyncio
from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt
import pytest

from agent.core.events import Feedback
from agent.core.paths import PROMPTS
from agent.core.ports import Heard, Language, Notice
from agent.voice.prompts import load_phrases
from agent.voice.understanding import understand
from drivers.capture import BYTES_PER_S
from drivers.keyword_features import from_pcm
from drivers.keyword_replies import OTHER, load_keywords
from simulators import driver_aloud
from simulators.cabin import PIECE_S, CabinCapture, Word
from simulators.clock import ManualClock
from simulators.driver_aloud import SpeakingDriver
from simulators.driver_person import Answer
from simulators.sounds import RATE_HZ, Float32s, rms
from simulators.voices import Person
from simulators.world import load_scenario, scenario_names
from tests.unit.drivers.test_keyword_segments import voiced

ANSWERED = {
    "commute": ["all_right_severe", "all_right_severe", "garage", "did_it_help"],
    "charge_talk": ["charge_faulty", "charge_where", "did_it_help", "did_it_help"],
}

FEEDBACK = Feedback(
    t_ns=9,
    question="all_right",
    about="collision",
    intent="fine",
    transcript="没事",
    confidence=1.0,
    language="zh",
    asked_ns=1,
)


@pytest.mark.parametrize("language", ["zh", "en"])
def test_what_is_said_aloud_is_known_to_the_model_and_means_the_same(language: Language) -> None:
    replies = load_keywords()[language].replies.values()
    texts = {wording: reply.text for reply in replies for wording in reply.wordings}
    questions = load_phrases(PROMPTS).languages[language].questions
    spoken = {name for name in scenario_names() if load_scenario(name).demo.answers}
    assert spoken == set(ANSWERED)
    for name, asked in ANSWERED.items():
        for answer, question in zip(load_scenario(name).demo.answers, asked, strict=True):
            lexicon = questions[question].lexicon
            whole, aloud = (understand(answer.words(language, aloud=flag), lexicon) for flag in (False, True))
            heard = understand(texts[answer.words(language, aloud=True)], lexicon)
            assert whole.intent == aloud.intent == heard.intent is not None, (name, answer)


async def listen(clock: ManualClock, driver: SpeakingDriver, timeout_s: float) -> tuple[Heard | None, float]:
    start_ns = clock.monotonic_ns()
    listening = asyncio.create_task(driver.listen(timeout_s=timeout_s, language="zh"))
    while not listening.done():
        await clock.advance(0.05)
    return listening.result(), (clock.monotonic_ns() - start_ns) / 1e9


def silent(*, speed_kmh: float, on_word: list[str]) -> tuple[ManualClock, CabinCapture]:
    clock = ManualClock()
    rng = np.random.default_rng(1)
    return clock, CabinCapture(clock, rng, speed_kmh=lambda: speed_kmh, on_word=on_word.append)


async def record(clock: ManualClock, capture: CabinCapture, seconds: float) -> Float32s:
    await capture.open()
    data = b""
    while len(data) < seconds * BYTES_PER_S:
        reading = asyncio.create_task(capture.read())
        await clock.advance(PIECE_S)
        assert reading.done(), "a piece takes as long as it sounds"
        data += reading.result()
    return from_pcm(data)


async def test_the_faster_the_car_the_louder_its_cabin() -> None:
    levels = [rms(await record(*silent(speed_kmh=speed_kmh, on_word=[]), 20.0)) for speed_kmh in (0.0, 60.0)]
    assert levels[1] / levels[0] == pytest.approx(10 ** (6 / 20), rel=0.02)


async def test_a_word_sounds_when_its_time_comes_and_once() -> None:
    said: list[str] = []
    clock, capture = silent(speed_kmh=0.0, on_word=said)
    tone = 0.5 * np.sin(np.arange(RATE_HZ // 3) * 0.3).astype(np.float32)
    capture.expect([Word("yes", tone, 0.98)])
    sound = await record(clock, capture, 2.0)
    assert said == ["yes"]
    loud = np.flatnonzero(np.abs(sound) > 0.2)
    assert loud[0] / RATE_HZ == pytest.approx(0.98, abs=0.002)
    assert loud[-1] / RATE_HZ == pytest.approx(0.98 + 1 / 3, abs=0.002)
    await capture.close()
    assert np.abs(await record(clock, capture, 2.0)).max() < 0.2, "it was for that question alone"


class Model:
    """Answers each stretch of speech with the next label."""

    def __init__(self, *labels: str) -> None:
        self.labels = [*load_keywords()["zh"].replies, OTHER]
        self.answers = list(labels)

    async def load(self, models: Sequence[str]) -> Mapping[str, str]:
        await asyncio.sleep(0.01)  # a process starts in real time
        assert "keywords_zh" in models
        return {}

    async def infer(self, model: str, inputs: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:  # noqa: ARG002
        await asyncio.sleep(0.01)
        answer = np.zeros((1, len(self.labels)), np.float32)
        answer[0, self.labels.index(self.answers.pop(0))] = 1.0
        return answer

    async def ended(self) -> str:
        return ""

    async def close(self) -> None:
        pass


def driver_of(
    monkeypatch: pytest.MonkeyPatch, clock: ManualClock, model: Model, *texts: str | None, on_word: list[str]
) -> SpeakingDriver:
    def speak(text: str, language: Language, person: Person) -> Float32s:
        return voiced(0.6) * np.float32(0.5)

    monkeypatch.setattr(driver_aloud, "speak", speak)
    monkeypatch.setattr(driver_aloud, "OnnxWorker", lambda _: model)
    answers = [Answer(text, reaction_s=1.5) for text in texts]
    return SpeakingDriver(clock, answers, language="zh", seed=1, speed_kmh=lambda: 0.0, on_word=on_word.append)


async def test_who_is_not_heard_says_it_once_more_and_then_time_is_up(monkeypatch: pytest.MonkeyPatch) -> None:
    clock, said = ManualClock(), list[str]()
    driver = driver_of(monkeypatch, clock, Model(OTHER, "fine"), "我没事", on_word=said)
    heard, took_s = await listen(clock, driver, 15.0)
    assert heard == Heard("没事", 1.0)
    assert said == ["我没事", "我没事"]
    assert 5.0 < took_s < 6.5
    unheard = driver_of(monkeypatch, clock, Model(OTHER, OTHER), "我没事", on_word=said)
    assert await listen(clock, unheard, 10.0) == (None, 10.0)
    assert (unheard.words, unheard.heard) == (2, 0)


async def test_an_answer_is_said_again_until_the_car_has_taken_something_for_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    clock, said = ManualClock(), list[str]()
    driver = driver_of(monkeypatch, clock, Model("no", "fine", "yes"), "我没事", "好的", on_word=said)
    await listen(clock, driver, 15.0)
    await listen(clock, driver, 15.0)
    assert said == ["我没事", "我没事"]
    driver.notice(Notice("asked", 0, "要不要修理厂？", event=FEEDBACK))
    driver.notice(Notice("event", 0, "", event=FEEDBACK))
    assert (await listen(clock, driver, 15.0))[0] == Heard("是的", 1.0)
    assert said[2:] == ["好的"]
    driver.notice(Notice("event", 0, "", event=FEEDBACK))
    assert (await listen(clock, driver, 5.0)) == (None, 5.0), "nothing more to say"


async def test_who_is_asked_back_goes_on_to_what_he_says_to_that(monkeypatch: pytest.MonkeyPatch) -> None:
    clock, said = ManualClock(), list[str]()
    driver = driver_of(monkeypatch, clock, Model("fine", "fine", "yes"), "我没事", "是的", on_word=said)
    await listen(clock, driver, 15.0)
    driver.notice(Notice("asked", 0, "我没听明白。您还好吗？需要帮助吗？"))
    await listen(clock, driver, 15.0)
    driver.notice(Notice("asked", 0, "您说您没事，对吗？"))
    await listen(clock, driver, 15.0)
    assert said == ["我没事", "我没事", "是的"]


async def test_words_that_the_model_does_not_know_are_typed() -> None:
    clock = ManualClock()
    driver = SpeakingDriver(
        clock, [Answer("请找离家近的那家", reaction_s=2.0)], language="zh", seed=1, speed_kmh=lambda: 0.0
    )
    assert driver.typed == ["请找离家近的那家"]
    assert await listen(clock, driver, 15.0) == (Heard("请找离家近的那家", 0.9), 2.0)
    assert (driver.words, driver.heard) == (0, 0)
