"""Speech that was made beforehand: a phrase sounds as soon as aplay has opened the card.

Only phrases that stand in the shipped files are kept on the disk; whatever holds a value, or came from a desk, is made
when it is said and forgotten. A file's name is the hash of all that it was made from.
"""

import asyncio
import hashlib
import io
import os
import wave
from collections.abc import Iterable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final, Protocol

from agent.core.errors import SourceLost
from agent.core.ports import Language, Speaker, Utterance

_DEADLINE_S: Final = 5.0  # over the length of the sound: a hung sound server blocks the child for ever
_NICE: Final = 10
_SILENCE_HZ: Final = 22_050  # espeak-ng's own rate


class Voice(Protocol):
    """Makes speech without a sound card."""

    def recipe(self, text: str, language: Language) -> str:
        """All that the sound depends on."""
        ...

    async def render(self, text: str, language: Language, *, nice: int = 0) -> bytes:
        """A WAV file. Raises SourceLost."""
        ...

    def set_volume(self, percent: int) -> None:
        """For what is made from now on."""
        ...

    async def close(self) -> None:
        """Stop whatever runs."""
        ...


class CachedSpeaker:
    """The Speaker of a car. One utterance at a time; a second one waits.

    fallback speaks where aplay is not installed. directory: where prepared phrases lie; None keeps none.
    """

    def __init__(
        self,
        voice: Voice,
        *,
        fallback: Speaker,
        directory: Path | None,
        size_max_bytes: int = 64 << 20,
        device: str = "default",
        command: Sequence[str] = ("aplay",),
        deadline_s: float = _DEADLINE_S,
    ) -> None:
        self._voice = voice
        self._fallback = fallback
        self._directory = directory
        self._size_max_bytes = size_max_bytes
        self._device = device
        self._command = command
        self._deadline_s = deadline_s
        self._speaking = asyncio.Lock()
        self._player: asyncio.subprocess.Process | None = None

    async def say(self, utterance: Utterance) -> None:
        """Return when it has been said. Cancelling stops it. Raises SourceLost without sound."""
        async with self._speaking:
            try:
                player = await self._start()
            except FileNotFoundError:
                await self._fallback.say(utterance)
                return
            try:
                # aplay opens the card while a phrase that is not kept is made.
                sound = await self._sound(utterance.text, utterance.language)
                await self._play(player, sound)
            finally:
                self._player = None
                await _end(player)

    async def check(self) -> None:
        """Open the card and play a moment of silence. Raises SourceLost where there is no sound, or no aplay."""
        async with self._speaking:
            try:
                player = await self._start()
            except FileNotFoundError as exc:
                raise SourceLost(f"{self._command[0]} (alsa-utils) is not installed") from exc
            try:
                await self._play(player, _silence())
            finally:
                self._player = None
                await _end(player)

    async def prepare(self, utterances: Iterable[Utterance]) -> None:
        """Make and keep what may be said later, in the background.

        The first failure ends it with SourceLost; what was made is kept, so that the next call goes on from there.
        """
        directory = self._directory
        if directory is None or self._size_max_bytes == 0:
            return
        try:
            directory.mkdir(parents=True, exist_ok=True)
            kept = set()
            for utterance in utterances:
                path = self._path(utterance.text, utterance.language, directory)
                kept.add(path)
                if not path.exists():
                    sound = await self._voice.render(utterance.text, utterance.language, nice=_NICE)
                    _write(path, sound)
            _trim(directory, kept, self._size_max_bytes)
        except OSError as exc:
            raise SourceLost(f"{directory}: {exc.strerror}") from exc

    def set_volume(self, percent: int) -> None:
        """For what is said from now on; what was prepared for another volume is made anew, or when it is said."""
        self._voice.set_volume(percent)

    async def close(self) -> None:
        """Stop what is being said."""
        if self._player is not None:
            _kill(self._player)
        await self._voice.close()
        await self._fallback.close()

    async def _start(self) -> asyncio.subprocess.Process:
        options = ["-q", "-D", self._device, "-t", "wav", "-"]
        try:
            self._player = await asyncio.create_subprocess_exec(
                *self._command,
                *options,
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.DEVNULL,
                stderr=asyncio.subprocess.PIPE,
            )
        except FileNotFoundError:
            raise
        except OSError as exc:
            raise SourceLost(f"{self._command[0]} cannot be started: {exc.strerror}") from exc
        return self._player

    async def _sound(self, text: str, language: Language) -> bytes:
        if self._directory is not None:
            path = self._path(text, language, self._directory)
            with suppress(OSError):
                sound = path.read_bytes()
                if _is_whole(sound):
                    return sound
                path.unlink()  # half of it was on the disk when the power went; the next start makes it anew
        return await self._voice.render(text, language)

    async def _play(self, player: asyncio.subprocess.Process, sound: bytes) -> None:
        try:
            async with asyncio.timeout(self._deadline_s + _seconds(sound)):
                _, errors = await player.communicate(sound)
        except TimeoutError as exc:
            raise SourceLost(f"{self._command[0]} hung: a blocked sound device?") from exc
        if player.returncode != 0:
            lines = [line.strip() for line in errors.decode("utf-8", "replace").splitlines() if line.strip()]
            reason = lines[-1] if lines else f"ended with {player.returncode}"
            raise SourceLost(f"no sound on {self._device} ({self._command[0]}: {reason})")

    def _path(self, text: str, language: Language, directory: Path) -> Path:
        recipe = self._voice.recipe(text, language)
        return directory / f"{hashlib.sha256(recipe.encode()).hexdigest()[:32]}.wav"


def _silence() -> bytes:
    """A twentieth of a second."""
    target = io.BytesIO()
    with wave.open(target, "wb") as sink:
        sink.setnchannels(1)
        sink.setsampwidth(2)
        sink.setframerate(_SILENCE_HZ)
        sink.writeframes(bytes(_SILENCE_HZ // 10))
    return target.getvalue()


def _seconds(sound: bytes) -> float:
    try:
        with wave.open(io.BytesIO(sound), "rb") as file:
            return file.getnframes() / file.getframerate()
    except (wave.Error, EOFError) as exc:
        raise SourceLost("the voice made no sound that can be played") from exc


def _is_whole(sound: bytes) -> bool:
    try:
        with wave.open(io.BytesIO(sound), "rb") as file:
            frames = file.getnframes()
            return 0 < frames * file.getnchannels() * file.getsampwidth() == len(file.readframes(frames))
    except (wave.Error, EOFError):
        return False


def _write(path: Path, sound: bytes) -> None:
    part = path.with_suffix(".part")
    part.write_bytes(sound)
    part.replace(path)


def _trim(directory: Path, kept: set[Path], size_max_bytes: int) -> None:
    """Let go of phrases that are no longer said, and of what is over the limit."""
    size = 0
    for path in sorted(directory.iterdir(), key=lambda path: path.stat().st_mtime, reverse=True):
        size += path.stat().st_size
        if path not in kept or size > size_max_bytes:
            path.unlink()


async def _end(player: asyncio.subprocess.Process) -> None:
    """Kill it unless it has ended; reaped before anybody goes on: no second voice over this one."""
    if player.returncode is None:
        if player.stdin is not None:
            player.stdin.close()
        _kill(player)
        await player.communicate()


def _kill(child: asyncio.subprocess.Process) -> None:
    with suppress(ProcessLookupError):
        os.kill(child.pid, 9)
