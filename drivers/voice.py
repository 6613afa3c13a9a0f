"""What a car speaks and hears with, as config says."""

from collections.abc import Mapping
from pathlib import Path
from typing import Final

from agent.core.config import Config
from agent.core.errors import ConfigError, SourceLost
from agent.core.manifest import KeywordManifest, load_keyword_manifest
from agent.core.paths import MODELS
from agent.core.ports import Clock, Heard, Inference, Language, Microphone
from drivers.cached_speaker import CachedSpeaker, Voice
from drivers.capture import AlsaCapture, Capture, FileCapture
from drivers.keyword_microphone import KeywordMicrophone, Recogniser
from drivers.keyword_replies import Keywords, check_model, load_keywords
from drivers.microphone import TypedMicrophone
from drivers.onnx_worker import OnnxWorker
from drivers.sherpa import SherpaModel, SherpaRecogniser, SherpaVoice
from drivers.speaker import EspeakSpeaker

_CACHE: Final = "speech"  # below the store


def open_speaker(config: Config) -> CachedSpeaker | None:
    """The speaker, None where speech is off. Nothing runs yet."""
    if not config.voice.enabled:
        return None
    espeak = EspeakSpeaker(volume_percent=config.voice.volume_percent)
    sounding = config.sounding
    folders: dict[Language, str] = {"zh": sounding.voice_zh, "en": sounding.voice_en}
    voices = {
        language: SherpaVoice(SherpaModel(Path(folder), hears=False), volume_percent=config.voice.volume_percent)
        for language, folder in folders.items()
        if folder
    }
    return CachedSpeaker(
        _Voices(espeak, voices) if voices else espeak,
        fallback=espeak,
        directory=Path(config.store.directory) / _CACHE,
        size_max_bytes=sounding.cache_max_mb << 20,
        device=sounding.device,
    )


def open_microphone(config: Config, clock: Clock) -> Microphone | None:
    """The microphone, None where speech is off; typed answers where hearing is, None where nobody can type."""
    if not config.voice.enabled:
        return None
    hearing = config.hearing
    if hearing.source == "off":
        typed = TypedMicrophone(clock)
        return typed if typed.has_input else None
    capture: Capture = AlsaCapture(hearing.device) if hearing.source == "alsa" else FileCapture(Path(hearing.file))
    recogniser = SherpaRecogniser(SherpaModel(Path(hearing.sentences), hears=True)) if hearing.sentences else None
    return open_hearing(capture, hearing.model, recogniser=recogniser)


def open_hearing(
    capture: Capture, model: str, *, recogniser: Recogniser | None = None, inference: Inference | None = None
) -> Microphone:
    """Replies, and sentences where there is a recogniser; a model that is unsound is told when somebody listens.

    inference: what runs the model, a child process of its own where none is given.
    """
    models: dict[Language, tuple[KeywordManifest, Keywords]] = {}
    try:
        for language, keywords in load_keywords().items() if model else ():
            path = MODELS / f"{model}_{language}.toml"
            if not path.exists():
                continue  # a box speaks one language; who asks in the other hears that there is no model
            manifest = load_keyword_manifest(path)
            if reason := check_model(manifest, keywords):
                return _Deaf(reason)
            models[language] = manifest, keywords
    except ConfigError as exc:
        return _Deaf(str(exc))
    return KeywordMicrophone(capture, inference or OnnxWorker(), models, recogniser=recogniser)


class _Deaf:
    """A microphone that cannot be used, and says why when it is asked."""

    def __init__(self, reason: str) -> None:
        self._reason = reason

    async def listen(self, *, timeout_s: float, language: Language, keep_sound: bool = False) -> Heard | None:  # noqa: ARG002
        raise SourceLost(self._reason)

    async def close(self) -> None:
        """Nothing is open."""


class _Voices:
    """One voice a language; espeak-ng where no other is installed."""

    def __init__(self, espeak: EspeakSpeaker, voices: Mapping[Language, Voice]) -> None:
        self._espeak = espeak
        self._voices = voices

    def recipe(self, text: str, language: Language) -> str:
        return self._voices.get(language, self._espeak).recipe(text, language)

    async def render(self, text: str, language: Language, *, nice: int = 0) -> bytes:
        """A model that is wrong is told by the speaker's outage, and espeak-ng is not put in its place unasked."""
        return await self._voices.get(language, self._espeak).render(text, language, nice=nice)

    def set_volume(self, percent: int) -> None:
        """Also where espeak-ng speaks itself, since aplay is missing."""
        for voice in (self._espeak, *self._voices.values()):
            voice.set_volume(percent)

    async def close(self) -> None:
        for voice in (self._espeak, *self._voices.values()):
            await voice.close()
