"""A Microphone that understands short replies by itself: sound -> voice activity -> keyword model -> words.

The model runs in a child process of its own, started with the first question and kept. What is no reply is not
heard, and listening goes on; sound is forgotten as soon as it has been judged, but for a reply's where it is asked for.
"""

import asyncio
from collections.abc import Mapping
from dataclasses import replace
from typing import Final, Protocol

from agent.core.errors import ModelDown, SourceLost
from agent.core.manifest import KeywordManifest
from agent.core.ports import Heard, Inference, Language
from drivers.capture import BYTES_PER_S, Capture
from drivers.keyword_features import FRAME, HOP, Float32s, from_pcm, log_mel, model_input
from drivers.keyword_replies import Keywords
from drivers.keyword_segments import ENDING, Segmenter, Stretch

_LATE_S: Final = 3.0  # who is speaking when time is up may end his sentence
_BACKLOG_BYTES: Final = 30 * BYTES_PER_S
_SILENCE: Final = bytes(2 * ENDING * HOP)  # ends whatever was being said


class Recogniser(Protocol):
    """Free sentences, where a model for them is installed."""

    async def transcribe(self, samples: Float32s, language: Language) -> Heard | None:
        """What was said in samples at 16 kHz, None where that was nothing. Raises SourceLost."""
        ...

    async def close(self) -> None:
        """End whatever runs."""
        ...


class KeywordMicrophone:
    """Hears replies through a capture. models: manifest and replies of each language that has a model.

    recogniser hears what was no reply. Time is counted in samples: so long the driver had to answer.
    """

    def __init__(
        self,
        capture: Capture,
        inference: Inference,
        models: Mapping[Language, tuple[KeywordManifest, Keywords]],
        *,
        recogniser: Recogniser | None = None,
    ) -> None:
        self._capture = capture
        self._inference = inference
        self._models = models
        self._recogniser = recogniser
        self._segmenter = Segmenter()
        self._loaded = False
        self._listening = asyncio.Lock()
        self.refused = 0  # stretches that were no reply

    async def listen(self, *, timeout_s: float, language: Language, keep_sound: bool = False) -> Heard | None:
        """Return the next reply, None after timeout_s without one. Raises SourceLost without sound or model."""
        if language not in self._models and self._recogniser is None:
            raise SourceLost(f"there is no keyword model for {language}")
        async with self._listening:
            await self._capture.open()
            try:
                return await self._hear(timeout_s, language, keep_sound=keep_sound)
            finally:
                await self._capture.close()

    async def close(self) -> None:
        """Stop listening, and end the model's process."""
        await self._capture.close()
        await self._inference.close()
        if self._recogniser is not None:
            await self._recogniser.close()
        self._loaded = False

    async def _hear(self, timeout_s: float, language: Language, *, keep_sound: bool) -> Heard | None:
        self._segmenter.reset()
        sound = _Sound()
        loading = asyncio.create_task(self._load(language), name="microphone-model")
        try:
            while sound.seconds < timeout_s + (_LATE_S if self._segmenter.in_speech else 0):
                data = await self._capture.read()
                if not data:
                    break
                sound.take(data)
                if loading.done():
                    loading.result()
                    heard = await self._judge(sound, language, keep_sound=keep_sound)
                    if heard is not None:
                        return heard
            await loading
            return await self._judge(sound, language, keep_sound=keep_sound, last=True)
        except ModelDown as exc:
            self._loaded = False
            raise SourceLost(f"keyword model: {exc}") from exc
        finally:
            loading.cancel()
            await asyncio.wait({loading})

    async def _load(self, language: Language) -> None:
        """Start the models' process unless it serves already."""
        if self._loaded or language not in self._models:
            return
        refused = await self._inference.load([manifest.name for manifest, _ in self._models.values()])
        name = self._models[language][0].name
        if name in refused:
            raise ModelDown(refused[name])
        self._loaded = True

    async def _judge(
        self, sound: "_Sound", language: Language, *, keep_sound: bool, last: bool = False
    ) -> Heard | None:
        frames = log_mel(sound.waiting(last=last))
        for stretch in self._segmenter.update(frames):
            heard = await self._reply(stretch, language)
            if heard is None and self._recogniser is not None:
                heard = await self._recogniser.transcribe(from_pcm(sound.piece(stretch)), language)
            if heard is not None:
                return replace(heard, sound=sound.piece(stretch)) if keep_sound else heard
            self.refused += 1
        return None

    async def _reply(self, stretch: Stretch, language: Language) -> Heard | None:
        if not stretch.short or language not in self._models:
            return None
        manifest, keywords = self._models[language]
        answer = await self._inference.infer(manifest.name, model_input(stretch.frames, manifest.steps))
        return keywords.read(answer[0].tolist(), manifest)


class _Sound:
    """What came through the microphone since listening began."""

    def __init__(self) -> None:
        self._data = bytearray()
        self._dropped = 0  # bytes let go at the front
        self._judged = 0  # bytes whose frames have been made

    @property
    def seconds(self) -> float:
        """How long it is."""
        return (self._dropped + len(self._data)) / BYTES_PER_S

    def take(self, data: bytes) -> None:
        """Add a piece."""
        self._data += data
        over = len(self._data) - _BACKLOG_BYTES
        if over > 0:
            del self._data[:over]
            self._dropped += over

    def waiting(self, *, last: bool) -> Float32s:
        """Samples for whole frames that have not been looked at; last: with silence behind, which ends a word."""
        start = max(self._judged - self._dropped, 0)
        data = bytes(self._data[start:]) + (_SILENCE if last else b"")
        frames = max(0, (len(data) // 2 - FRAME) // HOP + 1)
        self._judged = self._dropped + start + frames * HOP * 2
        return from_pcm(data) if frames else from_pcm(b"")

    def piece(self, stretch: Stretch) -> bytes:
        """The samples of a stretch, and a quarter of a second around it."""
        end = stretch.end * HOP * 2 - self._dropped
        return bytes(self._data[max(0, end - len(stretch.frames) * HOP * 2 - BYTES_PER_S // 2) : end])
