"""Keeps one source open: expected losses are retried with backoff and told, once each way."""

import asyncio
from collections.abc import Callable, Coroutine, Iterator, Sequence
from typing import Any, Literal, Protocol, TypeVar

from agent.core.errors import EndOfSource, SourceLost, SourceSilenced
from agent.core.events import Event, SourceChanged
from agent.core.ports import Clock, Source

Batch_co = TypeVar("Batch_co", covariant=True)


class Reader(Source, Protocol[Batch_co]):
    """A FrameSource or a SampleSource."""

    async def read_batch(self) -> Batch_co:
        """Wait for more."""
        ...


async def keep_reading(
    source: Reader[Batch_co],
    consume: Callable[[Batch_co], None],
    *,
    clock: Clock,
    emit: Callable[[Event], None],
    make_waits: Callable[[], Iterator[float]],
) -> None:
    """Hand on what a source gives until it ends or the task is cancelled; open it again whenever it was lost.

    What is not SourceLost is a bug and ends the process.
    """
    waits = make_waits()
    lost = False
    while True:
        try:
            await source.open()
            while True:
                batch = await source.read_batch()
                if lost:  # told at the first data: what opens and dies again has not come back
                    emit(SourceChanged(t_ns=clock.monotonic_ns(), source=source.name, state="restored"))
                    lost, waits = False, make_waits()
                consume(batch)
        except EndOfSource:
            return
        except SourceLost as exc:
            if not lost or isinstance(exc, SourceSilenced):
                state: Literal["lost", "silenced"] = "silenced" if isinstance(exc, SourceSilenced) else "lost"
                emit(SourceChanged(t_ns=clock.monotonic_ns(), source=source.name, state=state, detail=str(exc)))
            lost = True
        finally:
            await source.close()
        await clock.sleep(next(waits))


async def run_until(stop: asyncio.Event, jobs: Sequence[tuple[str, Coroutine[Any, Any, None]]]) -> None:
    """Run all of them, each in a task of its name, until every one has ended or stop is set."""
    async with asyncio.TaskGroup() as sources:
        tasks = [sources.create_task(job, name=name) for name, job in jobs]
        stopping = sources.create_task(stop.wait(), name="stop")
        ended = sources.create_task(_when_all_done(tasks), name="ended")
        await asyncio.wait([stopping, ended], return_when=asyncio.FIRST_COMPLETED)
        for task in (*tasks, stopping, ended):
            task.cancel()


async def _when_all_done(tasks: Sequence[asyncio.Task[None]]) -> None:
    """A box without sources waits for its owner to configure some; it does not end."""
    await (asyncio.wait(tasks) if tasks else asyncio.Event().wait())


async def keep_telling(tell: Callable[[], None], *, period_s: float, longest_s: float) -> None:
    """Tell after each period that long work goes on; beyond longest_s whoever waits may think what he likes."""
    for _ in range(round(longest_s / period_s)):
        await asyncio.sleep(period_s)  # of whoever waits, whatever clock the agent runs on
        tell()
