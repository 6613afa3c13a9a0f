"""The diagnostics port over an ELM327 adapter, on a tty, a pty or tcp://host:port."""

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from typing import Final

from agent.core.config import Dongle
from agent.core.errors import SourceLost, SourceSilenced
from agent.core.paths import OBD_PIDS
from agent.core.ports import Clock, VehicleCache
from agent.core.signals import Samples, SignalCatalog, SignalSpec, SignalWindow
from agent.core.toml import load_toml
from agent.core.trouble import CodeListener
from agent.proto import obd
from agent.proto.did import DidDecoder, DidSpec, samples_of
from agent.proto.ecus import FUNCTIONAL
from agent.proto.elm327 import Reply, Status
from agent.proto.generic_polls import generic_polls
from agent.proto.guard import Guard
from agent.proto.schedule import Poll, Request, Schedule
from agent.proto.uds import READ_DATA
from drivers.elm327_port import GuardedAdapter
from drivers.obd_codes import CODE_SERVICES, CodeBook, with_codes
from drivers.obd_facts import FactReader, VehicleFacts
from drivers.obd_samples import hear_samples, hear_window, pid_samples, read_pids, signal_specs

_DTC_PERIOD_S: Final = 60.0
_LOOK_PERIOD_S: Final = 1.0  # at the supply of a sleeping car: nothing of it reaches the bus
_LOOK_NS: Final = 2_000_000_000  # while it is on, to know from where the supply falls
_RENEW_NS: Final = 300_000_000  # of the ignition's lease left: time for a new sign
_IGNITION_PIDS: Final = (0x0C, 0x0D)
_LOOK_AGAIN_NS: Final = 10_000_000_000  # at codes that were just read otherwise than before
_STATUS_PID: Final = 0x01  # its first byte: the lamp, and how many codes are confirmed
_WITHHELD_MAX: Final = 100  # requests in a row: a new connection starts without doubts about the line


class Elm327Source:
    """A SampleSource of live data (SAE J1979 service 01), up to six PIDs a request.

    Pacing follows the injected clock, which is held during each exchange: the answer belongs to the instant of the
    question. The deadline on bytes runs on real time (see byte_line): a mute adapter is SourceLost after
    Dongle.deadline_s, longer only while the adapter resets or says that it searches for the bus.

    Every line for the adapter passes the guard. While the car sleeps, open and read_batch wait, and only the adapter
    itself is asked, for voltage and ignition pin.
    """

    def __init__(
        self,
        dongle: Dongle,
        clock: Clock,
        *,
        table: obd.PidTable | None = None,
        polls: Sequence[Poll] = (),
        dids: Sequence[DidSpec] = (),
        cache: VehicleCache | None = None,
    ) -> None:
        self.name = f"obd:{dongle.port}"
        self.guard = Guard()
        self._dongle = dongle
        self._clock = clock
        table = table or load_toml(OBD_PIDS, obd.PidTable)
        self._table = [spec for spec in table.pids if spec.service == obd.CURRENT_DATA]
        catalog = SignalCatalog(signal_specs(self._table, dongle.period_s, polls))
        self._dids = DidDecoder(dids, catalog)
        self.specs: Sequence[SignalSpec] = catalog.specs
        self._polls = polls
        self._cache = cache
        self._schedule = Schedule(())
        self._facts: VehicleFacts | None = None
        self._codes = CodeBook(self.name)
        self._ignition_request = b""
        self._wake_loops = 0
        self._look_ns = 0
        self._counts: Counter[str] = Counter(requests=0, replies=0, timeouts=0, no_data=0, refused=0, failed=0)
        self._counts.update(not_addressed=0, withheld=0)
        self._adapter = GuardedAdapter(dongle, clock, self.guard, self._counts)
        self._reader = FactReader(self._ask, self._table, self._counts)

    async def open(self) -> None:
        """Connect, reset the adapter, find the bus, ask what the car supports and who it is. Raises SourceLost."""
        await self._adapter.open()
        self._ignition_request = b""
        try:
            await self._start()
        except SourceLost:
            if self._adapter.dialogue.state == "failed":
                self.guard.ignition.observe_silence(self._clock.monotonic_ns())
            await self.close()
            raise

    async def close(self) -> None:
        """Let go of the adapter; safe to call twice."""
        self._adapter.close()

    async def read_batch(self) -> Samples:
        """Wait for the answer to the next request that is due. Raises SourceLost."""
        withheld = 0
        while True:
            request = await self._next_request()
            if self._adapter.withholds(request.data):  # the line's fault, and no miss of the car's
                withheld += 1
                if withheld > _WITHHELD_MAX:
                    raise SourceLost(f"{self._dongle.port}: the line loses characters")
                continue
            begun_ns = self._clock.monotonic_ns()
            reply = await self._ask(request.data, request.ecu, request.reply)
            data, refusal = read_pids(reply.messages, request, self._counts)
            answered: Collection[int] = data
            await self._look_at_codes(request, data)
            if request.service == READ_DATA:
                samples = self._did_samples(reply, begun_ns)
                answered = request.idents if len(samples) else ()
            else:
                samples = pid_samples(self._table, data, begun_ns, self._counts)
            hear_samples(self.guard.ignition, self.specs, samples)
            now_ns = self._clock.monotonic_ns()
            self._schedule.settle(request, answered, t_ns=now_ns, round_trip_ns=now_ns - begun_ns, refusal=refusal)
            if answered:
                return samples

    def observe(self, window: SignalWindow) -> None:
        """Hear what other sources say of the ignition."""
        hear_window(self.guard.ignition, window)

    def vehicle_facts(self) -> VehicleFacts | None:
        """What was read after the last connect; None before the first."""
        return self._facts

    def tell_codes(self, listener: CodeListener) -> None:
        """Call the listener with the trouble codes once they are read, on connecting and whenever they may differ."""
        self._codes.listeners.append(listener)

    def counters(self) -> Mapping[str, int]:
        """Requests, replies, timeouts, no_data, refused, bad and stray lines; packs as now in use; the guard's.

        not_addressed: requests for one ECU that were not sent because the adapter cannot address it. withheld: those
        that a line which loses characters could turn into something else.
        """
        return {
            **self._counts,
            **{f"guard_{name}": count for name, count in self.guard.counters().items()},
            "bad": self._adapter.live("bad"),
            "stray": self._adapter.live("stray"),
            "pids": len(self._schedule.pids),
            "pids_dropped": len(self._schedule.dropped),
            "pack_max": self._schedule.pack_max(),
        }

    async def _start(self) -> None:
        await self._adapter.look()
        self.guard.reconnect(self._clock.monotonic_ns(), measures=self._adapter.measures)
        await self._stay_awake()
        low = self._reader.first_bitmap(await self._adapter.start())
        if pids := [pid for pid in _IGNITION_PIDS if pid in low]:
            self._ignition_request = obd.encode_request(
                obd.CURRENT_DATA, pids[: 2 if self._adapter.dialogue.is_can else 1]
            )
        vin = await self._reader.vin()
        supported = await self._reader.supported_pids(low, vin, self._cache)
        self._facts = await self._read_facts(supported, vin)
        self._plan(supported)
        self._tell_codes()

    def _plan(self, supported: frozenset[int]) -> None:
        if not self._adapter.dialogue.shows_headers:
            supported = frozenset(filter(obd.has_sure_length, supported))
        known = {spec.pid for spec in self._table}
        asked = [poll for poll in self._polls if poll.ecu == FUNCTIONAL and poll.pid in supported & known]
        polls = asked or generic_polls(
            [spec.pid for spec in self._table if spec.pid in supported], self._dongle.period_s
        )
        if self._adapter.dialogue.is_can:
            polls += [poll for poll in self._polls if poll.did is not None]
            polls += [poll for poll in self._polls if poll.ecu != FUNCTIONAL and poll.pid in known]
        self._schedule = Schedule(
            polls,
            start_ns=self._clock.monotonic_ns(),
            pack_max=obd.PIDS_PER_REQUEST if self._adapter.dialogue.is_can else 1,
            dtc_period_s=_DTC_PERIOD_S,
        )

    async def _read_facts(self, supported: frozenset[int], vin: str | None) -> VehicleFacts:
        names = await self._reader.names_or_codes(obd.encode_request(obd.VEHICLE_INFORMATION, [obd.CALIBRATION_IDS]))
        stored, pending, permanent = [
            await self._reader.names_or_codes(obd.encode_request(service)) for service in CODE_SERVICES
        ]
        code, frame = await self._reader.freeze_frame(supported) if stored or pending else (None, {})
        return VehicleFacts(
            adapter=self._adapter.dialogue.adapter,
            protocol=self._adapter.dialogue.protocol,
            supported_pids=supported,
            vin=vin,
            calibration_ids=names,
            stored_dtcs=stored,
            pending_dtcs=pending,
            permanent_dtcs=permanent,
            freeze_frame_dtc=code,
            freeze_frame=frame,
        )

    async def _next_request(self) -> Request:
        """Wait until something is due, and the car is on."""
        while True:
            if self._schedule.empty:
                raise SourceLost(f"{self._dongle.port}: the car answers no live data any more")
            await self._stay_awake()
            now_ns = self._clock.monotonic_ns()
            request = self._schedule.take(now_ns)
            if request is not None:
                return request
            due_ns = self._schedule.next_ns() or now_ns
            lease_ns = self.guard.ignition.on_until_ns
            if lease_ns is not None:
                due_ns = min(due_ns, max(now_ns, lease_ns - _RENEW_NS))
            await self._clock.sleep((due_ns - now_ns) / 1e9)

    async def _stay_awake(self) -> None:
        """Return once the guard would let a request out, with a sign of the ignition as fresh as can be had.

        Raises SourceSilenced at a wake loop.
        """
        while True:
            now_ns = self._clock.monotonic_ns()
            fresh = self._is_fresh(now_ns)
            if not fresh or now_ns >= self._look_ns:
                await self._adapter.look()
                self._look_ns = now_ns + _LOOK_NS
                now_ns = self._clock.monotonic_ns()
                fresh = self._is_fresh(now_ns)
            if self.guard.ignition.wake_loops > self._wake_loops:
                self._wake_loops = self.guard.ignition.wake_loops
                raise SourceSilenced(f"{self._dongle.port}: the car wakes again and again without moving")
            if self.guard.holds_back(now_ns):
                await self._clock.sleep(_LOOK_PERIOD_S)
            elif (ready_ns := self.guard.ready_ns(now_ns)) > now_ns:
                await self._clock.sleep((ready_ns - now_ns) / 1e9)
            elif self._ignition_request and self.guard.ignition.dozes(now_ns):
                await self._renew()  # nothing but a sign is asked for
            elif fresh or not self._ignition_request:
                return
            else:
                await self._renew()
                if self.guard.may_ask(self._clock.monotonic_ns()):
                    return

    def _is_fresh(self, now_ns: int) -> bool:
        lease_ns = self.guard.ignition.on_until_ns
        return lease_ns is not None and now_ns < lease_ns - _RENEW_NS

    async def _renew(self) -> None:
        """Ask for engine and road speed: signs of the ignition where voltage and pin tell none."""
        t_ns = self._clock.monotonic_ns()
        reply = await self._adapter.exchange(self._ignition_request)
        self._hear(reply)
        request = Request(FUNCTIONAL, self._ignition_request, tuple(self._ignition_request[1:]))
        data, _ = read_pids(reply.messages, request, self._counts)
        hear_samples(self.guard.ignition, self.specs, pid_samples(self._table, data, t_ns, self._counts))

    async def _ask(self, request: bytes, ecu: int = FUNCTIONAL, answered_by: int | None = None) -> Reply:
        """One request and the reply to it, the ignition being looked after before."""
        await self._stay_awake()
        if self._adapter.withholds(request):
            return Reply(request.hex().upper(), Status.NO_DATA)
        reply = await self._adapter.exchange(request, ecu, answered_by)
        self._hear(reply)
        if request[0] in CODE_SERVICES:
            self._keep_codes(reply, request)
        return reply

    def _hear(self, reply: Reply) -> None:
        """Tell the guard whether anybody in the car answers."""
        if reply.messages:
            self.guard.ignition.observe_answer()
        elif reply.status in {Status.NO_DATA, Status.UNABLE_TO_CONNECT}:
            self.guard.ignition.observe_silence(self._clock.monotonic_ns())

    def _keep_codes(self, reply: Reply, request: bytes) -> None:
        codes = self._reader.read_list(reply, request) if self._facts else None
        if self._facts is None or codes is None:
            return
        self._facts = with_codes(self._facts, request[0], codes)

    async def _look_at_codes(self, request: Request, data: Mapping[int, bytes]) -> None:
        """Tell of codes once all lists were asked for, with a new freeze frame; ask soon where their count differs."""
        if _STATUS_PID in data and self._codes.is_other_count(data[_STATUS_PID]):
            self._schedule.hurry_codes(self._clock.monotonic_ns())
        if self._facts is None or not self._codes.is_round(request.service):
            return
        if (self._facts.stored_dtcs or self._facts.pending_dtcs) and self._codes.differs(self._facts):
            code, frame = await self._reader.freeze_frame(self._facts.supported_pids)
            self._facts = replace(self._facts, freeze_frame_dtc=code, freeze_frame=frame)
        self._tell_codes()

    def _tell_codes(self) -> None:
        """Hand on what is known now; what has changed is looked at again soon."""
        if self._facts is None:
            return
        now_ns = self._clock.monotonic_ns()
        if self._codes.tell(self._facts, now_ns):
            self._schedule.hurry_codes(now_ns + _LOOK_AGAIN_NS)

    def _did_samples(self, reply: Reply, t_ns: int) -> Samples:
        rows = [row for message in reply.messages for row in self._dids.values(message.sender, message.data, t_ns)]
        return samples_of(rows)
