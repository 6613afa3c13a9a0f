"""Drives for the gate's evaluation: drawn, driven through the real pipeline, talked about by the real voice room."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cache, partial
from typing import Any, Final

import msgspec
import numpy as np

from agent.core.config import Detect, Voice
from agent.core.events import (
    Anomaly,
    BatteryAlarm,
    ChargeSession,
    ConfigApplied,
    Diagnosis,
    EngineAdvice,
    Event,
    HarshDriving,
    TripEnded,
)
from agent.core.paths import DBC, PROMPTS
from agent.core.ports import Notice, Utterance
from agent.decode.profile import load_profile
from agent.pipeline import Pipeline
from agent.voice.conversation import Conversation
from agent.voice.prompts import Phrases, load_phrases
from simulators.clock import ManualClock
from simulators.driver_person import Answer, SimulatedDriver, speech_s
from simulators.gnss import SimulatedGnss
from simulators.hardware import PROFILE
from simulators.imu import SimulatedImu
from simulators.world import Drive, Scenario, simulate
from simulators.world.commutes import random_commute
from simulators.world.frames import encode_drive
from simulators.world.happenings import Reversing, Rollover
from simulators.world.motion import Motion, move
from simulators.world.scenario import CellOverheat, Collision, Curve, HarshBrake

WINDOW_NS: Final = 100_000_000
_NS: Final = 10**9
_CRASHES: Final = 0.3  # share of drives
_RUNAWAYS: Final = 0.15
_ROLLOVERS: Final = 0.2  # of crashes at a speed from which a car may roll
_ROLLS_MPS: Final = 8.0
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


def draw(seed: int, duration_s: float) -> Scenario:
    """A commute with more braking, corners, reversing, crashes and burning cells than any day has."""
    rng = np.random.default_rng([seed, 8101])
    commute = random_commute(seed, duration_s)

    def times(most: int, *, first: float = 5.0) -> list[float]:
        count = int(rng.integers(0, most + 1))
        return sorted(float(t_s) for t_s in rng.uniform(first, duration_s - 10, count))

    events: list[Any] = list(commute.events)
    events += [
        HarshBrake(at_s=t_s, deceleration_mps2=float(rng.uniform(2.2, 8)), duration_s=float(rng.uniform(0.3, 3.5)))
        for t_s in times(5)
    ]
    events += [Reversing(at_s=t_s, duration_s=float(rng.uniform(1, 12))) for t_s in times(2)]
    if rng.random() < _RUNAWAYS:
        events.append(CellOverheat(at_s=float(rng.uniform(5, 60)), cell=3, rate_kps=3.0))
    curves = [
        Curve(
            at_s=t_s,
            duration_s=float(rng.uniform(2, 7)),
            radius_m=float(rng.uniform(18, 150)),
            turn="left" if rng.random() < 0.5 else "right",
        )
        for t_s in times(4)
    ]
    curves = sorted([*commute.curves, *curves], key=lambda curve: curve.at_s)
    events.sort(key=lambda event: event.at_s)
    scenario = msgspec.structs.replace(commute, name=f"gate-{seed}", events=events, curves=curves)
    if rng.random() < _CRASHES:
        events += _crash(rng, move(scenario, seed), duration_s)
        events.sort(key=lambda event: event.at_s)
    return msgspec.structs.replace(scenario, events=events)


def _crash(rng: np.random.Generator, motion: Motion, duration_s: float) -> list[Any]:
    at_s = float(rng.uniform(10, duration_s - 15))
    fast = np.interp(at_s, motion.t_s, motion.speed) > _ROLLS_MPS
    if fast and rng.random() < _ROLLOVERS:
        return [Rollover(at_s=at_s)]
    impacts = 1 + int(rng.random() < 0.25)
    return [
        Collision(
            at_s=at_s + n * float(rng.uniform(1, 4)),
            delta_v_kmh=float(rng.uniform(12, 60)),
            duration_ms=float(rng.uniform(60, 150)),
            pdof_deg=float(rng.choice([0.0, 0.0, 180.0, 90.0, -90.0, 30.0])),
        )
        for n in range(impacts)
    ]


def draw_prompts(drive: Drive) -> list[tuple[int, Event]]:
    """When the voice room is told what beside the pipeline's own events: half of it close to a manoeuvre."""
    rng = np.random.default_rng([drive.seed, 8102])
    busy_s = [event.at_s for event in drive.scenario.events] + [curve.at_s for curve in drive.scenario.curves]
    told = []
    for _ in range(int(rng.integers(8, 25))):
        t_s = float(rng.uniform(1, drive.duration_ns / _NS - 3))
        if busy_s and rng.random() < 0.5:
            t_s = float(np.clip(rng.choice(busy_s) + rng.uniform(-6, 8), 1, drive.duration_ns / _NS - 3))
        told.append(round(t_s * _NS))
    return [(t_ns, _any_event(rng, t_ns)) for t_ns in sorted(told)]


def _any_event(rng: np.random.Generator, t_ns: int) -> Event:
    makers: list[Callable[..., Event]] = [
        partial(HarshDriving, maneuver="braking", peak_mps2=6.0, duration_s=1.0),
        partial(Anomaly, model="drive", score=2.0, threshold=1.0),
        partial(ConfigApplied, bundle="b", config_version=1, sha256=""),
        partial(
            EngineAdvice, level="stop_now", fault="overheating", signal="", value=1, expected=0, unit="", seconds=9
        ),
        partial(TripEnded, started_ns=0, duration_s=90, distance_m=900, speed_max_kmh=60, harsh_braking_count=2),
        partial(BatteryAlarm, alarm="over_temperature", level=2, value=57.0, limit=55.0, unit="C", cell=4),
        partial(BatteryAlarm, alarm="insulation", level=3, value=57.0, limit=55.0, unit="kOhm"),
        partial(BatteryAlarm, alarm="brake_system", level=2, value=1, limit=0, unit=""),
        partial(BatteryAlarm, alarm="thermal_runaway", level=4, value=90.0, limit=60.0, unit="C", cell=4),
        _diagnosis,
        _charge,
    ]
    shares = [0.13, 0.1, 0.1, 0.1, 0.1, 0.12, 0.08, 0.06, 0.05, 0.08, 0.08]
    return makers[int(rng.choice(len(makers), p=shares))](t_ns=t_ns)


def _diagnosis(*, t_ns: int) -> Event:
    nothing: dict[str, Any] = {key: [] for key in ("evidence_of", "evidence", "evidence_points", "evidence_values")}
    return Diagnosis(
        t_ns=t_ns, codes=["P0171"], confirmed=True, drive="stop_now", causes=[], points=[], limits=[], **nothing
    )


def _charge(*, t_ns: int) -> Event:
    nothing: dict[str, Any] = dict.fromkeys(("soc_start", "soc_end", "temperature_max_c"))
    return ChargeSession(
        t_ns=t_ns,
        started_ns=t_ns,
        mode="dc",
        energy_kwh=30.0,
        charge_ah=90.0,
        power_max_kw=60.0,
        tapered=False,
        interrupted=1,
        ended="unplugged",
        **nothing,
    )


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
    words = [_ANSWERS[int(n)] for n in rng.integers(0, len(_ANSWERS), 40)]
    answers = [Answer(text, reaction_s=float(rng.uniform(0.5, 8))) for text in words]

    def notify(notice: Notice) -> None:
        played.asked += notice.topic == "asked"

    talk = Conversation(
        Voice(language="zh" if drive.seed % 2 else "en", scenes_per_hour=60),
        _phrases(),
        speaker=HeardSpeaker(clock, played.sounds),
        microphone=SimulatedDriver(clock, answers),
        clock=clock,
        notify=notify,
        emit=lambda _: None,
    )

    def tell(events: Sequence[Event]) -> None:
        for event in events:
            played.told.append((clock.monotonic_ns(), event))
            talk.on_event(event)

    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(talk.run())
        await _feed(drive, clock, talk, tell)
        talk.close()
    return played


async def _feed(drive: Drive, clock: ManualClock, talk: Conversation, tell: Any) -> None:
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
    prompts = draw_prompts(drive)
    ends_ns = np.arange(WINDOW_NS, drive.duration_ns + WINDOW_NS, WINDOW_NS)
    cuts = [np.searchsorted(t_ns, ends_ns).tolist() for t_ns in (frames.t_ns, imu.t_ns, gnss.t_ns)]
    last = [0] * len(cuts)
    for turn, end_ns in enumerate(ends_ns.tolist()):
        while prompts and prompts[0][0] <= end_ns:
            t_ns, event = prompts.pop(0)
            await clock.advance_to(t_ns)
            tell([event])
        await clock.advance_to(end_ns)
        if cuts[0][turn] > last[0]:
            pipeline.on_frames(frames[last[0] : cuts[0][turn]])
        for source, cut, first in zip((imu, gnss), cuts[1:], last[1:], strict=True):
            if cut[turn] > first:
                pipeline.on_samples(source.name, source.samples(slice(first, cut[turn])))
        last = [cut[turn] for cut in cuts]
