"""Drives for the gate's evaluation, driven through the real pipeline and talked about by the real voice room."""

import asyncio
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cache, partial
from typing import Any, Final

import numpy as np

from agent.core.config import Detect, Voice
from agent.core.events import (
    Event,
    Feedback,
    Purpose,
)
from agent.core.occasions import ConsentSpoken, NothingHeard, TalkWanted
from agent.core.paths import DBC, PROMPTS
from agent.core.ports import Heard, Notice, Utterance
from agent.decode.profile import load_profile
from agent.pipeline import Pipeline
from agent.voice.consent_talk import ConsentTalk
from agent.voice.consent_words import load_consent_words
from agent.voice.conversation import Conversation
from agent.voice.dialog import FREE_WORDS
from agent.voice.prompts import Phrases, load_phrases
from simulators.clock import ManualClock
from simulators.driver_person import Answer, SimulatedDriver, speech_s
from simulators.gnss import SimulatedGnss
from simulators.hardware import PROFILE
from simulators.imu import SimulatedImu
from simulators.world import Drive, simulate
from simulators.world.frames import encode_drive
from tests.eval.gate_draws import CONSENT_WORDS, draw, draw_prompts, draw_talk

WINDOW_NS: Final = 100_000_000
_NS: Final = 10**9
_HEARD: Final = (37, 180, 304, 80, 885, 929, 961, 1264)  # of outrider_sim.dbc; half the time goes with the others
_ANSWERS: Final = ("没事", "不用", "要", "救命", "挺好的", "嗒嗒嗒", "别再问了", "I am fine", "no", "help", None, None)


@dataclass(frozen=True, slots=True)
class Sound:
    """Something heard in the car, in ns of the drive; ended early where it was cut short."""

    begun_ns: int
    ended_ns: int
    urgency: int
    text: str
    cut: bool


@dataclass(slots=True)
class Played:
    """One drive: what it was, everything said in it, and every event the voice room was told, and when."""

    drive: Drive
    sounds: list[Sound] = field(default_factory=list)
    told: list[tuple[int, Event]] = field(default_factory=list)
    asked: int = 0
    begun: Counter[str] = field(default_factory=Counter)  # by the driver: talk_wanted, free_words, taken_back
    own: set[str] = field(default_factory=set)  # what answered these

    def note(self, notice: Notice) -> None:
        """Count what is shown."""
        self.asked += notice.topic == "asked"
        if notice.topic != "said" or not isinstance(notice.event, TalkWanted | NothingHeard | ConsentSpoken | Feedback):
            return
        if isinstance(notice.event, TalkWanted):
            self.begun["talk_wanted"] += 1
        if isinstance(notice.event, Feedback):
            self.begun[notice.event.question] += 1
        if not isinstance(notice.event, Feedback) or notice.event.question == FREE_WORDS:
            self.own.add(notice.text)


class HeardSpeaker:
    """A Speaker that takes the time of speech and keeps when it sounded."""

    def __init__(self, clock: ManualClock, sounds: list[Sound]) -> None:
        self._clock = clock
        self._sounds = sounds

    async def say(self, utterance: Utterance) -> None:
        """Return after the time that espeak-ng would take."""
        begun_ns, cut = self._clock.monotonic_ns(), True
        try:
            await self._clock.sleep(speech_s(utterance))
            cut = False
        finally:
            ended_ns = self._clock.monotonic_ns()
            self._sounds.append(Sound(begun_ns, ended_ns, utterance.urgency, utterance.text, cut))

    async def close(self) -> None:
        """Nothing to let go of."""


@cache
def _phrases() -> Phrases:
    return load_phrases(PROMPTS)


def play(seed: int, duration_s: float) -> Played:
    """Drive once: IMU, fixes and the frames that matter here, in windows of 100 ms, as they come."""
    return asyncio.run(_play(simulate(draw(seed, duration_s), seed)))


async def _play(drive: Drive) -> Played:
    clock = ManualClock()
    played = Played(drive)
    rng = np.random.default_rng([drive.seed, 8103])
    said = (*_ANSWERS, *CONSENT_WORDS)
    words = [said[int(n)] for n in rng.integers(0, len(said), 40)]
    agreed: set[Purpose] = {"ubi_score", "feedback", "service"}
    answers = [Answer(text, reaction_s=float(rng.uniform(0.5, 8))) for text in words]

    def take_back(purposes: Sequence[Purpose]) -> None:
        played.begun["taken_back"] += 1
        agreed.difference_update(purposes)

    def emit(event: Event) -> None:
        talk.on_event(event)  # as in the car, where each comes back to be told

    talk = Conversation(
        Voice(language="zh" if drive.seed % 2 else "en", scenes_per_hour=60),
        _phrases(),
        speaker=HeardSpeaker(clock, played.sounds),
        microphone=SimulatedDriver(clock, answers),
        clock=clock,
        notify=played.note,
        emit=emit,
        consents=ConsentTalk(load_consent_words(), agreed=agreed, take_back=take_back),
    )

    def begin(text: str | None) -> None:
        if text is None:
            talk.on_presses(1)
        else:
            talk.on_words(Heard(text, 0.9))

    def tell(events: Sequence[Event]) -> None:
        for event in events:
            played.told.append((clock.monotonic_ns(), event))
            talk.on_event(event)

    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(talk.run())
        doings = [(t_ns, partial(tell, [event])) for t_ns, event in draw_prompts(drive)]
        doings += [(t_ns, partial(begin, text)) for t_ns, text in draw_talk(drive)]
        await _feed(drive, clock, talk, tell, sorted(doings, key=lambda doing: doing[0]))
        talk.close()
    return played


async def _feed(drive: Drive, clock: ManualClock, talk: Conversation, tell: Any, doings: list[Any]) -> None:
    imu, gnss = SimulatedImu(drive, ManualClock()), SimulatedGnss(drive, ManualClock())
    pipeline = Pipeline(
        load_profile(PROFILE),
        [DBC / "outrider_sim.dbc"],
        limits=Detect(),
        sample_sources=[imu, gnss],
        on_events=tell,
        on_window=talk.on_window,
    )
    frames = encode_drive(drive)
    frames = frames[np.isin(frames.can_id, _HEARD)]
    ends_ns = np.arange(WINDOW_NS, drive.duration_ns + WINDOW_NS, WINDOW_NS)
    cuts = [np.searchsorted(t_ns, ends_ns).tolist() for t_ns in (frames.t_ns, imu.t_ns, gnss.t_ns)]
    last = [0] * len(cuts)
    for turn, end_ns in enumerate(ends_ns.tolist()):
        while doings and doings[0][0] <= end_ns:
            t_ns, do = doings.pop(0)
            await clock.advance_to(t_ns)
            do()
        await clock.advance_to(end_ns)
        if cuts[0][turn] > last[0]:
            pipeline.on_frames(frames[last[0] : cuts[0][turn]])
        for source, cut, first in zip((imu, gnss), cuts[1:], last[1:], strict=True):
            if cut[turn] > first:
                pipeline.on_samples(source.name, source.samples(slice(first, cut[turn])))
        last = [cut[turn] for cut in cuts]
