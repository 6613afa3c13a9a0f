"""`./run demo`: one simulated drive, from frame to receipt, with everything that runs in the car."""

import asyncio
import hashlib
import io
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final, Literal

from rich.console import Console
from rich.table import Table

from agent import app
from agent.core import vss
from agent.core.config import Config, Consent, Detect, Device, Store, Vehicle, Voice, Web
from agent.core.errors import AgentError
from agent.core.event_base import WITHOUT_SOUND, Purpose
from agent.core.keys import parse_ed25519
from agent.core.ports import Microphone, Notice, Speaker
from agent.store.chain import verify_chain
from agent.store.unseal import open_record
from drivers.keystore import FileKeystore
from drivers.microphone import TypedMicrophone
from drivers.onnx_worker import OnnxWorker
from drivers.speaker import EspeakSpeaker
from simulators.clock import ManualClock
from simulators.cloud import Cloud
from simulators.demo_desk import DemoDesk
from simulators.demo_operator import DemoOperator
from simulators.demo_options import Options, parse_options
from simulators.demo_page import tell_page
from simulators.drive import CarDrive
from simulators.driver_aloud import SpeakingDriver
from simulators.driver_person import Answer, SimulatedDriver, TextSpeaker
from simulators.hardware import PROFILE, open_car, open_hardware
from simulators.timeline import Timeline, describe, is_worth_a_line
from simulators.world import Scenario, load_scenario

_DEVICE: Final = "demo-car"
_HAS_ESPEAK: Final = shutil.which("espeak-ng") is not None
_DRAIN_S: Final = 30.0
_PROPULSION: Final[Mapping[str, Sequence[Literal["gasoline", "electric"]]]] = {
    "ice": ("gasoline",),
    "ev": ("electric",),
    "hybrid": ("gasoline", "electric"),
}


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of the drive. lines: the event list, the same for the same seed. page: the crash's, for a browser."""

    lines: list[str]
    events: int
    sealed: int
    received: int
    verified: int
    page: Path | None = None

    @property
    def lost(self) -> int:
        """Events that the driver agreed to and the insurer does not have."""
        return self.events - self.verified

    @property
    def good(self) -> bool:
        """Whether every event made the whole way."""
        return self.events == self.sealed == self.received == self.verified > 0


def main(argv: Sequence[str]) -> int:
    """Exit code 0 where no event was lost, 1 where one was, 2 where the demo cannot run as asked."""
    options = parse_options(argv)
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")  # a terminal that cannot show a letter shows "?"
    console = Console(highlight=False)
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # as Ctrl-C: broker and keys do not outlive the demo
    try:
        outcome = asyncio.run(run_demo(options, console))
    except AgentError as exc:
        print(f"demo: {exc}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130
    if outcome.page is not None:
        here = Path.cwd()
        page = outcome.page.relative_to(here) if outcome.page.is_relative_to(here) else outcome.page
        console.print(f"claims desk: {page}", soft_wrap=True)
    digest = hashlib.sha256("\n".join(outcome.lines).encode()).hexdigest()
    console.print(f"event list of seed {options.seed}: {len(outcome.lines)} lines, sha256 {digest[:16]}")
    console.print(
        f"{outcome.events} events: {outcome.sealed} sealed, {outcome.received} received, "
        f"{outcome.verified} verified, {outcome.lost} lost",
        style="bold green" if outcome.good else "bold red",
    )
    return 0 if outcome.good else 1


async def run_demo(options: Options, console: Console, *, scenario: Scenario | None = None) -> Outcome:
    """Drive the scenario, the one given or the one named, with the whole agent and cloud around it."""
    scenario = scenario or load_scenario(options.scenario)
    with tempfile.TemporaryDirectory(prefix="outrider-demo-") as folder:
        clock = ManualClock(wall_start_ns=time.time_ns())
        # Simulated time stands still now and then: at pace 1 one clock for all, so that differences mean something.
        now_ns = clock.wall_ns if options.pace == 1 else time.time_ns
        cloud = Cloud(Path(folder) / "cloud", broker=options.broker, now_ns=now_ns)
        demo = _Demo(scenario, options, console, cloud=cloud, clock=clock, folder=Path(folder))
        cloud.on_outcome = demo.desk.take
        async with cloud:
            return await demo.run()


class _Demo:
    """One drive: the car, the agent in it, the cloud, and the operator's and network's doings."""

    def __init__(
        self, scenario: Scenario, options: Options, console: Console, *, cloud: Cloud, clock: ManualClock, folder: Path
    ) -> None:
        self._scenario = scenario
        self._options = options
        self._console = console
        self._cloud = cloud
        self._folder = folder
        self._clock = clock
        self._typing = not options.headless and not options.speak and sys.stdin.isatty()
        self._timeline = Timeline(console, start_ns=self._clock.monotonic_ns(), typing=self._typing)
        self.desk = DemoDesk(
            self._say_desk,
            cloud,
            clock,
            seed=options.seed,
            on_air=options.pace == 1,
            takes_turns=bool(scenario.demo.desk_turns),
        )
        self._lines: list[str] = []
        self._operator = DemoOperator(partial(self._say, "config"), cloud, clock, device=_DEVICE)
        self._driver: SpeakingDriver | None = None

    async def run(self) -> Outcome:
        """Run to the end of the drive, and until everything is received or the drain's time is up."""
        config = self._config()
        keystore = FileKeystore.create(Path(config.device.key), _DEVICE)
        self._cloud.register(_DEVICE, keystore.public_key)
        chosen = self._options
        car = open_car(self._scenario, chosen.seed, self._clock, pace=chosen.pace, interface=chosen.can)
        self._plan(car)
        microphone = self._microphone(car)
        hardware = open_hardware(
            car,
            keystore=keystore,
            speaker=self._speaker(),
            microphone=microphone,
            words=[microphone] if isinstance(microphone, TypedMicrophone) else [],
            inference=OnnxWorker(config.detect.anomaly.deadline_s),
            notify=self._notice,
        )
        self._introduce()
        with self._timeline:
            async with asyncio.TaskGroup() as tasks:
                agent = tasks.create_task(app.run(config, hardware, self._clock), name="agent")
                if chosen.page:
                    tasks.create_task(tell_page(config.store.directory, partial(self._say, "summary")), name="page")
                await car.run()
                summary = await agent  # the clock stands: what is left to do lives in real time
        counts = self._cloud.counts()
        page = None
        if chosen.claims is not None:
            name = f"{self._scenario.name}-{chosen.seed}"
            page = self.desk.write(self._cloud.store, chosen.claims, name, chosen.language)
        self._console.print(self._summary(summary, keystore))
        return Outcome(
            lines=self._lines,
            events=sum(summary.events.values()),
            sealed=summary.sealed,
            received=counts.received,
            verified=counts.verified,
            page=page,
        )

    def _summary(self, summary: app.Summary, keystore: FileKeystore) -> Table:
        """What came of the drive; the owner opens his own records with his key, as the insurer did with his."""
        counts = summary.counts
        envelopes = self._cloud.store.envelopes(_DEVICE)
        device = parse_ed25519(keystore.public_key)
        chain = verify_chain(envelopes, check=lambda envelope: open_record(envelope, self._cloud.owner_key, device))
        told = ", ".join(f"{count} {kind.replace('_', ' ')}" for kind, count in sorted(summary.events.items()))
        table = Table(show_header=False, box=None, padding=(0, 2))
        table.add_column(style="dim", no_wrap=True)
        table.add_column()
        table.add_row("bus", f"{counts.frames} frames, {counts.decoded} decoded, {counts.bad} bad")
        table.add_row("signals", f"{counts.samples} values, {counts.quality['valid']} of them valid")
        table.add_row("events", told)
        table.add_row(
            "records", f"{summary.sealed} sealed, {sum(map(len, envelopes))} bytes, {summary.waiting} waiting"
        )
        if self._driver is not None:
            table.add_row("driver", f"spoke {self._driver.words} times, {self._driver.heard} replies heard")
        table.add_row("chain", str(chain.finding or f"{chain.records} records fit, opened with the owner's key"))
        return table

    def _config(self) -> Config:
        sound: list[Purpose] = ["audio"] if self._options.keep_sound else []
        return Config(
            profile=PROFILE,
            device=Device(id=_DEVICE, groups=["demo"], key=str(self._folder / "device.pem")),
            detect=Detect(),
            voice=Voice(language=self._options.language),
            store=Store(directory=str(self._folder / "data")),
            link=self._cloud.link_config(_DEVICE, drain_timeout_s=_DRAIN_S),
            trust=self._cloud.trust(),
            consent=Consent(purposes=[*WITHOUT_SOUND, *sound], crash_position="area"),
            web=Web(enabled=bool(self._options.page), port=self._options.page or Web().port),
            vehicle=Vehicle(propulsion=list(_PROPULSION[self._scenario.car.kind])),
        )

    def _speaker(self) -> Speaker:
        aloud = EspeakSpeaker() if _HAS_ESPEAK and not self._options.headless else None
        return TextSpeaker(self._clock, aloud=aloud)

    def _microphone(self, car: CarDrive) -> Microphone:
        if self._typing:
            return TypedMicrophone(self._clock)
        chosen = self._options
        answers = [
            Answer(answer.words(chosen.language, aloud=chosen.speak), reaction_s=answer.delay_s)
            for answer in self._scenario.demo.answers
        ]
        if not chosen.speak:
            return SimulatedDriver(self._clock, answers)
        self._driver = SpeakingDriver(
            self._clock,
            answers,
            language=chosen.language,
            seed=chosen.seed,
            speed_kmh=lambda: car.values()[vss.SPEED],
            on_word=self._say_driver,
        )
        return self._driver

    def _plan(self, car: CarDrive) -> None:
        for cut in self._scenario.demo.network_cuts:
            car.at(cut.from_s, _soon(self._cloud.cut))
            car.at(cut.until_s, _soon(self._cloud.restore))
        for change in self._scenario.demo.config_pushes:
            car.at(change.at_s, self._operator.pusher(change))
        for turn in self._scenario.demo.desk_turns:
            car.at(turn.at_s, self.desk.turn)

    def _introduce(self) -> None:
        espeak = "espeak-ng, as text where there is no sound card" if _HAS_ESPEAK else "as text: no espeak-ng here"
        speech = "as text" if self._options.headless else espeak
        self._say("summary", f"{self._scenario.name}, seed {self._options.seed}: {self._scenario.description}")
        self._say("summary", f"broker: {self._cloud.broker_kind}; speech: {speech}")
        if self._typing:
            self._say(
                "summary", "you are the driver: type an answer when the car asks, or what you have to say at any time"
            )
        if self._driver is not None:
            self._say(
                "summary", "the driver speaks (espeak-ng) in the cabin's noise, and the box hears him by its model"
            )
            for text in self._driver.typed:
                self._say("summary", f"typed, since its model does not know the words: {text}")

    def _say(self, topic: Literal["summary", "config"], text: str) -> None:
        self._timeline.notice(Notice(topic=topic, t_ns=self._clock.monotonic_ns(), text=text))

    def _say_driver(self, text: str) -> None:
        self._timeline.tell("driver", self._clock.monotonic_ns(), text)

    def _say_desk(self, text: str) -> None:
        self._timeline.tell("desk", self._clock.monotonic_ns(), text)

    def _notice(self, notice: Notice) -> None:
        if notice.topic == "event" and notice.event is not None and is_worth_a_line(notice.event):
            self._lines.append(f"{notice.event.t_ns} {notice.event.kind} {describe(notice.event)}")
        self._timeline.notice(notice)
        self._operator.notice(notice)
        if self._driver is not None:
            self._driver.notice(notice)
        self.desk.notice(notice)


def _soon(action: Callable[[], None]) -> Callable[[], Awaitable[None]]:
    async def act() -> None:
        action()

    return act
