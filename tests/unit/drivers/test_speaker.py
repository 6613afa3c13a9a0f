import asyncio
import io
import os
import re
import shutil
import stat
import subprocess
import wave
from pathlib import Path
from typing import Any, Final

import pytest

from agent.core.errors import SourceLost
from agent.core.paths import PROMPTS
from agent.core.ports import Language, Utterance
from agent.voice.prompts import load_phrases
from drivers.pinyin import to_pinyin
from drivers.speaker import EspeakSpeaker

ESPEAK: Final = shutil.which("espeak-ng")
needs_espeak = pytest.mark.skipif(ESPEAK is None, reason="espeak-ng is not installed")
HELLO: Final = Utterance("hello", "en")


def script(folder: Path, body: str) -> str:
    path = folder / "espeak-fake"
    path.write_text(f"#!/bin/sh\n{body}\n", encoding="utf-8")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return str(path)


def duration_s(data: bytes) -> float:
    with wave.open(io.BytesIO(data)) as wav:
        assert (wav.getnchannels(), wav.getsampwidth()) == (1, 2)
        return float(wav.getnframes() / wav.getframerate())


@needs_espeak
@pytest.mark.parametrize(
    ("text", "language", "shortest_s", "longest_s"),
    [
        ("您还好吗？", "zh", 0.8, 2.0),
        ("第5号电芯温度偏高，已有56度。", "zh", 2.5, 6.0),
        ("Are you all right?", "en", 0.6, 2.0),
        ("Battery warning: cell 5 is hot, 56 degrees.", "en", 2.0, 5.0),
        ("-v de --help", "en", 0.5, 2.0),
    ],
)
async def test_both_languages_are_rendered_as_long_as_people_speak(
    text: str, language: Language, shortest_s: float, longest_s: float
) -> None:
    assert shortest_s < duration_s(await EspeakSpeaker().render(text, language)) < longest_s


@needs_espeak
def test_every_chinese_phrase_reaches_the_voice_as_mandarin() -> None:
    book = load_phrases(PROMPTS).languages["zh"]
    texts = [spec.text.format_map(_Sample()) for spec in book.prompts.values()]
    for question in book.questions.values():
        texts += [question.text, question.again, *question.replies.values(), *question.confirms.values()]
    spoken = "\n".join(map(to_pinyin, texts))
    command = ["espeak-ng", "-q", "-x", "-v", "cmn-latn-pinyin", "--", spoken]
    phonemes = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert "(en)" not in phonemes, "a syllable was not known and read as English"
    assert phonemes.count("_|") == len(re.findall(r"[1-5]\b", spoken)), "a syllable was lost or split"


class _Sample(dict[str, str]):
    def __missing__(self, key: str) -> str:
        return "12"


@needs_espeak
async def test_without_a_sound_card_there_is_one_clear_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ALSA_CONFIG_PATH", os.devnull)
    monkeypatch.setenv("PULSE_SERVER", "/nonexistent")
    with pytest.raises(SourceLost, match=r"no sound card|espeak-ng: error"):
        await EspeakSpeaker().say(HELLO)


async def test_a_missing_binary_tells_what_to_install() -> None:
    with pytest.raises(SourceLost, match="apt install espeak-ng"):
        await EspeakSpeaker(binary="espeak-not-here").say(HELLO)


async def test_a_file_that_is_no_program_is_an_expected_failure() -> None:
    with pytest.raises(SourceLost, match="cannot be started: Permission denied"):
        await EspeakSpeaker(binary="/etc/passwd").say(HELLO)


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ("echo 'ALSA lib pcm.c: Unknown PCM default' >&2; echo 'error: No such file' >&2", "no sound card"),
        ("echo 'Error: The specified espeak-ng voice does not exist.' >&2; exit 1", "voice does not exist"),
        ("exit 3", "ended with 3: no reason given"),
        ("kill -9 $$", "ended with -9"),
    ],
)
async def test_failures_of_the_child_are_source_lost(tmp_path: Path, body: str, reason: str) -> None:
    with pytest.raises(SourceLost, match=reason):
        await EspeakSpeaker(binary=script(tmp_path, body)).say(HELLO)


async def test_harmless_warnings_on_standard_error_are_no_failure(tmp_path: Path) -> None:
    await EspeakSpeaker(binary=script(tmp_path, "echo 'ALSA lib: underrun occurred' >&2")).say(HELLO)


async def test_a_hung_child_is_killed_at_its_deadline(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    children = []
    start = asyncio.create_subprocess_exec

    async def watched(*arguments: str, **options: Any) -> asyncio.subprocess.Process:
        children.append(await start(*arguments, **options))
        return children[-1]

    monkeypatch.setattr(asyncio, "create_subprocess_exec", watched)
    speaker = EspeakSpeaker(binary=script(tmp_path, "exec sleep 1000"), deadline_s=0)
    with pytest.raises(SourceLost, match="hung"):
        await speaker.say(Utterance("", "en"))
    assert [child.returncode for child in children] == [-9]


@pytest.mark.parametrize("length", [30, 300])
async def test_a_hung_child_holds_what_is_rendered_by_no_length_of_speech(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, length: int
) -> None:
    given_s: list[float] = []
    timeout = asyncio.timeout

    def at_once(deadline_s: float) -> asyncio.Timeout:
        given_s.append(deadline_s)
        return timeout(0)

    monkeypatch.setattr(asyncio, "timeout", at_once)
    speaker = EspeakSpeaker(binary=script(tmp_path, "exec sleep 1000"))
    with pytest.raises(SourceLost, match=r"espeak-fake hung$"):
        await speaker.render("慢" * length, "zh")
    with pytest.raises(SourceLost, match="hung: a blocked sound device"):
        await speaker.say(Utterance("慢" * length, "zh"))
    rendering_s, saying_s = given_s
    assert rendering_s < 4
    assert saying_s > 0.5 * length, "it takes as long as the speech"


async def test_a_volume_holds_for_what_is_said_from_now_on(tmp_path: Path) -> None:
    seen = tmp_path / "seen"
    speaker = EspeakSpeaker(binary=script(tmp_path, f'printf "%s|" "$@" >{seen}'))
    before = speaker.recipe("hello", "en")
    speaker.set_volume(30)
    await speaker.say(HELLO)
    assert "|-a|30|" in seen.read_text(encoding="utf-8")
    assert speaker.recipe("hello", "en") != before, "another sound"


async def test_cancelling_kills_the_child_before_anything_else_speaks(tmp_path: Path) -> None:
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    speaker = EspeakSpeaker(binary=script(tmp_path, f"echo $$ >{fifo}; exec sleep 1000"))
    saying = asyncio.create_task(speaker.say(HELLO))
    pid = (await asyncio.to_thread(fifo.read_text)).strip()
    saying.cancel()
    with pytest.raises(asyncio.CancelledError):
        await saying
    with pytest.raises(ProcessLookupError):
        os.kill(int(pid), 0)
    await speaker.close()


async def test_closing_ends_what_is_being_said(tmp_path: Path) -> None:
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    speaker = EspeakSpeaker(binary=script(tmp_path, f"echo $$ >{fifo}; exec sleep 1000"))
    saying = asyncio.create_task(speaker.say(HELLO))
    await asyncio.to_thread(fifo.read_text)
    await speaker.close()
    with pytest.raises(SourceLost, match="ended with -9"):
        await saying


@pytest.mark.parametrize(
    ("text", "language", "last"),
    [
        ("-h", "en", "-h"),
        ("$(id); `id`\0\n", "en", "$(id); `id`"),
        ("您好", "zh", "nin2 hao3"),
        ("x" * 5000, "en", "x" * 1000),
    ],
)
async def test_text_is_one_plain_argument_after_the_options(
    tmp_path: Path, text: str, language: Language, last: str
) -> None:
    seen = tmp_path / "seen"
    speaker = EspeakSpeaker(binary=script(tmp_path, f'printf "%s|" "$@" >{seen}'), volume_percent=80)
    await speaker.say(Utterance(text, language))
    voice = "cmn-latn-pinyin" if language == "zh" else "en"
    assert seen.read_text(encoding="utf-8") == f"-v|{voice}|-a|80|--|{last}|"
