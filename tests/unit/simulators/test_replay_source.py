"""Recordings as a source: windows, the clock, gaps between files."""

import asyncio
from pathlib import Path

import pytest

from agent.core.errors import EndOfSource, InputError
from agent.core.frames import FrameBatch
from simulators.clock import ManualClock
from simulators.replay import ReplaySource, find_start_wall_ns

MS = 1_000_000
S = 1000 * MS


def write(path: Path, *times_s: float, base: int = 0) -> Path:
    path.write_text("".join(f"({base + t:.6f}) can0 {n:03X}#00\n" for n, t in enumerate(times_s)), encoding="utf-8")
    return path


async def play(source: ReplaySource) -> list[FrameBatch]:
    await source.open()
    batches = []
    try:
        while True:
            batches.append(await source.read_batch())
    except EndOfSource:
        return batches
    finally:
        await source.close()


async def test_windows_follow_a_grid_and_empty_ones_are_skipped(tmp_path: Path) -> None:
    clock = ManualClock(start_ns=7 * S)
    source = ReplaySource([write(tmp_path / "a.log", 0, 0.005, 0.019999, 0.02, 0.5)], clock, window_s=0.02)
    await source.open()
    seen = []
    for _ in range(3):
        batch = await source.read_batch()
        seen.append(((batch.t_ns - 7 * S).tolist(), clock.monotonic_ns() - 7 * S))
    assert seen == [([0, 5 * MS, 19_999_000], 20 * MS), ([20 * MS], 40 * MS), ([500 * MS], 520 * MS)]
    with pytest.raises(EndOfSource):
        await source.read_batch()


async def test_the_clock_waits_for_work_that_belongs_to_a_window(tmp_path: Path) -> None:
    clock = ManualClock()
    source = ReplaySource([write(tmp_path / "a.log", 0, 1)], clock, window_s=0.1)
    await source.open()
    await source.read_batch()
    done_at = []

    async def work() -> None:
        with clock.hold():
            for _ in range(100):
                await asyncio.sleep(0)
            done_at.append(clock.monotonic_ns())

    task = asyncio.create_task(work())
    await source.read_batch()
    assert done_at == [100 * MS]
    await task


async def test_sleepers_wake_at_their_own_time_between_windows(tmp_path: Path) -> None:
    clock = ManualClock()
    source = ReplaySource([write(tmp_path / "a.log", 0, 10)], clock, window_s=0.1)
    await source.open()
    await source.read_batch()
    woken = []

    async def sleeper() -> None:
        await clock.sleep(3)
        woken.append(clock.monotonic_ns())

    task = asyncio.create_task(sleeper())
    await source.read_batch()
    assert woken == [3 * S + 100 * MS]
    await task


async def test_files_with_absolute_times_are_sorted_and_keep_their_gap(tmp_path: Path) -> None:
    late = write(tmp_path / "late.log", 0, 1, base=1_700_000_100)
    early = write(tmp_path / "early.log", 0, 1, base=1_700_000_000)
    source = ReplaySource([late, early], ManualClock(), window_s=0.5)
    batches = await play(source)
    assert [int(t) for batch in batches for t in batch.t_ns] == [0, 1 * S, 100 * S, 101 * S]
    assert [recording.name for recording in source.recordings] == ["early.log", "late.log"]
    assert find_start_wall_ns([late, early]) == 1_700_000_000 * S
    assert source.counters() == {
        "frames": 4,
        "bad_lines": 0,
        "backward_steps": 0,
        "clock_jumps": 0,
        "files": 2,
        "recorded_s": 2,
    }


async def test_files_without_absolute_times_follow_at_once_in_the_order_given(tmp_path: Path) -> None:
    paths = [write(tmp_path / "b.log", 50, 51), write(tmp_path / "a.log", 10, 12)]
    batches = await play(ReplaySource(paths, ManualClock(), window_s=0.5))
    assert [int(t) for batch in batches for t in batch.t_ns] == [0, 1 * S, 1 * S, 3 * S]
    assert find_start_wall_ns(paths) is None


async def test_overlapping_files_are_played_one_after_the_other(tmp_path: Path) -> None:
    paths = [write(tmp_path / f"{n}.log", 0, 2, base=1_700_000_000 + n) for n in range(2)]
    batches = await play(ReplaySource(paths, ManualClock(), window_s=0.5))
    assert [int(t) for batch in batches for t in batch.t_ns] == [0, 2 * S, 2 * S, 4 * S]


async def test_windows_cross_the_borders_of_chunks(tmp_path: Path) -> None:
    path = write(tmp_path / "a.log", *(n / 1e5 for n in range(60_000)))
    path.write_text(path.read_text().replace("A#", "0#").replace("#00", "#" + "00" * 8), encoding="utf-8")
    text = "".join(f"({n / 1e5:.6f}) can0 123#0011223344556677\n" for n in range(60_000))
    path.write_text(text, encoding="utf-8")
    batches = await play(ReplaySource([path], ManualClock(), window_s=0.02))
    assert [len(batch) for batch in batches] == [2000] * 30


async def test_a_log_without_progress_in_time_still_comes_in_pieces(tmp_path: Path) -> None:
    path = tmp_path / "a.log"
    path.write_text("(1.000000) can0 123#00\n" * 150_000, encoding="utf-8")
    clock = ManualClock()
    batches = await play(ReplaySource([path], clock, window_s=0.02))
    assert [len(batch) for batch in batches] == [65_536, 65_536, 150_000 - 2 * 65_536]
    assert clock.monotonic_ns() == 20 * MS


async def test_nothing_to_play_ends_at_once(tmp_path: Path) -> None:
    empty = tmp_path / "a.csv"
    empty.touch()
    source = ReplaySource([empty], ManualClock(), window_s=0.02)
    assert await play(source) == []
    assert source.counters()["files"] == 1


async def test_a_wrong_file_is_told_at_open(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text("no log\n", encoding="utf-8")
    with pytest.raises(InputError, match=r"a\.txt"):
        await ReplaySource([path], ManualClock(), window_s=0.02).open()


async def test_faults_are_counted(tmp_path: Path) -> None:
    path = write(tmp_path / "a.log", 0, 1, 0.5, 2)
    path.write_text(path.read_text() + "broken\n", encoding="utf-8")
    source = ReplaySource([path], ManualClock(), window_s=0.02)
    batches = await play(source)
    assert [int(t) for batch in batches for t in batch.t_ns] == [0, 1 * S, 1 * S, 2 * S]
    counters = source.counters()
    assert (counters["bad_lines"], counters["backward_steps"], counters["frames"]) == (1, 1, 4)


@pytest.mark.parametrize("window_s", [0.001, 0.02, 0.7, 100])
async def test_any_window_gives_the_same_frames(tmp_path: Path, window_s: float) -> None:
    times = [0, 0.0011, 0.02, 0.021, 0.69, 0.7, 5]
    batches = await play(ReplaySource([write(tmp_path / "a.log", *times)], ManualClock(), window_s=window_s))
    assert [int(t) for batch in batches for t in batch.t_ns] == [round(t * 1e9) for t in times]
    assert [int(i) for batch in batches for i in batch.can_id] == list(range(7))
