import asyncio

import pytest

from agent.core.errors import SourceLost
from agent.core.ports import Heard, Utterance
from simulators.clock import ManualClock
from simulators.driver_person import Answer, SimulatedDriver, TextSpeaker, speech_s

HELLO = Utterance("您还好吗？", "zh")


class Aloud:
    """A real voice that never ends, or that has no sound card."""

    def __init__(self, *, lost: bool = False) -> None:
        self.started = 0
        self.stopped = 0
        self.lost = lost

    async def say(self, utterance: Utterance) -> None:
        self.started += 1
        if self.lost:
            raise SourceLost(f"no sound card for {utterance.text}")
        try:
            await asyncio.Event().wait()
        finally:
            self.stopped += 1

    async def close(self) -> None:
        pass


async def heard(clock: ManualClock, driver: SimulatedDriver, timeout_s: float) -> tuple[Heard | None, float]:
    start_ns = clock.monotonic_ns()
    listening = asyncio.create_task(driver.listen(timeout_s=timeout_s, language="zh"))
    while not listening.done():
        await clock.advance(0.25)
    return listening.result(), (clock.monotonic_ns() - start_ns) / 1e9


async def test_answers_come_in_order_after_their_reaction_time() -> None:
    clock = ManualClock()
    driver = SimulatedDriver(
        clock, [Answer("一", reaction_s=1), Answer(None), Answer("二", reaction_s=9), Answer("三")]
    )
    assert await heard(clock, driver, 5) == (Heard("一", 0.9), 1.0)
    assert await heard(clock, driver, 5) == (None, 5.0), "silence"
    assert await heard(clock, driver, 5) == (None, 5.0), "too slow"
    assert await heard(clock, driver, 5) == (Heard("三", 0.9), 1.5)
    assert await heard(clock, driver, 5) == (None, 5.0), "nothing more to say"
    assert driver.questions == 5


async def test_what_is_said_at_a_time_is_heard_only_then() -> None:
    clock = ManualClock()
    driver = SimulatedDriver(clock, [Answer("later", at_s=22), Answer("lost", at_s=7), Answer("now", at_s=3)])
    assert await heard(clock, driver, 5) == (Heard("now", 0.9), 3.0)
    await clock.advance_to(20_000_000_000)
    assert await heard(clock, driver, 5) == (Heard("later", 0.9), 2.0)


@pytest.mark.parametrize("aloud", [None, Aloud(), Aloud(lost=True)])
async def test_speech_takes_the_same_time_with_and_without_sound(aloud: Aloud | None) -> None:
    clock = ManualClock()
    shown: list[str] = []
    speaker = TextSpeaker(clock, write=shown.append, aloud=aloud)
    for _ in range(2):
        saying = asyncio.create_task(speaker.say(HELLO))
        await clock.advance(speech_s(HELLO) - 0.01)
        assert not saying.done()
        await clock.advance(0.01)
        assert saying.done()
    await speaker.close()
    assert shown == [HELLO.text] * 2
    assert len(asyncio.all_tasks()) == 1
    if aloud is not None:
        assert aloud.started == (1 if aloud.lost else 2)
        assert aloud.stopped == (0 if aloud.lost else 2)
        assert bool(speaker.aloud_lost) == aloud.lost


async def test_cancelled_speech_falls_silent_at_once() -> None:
    clock = ManualClock()
    aloud = Aloud()
    speaker = TextSpeaker(clock, aloud=aloud)
    saying = asyncio.create_task(speaker.say(HELLO))
    await clock.advance(0.5)
    saying.cancel()
    await clock.advance(0)
    assert (speaker.cut_short, aloud.stopped) == (1, 1)
    assert saying.cancelled()


async def test_a_bug_in_the_real_voice_is_not_hidden() -> None:
    class Broken(Aloud):
        async def say(self, utterance: Utterance) -> None:
            raise ZeroDivisionError(utterance.text)

    clock = ManualClock()
    speaker = TextSpeaker(clock, aloud=Broken())
    saying = asyncio.create_task(speaker.say(HELLO))
    await clock.advance(10)
    await saying
    with pytest.raises(ZeroDivisionError):
        await speaker.close()
