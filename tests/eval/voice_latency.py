"""How soon the box speaks after an event, and answers after a word; and how much memory that takes.

There is no sound card here, so a small player stands in for aplay, which notes when it got its first sample, and a
recording at the pace of a microphone for arecord. What a card adds, some tens of milliseconds, is not in it.
"""

import asyncio
import stat
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

import numpy as np

from agent.core.config import Voice
from agent.core.events import BatteryAlarm, Event, HarshDriving
from agent.core.paths import PROMPTS
from agent.core.ports import Language
from agent.voice.conversation import Conversation
from agent.voice.fixed_texts import fixed_speech
from agent.voice.prompts import load_phrases
from drivers.cached_speaker import CachedSpeaker
from drivers.capture import BYTES_PER_S
from drivers.clock import SystemClock
from drivers.keyword_microphone import KeywordMicrophone
from drivers.keyword_replies import load_keywords
from drivers.speaker import EspeakSpeaker
from drivers.voice import open_hearing
from models.keyword_speech import in_cabin, make_cabins, reply_clips
from simulators import sounds

# The first bytes of a WAV file are its header; a card sounds once there is more.
_PLAYER: Final = "#!/bin/sh\nhead -c 46 >/dev/null\ndate +%s%N >>{folder}/first\ncat >/dev/null\n"
_PIECE_S: Final = 0.05


async def prompt_latency_ms(count: int) -> dict[str, float]:
    """From an event to the first sample of what is said about it: fixed phrases, and such with a value in them."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        player = folder / "player"
        player.write_text(_PLAYER.format(folder=folder), encoding="utf-8")
        player.chmod(player.stat().st_mode | stat.S_IXUSR)
        fixed, valued = [], []
        for language in ("zh", "en"):
            spoken = await _speak_all(folder, player, language, count // 2)
            fixed += spoken[0::2]
            valued += spoken[1::2]
    both = [*fixed, *valued]
    return {
        "prompt_p95_ms": _p95(both),
        "prompt_fixed_p95_ms": _p95(fixed),
        "prompt_valued_p95_ms": _p95(valued),
    }


async def _speak_all(folder: Path, player: Path, language: Language, count: int) -> list[float]:
    espeak = EspeakSpeaker()
    speaker = CachedSpeaker(espeak, fallback=espeak, directory=folder / "speech", command=(str(player),))
    phrases = load_phrases(PROMPTS)
    await speaker.prepare(fixed_speech(phrases, language))
    latencies = []
    for number in range(count):
        clock = SystemClock()
        talk = Conversation(
            Voice(language=language),
            phrases,
            speaker=speaker,
            microphone=None,
            clock=clock,
            notify=lambda _: None,
            emit=lambda _: None,
        )
        running = asyncio.create_task(talk.run())
        before = _stamps(folder)
        began_ns = time.time_ns()
        talk.on_event(_event(number, clock.monotonic_ns()))
        async with asyncio.timeout(20):
            while len(stamps := _stamps(folder)) == len(before):  # noqa: ASYNC110  # the player is another process
                await asyncio.sleep(0.002)
        latencies.append((stamps[-1] - began_ns) / 1e6)
        talk.close()
        await running
    return latencies


def _event(number: int, t_ns: int) -> Event:
    if number % 2 == 0:
        return HarshDriving(t_ns=t_ns, maneuver="braking", peak_mps2=5.0, speed_kmh=50.0, duration_s=1.0)
    value = 56.0 + number / 2
    return BatteryAlarm(t_ns=t_ns, alarm="over_temperature", level=2, cell=number, value=value, limit=55.0, unit="Cel")


def _stamps(folder: Path) -> list[int]:
    path = folder / "first"
    return [int(line) for line in path.read_text().split()] if path.exists() else []


async def answer_latency_ms(count: int) -> dict[str, float]:
    """From the last sample of a reply to the words, and the memory of the processes that hear."""
    rng = np.random.default_rng(1130)
    keywords = load_keywords()["zh"]
    said = list(reply_clips(rng, keywords, "test"))
    clips = [said[place].samples for place in rng.permutation(len(said))[:count]]
    cabins = make_cabins(rng, 2)
    capture = _PacedCapture()
    ears = open_hearing(capture, "keywords")
    if not isinstance(ears, KeywordMicrophone):
        raise TypeError("the keyword models do not go with their replies")
    latencies, memory_mb = [], 0.0
    for samples in clips:
        noisy = in_cabin(rng, samples, cabins, snr_db=15.0, music=0.0)
        capture.play(np.concatenate([noisy, np.zeros(sounds.RATE_HZ, np.float32)]), len(noisy) - _TAIL)
        heard = await ears.listen(timeout_s=len(noisy) / sounds.RATE_HZ + 0.8, language="zh")
        if heard is not None:
            latencies.append((time.monotonic() - capture.ended_s) * 1000)
        memory_mb = max(memory_mb, sum(map(_rss_mb, _children())))
    await ears.close()
    return {"answer_p95_ms": _p95(latencies), "answers": len(latencies), "voice_rss_mb": round(memory_mb, 1)}


_TAIL: Final = round(0.8 * sounds.RATE_HZ)  # of quiet that in_cabin leaves behind a word


class _PacedCapture:
    """Sound at the pace of a microphone."""

    def __init__(self) -> None:
        self._pieces: Iterator[tuple[bytes, bool]] = iter(())
        self._due_s = 0.0
        self.ended_s = 0.0  # when the last sample of the word was handed over

    def play(self, sound: sounds.Float32s, end: int) -> None:
        size = round(_PIECE_S * sounds.RATE_HZ)
        data = (np.clip(sound, -1, 1) * 32767).astype("<i2").tobytes()
        self._pieces = iter(
            [(data[at : at + 2 * size], at < 2 * end <= at + 2 * size) for at in range(0, len(data), 2 * size)]
        )

    async def open(self) -> None:
        self._due_s = time.monotonic()

    async def read(self) -> bytes:
        piece, last = next(self._pieces, (b"", False))
        self._due_s += len(piece) / BYTES_PER_S
        await asyncio.sleep(max(0.0, self._due_s - time.monotonic()))
        if last:
            self.ended_s = time.monotonic()
        return piece

    async def close(self) -> None:
        pass


def _children() -> list[int]:
    own = Path("/proc/self/task")
    return [int(pid) for task in own.iterdir() for pid in (task / "children").read_text().split()]


def _rss_mb(pid: int) -> float:
    try:
        status = Path(f"/proc/{pid}/status").read_text(encoding="ascii")
    except OSError:
        return 0.0
    return next((int(line.split()[1]) / 1024 for line in status.splitlines() if line.startswith("VmRSS")), 0.0)


def _p95(values: Sequence[float]) -> float:
    return round(float(np.quantile(values, 0.95)), 1) if values else float("nan")
