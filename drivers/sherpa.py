"""sherpa-onnx where a model of it is installed: free sentences heard, and voices better than espeak-ng's.

Each model lives in a child process of its own (`drivers.sherpa_child`), started when it is first needed.
"""

import asyncio
import io
import json
import re
import sys
import wave
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

import numpy as np

from agent.core.errors import ModelDown, SourceLost
from agent.core.ports import Heard, Language
from drivers.keyword_features import Float32s
from drivers.model_child import ModelChild
from drivers.sherpa_child import HEARS
from drivers.spoken_en import spoken_en
from drivers.spoken_zh import spoken_zh

_LOAD_S: Final = 60.0  # hundreds of megabytes from an SD card
_ANSWER_S: Final = 10.0
_ANSWER_MAX_BYTES: Final = 8 << 20
_CONFIDENCE: Final = 0.7  # it does not say how sure it is
_AS_MADE_PERCENT: Final = 100
_FULL_SCALE: Final = 32_767
_SENTENCE: Final = re.compile(r"(?<=[。！？；])|(?<=[.!?;])\s+")
_CHILD: Final = (sys.executable, "-m", "drivers.sherpa_child")


class SherpaModel:
    """One folder. hears: whether it must be a recogniser, or a voice. Raises SourceLost naming folder and reason."""

    def __init__(self, folder: Path, *, hears: bool, command: Sequence[str] = _CHILD) -> None:
        self.folder = folder
        self._hears = hears
        self._child = ModelChild(f"sherpa-onnx of {folder}", command, answer_max_bytes=_ANSWER_MAX_BYTES)
        self._line = asyncio.Lock()  # a voice is asked for phrases to come and for the one of now
        self._hurried = 0
        self._quiet = asyncio.Event()
        self._quiet.set()
        self._talks: set[asyncio.Task[bytes]] = set()

    async def ask(self, payload: bytes, *, patient: bool = False) -> bytes:
        """The model's answer; it is loaded first where it is not, or has died.

        patient: everybody else goes first. Who is cancelled leaves the model running: to load it again takes longer
        than an answer that nobody wants any more.
        """
        try:
            async with self._turn(patient=patient):
                if not self._child.running:
                    await self._load()
                talk = asyncio.create_task(self._child.ask(payload, _ANSWER_S), name="sherpa")
                self._talks.add(talk)
                talk.add_done_callback(self._forget)
                return await asyncio.shield(talk)
        except ModelDown as exc:
            raise SourceLost(str(exc)) from exc

    async def close(self) -> None:
        """End its process."""
        await self._child.kill("")

    @asynccontextmanager
    async def _turn(self, *, patient: bool) -> AsyncIterator[None]:
        if patient:
            await self._quiet.wait()
        else:
            self._hurried += 1
            self._quiet.clear()
        try:
            async with self._line:
                yield
        finally:
            self._hurried -= not patient
            if not self._hurried:
                self._quiet.set()

    def _forget(self, talk: asyncio.Task[bytes]) -> None:
        self._talks.discard(talk)
        if not talk.cancelled():
            talk.exception()  # told to whoever still waits

    async def _load(self) -> None:
        await self._child.start([str(self.folder)])
        greeting = json.loads(await self._child.ask(None, _LOAD_S))
        reason = greeting.get("refused", "")
        if not reason and (greeting["kind"] in HEARS) != self._hears:
            reason = f"{self.folder}: a {greeting['kind']} model {'speaks' if self._hears else 'hears'}"
        if reason:
            await self._child.kill(reason)
            raise SourceLost(reason)


class SherpaRecogniser:
    """Sentences of any kind; its model says which languages."""

    def __init__(self, model: SherpaModel) -> None:
        self._model = model

    async def transcribe(self, samples: Float32s, language: Language) -> Heard | None:  # noqa: ARG002  # the model's
        """What was said, None where that was nothing."""
        text = (await self._model.ask(samples.tobytes())).decode("utf-8", "replace").strip()
        return Heard(text, confidence=_CONFIDENCE) if text else None

    async def close(self) -> None:
        """End the model's process."""
        await self._model.close()


class SherpaVoice:
    """A voice of one language. volume_percent 0-200 scales its samples, 100 leaves them as the model made them."""

    def __init__(self, model: SherpaModel, *, volume_percent: int = 100) -> None:
        self._model = model
        self._volume_percent = volume_percent

    def recipe(self, text: str, language: Language) -> str:
        """All that the sound depends on, as far as it is known here."""
        return f"sherpa\0{self._model.folder}\0{self._volume_percent}\0{_read_out(text, language)}"

    async def render(self, text: str, language: Language, *, nice: int = 0) -> bytes:
        """A WAV file. What is made beforehand (nice) is made sentence by sentence, behind whatever is said now."""
        said, volume_percent = _read_out(text, language), self._volume_percent
        if nice:
            parts = [part for part in _SENTENCE.split(said) if part.strip()]
            sound = _joined([await self._model.ask(part.encode(), patient=True) for part in parts])
        else:
            sound = await self._model.ask(said.encode())
        return _scaled(sound, volume_percent)

    def set_volume(self, percent: int) -> None:
        """For what is made from now on."""
        self._volume_percent = percent

    async def close(self) -> None:
        """End the model's process."""
        await self._model.close()


def _read_out(text: str, language: Language) -> str:
    return spoken_zh(text) if language == "zh" else spoken_en(text)


def _joined(sounds: Sequence[bytes]) -> bytes:
    """One WAV file of several of the same kind. Raises SourceLost for what is none."""
    if len(sounds) == 1:
        return sounds[0]
    target = io.BytesIO()
    try:
        with wave.open(target, "wb") as sink:
            for number, sound in enumerate(sounds):
                with wave.open(io.BytesIO(sound), "rb") as part:
                    if not number:
                        sink.setparams(part.getparams())
                    sink.writeframes(part.readframes(part.getnframes()))
    except (wave.Error, EOFError) as exc:
        raise SourceLost(f"the voice made no sound: {exc}") from exc
    return target.getvalue()


def _scaled(sound: bytes, volume_percent: int) -> bytes:
    """Louder or quieter, but never beyond full scale: clipped speech is no louder, only harsh. Raises SourceLost."""
    if volume_percent == _AS_MADE_PERCENT:
        return sound
    target = io.BytesIO()
    try:
        with wave.open(io.BytesIO(sound), "rb") as source, wave.open(target, "wb") as sink:
            samples = np.frombuffer(source.readframes(source.getnframes()), "<i2").astype(np.float32)
            peak = float(np.abs(samples).max(initial=1.0))
            sink.setparams(source.getparams())
            sink.writeframes((samples * min(volume_percent / 100, _FULL_SCALE / peak)).astype("<i2").tobytes())
    except (wave.Error, EOFError, ValueError) as exc:
        raise SourceLost(f"the voice made no sound: {exc}") from exc
    return target.getvalue()
