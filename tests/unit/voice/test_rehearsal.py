import asyncio
import logging
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import pytest

from agent.core.errors import SourceLost
from agent.core.ports import Language, Utterance
from agent.voice.rehearsal import Rehearsal
from simulators.clock import ManualClock


class Studio:
    """Makes speech ahead, unless it is out of order or busy."""

    def __init__(self) -> None:
        self.language: Language = "zh"
        self.tries = 0
        self.made: list[str] = []
        self.out_of_order = False
        self.free = asyncio.Event()
        self.free.set()

    def texts(self) -> Sequence[Utterance]:
        return [Utterance(text, self.language) for text in {"zh": ("您好", "再见"), "en": ("hello",)}[self.language]]

    async def prepare(self, utterances: Sequence[Utterance]) -> None:
        self.tries += 1
        if self.out_of_order:
            raise SourceLost("espeak-ng hung")
        for utterance in utterances:
            await self.free.wait()
            self.made.append(utterance.text)


@asynccontextmanager
async def rehearsing(studio: Studio, clock: ManualClock) -> AsyncIterator[Rehearsal]:
    rehearsal = Rehearsal(studio.prepare, studio.texts, clock=clock)
    task = asyncio.create_task(rehearsal.run())
    await clock.advance(0)
    yield rehearsal
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_a_voice_that_hung_is_tried_again_without_a_restart(caplog: pytest.LogCaptureFixture) -> None:
    studio, clock = Studio(), ManualClock()
    studio.out_of_order = True
    with caplog.at_level(logging.WARNING):
        async with rehearsing(studio, clock):
            await clock.advance(600)
            assert 5 <= studio.tries <= 10, "ever more rarely"
            assert [record.getMessage() for record in caplog.records] == [
                "speech is not made ahead yet, and tried again: espeak-ng hung"
            ]
            studio.out_of_order = False
            await clock.advance(600)
            assert studio.made == ["您好", "再见"]
            tries = studio.tries
            await clock.advance(3600)
            assert studio.tries == tries, "it is all there"


async def test_another_language_is_made_at_once_whatever_was_being_made() -> None:
    studio, clock = Studio(), ManualClock()
    studio.free.clear()
    async with rehearsing(studio, clock) as rehearsal:
        studio.language = "en"
        rehearsal.begin_anew()
        await clock.advance(0)
        studio.free.set()
        await clock.advance(0)
        assert studio.made == ["hello"]
        rehearsal.begin_anew()
        await clock.advance(0)
        assert studio.made == ["hello", "hello"]


async def test_a_change_does_not_wait_for_the_next_try() -> None:
    studio, clock = Studio(), ManualClock()
    studio.out_of_order = True
    async with rehearsing(studio, clock) as rehearsal:
        studio.out_of_order = False
        rehearsal.begin_anew()
        await clock.advance(0)
        assert studio.made == ["您好", "再见"]
