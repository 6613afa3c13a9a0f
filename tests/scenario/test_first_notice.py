"""Over a line that hardly works the notice of a crash comes first, then its minimum set of data, at last all the rest.

`./run eval fnol` measures how long that takes; here only the order counts. Real time, ten times as fast.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from agent.core.events import Collision, CrashRecord, Feedback
from simulators.cloud import Cloud
from simulators.mosquitto import find_mosquitto
from simulators.network_conditions import Conditions
from tests.eval.fnol import crash_events
from tests.scenario.delivery import WAIT_S, Car, open_car
from tests.unit.store.kit import braking

BAD = Conditions(delay_s=0.1, rate_bps=96_000, loss=0.2, retransmit_s=0.3)
ANSWER = Feedback(
    t_ns=9,
    question="all_right",
    about="collision",
    intent="help",
    transcript="no",
    confidence=1.0,
    language="en",
    asked_ns=8,
)
DETAIL = 10


@asynccontextmanager
async def desk(directory: Path) -> AsyncIterator[tuple[Cloud, list[int]]]:
    """A cloud, and the sequences that it accepts in the order in which they come."""
    if find_mosquitto() is None:
        pytest.skip("mosquitto is not installed")
    came: list[int] = []
    async with Cloud(
        directory / "cloud",
        broker="mosquitto",
        on_outcome=lambda outcome: came.append(outcome.position.sequence) if outcome.position else None,
    ) as cloud:
        yield cloud, came


async def crash(car: Car) -> None:
    """The trigger's fragment before the notice, the detail before the minimum set of data, and what comes after."""
    events = [event for _, event in crash_events()]
    detail = [event for event in events if isinstance(event, CrashRecord)][:DETAIL]
    notices = [event for event in events if isinstance(event, Collision)]
    minimum = next(event for event in events if event.kind == "emergency_data")
    for event in (braking(), detail[0], notices[0], minimum, *detail[1:], notices[1], ANSWER):
        car.recorder.put(event)
    await car.recorder.flush()


def kinds_of(cloud: Cloud, came: list[int]) -> list[str]:
    by_sequence = {event["sequence"]: event["event"]["kind"] for event in cloud.store.events("car1")}
    return [by_sequence[sequence] for sequence in came]


@pytest.mark.parametrize("up", [True, False], ids=["connected before", "not connected"])
async def test_the_first_notice_comes_first_and_everything_in_the_end(*, up: bool, tmp_path: Path) -> None:
    async with desk(tmp_path) as (cloud, came):
        if not up:
            cloud.network.cut()
        async with open_car(cloud, tmp_path, cloud.link_config("car1")) as car:
            await car.until_told("connected" if up else "cut off")
            if up:
                cloud.network.set(BAD)
            await crash(car)
            cloud.network.set(BAD)
            await car.deliver(2 * WAIT_S)
        kinds = kinds_of(cloud, came)
    assert len(set(came)) == DETAIL + 5
    assert kinds[0] == "collision"
    assert sorted(kinds[1:4]) == ["collision", "emergency_data", "feedback"]
    assert sorted(set(kinds[4:])) == ["crash_record", "harsh_driving"]
    assert cloud.counts().verified == len(set(came))
