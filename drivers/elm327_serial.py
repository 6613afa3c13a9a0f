"""The diagnostics port over an ELM327 adapter, on a tty, a pty or tcp://host:port."""

import asyncio
from collections import Counter, deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from agent.core.config import Dongle, load_toml
from agent.core.errors import ProtocolError, SourceLost
from agent.core.paths import OBD_PIDS
from agent.core.ports import Clock
from agent.core.signals import Quality, Samples, SignalSpec
from agent.proto import obd
from agent.proto.elm327 import Elm327, Reply, Status
from agent.proto.obd_plan import PollPlan
from drivers.byte_line import ByteLine, open_line

# Speed, engine speed, throttle, pedal, load, air flow: what a maneuver is seen by. The rest takes turns.
FAST_PIDS: Final = frozenset({0x04, 0x0C, 0x0D, 0x10, 0x11, 0x5A})
_COMMAND_S_MAX: Final = 30.0  # of an adapter that keeps talking without ever coming to its prompt
_TIMEOUTS_MAX: Final = 3  # in a row: half-dead counts as dead


@dataclass(frozen=True, slots=True, kw_only=True)
class VehicleFacts:
    """What the car says about itself, read once after connecting. None is "did not answer"."""

    adapter: str
    protocol: str  # the adapter's number for the bus: 6 to 9 are CAN
    supported_pids: frozenset[int]
    vin: str | None = None
    calibration_ids: tuple[str, ...] | None = None
    stored_dtcs: tuple[str, ...] | None = None
    pending_dtcs: tuple[str, ...] | None = None
    permanent_dtcs: tuple[str, ...] | None = None


class Elm327Source:
    """A SampleSource of live data (SAE J1979 service 01), up to six PIDs a request.

    Pacing follows the injected clock, which is held during each exchange: the answer belongs to the instant of the
    question. The deadline on bytes runs on real time (see byte_line): a mute adapter is SourceLost after
    Dongle.deadline_s, longer only while the adapter resets or says that it searches for the bus.
    """

    def __init__(self, dongle: Dongle, clock: Clock, *, table: obd.PidTable | None = None) -> None:
        self.name = f"obd:{dongle.port}"
        self._dongle = dongle
        self._clock = clock
        table = table or load_toml(OBD_PIDS, obd.PidTable)
        self._table = [spec for spec in table.pids if spec.service == obd.CURRENT_DATA]
        self.specs: Sequence[SignalSpec] = signal_specs(self._table, dongle.period_s)
        self._line: ByteLine | None = None
        self._dialogue = Elm327()
        self._plan = PollPlan(())
        self._todo: deque[tuple[int, ...]] = deque()
        self._next_round_ns = 0
        self._facts: VehicleFacts | None = None
        self._timeouts_in_row = 0
        self._counts: Counter[str] = Counter(requests=0, replies=0, timeouts=0, no_data=0, refused=0, failed=0)

    async def open(self) -> None:
        """Connect, reset the adapter, find the bus, ask what the car supports and who it is. Raises SourceLost."""
        await self.close()
        self._line = await open_line(
            self._dongle.port, baudrate=self._dongle.baudrate, timeout_s=self._dongle.deadline_s
        )
        self._dialogue = Elm327()
        self._timeouts_in_row = 0
        self._todo.clear()
        self._next_round_ns = self._clock.monotonic_ns()
        try:
            await self._start()
        except SourceLost:
            await self.close()
            raise

    async def close(self) -> None:
        """Let go of the adapter; safe to call twice."""
        if self._line is not None:
            self._line.close()
            self._line = None
            self._counts["bad"] += self._dialogue.bad
            self._counts["stray"] += self._dialogue.strays

    async def read_batch(self) -> Samples:
        """Wait for the answer to the next request of this round. Raises SourceLost."""
        while True:
            if not self._todo:
                await self._begin_round()
            asked = self._todo.popleft()
            reply = await self._ask(obd.encode_request(obd.CURRENT_DATA, asked))
            data = self._read_pids(reply, asked)
            self._plan.settle(asked, data)
            if data:
                return self._samples(data)

    def vehicle_facts(self) -> VehicleFacts | None:
        """What was read after the last connect; None before the first."""
        return self._facts

    def counters(self) -> Mapping[str, int]:
        """Requests, replies, timeouts, no_data, refused, bad and stray lines; packs as now in use."""
        live = self._dialogue if self._line is not None else Elm327()
        return {
            **self._counts,
            "bad": self._counts["bad"] + live.bad,
            "stray": self._counts["stray"] + live.strays,
            "pids": len(self._plan.pids),
            "pids_dropped": len(self._plan.dropped),
            "pack_max": self._plan.pack_max,
        }

    async def _start(self) -> None:
        first = Reply("", Status.NO_DATA)
        while self._dialogue.state == "starting":
            reply = await self._talk()
            first = reply if reply.command == "0100" else first
        if self._dialogue.state == "failed":
            raise SourceLost(f"{self._dongle.port}: {self._dialogue.adapter}: {self._dialogue.fault}")
        supported = await self._discover(first)
        wanted = [pid for pid in dict.fromkeys(spec.pid for spec in self._table) if pid in supported]
        pack_max = obd.PIDS_PER_REQUEST if self._dialogue.is_can else 1
        self._plan = PollPlan(wanted, fast=FAST_PIDS, pack_max=pack_max)
        self._facts = await self._read_facts(supported)

    async def _discover(self, first: Reply) -> frozenset[int]:
        """PIDs of service 01 that any ECU supports, following the chain of bitmaps."""
        supported: frozenset[int] = frozenset()
        reply, base = first, 0
        while True:
            for message in reply.messages:
                try:
                    supported |= obd.parse_supported(base, obd.parse_pids(message.data, {base})[base])
                except ProtocolError:
                    self._counts["bad"] += 1
            base += 0x20
            if base not in supported or base > 0xE0:
                return supported
            reply = await self._ask(obd.encode_request(obd.CURRENT_DATA, [base]))

    async def _read_facts(self, supported: frozenset[int]) -> VehicleFacts:
        vin = await self._read_vin()
        calibration = await self._read_list(obd.encode_request(obd.VEHICLE_INFORMATION, [obd.CALIBRATION_IDS]))
        stored, pending, permanent = [
            await self._read_list(obd.encode_request(service))
            for service in (obd.STORED_DTCS, obd.PENDING_DTCS, obd.PERMANENT_DTCS)
        ]
        return VehicleFacts(
            adapter=self._dialogue.adapter,
            protocol=self._dialogue.protocol,
            supported_pids=supported,
            vin=vin,
            calibration_ids=calibration,
            stored_dtcs=stored,
            pending_dtcs=pending,
            permanent_dtcs=permanent,
        )

    async def _read_vin(self) -> str | None:
        """VIN from the first ECU that has a sound one (on CAN; older buses cut it into pieces we do not join)."""
        reply = await self._ask(obd.encode_request(obd.VEHICLE_INFORMATION, [obd.VIN]))
        for message in reply.messages:
            try:
                return obd.parse_vin(message.data)
            except ProtocolError:
                self._counts["bad"] += 1
        return None

    async def _read_list(self, request: bytes) -> tuple[str, ...] | None:
        """Codes or names from all ECUs together, each once."""
        reply = await self._ask(request)
        found: dict[str, None] = {}
        answered = False
        for message in reply.messages:
            try:
                if request[0] == obd.VEHICLE_INFORMATION:
                    found |= dict.fromkeys(obd.parse_calibration_ids(message.data))
                else:
                    found |= dict.fromkeys(obd.parse_dtcs(message.data, request[0]))
                answered = True
            except obd.NegativeResponse:
                self._counts["refused"] += 1
            except ProtocolError:
                self._counts["bad"] += 1
        return tuple(found) if answered else None

    async def _begin_round(self) -> None:
        now_ns = self._clock.monotonic_ns()
        if now_ns < self._next_round_ns:
            await self._clock.sleep((self._next_round_ns - now_ns) / 1e9)
        self._next_round_ns = max(self._next_round_ns, now_ns) + round(self._dongle.period_s * 1e9)
        self._todo.extend(self._plan.next_round())
        if not self._todo:
            raise SourceLost(f"{self._dongle.port}: the car answers no live data any more")

    async def _ask(self, request: bytes) -> Reply:
        """One request and the reply to it and no other; an interrupted one is asked once more."""
        for _ in range(2):
            self._dialogue.request(request)
            self._counts["requests"] += 1
            reply = await self._talk()
            while reply.command != request.hex().upper():
                reply = await self._talk()
            self._counts["replies"] += reply.status is Status.OK
            self._counts["no_data"] += reply.status is Status.NO_DATA
            self._counts["refused"] += reply.status is Status.REFUSED
            self._counts["failed"] += reply.status is Status.FAILED
            if reply.status is not Status.STOPPED:
                break
        return reply

    async def _talk(self) -> Reply:
        """Send the dialogue's next command and wait for how it ended. Raises SourceLost on silence."""
        if self._line is None:
            raise SourceLost(f"{self._dongle.port}: not open")
        with self._clock.hold():
            self._line.write(self._dialogue.take())
            end_s = asyncio.get_running_loop().time() + _COMMAND_S_MAX
            while asyncio.get_running_loop().time() < end_s:
                data = await self._line.read(self._dongle.deadline_s + self._dialogue.allowance_s)
                replies = self._dialogue.feed(data) if data else self._time_out()
                if replies:
                    self._timeouts_in_row = 0 if data else self._timeouts_in_row
                    return replies[0]
        raise SourceLost(f"{self._dongle.port}: talks without coming to an end")

    def _time_out(self) -> list[Reply]:
        self._counts["timeouts"] += 1
        self._timeouts_in_row += 1
        if not self._dialogue.heard:
            raise SourceLost(f"{self._dongle.port}: silent for {self._dongle.deadline_s} s")
        if self._timeouts_in_row >= _TIMEOUTS_MAX:
            raise SourceLost(f"{self._dongle.port}: answers without an end (wrong baud rate?)")
        return self._dialogue.give_up()

    def _read_pids(self, reply: Reply, asked: tuple[int, ...]) -> dict[int, bytes]:
        """Data by PID; where several ECUs tell the same, the lowest identifier (the engine's) is believed."""
        data: dict[int, bytes] = {}
        for message in sorted(reply.messages, key=lambda m: m.sender):
            try:
                data = obd.parse_pids(message.data, asked) | data
            except obd.NegativeResponse:
                self._counts["refused"] += 1
            except ProtocolError:
                self._counts["bad"] += 1
        return data

    def _samples(self, data: Mapping[int, bytes]) -> Samples:
        t_ns = self._clock.monotonic_ns()
        rows: list[tuple[int, float, int]] = []
        for number, spec in enumerate(self._table):
            if spec.pid not in data:
                continue
            if len(data[spec.pid]) < spec.byte_count:
                self._counts["bad"] += 1
                continue
            value = spec.value(data[spec.pid])
            plausible = spec.minimum <= value <= spec.maximum
            rows.append((number, value, Quality.VALID if plausible else Quality.IMPLAUSIBLE))
        return Samples(
            np.full(len(rows), t_ns, np.int64),
            np.array([row[0] for row in rows], np.int32),
            np.array([row[1] for row in rows], np.float64),
            np.array([row[2] for row in rows], np.uint8),
        )


def signal_specs(table: Sequence[obd.PidSpec], period_s: float) -> list[SignalSpec]:
    """Signals in the table's order. Stale after three turns: a fast PID has one each round, others share the rounds."""
    packs = -(-len({spec.pid for spec in table}) // obd.PIDS_PER_REQUEST)
    return [
        SignalSpec(
            spec.path,
            spec.unit,
            minimum=spec.minimum,
            maximum=spec.maximum,
            stale_after_s=max(2.0, 3 * period_s * (1 if spec.pid in FAST_PIDS else packs)),
        )
        for spec in table
    ]
