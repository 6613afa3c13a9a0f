import asyncio
import os
from collections.abc import Iterator

import pytest

from agent.core.errors import SourceLost
from drivers.byte_line import ByteLine


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    reader, writer = os.pipe()
    os.set_blocking(reader, False)
    yield reader, writer
    for fd in (reader, writer):
        if fd >= 0:
            try:
                os.close(fd)
            except OSError:
                continue


async def test_the_buffer_is_bounded_and_keeps_the_newest(
    pipe: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("drivers.byte_line._BUFFER_MAX", 100)
    line = ByteLine("pipe", pipe[0], lambda: None)
    os.write(pipe[1], b"a" * 80)
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    os.write(pipe[1], b"b" * 80)
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert await line.read(1) == b"a" * 20 + b"b" * 80
    assert line.dropped == 60
    line.close()


async def test_silence_is_empty_and_the_end_is_a_lost_source_after_the_last_bytes(pipe: tuple[int, int]) -> None:
    line = ByteLine("pipe", pipe[0], lambda: None)
    assert await line.read(0) == b""
    os.write(pipe[1], b"last words")
    os.close(pipe[1])
    assert await line.read(1) == b"last words"
    for _ in range(2):
        with pytest.raises(SourceLost, match="pipe: closed by the other end"):
            await line.read(1)
    with pytest.raises(SourceLost):
        line.write(b"hello")
    line.close()


async def test_closing_twice_lets_go_once(pipe: tuple[int, int]) -> None:
    closed: list[int] = []
    line = ByteLine("pipe", pipe[0], lambda: closed.append(1))
    line.close()
    line.close()
    assert closed == [1]
