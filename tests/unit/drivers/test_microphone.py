import asyncio
import os
import pty
from collections.abc import Iterator
from pathlib import Path

import pytest

from agent.core.errors import SourceLost
from agent.core.ports import Heard
from drivers.microphone import TypedMicrophone
from simulators.clock import ManualClock


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    read, write = os.pipe()
    yield read, write
    for fd in (read, write):
        try:
            os.close(fd)
        except OSError:
            assert fd == write, "only the writing end is closed by a test"


async def hear(microphone: TypedMicrophone, timeout_s: float = 10) -> Heard | None:
    return await microphone.listen(timeout_s=timeout_s, language="zh")


async def test_a_typed_line_is_the_answer(pipe: tuple[int, int]) -> None:
    microphone = TypedMicrophone(ManualClock(), fd=pipe[0])
    listening = asyncio.create_task(hear(microphone))
    await asyncio.sleep(0)
    os.write(pipe[1], "没".encode()[:2])
    await asyncio.sleep(0)
    os.write(pipe[1], "没".encode()[2:] + "事\n".encode())
    assert await listening == Heard("没事", 1.0)
    await microphone.close()


async def test_silence_ends_on_the_clock(pipe: tuple[int, int]) -> None:
    clock = ManualClock()
    microphone = TypedMicrophone(clock, fd=pipe[0])
    listening = asyncio.create_task(hear(microphone, 15))
    await clock.advance(14.9)
    assert not listening.done()
    await clock.advance(0.2)
    assert await listening is None
    os.write(pipe[1], b"\n  \nlate\n")
    assert await hear(microphone) == Heard("late", 1.0)
    await microphone.close()


async def test_lines_wait_for_their_questions_and_a_flood_is_bounded(pipe: tuple[int, int]) -> None:
    os.write(pipe[1], b"".join(b"%d\n" % n for n in range(40)))
    microphone = TypedMicrophone(ManualClock(), fd=pipe[0])
    assert [(await hear(microphone) or Heard("", 0)).text for _ in range(16)] == [str(n) for n in range(16)]
    assert microphone.dropped == 24
    await microphone.close()


async def test_the_end_of_input_is_no_silence(pipe: tuple[int, int]) -> None:
    os.write(pipe[1], b"ok")
    os.close(pipe[1])
    microphone = TypedMicrophone(ManualClock(), fd=pipe[0])
    assert await hear(microphone) == Heard("ok", 1.0)
    for _ in range(2):
        with pytest.raises(SourceLost, match="nobody can type"):
            await hear(microphone)


async def test_a_file_and_dev_null_end_at_once(tmp_path: Path) -> None:
    path = tmp_path / "answers"
    path.write_bytes(b"one\ntwo")
    for name, lines in ((str(path), ["one", "two"]), (os.devnull, [])):
        fd = os.open(name, os.O_RDONLY)
        microphone = TypedMicrophone(ManualClock(), fd=fd)
        for line in lines:
            assert await hear(microphone) == Heard(line, 1.0)
        with pytest.raises(SourceLost):
            await hear(microphone)
        os.close(fd)


async def test_a_closed_descriptor_and_no_standard_input_are_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    read, write = os.pipe()
    os.close(write)
    os.close(read)
    with pytest.raises(SourceLost):
        await hear(TypedMicrophone(ManualClock(), fd=read))
    monkeypatch.setattr("sys.stdin", None)
    with pytest.raises(SourceLost):
        await hear(TypedMicrophone(ManualClock()))


async def test_a_terminal_is_left_blocking_and_its_hang_up_is_an_end() -> None:
    controller, terminal = pty.openpty()
    microphone = TypedMicrophone(ManualClock(), fd=terminal)
    listening = asyncio.create_task(hear(microphone))
    await asyncio.sleep(0)
    os.write(controller, b"fine\n")
    assert await listening == Heard("fine", 1.0)
    assert os.get_blocking(terminal)
    os.close(controller)
    with pytest.raises(SourceLost):
        await hear(microphone)
    os.close(terminal)


async def test_binary_rubbish_is_text_too(pipe: tuple[int, int]) -> None:
    os.write(pipe[1], bytes(range(1, 256)) + b"\n" + b"a" * 5000 + b"\n")
    microphone = TypedMicrophone(ManualClock(), fd=pipe[0])
    texts = [(await hear(microphone) or Heard("", 0)).text for _ in range(3)]
    assert "\ufffd" in texts[1]
    assert texts[2] == "a" * 5000
    await microphone.close()


async def test_cancelling_and_closing_leave_no_task(pipe: tuple[int, int]) -> None:
    microphone = TypedMicrophone(ManualClock(), fd=pipe[0])
    for end in ("cancel", "close"):
        listening = asyncio.create_task(hear(microphone))
        await asyncio.sleep(0)
        if end == "cancel":
            listening.cancel()
        else:
            await microphone.close()
        with pytest.raises(asyncio.CancelledError if end == "cancel" else SourceLost):
            await listening
    assert len(asyncio.all_tasks()) == 1


async def test_where_somebody_hears_words_a_line_is_an_answer_only_to_a_question(pipe: tuple[int, int]) -> None:
    asking = False
    words: list[str] = []

    def hear_words(heard: Heard) -> bool:
        if not asking:
            words.append(heard.text)
        return not asking

    microphone = TypedMicrophone(ManualClock(), fd=pipe[0])
    microphone.tell_words(hear_words)
    os.write(pipe[1], b"odd brakes\n\n  \nodd mirror\n")
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert words == ["odd brakes", "odd mirror"]
    asking = True
    os.write(pipe[1], b"early\n")  # while the question is still being said
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert await hear(microphone) == Heard("early", 1.0)
    listening = asyncio.create_task(hear(microphone))
    await asyncio.sleep(0)
    os.write(pipe[1], b"fine\n")
    assert await listening == Heard("fine", 1.0)
    asking = False
    os.write(pipe[1], b"odd engine\n")
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert words == ["odd brakes", "odd mirror", "odd engine"], "it is read on after a question"
    await microphone.close()
