"""Who says that the clock is right: the kernel, timesyncd where the kernel may not be asked, or the sky."""

import os
import time
import tty
from pathlib import Path
from typing import Any

import pytest

from agent.core.best_time import EARLIEST_NS
from agent.core.config import Gnss
from agent.proto.nmea import encode_sentence
from drivers import clock as module
from drivers.clock import RadioClock, SystemClock, read_kernel_synced
from drivers.gnss_serial import GnssSource

S = 10**9
TRUTH_NS = 1_790_000_000 * S


@pytest.mark.parametrize(
    ("kernel", "marker", "synced"),
    [(True, False, True), (False, True, False), (None, True, True), (None, False, False)],
)
def test_the_kernel_decides_and_timesyncd_only_where_it_may_not_be_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, kernel: bool | None, marker: bool, synced: bool
) -> None:
    monkeypatch.setattr(module, "_SYNCED_MARKER", tmp_path / "synchronized")
    if marker:
        (tmp_path / "synchronized").touch()
    monkeypatch.setattr(time, "time_ns", lambda: TRUTH_NS)
    assert SystemClock(kernel_synced=lambda: kernel).synced is synced
    monkeypatch.setattr(time, "time_ns", lambda: EARLIEST_NS - 1)
    assert not SystemClock(kernel_synced=lambda: kernel).synced


@pytest.mark.parametrize(("result", "status", "synced"), [(0, 0x1, True), (5, 0x40, False), (-1, 0, None)])
def test_the_kernels_word_is_read(
    monkeypatch: pytest.MonkeyPatch, result: int, status: int, *, synced: bool | None
) -> None:
    class Libc:
        @staticmethod
        def adjtimex(timex: Any) -> int:
            timex._obj.status = status
            return result

    monkeypatch.setattr(module, "_LIBC", Libc)
    assert read_kernel_synced() is synced


def test_the_kernel_answers() -> None:
    assert read_kernel_synced() in {True, False, None}
    assert abs(SystemClock().monotonic_ns() - time.clock_gettime_ns(time.CLOCK_BOOTTIME)) < S


class Sky(RadioClock):
    """A clock that was never set, on a monotonic time of our own."""

    def __init__(self, kernel: bool = False) -> None:  # noqa: FBT001, FBT002 - a fact, not a switch
        super().__init__(kernel_synced=lambda: kernel)
        self.now_ns = 7 * S

    def monotonic_ns(self) -> int:
        return self.now_ns

    def fix(self, utc_ns: int, *, delay_ns: int = 0, at_ns: int) -> None:
        self.now_ns = at_ns + delay_ns
        self.offer_utc(utc_ns)


def test_five_fixes_that_agree_are_believed_and_the_quickest_counts() -> None:
    clock = Sky()
    for number, delay_ms in enumerate([300, 900, 120, 500]):
        clock.fix(TRUTH_NS + number * S, delay_ns=delay_ms * 10**6, at_ns=(10 + number) * S)
        assert not clock.synced
    clock.fix(TRUTH_NS + 4 * S, delay_ns=400 * 10**6, at_ns=14 * S)
    assert clock.synced
    assert clock.wall_ns() - clock.monotonic_ns() == TRUTH_NS - 10 * S - 120 * 10**6


def test_several_sentences_of_one_instant_are_one_fix() -> None:
    clock = Sky()
    for _ in range(20):
        clock.fix(TRUTH_NS, at_ns=10 * S)
    assert not clock.synced


def test_a_backlog_that_is_read_at_once_is_not_believed() -> None:
    clock = Sky()
    for number in range(5):
        clock.fix(TRUTH_NS + number * S, at_ns=10 * S)
    assert not clock.synced


def test_a_receiver_that_lost_count_of_weeks_is_not_believed_until_it_finds_them() -> None:
    clock = Sky()
    for number in range(20):
        clock.fix(EARLIEST_NS - (100 - number) * S, at_ns=(10 + number) * S)
    assert not clock.synced
    for number in range(5):
        clock.fix(TRUTH_NS + number * S, at_ns=(40 + number) * S)
    assert clock.wall_ns() == TRUTH_NS + 4 * S


def test_one_fix_ten_years_off_changes_nothing_and_a_receiver_that_comes_to_its_senses_is_followed() -> None:
    clock = Sky()
    for number in range(5):
        clock.fix(TRUTH_NS + number * S, at_ns=(10 + number) * S)
    clock.fix(TRUTH_NS + 10**10 * S, at_ns=15 * S)
    assert clock.wall_ns() == TRUTH_NS + 5 * S
    for number in range(6, 11):
        clock.fix(TRUTH_NS + number * S, at_ns=(10 + number) * S)
    assert clock.wall_ns() == TRUTH_NS + 10 * S


def test_a_clock_that_the_system_has_set_comes_first() -> None:
    clock = Sky(kernel=True)
    for number in range(5):
        clock.fix(TRUTH_NS - 10**7 * S + number * S, at_ns=(10 + number) * S)
    assert abs(clock.wall_ns() - time.time_ns()) < S


async def test_only_valid_fixes_with_a_date_tell_the_time() -> None:
    master, slave = os.openpty()
    tty.setraw(slave)
    heard: list[int] = []
    source = GnssSource(Gnss(port=os.ttyname(slave)), SystemClock(), on_utc=heard.append)
    await source.open()
    rmc = "GNRMC,093802.00,{},5213.1439,N,02100.6511,E,010.0,226.0,{},004.2,E,{}"
    for status, date, mode in (("A", "", "A"), ("V", "210926", "N"), ("A", "210926", "A")):
        os.write(master, encode_sentence(rmc.format(status, date, mode)))
    while not heard:
        await source.read_batch()
    await source.close()
    for end in (master, slave):
        os.close(end)
    assert heard == [1_789_983_482 * S]
