"""From what a driver needs to a closed ticket and back, through a real broker, the receiver and the desk."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final

import msgspec
import pytest

from agent import app
from agent.core.config import Config, Consent, Device, Store, Voice
from agent.core.desk import DeskNote
from agent.core.events import BatteryAlarm, DeskMessage, Event, Feedback, TicketReopened
from agent.core.keys import parse_ed25519
from agent.core.ports import Notice
from agent.desk import seal_note
from agent.link import mqtt
from agent.link.wire import desk_topic
from drivers.keystore import FileKeystore
from drivers.state_file import FileDeskStore, FileSceneStore
from simulators.clock import ManualClock
from simulators.cloud import BrokerKind, Cloud
from simulators.driver_person import Answer, SimulatedDriver, TextSpeaker
from simulators.hardware import PROFILE, open_car, open_hardware
from simulators.mosquitto import find_mosquitto
from simulators.world.scenario import Car, CellOverheat, Leg, Scenario

NAME: Final = "car1"
DAY_NS: Final = 86_400 * 10**9
START_NS: Final = 1_790_000_000 * 10**9
BROKER: Final[BrokerKind] = "mosquitto" if find_mosquitto() else "embedded"
HOT = Scenario(
    name="hot", description="a cell gets warm", duration_s=40, car=Car(air_c=34, pack_c=33),
    legs=[Leg(at_s=1, speed_kmh=30)], events=[CellOverheat(at_s=3, cell=7, rate_kps=2.0, to_c=49)],
)  # fmt: skip

Hook = Callable[[], Awaitable[None]]


def calm(seconds: float) -> Scenario:
    return Scenario(name="calm", description="nothing happens", duration_s=seconds, legs=[Leg(at_s=1, speed_kmh=30)])


class Loop:
    """One car over its starts, and its insurer. now_ns: what everybody's calendar shows."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.now_ns = START_NS
        self.cloud = Cloud(folder / "cloud", broker=BROKER, now_ns=lambda: self.now_ns)
        self.told: list[str] = []
        self.desk = self.cloud.open_desk(tell=lambda ticket, what: self.told.append(f"{ticket.number} {what}"))
        self.keystore = FileKeystore.create(folder / "device.pem", NAME)
        self.cloud.register(NAME, self.keystore.public_key)
        self.events: list[Event] = []
        self.said: list[str] = []
        self._heard = asyncio.Event()
        self.clock = ManualClock()

    def config(self) -> Config:
        return Config(
            profile=PROFILE,
            device=Device(id=NAME, key=str(self.folder / "device.pem")),
            voice=Voice(language="en"),
            store=Store(directory=str(self.folder / "data")),
            link=self.cloud.link_config(NAME, drain_timeout_s=15.0),
            trust=self.cloud.trust(),
            consent=Consent(purposes=["safety", "service", "feedback"]),
        )

    async def drive(
        self, scenario: Scenario, answers: Sequence[str] = (), hooks: Sequence[tuple[float, Hook]] = ()
    ) -> None:
        """One start of the box, from its beginning to its end."""
        self.clock = ManualClock(start_ns=10**9, wall_start_ns=self.now_ns)
        self.events, self.said = [], []
        car = open_car(scenario, 7, self.clock, pace=0)
        for at_s, hook in hooks:
            car.at(at_s, hook)
        hardware = open_hardware(
            car,
            keystore=self.keystore,
            speaker=TextSpeaker(self.clock),
            microphone=SimulatedDriver(self.clock, [Answer(text) for text in answers]),
            notify=self._on_notice,
        )
        data = self.folder / "data"
        hardware = replace(hardware, desk_store=FileDeskStore(data), scene_store=FileSceneStore(data))
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(app.run(self.config(), hardware, self.clock))
            await car.run()
        self.now_ns = self.clock.wall_ns()

    async def turn(self, *, answers: bool = True) -> None:
        """The desk hears all that concerns it and has its say; the car's time stands until it has heard it."""
        await self._until(lambda: not (_concerning(self.events) - self._received()))
        self.now_ns = max(self.now_ns, self.clock.wall_ns())
        due = len(self.messages()) + await self.desk.turn(self.cloud.insurer_link(), answers=answers)
        await self._until(lambda: len(self.messages()) >= due)

    async def publish(self, *blobs: bytes) -> None:
        """Somebody with the insurer's rights at the broker says something to the car."""
        async with mqtt.connect(self.cloud.insurer_link(), client_id="stranger") as session:
            for blob in blobs:
                await session.publish(desk_topic(NAME), blob)

    def messages(self) -> list[DeskMessage]:
        return [event for event in self.events if isinstance(event, DeskMessage)]

    def heard(self) -> list[str]:
        """What the driver was told of the insurer."""
        return [line for line in self.said if "insurer says" in line]

    def state(self) -> tuple[str, str]:
        (ticket,) = self.desk.store.tickets()
        return ticket.state, ticket.outcome

    def _received(self) -> set[tuple[str, int]]:
        rows = self.cloud.store.events(NAME)
        return {(row["event"]["kind"], row["event"]["t_ns"]) for row in rows}

    async def _until(self, condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(15):
            while not condition():  # noqa: ASYNC110 - plain data, and the network's own time
                await asyncio.sleep(0.01)

    def _on_notice(self, notice: Notice) -> None:
        if notice.topic == "event" and notice.event is not None:
            self.events.append(notice.event)
        elif notice.topic in {"said", "asked"}:
            self.said.append(notice.text)


def _concerning(events: Sequence[Event]) -> set[tuple[str, int]]:
    kinds = (BatteryAlarm, Feedback)
    return {(event.kind, event.t_ns) for event in events if isinstance(event, kinds)}


async def test_from_a_need_over_a_start_and_a_no_to_a_closed_ticket(tmp_path: Path) -> None:
    loop = Loop(tmp_path)
    async with loop.cloud:
        await loop.drive(HOT, hooks=[(25, lambda: loop.turn(answers=False))])
        assert "Your insurer says: Your report on the battery is open, number 1; you have an answer within a day." in (
            loop.said
        )
        assert loop.state() == ("open", "")

        await loop.desk.turn(loop.cloud.insurer_link())  # the answer, while the box is off
        assert loop.state() == ("answered", "")
        await loop.drive(
            calm(75),
            answers=["no, it is still the same", "yes, that helped"],
            hooks=[(40, lambda: loop.turn(answers=False)), (42, loop.turn), (72, lambda: loop.turn(answers=False))],
        )
        answers = [message.text for message in loop.messages()]
        assert [f"Your insurer says: {text}" for text in answers] == [
            line for line in loop.said if "insurer says" in line
        ]
        assert [text.split()[1] for text in answers] == ["tow", "battery"]
        feedback = [event for event in loop.events if isinstance(event, Feedback)]
        assert [(one.question, one.intent, one.ticket) for one in feedback] == [
            ("did_it_help", "no", 1), ("did_it_help", "yes", 1)
        ]  # fmt: skip
        (reopened,) = [event for event in loop.events if isinstance(event, TicketReopened)]
        assert (reopened.ticket, reopened.words) == (1, "no, it is still the same")
        loop.desk.desk.step()
        assert loop.state() == ("closed", "helped")
        assert [line for line in loop.told if "taken" not in line] == ["1 opened", "1 reopened", "1 helped"]
        assert loop.cloud.outcomes["dead"] == 0


async def test_after_days_without_a_link_everything_is_told_once(tmp_path: Path) -> None:
    loop = Loop(tmp_path)
    async with loop.cloud:
        await loop.drive(HOT, hooks=[(25, lambda: loop.turn(answers=False))])
        loop.now_ns += 2 * DAY_NS
        for _ in range(3):  # the desk is late, answers, and sends again what nobody has taken
            await loop.desk.turn(loop.cloud.insurer_link())
            loop.now_ns += DAY_NS
        assert loop.told[:3] == ["1 opened", "1 taken ticket_opened", "1 overdue"]
        await loop.drive(calm(40), hooks=[(36, lambda: loop.turn(answers=False))])
        assert [message.what for message in loop.messages()] == ["overdue", "answer"]
        assert loop.heard() == [
            "Your insurer says: The answer to number 1 is late. We are sorry, and press for it.",
            f"Your insurer says: {loop.messages()[1].text}",
        ]
        again = [sent for sent in loop.desk.store.messages(1) if sent.sends > 1]
        assert again, "sent more than once"


async def test_what_is_forged_replayed_foreign_expired_or_too_large_is_refused_in_a_line(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, logger="agent.tickets")
    loop = Loop(tmp_path)
    car, other = parse_ed25519(loop.keystore.public_key), FileKeystore.create(tmp_path / "other.pem", "car2")
    note = DeskNote(
        id="good", device=NAME, created_ns=START_NS, expires_ns=START_NS + DAY_NS, what="thanks", zh="好",
        en="Thank you.",
    )  # fmt: skip
    sign = loop.cloud._keys.sign_receipt
    good = seal_note(note, car, sign)
    foreign = seal_note(msgspec.structs.replace(note, device="car2"), parse_ed25519(other.public_key), sign)
    old = msgspec.structs.replace(note, id="old", created_ns=START_NS - DAY_NS, expires_ns=START_NS - 1)

    async def attack() -> None:
        await loop.publish(
            seal_note(note, car, other.sign), foreign, seal_note(old, car, sign), bytes(5000), b"", good, good
        )
        await loop._until(lambda: len(caplog.records) >= 6 and len(loop.messages()) == 1)

    async with loop.cloud:
        await loop.drive(calm(15), hooks=[(5, attack)])
    assert [message.id for message in loop.messages()] == ["good"]
    assert [record.message for record in caplog.records] == [
        "a desk message is refused: signature is wrong",
        "a desk message is refused: not sealed for this key",
        "desk message old is refused: it has expired",
        "a desk message is refused: a desk message of 5000 bytes; 4096 are allowed",
        "a desk message is refused: not a COSE_Encrypt by A256GCM",
        "desk message good came again: ignored",
    ]
    assert loop.heard() == ["Your insurer says: Thank you."]
    kept = [path for name in ("data", "cloud/mosquitto") for path in (tmp_path / name).rglob("*") if path.is_file()]
    assert any(path.name == "desk.state" for path in kept)
    assert not any(b"Thank" in path.read_bytes() for path in kept), "in the clear on the box or at the broker"
