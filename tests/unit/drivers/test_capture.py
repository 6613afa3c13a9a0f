import asyncio
import os
import stat
from pathlib import Path

import pytest

from agent.core.errors import SourceLost
from drivers.capture import AlsaCapture, FileCapture


def recorder(folder: Path, body: str) -> tuple[str]:
    path = folder / "arecord-fake"
    path.write_text(f"#!/bin/sh\n{body}\n", encoding="utf-8")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return (str(path),)


async def test_the_recorder_gets_an_argument_list_and_its_sound_comes_through(tmp_path: Path) -> None:
    command = recorder(tmp_path, f'echo "$@" >{tmp_path}/arguments; printf abcd; exec sleep 60')
    capture = AlsaCapture("plughw:1,0", command=command)
    await capture.open()
    assert await capture.read() == b"abcd"
    pid = capture.pid
    await capture.close()
    assert (tmp_path / "arguments").read_text() == (
        "-q -D plughw:1,0 -t raw -f S16_LE -r 16000 -c 1 --buffer-time=200000\n"
    )
    assert pid is not None
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


async def test_an_unplugged_card_is_one_clear_line(tmp_path: Path) -> None:
    command = recorder(tmp_path, "printf abcd; echo 'arecord: pcm_read: read error: No such device' >&2; exit 1")
    capture = AlsaCapture("plughw:1,0", command=command)
    await capture.open()
    assert await capture.read() == b"abcd"
    with pytest.raises(SourceLost, match=r"^microphone plughw:1,0: arecord: pcm_read: read error: No such device$"):
        await capture.read()


async def test_a_hung_recorder_is_killed_and_told(tmp_path: Path) -> None:
    capture = AlsaCapture("default", command=recorder(tmp_path, "exec sleep 60"), silent_s=0.05)
    await capture.open()
    with pytest.raises(SourceLost, match=r"no sound for 0\.05 s, arecord hangs"):
        await capture.read()
    assert capture.pid is None


async def test_without_alsa_utils_the_error_names_the_package(tmp_path: Path) -> None:
    with pytest.raises(SourceLost, match=r"is not installed .*alsa-utils"):
        await AlsaCapture("default", command=(str(tmp_path / "none"),)).open()


async def test_a_file_is_read_to_its_end_each_time_it_is_opened(tmp_path: Path) -> None:
    path = tmp_path / "said.raw"
    path.write_bytes(bytes(4000))
    capture = FileCapture(path)
    for _ in range(2):
        await capture.open()
        sizes = [len(await capture.read()) for _ in range(4)]
        assert sizes == [1600, 1600, 800, 0]
    await capture.close()


async def test_a_pipe_gives_what_somebody_writes(tmp_path: Path) -> None:
    path = tmp_path / "pipe"
    os.mkfifo(path)
    capture = FileCapture(path, silent_s=0.05)
    await capture.open()
    writer = os.open(path, os.O_WRONLY)
    os.write(writer, b"abcd")
    assert await capture.read() == b"abcd"
    assert await capture.read() == b""
    os.close(writer)
    await capture.close()


async def test_a_pipe_whose_writer_has_gone_waits_for_the_next_one(tmp_path: Path) -> None:
    path = tmp_path / "pipe"
    os.mkfifo(path)
    capture = FileCapture(path, silent_s=10)
    await capture.open()
    for said in (b"abcd", b"efgh"):
        heard = asyncio.create_task(capture.read())
        await asyncio.sleep(0)
        writer = os.open(path, os.O_WRONLY)
        os.write(writer, said)
        os.close(writer)
        assert await heard == said
    await capture.close()


async def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(SourceLost, match=r"none\.raw: No such file"):
        await FileCapture(tmp_path / "none.raw").open()
