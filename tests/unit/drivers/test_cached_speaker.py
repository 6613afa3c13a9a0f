import asyncio
import os
import stat
from pathlib import Path

import pytest

from agent.core.errors import SourceLost
from agent.core.ports import Language, Utterance
from drivers.cached_speaker import CachedSpeaker
from drivers.speaker import EspeakSpeaker

HELLO = Utterance("hello", "en")
WAV = (
    b"RIFF\x34\x00\x00\x00WAVEfmt \x10\x00\x00\x00\x01\x00\x01\x00\x22\x56\x00\x00\x44\xac\x00\x00\x02\x00\x10\x00"
    b"data\x10\x00\x00\x00" + bytes(16)
)


class FakeVoice:
    def __init__(self, *, silent: bool = False) -> None:
        self.made: list[str] = []
        self.volume = 100
        self._silent = silent

    def recipe(self, text: str, language: Language) -> str:
        return f"{language} {self.volume} {text}"

    async def render(self, text: str, language: Language, *, nice: int = 0) -> bytes:  # noqa: ARG002
        if self._silent:
            raise SourceLost("espeak-ng is not installed (Debian: apt install espeak-ng)")
        self.made.append(text)
        return WAV

    def set_volume(self, percent: int) -> None:
        self.volume = percent

    async def close(self) -> None:
        pass


class FakeSpeaker:
    def __init__(self) -> None:
        self.said: list[str] = []

    async def say(self, utterance: Utterance) -> None:
        self.said.append(utterance.text)

    async def close(self) -> None:
        pass


def script(folder: Path, body: str) -> str:
    path = folder / "aplay-fake"
    path.write_text(f"#!/bin/sh\n{body}\n", encoding="utf-8")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return str(path)


def speaker(
    voice: FakeVoice, command: str, folder: Path, *, fallback: FakeSpeaker | None = None, deadline_s: float = 5.0
) -> CachedSpeaker:
    return CachedSpeaker(
        voice,
        fallback=fallback or FakeSpeaker(),
        directory=folder / "speech",
        device="plughw:1,0",
        command=(command,),
        deadline_s=deadline_s,
    )


async def test_a_prepared_phrase_is_played_from_the_disk_also_after_a_restart(tmp_path: Path) -> None:
    command = script(tmp_path, f'echo "$@" >>{tmp_path}/arguments; cat >>{tmp_path}/played')
    first = FakeVoice()
    await speaker(first, command, tmp_path).prepare([HELLO])
    second = FakeVoice()
    again = speaker(second, command, tmp_path)
    await again.prepare([HELLO])
    await again.say(HELLO)
    assert (first.made, second.made) == (["hello"], [])
    assert (tmp_path / "played").read_bytes() == WAV
    assert (tmp_path / "arguments").read_text() == "-q -D plughw:1,0 -t wav -\n"


async def test_what_was_not_prepared_is_made_each_time_and_not_kept(tmp_path: Path) -> None:
    voice = FakeVoice()
    aloud = speaker(voice, script(tmp_path, "cat >/dev/null"), tmp_path)
    await aloud.prepare([HELLO])
    for _ in range(2):
        await aloud.say(Utterance("your claim of 12 May is settled", "en"))
    assert voice.made[1:] == ["your claim of 12 May is settled"] * 2
    assert len(list((tmp_path / "speech").iterdir())) == 1


async def test_another_volume_is_another_sound_and_the_old_one_is_let_go(tmp_path: Path) -> None:
    voice = FakeVoice()
    aloud = speaker(voice, script(tmp_path, "cat >/dev/null"), tmp_path)
    await aloud.prepare([HELLO])
    aloud.set_volume(50)
    await aloud.prepare([HELLO])
    assert voice.made == ["hello", "hello"]
    assert len(list((tmp_path / "speech").iterdir())) == 1


async def test_cancelling_stops_the_player(tmp_path: Path) -> None:
    command = script(tmp_path, f"cat >/dev/null; echo $$ >{tmp_path}/pid; exec sleep 60")
    speech = asyncio.create_task(speaker(FakeVoice(), command, tmp_path).say(HELLO))
    pid = tmp_path / "pid"
    while not pid.exists() or not pid.read_text():  # noqa: ASYNC110  # the player is another process
        await asyncio.sleep(0)
    speech.cancel()
    with pytest.raises(asyncio.CancelledError):
        await speech
    with pytest.raises(ProcessLookupError):
        os.kill(int(pid.read_text()), 0)


async def test_no_card_is_one_clear_error(tmp_path: Path) -> None:
    command = script(
        tmp_path, "echo 'ALSA lib pcm.c: x' >&2; echo 'aplay: main: audio open error: No such device' >&2; exit 1"
    )
    with pytest.raises(
        SourceLost, match=r"^no sound on plughw:1,0 \(.*aplay: main: audio open error: No such device\)$"
    ):
        await speaker(FakeVoice(), command, tmp_path).say(HELLO)


async def test_a_hung_player_is_killed_and_told(tmp_path: Path) -> None:
    aloud = speaker(FakeVoice(), script(tmp_path, "exec sleep 60"), tmp_path, deadline_s=0.05)
    with pytest.raises(SourceLost, match="hung: a blocked sound device"):
        await aloud.say(HELLO)


async def test_without_aplay_the_fallback_speaks(tmp_path: Path) -> None:
    fallback = FakeSpeaker()
    await speaker(FakeVoice(), str(tmp_path / "none"), tmp_path, fallback=fallback).say(HELLO)
    assert fallback.said == ["hello"]


async def test_without_a_voice_nothing_is_prepared_and_saying_tells_why(tmp_path: Path) -> None:
    aloud = speaker(FakeVoice(silent=True), script(tmp_path, "cat >/dev/null"), tmp_path)
    with pytest.raises(SourceLost, match="espeak-ng is not installed"):
        await aloud.prepare([HELLO])
    with pytest.raises(SourceLost, match="espeak-ng is not installed"):
        await aloud.say(HELLO)


async def test_a_disk_that_refuses_is_told_by_its_folder(tmp_path: Path) -> None:
    (tmp_path / "speech").write_bytes(b"")
    with pytest.raises(SourceLost, match=r"speech: File exists"):
        await speaker(FakeVoice(), "none", tmp_path).prepare([HELLO])


async def test_the_cache_has_a_limit(tmp_path: Path) -> None:
    voice = FakeVoice()
    aloud = CachedSpeaker(
        voice, fallback=FakeSpeaker(), directory=tmp_path / "speech", size_max_bytes=3 * len(WAV), command=("none",)
    )
    await aloud.prepare([Utterance(f"phrase {n}", "en") for n in range(8)])
    assert len(list((tmp_path / "speech").iterdir())) == 3


def test_the_recipe_tells_voice_volume_and_reading() -> None:
    quiet = EspeakSpeaker(volume_percent=50)
    assert quiet.recipe("56度", "zh") != EspeakSpeaker().recipe("56度", "zh")
    assert "wu3 shi2 liu4 du4" in quiet.recipe("56度", "zh")
    assert "fifty-six degrees" in quiet.recipe("56 °C", "en")


@pytest.mark.parametrize("left", [b"", WAV[:-4], bytes(len(WAV))])
async def test_a_phrase_that_a_power_cut_has_spoilt_is_made_anew_rather_than_mute(tmp_path: Path, left: bytes) -> None:
    command = script(tmp_path, f"cat >>{tmp_path}/played")
    voice = FakeVoice()
    broken = speaker(voice, command, tmp_path)
    await broken.prepare([HELLO])
    (path,) = (tmp_path / "speech").iterdir()
    path.write_bytes(left)
    await broken.say(HELLO)
    assert (tmp_path / "played").read_bytes() == WAV
    await broken.prepare([HELLO])
    assert path.read_bytes() == WAV
