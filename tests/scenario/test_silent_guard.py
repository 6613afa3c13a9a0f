"""1,000 random ignition cycles: the real source, dialogue, schedule and guard against a simulated adapter, no I/O.

Every request that reaches the bus is held against the truth of the simulated car: it may come while the ignition is on
or the supply is up, and up to 1 s after, never later.
"""

import random
from bisect import bisect_right
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import pytest

from agent.core import vss
from agent.core.config import Dongle as DongleConfig
from agent.core.errors import EndOfSource, SourceLost, SourceSilenced
from drivers import elm327_port
from drivers.elm327_serial import Elm327Source
from simulators.ecu import Ecu
from simulators.elm327 import Elm327Chip, Traits

CARS, CYCLES = 40, 25
NS = 1_000_000_000


class SimulatedClock:
    """Time passes by sleeping only: one task, no waiting."""

    def __init__(self, end_s: float) -> None:
        self.t_s = 0.0
        self._end_s = end_s
        self.synced = True

    def monotonic_ns(self) -> int:
        return round(self.t_s * NS)

    def wall_ns(self) -> int:
        return self.monotonic_ns()

    async def sleep(self, seconds: float) -> None:
        self.pass_by(seconds)

    def pass_by(self, seconds: float) -> None:
        self.t_s += max(0.0, seconds)
        if self.t_s > self._end_s:
            raise EndOfSource("the last cycle is over")

    @contextmanager
    def hold(self) -> Iterator[None]:
        yield


@dataclass
class Phase:
    begin_s: float
    on: bool
    engine: bool = False  # or the wheels of an electric car turn
    supply: float = 12.5
    surplus: float = 0.0  # surface charge at the beginning, that decays
    ecus: bool = False


@dataclass
class Car:
    """A car's truth over many ignition cycles, as phases in a row."""

    rng: random.Random
    electric: bool
    phases: list[Phase] = field(default_factory=list)
    t_s: float = 0.0

    def add(self, seconds: float, **options: object) -> None:
        self.phases.append(Phase(self.t_s, **options))  # type: ignore[arg-type]  # a test's shorthand
        self.t_s += seconds

    def cycle(self) -> None:
        rng = self.rng
        up = rng.uniform(13.6, 14.6)
        low = rng.uniform(12.2, 12.7)
        self.add(rng.uniform(0, 8), on=True, supply=low, ecus=True)  # key on, not started yet
        for _ in range(rng.randint(1, 4)):
            self.add(rng.uniform(2, 40), on=True, engine=True, supply=up, ecus=True)
            if self.electric:  # stands, ready to go
                self.add(rng.uniform(1, 30), on=True, supply=up, ecus=True)
            elif rng.random() < 0.5:  # start-stop
                self.add(rng.uniform(1, 20), on=True, supply=low, ecus=True)
        charged = self.phases[-1].supply > 13
        drop = rng.uniform(0.5, 1.2)
        after = rng.uniform(0, 60)
        self.add(after, on=False, supply=low, surplus=charged * max(0.0, up - drop - low), ecus=True)  # ECUs run on
        self.add(rng.uniform(5, 240), on=False, supply=low)
        if self.electric and rng.random() < 0.2:  # the converter tops the 12 V battery up
            self.add(rng.uniform(30, 600), on=False, supply=up, ecus=True)
            self.add(rng.uniform(60, 240), on=False, supply=low, surplus=max(0.0, up - drop - low))
        elif rng.random() < 0.2:  # a door wakes the ECUs
            self.add(rng.uniform(5, 60), on=False, supply=low - 0.2, ecus=True)

    def phase(self, t_s: float) -> Phase:
        return self.phases[bisect_right(self.phases, t_s, key=lambda phase: phase.begin_s) - 1]

    def volts(self, t_s: float) -> float:
        phase = self.phase(t_s)
        decay: float = 0.5 ** ((t_s - phase.begin_s) / 20)
        return phase.supply + phase.surplus * decay + self.rng.uniform(-0.06, 0.06)

    def may_be_asked(self, t_s: float) -> bool:
        """Ignition on or supply up, now or within the last second."""
        last = bisect_right(self.phases, t_s, key=lambda phase: phase.begin_s)
        first = bisect_right(self.phases, t_s - 1.0, key=lambda phase: phase.begin_s) - 1
        return any(phase.on or phase.supply > 13.5 for phase in self.phases[max(0, first) : last])


class SimulatedLine:
    """Stands in for the tty: the chip's answers, each after the adapter's latency."""

    def __init__(self, car: Car, clock: SimulatedClock, chip: Elm327Chip, sent: list[tuple[float, bytes]]) -> None:
        self._car = car
        self._clock = clock
        self._chip = chip
        self._sent = sent
        self._answer = b""

    def write(self, data: bytes) -> None:
        phase = self._car.phase(self._clock.t_s)
        self._chip.ignition = phase.ecus
        self._chip.supply_v = self._car.volts(self._clock.t_s)
        before = len(self._chip.requests)
        self._answer = self._chip.echo(data) + self._chip.answer(data.rstrip(b"\r"))
        self._sent += [(self._clock.t_s, request) for request in self._chip.requests[before:]]

    async def read(self, timeout_s: float) -> bytes:
        answer, self._answer = self._answer, b""
        lost = self._car.rng.random() < 0.0005
        self._clock.pass_by(timeout_s if lost or not answer else self._car.rng.uniform(0.01, 0.12))
        return b"" if lost else answer

    def close(self) -> None:
        self._answer = b""


@dataclass
class Outcome:
    sent: list[tuple[float, bytes]]
    car: Car
    silenced: int
    samples: int


async def run_car(seed: int, monkeypatch: pytest.MonkeyPatch) -> Outcome:
    rng = random.Random(seed)  # noqa: S311  # the same cars every time
    car = Car(rng, electric=seed % 2 == 1)
    for _ in range(CYCLES):
        car.cycle()
    clock = SimulatedClock(car.t_s)

    def values() -> dict[str, float]:
        phase = car.phase(clock.t_s)
        moving = {vss.SPEED: 40.0 * phase.engine, vss.COOLANT_TEMPERATURE: 80.0, vss.AIR_TEMPERATURE: 20.0}
        return moving if car.electric else {**moving, vss.ENGINE_SPEED: 1500.0 * phase.engine}

    refused = rng.choice([frozenset(), frozenset({"IGN"}), frozenset({"IGN", "DPN"})])
    if seed % 8 == 0:
        refused |= {"RV"}
    chip = Elm327Chip([Ecu(values)], Traits(refused=refused))
    sent: list[tuple[float, bytes]] = []

    async def open_line(*_: object, **__: object) -> SimulatedLine:
        return SimulatedLine(car, clock, chip, sent)

    monkeypatch.setattr(elm327_port, "open_line", open_line)
    source = Elm327Source(DongleConfig(port="simulated", period_s=rng.choice([0.1, 0.5, 2.0, 10.0])), clock)
    silenced = samples = 0
    try:
        while True:
            try:
                await source.open()
                while True:
                    samples += len(await source.read_batch())
            except SourceSilenced:
                silenced += 1
            except SourceLost:
                pass
            await clock.sleep(rng.uniform(0.5, 4))
    except EndOfSource:
        return Outcome(sent, car, silenced, samples)


async def test_a_thousand_ignition_cycles_without_a_frame_outside_the_rule(monkeypatch: pytest.MonkeyPatch) -> None:
    outside: list[tuple[int, float, str]] = []
    sent = top_ups = samples = asked_while_on = 0
    for seed in range(CARS):
        outcome = await run_car(seed, monkeypatch)
        sent += len(outcome.sent)
        samples += outcome.samples
        for t_s, request in outcome.sent:
            assert request[0] in {0x01, 0x02, 0x03, 0x07, 0x09, 0x0A}
            phase = outcome.car.phase(t_s)
            asked_while_on += phase.on
            top_ups += not phase.on and phase.supply > 13.5
            if not outcome.car.may_be_asked(t_s):
                outside.append((seed, round(t_s, 2), request.hex()))
    assert outside == []
    assert top_ups < sent / 5  # parked, but the converter is at work: bounded by IDLE_NS_MAX and the wake lock
    assert asked_while_on > 30 * CARS * CYCLES  # silence alone would prove nothing
    assert samples > sent
