import asyncio
from collections.abc import Mapping, Sequence

import msgspec
import numpy as np
import numpy.typing as npt
import pytest

from agent.core.errors import ModelDown, SourceLost
from agent.core.manifest import Golden, KeywordManifest
from agent.core.model_card import Card, Metric
from agent.core.ports import Heard, Language
from drivers.keyword_features import BANDS, Float32s
from drivers.keyword_microphone import KeywordMicrophone
from drivers.keyword_replies import OTHER, Keywords, check_model, load_keywords
from tests.unit.drivers.test_keyword_segments import placed, voiced

KEYWORDS = load_keywords()
LABELS = [*KEYWORDS["zh"].replies, OTHER]
STEPS = 192


def manifest(name: str, labels: list[str] = LABELS) -> KeywordManifest:
    card = Card(
        does="x", how="x", trained_on="x", threshold_from="x", rebuilt_by="x", measured_on="x",
        metrics=[Metric(what="x", value="x")], limits=["x"],
    )  # fmt: skip
    return KeywordManifest(
        name=name, version=1, file=f"{name}.onnx", sha256="0" * 64, opset=17, threshold=0.5, golden_tolerance=0.001,
        profiles=[], card=card, rate_hz=100.0, steps=STEPS, bands=BANDS, labels=labels,
        golden=[Golden(input=[0.0] * STEPS * BANDS, output=[0.0] * len(labels))],
    )  # fmt: skip


class FakeCapture:
    """Gives its sound in pieces, then silence for ever, the end of a recording, or what it is told to raise."""

    def __init__(self, sound: Float32s, *, error: str = "", ends: bool = False) -> None:
        self._data = (np.clip(sound, -1, 1) * 3276).astype("<i2").tobytes()
        self._error = error
        self._ends = ends
        self._at = 0
        self.open_now = False

    async def open(self) -> None:
        self.open_now = True

    async def read(self) -> bytes:
        await asyncio.sleep(0)
        self._at += 1600
        piece = self._data[self._at - 1600 : self._at]
        if not piece and self._error:
            raise SourceLost(self._error)
        if not piece and self._ends:
            return b""
        noise = np.random.default_rng(self._at).normal(0, 30, 800).astype("<i2").tobytes()
        return piece or noise

    async def close(self) -> None:
        self.open_now = False


class FakeInference:
    """Answers each question with the next label, by name."""

    def __init__(self, *answers: str, refused: Mapping[str, str] | None = None, down: bool = False) -> None:
        self._answers = list(answers)
        self._refused = refused or {}
        self._down = down
        self.loads = 0

    async def load(self, models: Sequence[str]) -> Mapping[str, str]:  # noqa: ARG002
        self.loads += 1
        return self._refused

    async def infer(self, model: str, inputs: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:  # noqa: ARG002
        assert inputs.shape == (1, STEPS, BANDS)
        if self._down:
            raise ModelDown("inference process died (exit status -4)")
        label, _, probability = self._answers.pop(0).partition("=")
        answer = np.zeros((1, len(LABELS)), np.float32)
        answer[0, LABELS.index(label)] = float(probability or 0.95)
        return answer

    async def ended(self) -> str:
        return ""

    async def close(self) -> None:
        pass


class FakeRecogniser:
    def __init__(self, *texts: str | None) -> None:
        self._texts = list(texts)
        self.seconds: list[float] = []

    async def transcribe(self, samples: Float32s, language: Language) -> Heard | None:  # noqa: ARG002
        self.seconds.append(len(samples) / 16_000)
        text = self._texts.pop(0)
        return None if text is None else Heard(text, 0.7)

    async def close(self) -> None:
        pass


WORD = placed((1.0, voiced(0.6)), seconds=2.4, seed=1)
TWO_WORDS = placed((1.0, voiced(0.6)), (3.1, voiced(0.5)), seconds=4.6, seed=1)
SENTENCE = placed((1.0, voiced(2.2)), seconds=4.4, seed=1)


def microphone(
    capture: FakeCapture, inference: FakeInference, recogniser: FakeRecogniser | None = None
) -> KeywordMicrophone:
    models: dict[Language, tuple[KeywordManifest, object]] = {
        language: (manifest(f"keywords_{language}"), keywords) for language, keywords in KEYWORDS.items()
    }
    return KeywordMicrophone(capture, inference, models, recogniser=recogniser)  # type: ignore[arg-type]


@pytest.mark.parametrize(("language", "text"), [("zh", "救命"), ("en", "help")])
async def test_a_reply_is_handed_on_in_the_words_of_its_language(language: Language, text: str) -> None:
    capture = FakeCapture(WORD)
    heard = await microphone(capture, FakeInference("help")).listen(timeout_s=5, language=language)
    assert heard == Heard(text, 0.95)
    assert not capture.open_now


async def test_a_reply_with_which_a_recording_ends_is_heard() -> None:
    capture = FakeCapture(WORD[: round(1.5 * 16_000)], ends=True)
    assert await microphone(capture, FakeInference("help")).listen(timeout_s=5, language="zh") == Heard("救命", 0.95)


async def test_what_is_no_reply_is_not_heard_and_listening_goes_on() -> None:
    ears = microphone(FakeCapture(TWO_WORDS), FakeInference("other", "yes"))
    assert await ears.listen(timeout_s=8, language="zh") == Heard("是的", 0.95)
    assert ears.refused == 1


async def test_a_reply_that_the_model_is_not_sure_of_is_none() -> None:
    ears = microphone(FakeCapture(WORD), FakeInference("help=0.49"))
    assert await ears.listen(timeout_s=3, language="zh") is None


async def test_silence_is_none_once_the_time_is_up() -> None:
    inference = FakeInference()
    ears = microphone(FakeCapture(placed(seconds=1.0)), inference)
    assert await ears.listen(timeout_s=2, language="zh") is None
    assert await ears.listen(timeout_s=2, language="zh") is None
    assert inference.loads == 1  # the model stays


async def test_a_sentence_is_no_reply_and_goes_to_the_recogniser() -> None:
    assert await microphone(FakeCapture(SENTENCE), FakeInference()).listen(timeout_s=5, language="zh") is None
    recogniser = FakeRecogniser("刹车今天有点怪")
    ears = microphone(FakeCapture(SENTENCE), FakeInference(), recogniser)
    assert await ears.listen(timeout_s=5, language="zh") == Heard("刹车今天有点怪", 0.7)
    assert 2.2 <= recogniser.seconds[0] <= 3.5


async def test_an_unplugged_microphone_is_told_and_let_go() -> None:
    capture = FakeCapture(WORD[:8000], error="microphone default: read error: No such device")
    with pytest.raises(SourceLost, match="No such device"):
        await microphone(capture, FakeInference()).listen(timeout_s=5, language="zh")
    assert not capture.open_now


async def test_a_dead_model_is_told_and_loaded_anew_for_the_next_question() -> None:
    inference = FakeInference(down=True)
    ears = microphone(FakeCapture(WORD), inference)
    with pytest.raises(SourceLost, match=r"keyword model: inference process died \(exit status -4\)"):
        await ears.listen(timeout_s=5, language="zh")
    with pytest.raises(SourceLost):
        await microphone(FakeCapture(WORD), inference).listen(timeout_s=5, language="zh")
    assert inference.loads == 2


async def test_a_refused_model_names_its_reason() -> None:
    inference = FakeInference(refused={"keywords_zh": "keywords_zh.onnx: sha256 is another"})
    with pytest.raises(SourceLost, match="sha256 is another"):
        await microphone(FakeCapture(WORD), inference).listen(timeout_s=5, language="zh")


async def test_cancelling_closes_the_microphone() -> None:
    capture = FakeCapture(placed(seconds=1.0))
    listening = asyncio.create_task(microphone(capture, FakeInference()).listen(timeout_s=1e6, language="zh"))
    await asyncio.sleep(0)
    listening.cancel()
    with pytest.raises(asyncio.CancelledError):
        await listening
    assert not capture.open_now


def test_a_model_of_other_replies_is_refused() -> None:
    assert check_model(manifest("keywords_zh"), KEYWORDS["zh"]) == ""
    reason = check_model(manifest("keywords_zh", [*LABELS[1:-1], "maybe", OTHER]), KEYWORDS["zh"])
    assert reason == "keywords_zh was trained on other replies than firmware_config/keywords has: maybe, yes"


def test_a_reply_may_ask_for_more_than_the_models_own_threshold() -> None:
    replies = KEYWORDS["zh"].replies
    assert {reply.sure for reply in replies.values()} == {0.5}, "none does as shipped: what is grave is asked back"
    surer = Keywords("zh", {**replies, "fine": msgspec.structs.replace(replies["fine"], sure=0.94)})
    for probability, text in ((0.93, None), (0.95, "没事")):
        answer = [probability if label == "fine" else 0.0 for label in LABELS]
        heard = surer.read(answer, manifest("keywords_zh"))
        assert (None if heard is None else heard.text) == text
