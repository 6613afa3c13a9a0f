"""Speech by espeak-ng, as a child process with an argument list: its crash or hang is not ours.

Measured with Debian 12's espeak-ng 1.51 and no sound card: it says so on standard error and exits 0 within 50 ms, so
the exit code alone proves nothing.
"""

import asyncio
import io
import os
import wave
from collections.abc import Sequence
from contextlib import suppress
from typing import Final

from agent.core.errors import SourceLost
from agent.core.ports import Language, Utterance
from drivers.pinyin import to_pinyin
from drivers.spoken_en import spoken_en

_VOICES: Final[dict[Language, str]] = {"zh": "cmn-latn-pinyin", "en": "en"}
_TEXT_MAX: Final = 1000
_WAV_HEADER_BYTES: Final = 44
_DEADLINE_S: Final = 5.0  # a hung sound server blocks the child for ever
_SLOWEST_S: Final[dict[Language, float]] = {"zh": 0.6, "en": 0.15}  # a character; twice what was measured
_RENDER_S: Final = 2.0  # without a card it takes tens of milliseconds, and somebody may be waiting for it
_RENDER_SLOWEST_S: Final = 0.005  # a character; twice what was measured on a busy machine


class EspeakSpeaker:
    """The Speaker of a car with a sound card. One utterance at a time; a second one waits.

    volume_percent 0-200 is espeak-ng's amplitude. deadline_s for saying and render_s for rendering, on top of what the
    text needs, are real time whatever clock the app runs on: so is the child.
    """

    def __init__(
        self,
        *,
        volume_percent: int = 100,
        binary: str = "espeak-ng",
        deadline_s: float = _DEADLINE_S,
        render_s: float = _RENDER_S,
    ) -> None:
        self._volume_percent = volume_percent
        self._binary = binary
        self._deadline_s = deadline_s
        self._render_s = render_s
        self._speaking = asyncio.Lock()
        self._stops = 0
        self._children: set[asyncio.subprocess.Process] = set()

    async def say(self, utterance: Utterance) -> None:
        """Return when it has been said. Raises SourceLost past the deadline, or without espeak-ng, voice or card."""
        text, language = utterance.text, utterance.language
        deadline_s = self._deadline_s + _SLOWEST_S[language] * len(text[:_TEXT_MAX])
        async with self._speaking:
            await self._run([], text, language, deadline_s=deadline_s, hung="hung: a blocked sound device?")

    async def render(self, text: str, language: Language, *, nice: int = 0) -> bytes:
        """Return the speech as a mono 16-bit WAV file, without a sound card. Raises SourceLost."""
        deadline_s = self._render_s + _RENDER_SLOWEST_S * len(text[:_TEXT_MAX])
        sound = await self._run(["--stdout"], text, language, deadline_s=deadline_s, hung="hung", nice=nice)
        return _with_true_length(sound)

    def set_volume(self, percent: int) -> None:
        """For what is said from now on."""
        self._volume_percent = percent

    def recipe(self, text: str, language: Language) -> str:
        """All that the sound depends on, but for espeak-ng's version."""
        return "\0".join(self._arguments(text, language))

    async def close(self) -> None:
        """Stop what is being said."""
        self._stops += 1
        for child in self._children:
            _kill(child)

    def _arguments(self, text: str, language: Language) -> list[str]:
        voice = ["-v", _VOICES[language], "-a", str(self._volume_percent)]
        return [*voice, "--", _speakable(text, language)]  # after "--" nothing is an option

    async def _run(
        self, options: Sequence[str], text: str, language: Language, *, deadline_s: float, hung: str, nice: int = 0
    ) -> bytes:
        stops = self._stops
        child = await self._start([*options, *self._arguments(text, language)])
        self._children.add(child)
        if self._stops != stops:  # closed while the child was being born
            _kill(child)
        if nice:
            with suppress(ProcessLookupError):
                os.setpriority(os.PRIO_PROCESS, child.pid, nice)
        try:
            async with asyncio.timeout(deadline_s):
                output, errors = await child.communicate()
        except TimeoutError as exc:
            raise SourceLost(f"{self._binary} {hung}") from exc
        finally:
            self._children.discard(child)
            if child.returncode is None:
                _kill(child)
                # Reaped before anybody goes on, even when cancelled: no zombie, no second voice over this one.
                await child.communicate()
        _check(self._binary, child.returncode, errors.decode("utf-8", "replace"))
        return output

    async def _start(self, arguments: Sequence[str]) -> asyncio.subprocess.Process:
        try:
            return await asyncio.create_subprocess_exec(
                self._binary,
                *arguments,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.PIPE,
            )
        except FileNotFoundError as exc:
            raise SourceLost(f"{self._binary} is not installed (Debian: apt install espeak-ng)") from exc
        except OSError as exc:
            raise SourceLost(f"{self._binary} cannot be started: {exc.strerror}") from exc


def _speakable(text: str, language: Language) -> str:
    """Bounded text without control characters, which an argument list or the synthesiser would stumble over."""
    plain = "".join(character if character.isprintable() else " " for character in text[:_TEXT_MAX])
    return to_pinyin(plain) if language == "zh" else spoken_en(plain)


def _check(binary: str, returncode: int | None, errors: str) -> None:
    lines = [line.strip() for line in errors.splitlines() if line.strip()]
    failure = next((line for line in reversed(lines) if line.casefold().startswith("error")), None)
    if failure is not None and any(line.startswith("ALSA lib") for line in lines):
        raise SourceLost(f"no sound card ({binary}: {failure})")
    if failure is not None:
        raise SourceLost(f"{binary}: {failure}")
    if returncode != 0:
        raise SourceLost(f"{binary} ended with {returncode}: {lines[-1] if lines else 'no reason given'}")


def _kill(child: asyncio.subprocess.Process) -> None:
    with suppress(ProcessLookupError):  # it has just ended by itself
        child.kill()


def _with_true_length(streamed: bytes) -> bytes:
    """Rewrite the header: a stream's announces 2 GB, for its length was not known yet."""
    with wave.open(io.BytesIO(streamed), "rb") as source:
        parameters = source.getparams()
    target = io.BytesIO()
    with wave.open(target, "wb") as sink:
        sink.setnchannels(parameters.nchannels)
        sink.setsampwidth(parameters.sampwidth)
        sink.setframerate(parameters.framerate)
        sink.writeframes(streamed[_WAV_HEADER_BYTES:])
    return target.getvalue()
