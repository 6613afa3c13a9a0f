import asyncio
import gc
import weakref

import pytest

from drivers.clock import SystemClock


async def test_a_sleep_lasts_as_long_as_was_asked() -> None:
    clock = SystemClock()
    for seconds in (0.02, 0.001, 0.0, -1.0):
        before_ns = clock.monotonic_ns()
        await clock.sleep(seconds)
        # The loop's timers are as fine as its clock, which tells a little early.
        assert clock.monotonic_ns() - before_ns >= seconds * 1e9 - 1_000_000


async def test_sleepers_wake_in_the_order_of_their_times() -> None:
    woken: list[int] = []

    async def sleep(ms: int) -> None:
        await SystemClock().sleep(ms / 1000)
        woken.append(ms)

    async with asyncio.TaskGroup() as tasks:
        for ms in (30, 1, 20, 10):
            tasks.create_task(sleep(ms))
    assert woken == [1, 10, 20, 30]


async def test_a_sleep_can_be_cut_short() -> None:
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.001):
            await SystemClock().sleep(3600)
    task = asyncio.create_task(SystemClock().sleep(3600))
    await asyncio.sleep(0)
    assert task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert task.cancelled()
    early = asyncio.create_task(SystemClock().sleep(3600))
    early.cancel()  # before it has begun to wait
    with pytest.raises(asyncio.CancelledError):
        await early


async def test_a_sleep_that_is_cancelled_as_it_ends_is_cancelled_once() -> None:
    ended: list[str] = []

    async def sleep() -> None:
        try:
            await SystemClock().sleep(0)
            ended.append("slept")
        except asyncio.CancelledError:
            ended.append("cancelled")
            raise

    for turns in range(6):  # whatever moment the cancelling falls on
        task = asyncio.create_task(sleep())
        for _ in range(turns):
            await asyncio.sleep(0)
        task.cancel()
        await asyncio.wait([task])
        await asyncio.sleep(0.001)
        assert len(ended) <= turns + 1
    assert "slept" in ended
    assert "cancelled" in ended


async def test_a_sleeper_that_refuses_to_be_cancelled_can_sleep_on() -> None:
    async def insist() -> str:
        try:
            await SystemClock().sleep(3600)
        except asyncio.CancelledError:
            await SystemClock().sleep(0.001)
        return "done"

    task = asyncio.create_task(insist())
    await asyncio.sleep(0)
    task.cancel()
    assert await task == "done"


class Big:
    """Something a task holds."""


async def test_a_task_that_slept_is_freed_without_the_collector() -> None:
    async def work() -> Big:
        big = Big()
        kept.append(weakref.ref(big))
        await SystemClock().sleep(0.001)
        return big

    kept: list[weakref.ref[Big]] = []
    gc.collect()
    gc.disable()
    try:
        task = asyncio.create_task(work())
        await asyncio.wait([task])
        del task
        await asyncio.sleep(0)
        assert kept[0]() is None
    finally:
        gc.enable()


async def test_why_a_sleep_was_cancelled_reaches_the_sleeper() -> None:
    async def sleep() -> tuple[object, ...]:
        try:
            await SystemClock().sleep(3600)
        except asyncio.CancelledError as exc:
            return exc.args
        return ()

    task = asyncio.create_task(sleep())
    await asyncio.sleep(0)
    task.cancel("why")
    assert await task == ("why",)
