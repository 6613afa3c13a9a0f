"""What a driver says of his own accord, through the whole agent to the disk."""

import asyncio
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import msgspec

from agent import app
from agent.core.config import Consent
from agent.core.events import Feedback
from agent.core.ports import Heard, Notice
from simulators.clock import ManualClock
from simulators.drive import CarDrive
from simulators.driver_person import TextSpeaker
from simulators.hardware import PROFILE, open_car, open_hardware
from simulators.world.scenario import Leg, Scenario
from tests.scenario.test_emergency_data import read
from tests.unit.store.kit import KEYS, make_config


class Screen:
    """Somebody types at 8 s."""

    def __init__(self, car: CarDrive, text: str) -> None:
        self._car = car
        self._text = text

    def tell_words(self, listener: Callable[[Heard], bool]) -> None:
        async def press() -> None:
            listener(Heard(self._text, 0.9))

        self._car.at(8.0, press)


async def test_odd_brakes_become_feedback_with_a_topic_and_are_acknowledged(tmp_path: Path) -> None:
    made = make_config(tmp_path)
    config = msgspec.structs.replace(made, profile=PROFILE, consent=Consent(purposes=["feedback"]))
    clock = ManualClock()
    quiet = Scenario(name="quiet", description="a town street", duration_s=20, legs=[Leg(at_s=0, speed_kmh=40)])
    car = open_car(quiet, 1, clock, pace=0)
    notices: list[Notice] = []
    hardware = open_hardware(car, keystore=KEYS.device, speaker=TextSpeaker(clock), notify=notices.append)
    hardware = replace(hardware, words=[Screen(car, "今天刹车声音有点怪")])
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(app.run(config, hardware, clock))
        tasks.create_task(car.run())
    (remark,) = [event for event in await read(config) if isinstance(event, Feedback)]
    assert (remark.question, remark.intent, remark.transcript) == ("free_words", "said", "今天刹车声音有点怪")
    assert (remark.topic, remark.sentiment, remark.urgency) == ("brake_noise", "negative", "soon")
    said = [notice.text for notice in notices if notice.topic == "said"]
    assert said == ["好的，您说的已经记下。"], "no link, so nobody is promised to hear of it"
