import asyncio
from collections.abc import Iterator, Mapping

import pytest

from agent.core.errors import EndOfSource, SourceLost, SourceSilenced
from agent.core.events import Event, SourceChanged
from agent.core.frames import Frame, FrameBatch, batch_of
from agent.supervise import keep_reading
from simulators.clock import ManualClock


class Script:
    """A source that does what a list says: "gone" at open, then batches and errors at read."""

    name = "bus"

    def __init__(self, opens: list[str], reads: list[str]) -> None:
        self.opens, self.reads = opens, reads
        self.is_open = False

    async def open(self) -> None:
        if self.opens and self.opens.pop(0) == "gone":
            raise SourceLost("unplugged")
        self.is_open = True

    async def close(self) -> None:
        self.is_open = False

    def counters(self) -> Mapping[str, int]:
        return {}

    async def read_batch(self) -> FrameBatch:
        step = self.reads.pop(0)
        if step == "lost":
            raise SourceLost("bus off")
        if step == "silenced":
            raise SourceSilenced("the car wakes again and again")
        if step == "end":
            raise EndOfSource
        if step == "bug":
            raise ZeroDivisionError
        return batch_of([Frame(0, 1, b"")])


def waits() -> Iterator[float]:
    while True:
        yield 1.0


async def drive(source: Script, *, seconds: float) -> tuple[int, list[Event]]:
    clock, frames = ManualClock(), 0
    events: list[Event] = []

    def consume(batch: FrameBatch) -> None:
        nonlocal frames
        frames += len(batch)

    task = asyncio.create_task(keep_reading(source, consume, clock=clock, emit=events.append, make_waits=waits))
    await clock.advance(seconds)
    await task
    return frames, events


async def test_a_lost_source_is_opened_again_and_told_once_each_way() -> None:
    source = Script(["ok", "gone", "gone", "ok"], ["frame", "lost", "frame", "end"])
    frames, events = await drive(source, seconds=10)
    assert frames == 2
    assert [(e.state, e.detail) for e in events if isinstance(e, SourceChanged)] == [
        ("lost", "bus off"),
        ("restored", ""),
    ]
    assert not source.is_open


@pytest.mark.parametrize(
    ("reads", "told"),
    [
        (["frame", "silenced", "frame", "end"], ["silenced", "restored"]),
        (["frame", "lost", "silenced", "frame", "end"], ["lost", "silenced", "restored"]),
        (["frame", "silenced", "lost", "frame", "end"], ["silenced", "restored"]),
    ],
)
async def test_a_source_that_falls_silent_on_purpose_is_told_as_such(reads: list[str], told: list[str]) -> None:
    source = Script([], reads)
    frames, events = await drive(source, seconds=10)
    assert frames == 2
    changes = [e for e in events if isinstance(e, SourceChanged)]
    assert [e.state for e in changes] == told
    assert [e.detail for e in changes if e.state == "silenced"] == ["the car wakes again and again"]
    assert not source.is_open


async def test_anything_unexpected_ends_the_task_loudly() -> None:
    with pytest.raises(ZeroDivisionError):
        await drive(Script(["ok"], ["bug"]), seconds=1)
