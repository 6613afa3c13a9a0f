"""Who is asked first where a model has several things to do."""

import asyncio
import io
import json
import wave
from collections.abc import Sequence
from pathlib import Path

import pytest

from agent.core.errors import ModelDown, SourceLost
from drivers.sherpa import SherpaModel, SherpaVoice


def wav(samples: int) -> bytes:
    target = io.BytesIO()
    with wave.open(target, "wb") as sink:
        sink.setparams((1, 2, 8000, samples, "NONE", ""))
        sink.writeframes(b"\1\1" * samples)
    return target.getvalue()


class Child:
    """Answers when it is let."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.begun = asyncio.Semaphore(0)
        self.may = asyncio.Semaphore(0)
        self.running = False
        self.loads = 0
        self._line = asyncio.Lock()

    async def start(self, arguments: Sequence[str]) -> None:
        assert len(arguments) == 1
        self.running = True
        self.loads += 1

    async def ask(self, payload: bytes | None, deadline_s: float) -> bytes:
        assert deadline_s > 0
        if payload is None:
            return json.dumps({"kind": "vits"}).encode()
        async with self._line:
            self.asked.append(payload.decode())
            self.begun.release()
            await self.may.acquire()
            return wav(len(payload))

    async def kill(self, reason: str) -> None:
        assert reason == ""
        self.running = False


@pytest.fixture
def child() -> Child:
    return Child()


@pytest.fixture
def voice(child: Child, tmp_path: Path) -> SherpaVoice:
    model = SherpaModel(tmp_path, hears=False)
    model._child = child  # type: ignore[assignment]  # as much of it as is used
    return SherpaVoice(model)


@pytest.mark.parametrize(
    ("text", "language", "parts"),
    [
        ("One is 3.5 here. Two! Three", "en", ["One is three point five here.", "Two!", "Three"]),
        ("一。二！三", "zh", ["一。", "二！", "三"]),
    ],
)
async def test_what_is_made_beforehand_waits_after_each_sentence_for_what_is_said_now(
    child: Child, voice: SherpaVoice, text: str, language: str, parts: list[str]
) -> None:
    later = asyncio.create_task(voice.render(text, language, nice=10))  # type: ignore[arg-type]  # one of the two
    await child.begun.acquire()
    now = [asyncio.create_task(voice.render(word, "en")) for word in ("fire", "stop")]
    for _ in range(5):
        child.may.release()
    await asyncio.gather(*now)
    sound = await later
    assert child.asked == [parts[0], "fire", "stop", *parts[1:]]
    with wave.open(io.BytesIO(sound), "rb") as file:
        assert file.getnframes() == sum(len(part.encode()) for part in parts)


async def test_who_is_cut_short_leaves_the_model_loaded_and_the_next_has_his_own_answer(
    child: Child, voice: SherpaVoice
) -> None:
    cut = asyncio.create_task(voice.render("a long story", "en"))
    await child.begun.acquire()
    cut.cancel()
    now = asyncio.create_task(voice.render("fire", "en"))
    await asyncio.sleep(0)
    child.may.release()
    child.may.release()
    assert await now == wav(len("fire"))
    assert child.loads == 1
    with pytest.raises(asyncio.CancelledError):
        await cut


async def test_who_gives_up_waiting_is_not_asked_for(child: Child, voice: SherpaVoice) -> None:
    first = asyncio.create_task(voice.render("one", "en"))
    await child.begun.acquire()
    second = asyncio.create_task(voice.render("two", "en"))
    await asyncio.sleep(0)
    second.cancel()
    for _ in range(2):
        child.may.release()
    await first
    await voice.render("three", "en", nice=10)
    assert child.asked == ["one", "three"]


async def test_a_model_that_dies_is_told_and_keeps_nobody_waiting(
    child: Child, voice: SherpaVoice, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def die(payload: bytes | None, deadline_s: float) -> bytes:
        raise ModelDown("it died")

    with monkeypatch.context() as broken:
        broken.setattr(child, "ask", die)
        child.running = True
        with pytest.raises(SourceLost, match="it died"):
            await voice.render("one", "en")
    child.may.release()
    assert await voice.render("two", "en", nice=10) == wav(3)
