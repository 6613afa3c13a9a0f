"""The driver of a button, on a pipe in the device's place and a clock moved by hand."""

import asyncio
import errno
import os
import pty
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Final

import pytest

from agent.core.config import parse_config
from agent.core.errors import ConfigError, SourceLost
from agent.core.sound import Hearing
from agent.proto.input_event import EVENT_BYTES
from drivers.button import ButtonSource, open_buttons
from simulators.clock import ManualClock

VOICE: Final = 582
VOLUME: Final = 115


def event(code: int, value: int, *, kind: int = 1) -> bytes:
    return bytes(EVENT_BYTES - 8) + struct.pack("=HHi", kind, code, value)


def tap(code: int) -> bytes:
    return event(code, 1) + event(0, 0, kind=0) + event(code, 0) + event(0, 0, kind=0)


class Wired:
    """A button on a pipe, open for more than a second."""

    def __init__(self, folder: Path, *, key: str | int = "KEY_VOICECOMMAND") -> None:
        self.path = folder / "event7"
        os.mkfifo(self.path)
        self.clock = ManualClock(start_ns=5_000_000_000)
        self.button = ButtonSource(Hearing(button=str(self.path), button_key=key), self.clock)
        self._writer = -1

    async def open(self, *, for_s: float = 1.0) -> None:
        await self.button.open()
        if self._writer < 0:
            self._writer = os.open(self.path, os.O_WRONLY | os.O_NONBLOCK)
        await self.clock.advance(for_s)

    def write(self, data: bytes) -> None:
        assert os.write(self._writer, data) == len(data)

    def unplug(self) -> None:
        os.close(self._writer)
        self._writer = -1

    async def read(self) -> int:
        async with asyncio.timeout(5):
            return await self.button.read_batch()


async def test_presses_of_the_named_key_are_told_and_counted(tmp_path: Path) -> None:
    wired = Wired(tmp_path)
    await wired.open()
    wired.write(tap(VOLUME) + event(VOICE, 1) + 30 * event(VOICE, 2) + event(VOICE, 0))
    assert await wired.read() == 1
    wired.write(tap(VOICE)[:7])
    wired.write(tap(VOICE)[7:] + tap(VOICE))
    assert await wired.read() == 2
    assert wired.button.name == "button:event7"
    assert wired.button.counters() == {"presses": 3, "events": 44, "dropped": 0}
    await wired.button.close()
    await wired.button.close()


async def test_without_a_name_any_key_will_do(tmp_path: Path) -> None:
    wired = Wired(tmp_path, key="")
    await wired.open()
    wired.write(tap(VOLUME))
    assert await wired.read() == 1
    await wired.button.close()


async def test_a_device_that_goes_is_lost_and_can_be_opened_again(tmp_path: Path) -> None:
    wired = Wired(tmp_path, key=VOICE)
    await wired.open()
    wired.unplug()
    with pytest.raises(SourceLost, match="event7: closed by the other end"):
        await wired.read()
    await wired.button.close()
    await wired.open()
    wired.write(tap(VOICE))
    assert await wired.read() == 1
    await wired.button.close()
    with pytest.raises(SourceLost, match="event7: not open"):
        await wired.read()


async def test_an_unplugged_device_is_told_in_the_kernels_words(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wired = Wired(tmp_path)
    await wired.open()

    def gone(fd: int, size: int) -> bytes:
        raise OSError(errno.ENODEV, os.strerror(errno.ENODEV), f"{fd} {size}")

    wired.write(tap(VOICE))
    monkeypatch.setattr("drivers.byte_line.os.read", gone)
    with pytest.raises(SourceLost, match="event7: No such device"):
        await wired.read()
    await wired.button.close()


async def test_a_device_that_floods_is_let_go_of_before_it_presses_anything(tmp_path: Path) -> None:
    wired = Wired(tmp_path, key="")
    await wired.open(for_s=0.1)
    wired.write(125 * tap(VOICE))
    reading = asyncio.create_task(wired.read())
    await wired.clock.advance(0.1)
    wired.write(126 * tap(VOICE))
    with pytest.raises(SourceLost, match="more than 1000 events in a second, is this a button"):
        await reading
    assert wired.button.counters()["presses"] == 0
    await wired.button.close()


async def test_as_many_events_over_two_seconds_are_no_flood(tmp_path: Path) -> None:
    wired = Wired(tmp_path)
    await wired.open()
    wired.write(249 * tap(VOLUME) + tap(VOICE))
    assert await wired.read() == 1
    await wired.clock.advance(1)
    wired.write(249 * tap(VOLUME) + tap(VOICE))
    assert await wired.read() == 1
    await wired.button.close()


async def test_a_press_in_the_first_second_is_left_out(tmp_path: Path) -> None:
    wired = Wired(tmp_path)
    await wired.open(for_s=0.9)
    wired.write(tap(VOICE))
    reading = asyncio.create_task(wired.read())
    await wired.clock.advance(0.2)
    assert not reading.done()
    wired.write(tap(VOICE))
    assert await reading == 1
    await wired.button.close()


def _open_files() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


def _nothing(_: Path) -> None:
    """It is not there."""


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (_nothing, "event7: No such file or directory"),
        (Path.touch, r"event7: is no input device \(Operation not permitted\)"),
        (Path.mkdir, r"event7: is no input device \(Operation not permitted\)"),
        (lambda path: path.symlink_to("/dev/null"), r"event7: is no input device \(Inappropriate ioctl"),
    ],
)
async def test_what_is_no_device_is_named(tmp_path: Path, make: Callable[[Path], None], reason: str) -> None:
    path = tmp_path / "event7"
    make(path)
    open_before = _open_files()
    with pytest.raises(SourceLost, match=reason):
        await ButtonSource(Hearing(button=str(path)), ManualClock()).open()
    assert _open_files() == open_before


async def test_a_device_that_may_not_be_read_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(path: str, flags: int) -> int:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), f"{path} {flags}")

    monkeypatch.setattr("drivers.button.os.open", refuse)
    with pytest.raises(SourceLost, match="event7: Permission denied"):
        await ButtonSource(Hearing(button=str(tmp_path / "event7")), ManualClock()).open()


@pytest.mark.parametrize(
    ("key", "has", "reason"),
    [
        ("KEY_VOICECOMMAND", VOICE, ""),
        ("KEY_VOICECOMMAND", VOLUME, "has no key KEY_VOICECOMMAND"),
        (VOICE, VOLUME, "has no key 582"),
        ("", VOLUME, ""),
        ("", None, "has no key"),
    ],
)
async def test_a_device_without_the_key_is_told_when_it_is_opened(
    monkeypatch: pytest.MonkeyPatch, key: str | int, has: int | None, reason: str
) -> None:
    def keys(fd: int, request: int, room: bytes) -> bytes:
        assert (fd > 2, request, len(room)) == (True, 0x80604521, 96), "EVIOCGBIT(EV_KEY, 96) of linux/input.h"
        return (0 if has is None else 1 << has).to_bytes(96, "little")

    monkeypatch.setattr("drivers.button.fcntl.ioctl", keys)
    master, slave = pty.openpty()  # a character device, as an input device is one
    button = ButtonSource(Hearing(button=os.ttyname(slave), button_key=key), ManualClock())
    try:
        if reason:
            with pytest.raises(SourceLost, match=rf"/dev/pts/\d+: {reason}$"):
                await button.open()
        else:
            await button.open()
    finally:
        await button.close()
        os.close(master)
        os.close(slave)


def test_only_a_box_that_speaks_has_a_button() -> None:
    named = '[hearing]\nbutton = "/dev/input/by-id/usb-button-event-kbd"\n'
    (button,) = open_buttons(parse_config(named), ManualClock())
    assert button.name == "button:usb-button-event-kbd"
    assert open_buttons(parse_config(f"{named}[voice]\nenabled = false\n"), ManualClock()) == []
    assert open_buttons(parse_config(""), ManualClock()) == []


@pytest.mark.parametrize(
    ("key", "reason"),
    [
        ('"KEY_NOSUCH"', "hearing: button_key: no key is known by the name 'KEY_NOSUCH'"),
        ("0", "hearing.button_key"),
        ("768", "hearing.button_key"),
        ("true", "hearing.button_key"),
        ('"key voice"', "hearing.button_key"),
    ],
)
def test_a_wrong_key_is_named(key: str, reason: str) -> None:
    with pytest.raises(ConfigError, match=reason):
        parse_config(f"[hearing]\nbutton_key = {key}\n")
