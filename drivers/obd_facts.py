"""What a car says about itself once: supported PIDs, VIN, software, trouble codes and the frozen frame of the first."""

import math
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field

from agent.core.errors import ProtocolError
from agent.core.ports import VehicleCache
from agent.proto import obd
from agent.proto.elm327 import Reply

Ask = Callable[[bytes], Awaitable[Reply]]
_FRAME_PIDS_MAX = 24


@dataclass(frozen=True, slots=True, kw_only=True)
class VehicleFacts:
    """Read once after connecting; codes again and again, slowly. None is "did not answer"."""

    adapter: str
    protocol: str  # the adapter's number for the bus: 6 to 9 are CAN
    supported_pids: frozenset[int]
    vin: str | None = None
    calibration_ids: tuple[str, ...] | None = None
    stored_dtcs: tuple[str, ...] | None = None
    pending_dtcs: tuple[str, ...] | None = None
    permanent_dtcs: tuple[str, ...] | None = None
    freeze_frame_dtc: str | None = None  # the code that froze the frame
    freeze_frame: Mapping[str, float] = field(default_factory=dict)  # VSS path -> value when it was set


class FactReader:
    """Asks the questions through `ask`; what cannot be read is counted."""

    def __init__(self, ask: Ask, table: Sequence[obd.PidSpec], counts: Counter[str]) -> None:
        self._ask = ask
        self._table = table
        self._counts = counts

    def first_bitmap(self, reply: Reply) -> frozenset[int]:
        """PIDs 01 to 20 that any ECU supports, from the answer to 01 00."""
        return self._bitmap(reply, 0)

    async def supported_pids(
        self, first: frozenset[int], vin: str | None, cache: VehicleCache | None
    ) -> frozenset[int]:
        """All PIDs of service 01: as remembered of this VIN where the first bitmap agrees, else by asking on."""
        known = cache.load(vin) if cache and vin else None
        if known is not None and {pid for pid in known if pid <= 0x20} == first:
            self._counts["from_cache"] += 1
            return known
        found, base, complete = first, 0x20, True
        while base in found and base <= 0xE0:
            reply = await self._ask(obd.encode_request(obd.CURRENT_DATA, [base]))
            found |= self._bitmap(reply, base)
            complete = complete and bool(reply.messages)
            base += 0x20
        if cache and vin and complete:  # a question that got lost must not be believed for ever
            cache.save(vin, found)
        return found

    async def vin(self) -> str | None:
        """VIN from the first ECU that has a sound one (on CAN; older buses cut it into pieces we do not join)."""
        reply = await self._ask(obd.encode_request(obd.VEHICLE_INFORMATION, [obd.VIN]))
        for message in reply.messages:
            try:
                return obd.parse_vin(message.data)
            except ProtocolError:
                self._counts["bad"] += 1
        return None

    async def names_or_codes(self, request: bytes) -> tuple[str, ...] | None:
        """Codes (03, 07, 0A) or software names (09 04) from all ECUs together, each once."""
        return self.read_list(await self._ask(request), request)

    def read_list(self, reply: Reply, request: bytes) -> tuple[str, ...] | None:
        """The same from a reply at hand."""
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

    async def freeze_frame(self, supported: frozenset[int]) -> tuple[str | None, dict[str, float]]:
        """The code that froze frame 0, and the values in it; (None, {}) where there is none."""
        data = await self._frozen(0x02)
        if data is None or len(data) < 2 or not any(data[:2]):
            return None, {}
        values: dict[str, float] = {}
        pids = [pid for pid in dict.fromkeys(spec.pid for spec in self._table) if pid in supported and pid > 0x02]
        for pid in pids[:_FRAME_PIDS_MAX]:
            frozen = await self._frozen(pid)
            for spec in self._table:
                if frozen is not None and spec.pid == pid and len(frozen) >= spec.byte_count:
                    value = spec.value(frozen)
                    if not math.isnan(value):  # the answer itself says that this car does not have it
                        values[spec.path] = value
        return obd.parse_dtc(data[:2]), values

    async def _frozen(self, pid: int) -> bytes | None:
        reply = await self._ask(obd.encode_request(obd.FREEZE_FRAME, [pid, 0]))
        for message in reply.messages:
            if message.data[:3] == bytes([obd.FREEZE_FRAME + 0x40, pid, 0]):
                return message.data[3:]
        return None

    def _bitmap(self, reply: Reply, base: int) -> frozenset[int]:
        found: frozenset[int] = frozenset()
        for message in reply.messages:
            try:
                found |= obd.parse_supported(base, obd.parse_pids(message.data, {base})[base])
            except ProtocolError:
                self._counts["bad"] += 1
        return found
