import asyncio

from simulators.clock import ManualClock


async def test_sleepers_wake_in_order_each_at_its_own_instant() -> None:
    clock, woken = ManualClock(), []

    async def sleeper(name: str, seconds: float) -> None:
        await clock.sleep(seconds)
        woken.append((name, clock.monotonic_ns()))

    tasks = [asyncio.create_task(sleeper(*who)) for who in (("b", 2.0), ("a", 1.0), ("c", 2.0))]
    await clock.advance(5)
    assert woken == [("a", 10**9), ("b", 2 * 10**9), ("c", 2 * 10**9)]
    assert clock.monotonic_ns() == 5 * 10**9
    await asyncio.gather(*tasks)


async def test_time_stands_while_somebody_holds_it() -> None:
    clock, seen = ManualClock(), []
    gate = asyncio.Event()

    async def worker() -> None:
        await clock.sleep(1)
        with clock.hold():
            await gate.wait()
            seen.append(clock.monotonic_ns())

    task = asyncio.create_task(worker())
    advancing = asyncio.create_task(clock.advance(10))
    for _ in range(100):
        await asyncio.sleep(0)
    assert not advancing.done()
    gate.set()
    await advancing
    await task
    assert seen == [10**9]


async def test_time_never_goes_back() -> None:
    clock = ManualClock(start_ns=50)
    await clock.advance_to(20)
    assert clock.monotonic_ns() == 50


async def test_what_is_handed_on_from_task_to_task_is_done_within_the_instant() -> None:
    clock, seen = ManualClock(), []
    baton = [asyncio.Event() for _ in range(9)]

    async def runner(number: int) -> None:
        await baton[number].wait()
        seen.append((number, clock.monotonic_ns()))
        if number < 8:
            baton[number + 1].set()

    async def starter() -> None:
        await clock.sleep(1)
        baton[0].set()

    tasks = [asyncio.create_task(work) for work in (*map(runner, range(9)), starter())]
    await clock.advance(60)
    assert seen == [(number, 10**9) for number in range(9)]
    await asyncio.gather(*tasks)


async def test_whoever_is_never_done_does_not_stop_time() -> None:
    clock, turns = ManualClock(), 0

    async def spin() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    task = asyncio.create_task(spin())
    sleeping = asyncio.create_task(clock.sleep(1))
    await clock.advance(2)
    assert clock.monotonic_ns() == 2 * 10**9
    assert sleeping.done()
    assert turns > 10
    task.cancel()
