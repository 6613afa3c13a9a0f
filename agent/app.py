"""The one program: the car, the demo, replay and tests all run it.

The task tree, and the order of stopping (innermost first):

    recorder, uplink                    disk before network; the link closes last
      voice, models, status
        sources                         one task a bus or sensor
"""

import asyncio
import random
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import partial
from typing import Final

from agent import __version__
from agent.config_room import ConfigRoom
from agent.core.backoff import backoff_waits
from agent.core.best_time import BestTime
from agent.core.config import Config
from agent.core.events import AgentStarted, AgentStopped, Event
from agent.core.paths import find_dbc
from agent.core.ports import Clock, Hardware, Notice
from agent.core.signals import SignalWindow
from agent.decode.profile import Profile, load_profile
from agent.desk_room import DeskRoom
from agent.diagnosis.knowledge import Knowledge, load_knowledge
from agent.emergency import Emergency
from agent.mechanic import Mechanic
from agent.models import ModelRoom
from agent.outgoing import Outgoing
from agent.page import LocalPage
from agent.pipeline import Pipeline, PipelineCounts
from agent.privacy_room import PrivacyRoom
from agent.status import Parts, Status
from agent.supervise import keep_reading, run_until
from agent.uplinks import make_renewal, read_receipt_key
from agent.voice_room import VoiceRoom

_SOURCE_WAIT_LONGEST_S: Final = 3.0  # a replugged dongle is back within 5 s, its own start-up included


@dataclass(frozen=True, slots=True)
class Summary:
    """What a run did."""

    counts: PipelineCounts
    events: Counter[str] = field(default_factory=Counter)
    sealed: int = 0
    waiting: int = 0
    sources: dict[str, dict[str, int]] = field(default_factory=dict)


async def run(config: Config, hardware: Hardware, clock: Clock, *, stop: asyncio.Event | None = None) -> Summary:
    """Run until every source has ended or stop is set; then stop in order and say what was done.

    Raises InputError where config, profile or DBC are not usable; anything unexpected ends the process.
    """
    app = _App(config, hardware, clock)
    await app.open()
    return await app.run(stop or asyncio.Event())


class _App:
    """Wires the parts; holds no logic of theirs."""

    def __init__(self, config: Config, hardware: Hardware, clock: Clock) -> None:
        self._hardware = hardware
        self._clock = clock
        self._best_time = BestTime(clock)
        self._configs = ConfigRoom(
            config, clock, time=self._best_time, emit=self._emit, notify=self._notify, apply=self._configure
        )
        self._config = self._configs.running
        # Jitter spreads a fleet; seeding it by the device keeps a simulated drive the same every time.
        self._uniform = random.Random(config.device.id).random  # noqa: S311  # no secret depends on it
        self._events: Counter[str] = Counter()
        self._page: LocalPage | None = None
        self._privacy = PrivacyRoom(
            self._config,
            hardware,
            clock,
            time=self._best_time,
            emit=self._emit,
            forget_wishes=lambda: self._conversation.memory.ask_about_all(),  # noqa: PLW0108 - it is made below
        )
        self._models = ModelRoom(
            self._config, hardware.inference, clock, emit=self._emit, make_waits=self._source_waits
        )
        profile = load_profile(self._config.profile)
        knowledge = load_knowledge(profile.diagnosis)
        self._mechanic = Mechanic(
            self._config,
            knowledge,
            utc_ns=lambda: self._best_time.now().wall_ns,
            emit=self._emit,
            store=hardware.trend_store,
        )
        self._pipeline = self._make_pipeline(profile)
        self._models.watch_pack(self._pipeline)
        self._receipt_key = read_receipt_key(self._config)
        self._desk = DeskRoom(
            hardware,
            clock,
            time=self._best_time,
            receipt_key=self._receipt_key,
            language=lambda: self._config.voice.language,
            trends=self._mechanic.figures,
            agreed=self._privacy.consents.agreed,
            emit=self._emit,
            speak=lambda event: self._conversation.on_event(event),  # noqa: PLW0108 - it is made below
        )
        self._voice = self._make_voice(knowledge)
        self._conversation = self._voice.conversation
        claims = partial(self._privacy.allows, "claims")
        self._emergency = Emergency(self._config.vehicle, clock, emit=self._emit, enabled=claims)
        if self._config.web.enabled:
            self._page = self._make_page()
        for source in hardware.codes:
            source.tell_codes(self._mechanic.on_codes)
        self._out = Outgoing(self._config, hardware, clock, uniform=self._uniform)

    def _make_pipeline(self, profile: Profile) -> Pipeline:
        hardware, clock = self._hardware, self._clock
        return Pipeline(
            profile,
            [find_dbc(name) for name in self._config.dbc],
            limits=self._config.detect,
            telemetry=self._config.telemetry,
            sample_sources=hardware.samples,
            on_events=self._models.on_events,
            on_window=self._on_window,
            probe=hardware.probe,
            pack_store=hardware.pack_store,
            diary_store=hardware.diary_store,
            bus_store=hardware.bus_store,
            epoch_ns=clock.wall_ns() - clock.monotonic_ns() if clock.synced else None,
            on_codes=self._mechanic.on_codes,
        )

    def _make_voice(self, knowledge: Knowledge) -> VoiceRoom:
        return VoiceRoom(
            self._config,
            self._hardware,
            self._clock,
            time=self._best_time,
            knowledge=knowledge,
            notify=self._notify,
            emit=self._desk.on_answer,
            sent=self._privacy.sent,
            make_waits=self._source_waits,
            agreed=self._privacy.in_force,
            take_back=partial(self._privacy.take_back, by="voice"),
            on_told=self._desk.tickets.on_told,
        )

    def _make_page(self) -> LocalPage:
        return LocalPage(
            self._config,
            self._hardware,
            self._clock,
            time=self._best_time,
            privacy=self._privacy,
            tickets=self._desk.tickets,
            voice=self._voice,
            values=self._pipeline.latest,
            units=self._pipeline.units,
            status=lambda: self._status.newest,
            uniform=self._uniform,
        )

    async def open(self) -> None:
        """Open the store, and tell that we are here."""
        await self._out.open(
            pipeline=self._pipeline,
            privacy=self._privacy,
            time=self._best_time,
            receipt_key=self._receipt_key,
            on_bundle=self._configs.on_bundle,
            on_desk=self._desk.tickets.on_desk,
        )
        recorder, uplink, platform = self._out.recorder, self._out.uplink, self._out.platform
        parts = Parts(
            pipeline=self._pipeline,
            recorder=recorder,
            conversation=self._conversation,
            egress=self._privacy.egress,
            privacy=self._privacy,
            uplink=uplink,
            events=self._events,
            renewal=make_renewal(self._config, self._best_time),
            platform=platform,
            desk=self._desk.tickets.counters,
        )
        self._status = Status(self._config, self._hardware, self._clock, parts)
        await self._privacy.open(recorder, uplink, platform)
        self._emit(
            AgentStarted(
                t_ns=self._clock.monotonic_ns(),
                agent_version=__version__,
                config_version=self._config.version,
                profile=self._config.profile,
            )
        )
        self._configs.tell_problems()
        for event in self._models.problems:
            self._emit(event)
        self._desk.tickets.begin(recorder.outbox.boot)
        self._hardware.service("ready")

    async def run(self, stop: asyncio.Event) -> Summary:
        """Run the task tree to its end."""
        out = self._out
        async with asyncio.TaskGroup() as store_and_link:
            recording = store_and_link.create_task(out.recorder.run(), name="recorder")
            sending = store_and_link.create_task(out.uplink.run(), name="uplink") if out.uplink else None
            async with asyncio.TaskGroup() as listeners:
                jobs = [
                    *self._voice.tasks(),
                    ("status", self._status.run()),
                    ("emergency", self._emergency.run()),
                    ("privacy", self._privacy.run()),
                    *self._models.tasks(),
                ]
                if self._page:
                    jobs.append(("page", self._page.run()))
                if out.platform:
                    jobs.append(("platform", out.platform.run()))
                helpers = [listeners.create_task(job, name=name) for name, job in jobs]
                await self._read_sources(stop)
                self._hardware.service("stopping")
                self._pipeline.finish()
                self._mechanic.save()
                await self._models.finish()
                self._conversation.close()
                for helper in helpers:
                    helper.cancel()
            reason = "stopped" if stop.is_set() else "end of data"
            self._emit(AgentStopped(t_ns=self._clock.monotonic_ns(), reason=reason))
            waiting = await out.bring_in(self._config.link.drain_timeout_s)
            if sending:
                sending.cancel()
                await asyncio.wait([sending])
            out.recorder.close()
            await recording
        await self._voice.close()
        return self._summary(waiting)

    async def _read_sources(self, stop: asyncio.Event) -> None:
        keep = partial(keep_reading, clock=self._clock, emit=self._emit, make_waits=self._source_waits)
        frames = [(source.name, keep(source, self._pipeline.on_frames)) for source in self._hardware.frames]
        samples = [
            (source.name, keep(source, partial(self._pipeline.on_samples, source.name)))
            for source in self._hardware.samples
        ]
        await run_until(stop, [*frames, *samples])

    def _summary(self, waiting: int) -> Summary:
        return Summary(
            counts=self._pipeline.counts,
            events=self._events,
            sealed=self._out.recorder.sealed,
            waiting=waiting,
            sources=self._status.sources(),
        )

    def _emit(self, event: Event) -> None:
        """The one way of an event: to disk, to the driver, to whoever watches."""
        self._events[event.kind] += 1
        if (leaving := self._privacy.egress.admit(event)) is not None:
            self._out.recorder.put(leaving)
        self._privacy.on_event(event)
        self._emergency.on_event(event)
        self._mechanic.on_event(event)
        self._desk.on_event(event)
        if self._out.platform:
            self._out.platform.on_event(event)
        self._notify(Notice(topic="event", t_ns=event.t_ns, text=event.kind, event=event))

    def _notify(self, notice: Notice) -> None:
        self._hardware.notify(notice)
        if self._page:
            self._page.take(notice)

    def _on_window(self, window: SignalWindow) -> None:
        self._conversation.on_window(window)
        self._emergency.on_window(window)
        self._mechanic.on_window(window)
        self._desk.on_window(window)
        self._hardware.on_window(window)
        self._models.on_window(window)

    def _configure(self, config: Config) -> None:
        self._config = self._status.config = config
        self._pipeline.configure(config.detect)
        self._voice.configure(config.voice)

    def _source_waits(self) -> Iterator[float]:
        return backoff_waits(self._uniform, longest_s=_SOURCE_WAIT_LONGEST_S)
