"""A simulated ECU that answers SAE J1979 requests out of the simulated world, as messages or as CAN frames."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from agent.core.errors import ProtocolError
from agent.core.frames import Frame
from agent.core.paths import OBD_PIDS
from agent.core.toml import load_toml
from agent.proto import obd, uds
from agent.proto.isotp import Reassembler, Segmenter

FUNCTIONAL_ID: Final = 0x7DF
_SERVICE_NOT_SUPPORTED: Final = 0x11
_OUT_OF_RANGE: Final = 0x31
_FROZEN_DTC: Final = 0x02  # the PID of a freeze frame that names its code
_DTC_SERVICES: Final = {obd.STORED_DTCS: "stored", obd.PENDING_DTCS: "pending", obd.PERMANENT_DTCS: "permanent"}

Values = Callable[[], Mapping[str, float]]


@dataclass(frozen=True, kw_only=True)
class Faults:
    """DTCs the ECU reports. frozen: codes with the values, by VSS path, of their freeze frames; the first is shown."""

    stored: Sequence[str] = ()
    pending: Sequence[str] = ()
    permanent: Sequence[str] = ()
    frozen: Sequence[tuple[str, Mapping[str, float]]] = ()


class Ecu:
    """Answers requests (service first) with replies, from the values of this very moment.

    A PID is supported where the table knows it and `values` has at least one of its paths. Unsupported ones are met
    with silence, as CAN ECUs do with functional requests; a service that is no read is refused with 7F.
    faults: the same at all times, or asked for at each request.
    """

    def __init__(
        self,
        values: Values,
        *,
        vin: str = "LRDTESTCAR0000007",
        calibration_id: str = "OUTRIDER-SIM",
        faults: Faults | Callable[[], Faults] | None = None,
        reply_id: int = 0x7E8,
        multi_pid: bool = True,
    ) -> None:
        self.faults = faults or Faults()
        self.vin = vin
        self.reply_id = reply_id
        self._values = values
        self._calibration_id = calibration_id
        self._multi_pid = multi_pid
        self._pids: dict[int, list[obd.PidSpec]] = {}
        for spec in load_toml(OBD_PIDS, obd.PidTable).pids:
            if spec.service == obd.CURRENT_DATA:
                self._pids.setdefault(spec.pid, []).append(spec)

    def answer(self, request: bytes) -> bytes | None:
        """Return the reply to one request, None for silence."""
        if not request:
            return None
        service, parameters = request[0], request[1:]
        if service == obd.CURRENT_DATA and parameters:
            return self._answer_live(parameters)
        if service == obd.FREEZE_FRAME and parameters:
            return self._answer_frozen(parameters)
        if service in _DTC_SERVICES:
            codes = getattr(self._faults_now(), _DTC_SERVICES[service])
            return bytes([service + 0x40, len(codes)]) + b"".join(map(obd.encode_dtc, codes))
        if service == obd.VEHICLE_INFORMATION and len(parameters) == 1:
            return self._answer_information(parameters[0])
        return bytes([0x7F, service, _SERVICE_NOT_SUPPORTED])

    def _answer_live(self, pids: bytes) -> bytes | None:
        values = self._values()
        supported = self._supported(values)
        asked = pids if self._multi_pid else pids[:1]
        parts = [self._data(pid, values, supported) for pid in asked]
        body = b"".join(bytes([pid]) + data for pid, data in zip(asked, parts, strict=True) if data)
        return b"\x41" + body if body else None

    def _supported(self, values: Mapping[str, float]) -> set[int]:
        return {pid for pid, specs in self._pids.items() if any(spec.path in values for spec in specs)}

    def _faults_now(self) -> Faults:
        return self.faults() if callable(self.faults) else self.faults

    def _answer_frozen(self, parameters: bytes) -> bytes | None:
        """Pairs of PID and frame number. There is frame 0 only; its PID 02 names the code, 0000 where there is none."""
        code, values = next(iter(self._faults_now().frozen), ("", {}))
        supported = self._supported(values) | {_FROZEN_DTC}
        body = b""
        for pid, frame in list(zip(parameters[::2], parameters[1::2], strict=False))[: None if self._multi_pid else 1]:
            stored = (obd.encode_dtc(code) if code else b"\0\0") if pid == _FROZEN_DTC else b""
            data = stored or (self._data(pid, values, supported) if code else b"")
            body += bytes([pid, frame]) + data if data and frame == 0 else b""
        return b"\x42" + body if body else None

    def _data(self, pid: int, values: Mapping[str, float], supported: set[int]) -> bytes:
        if pid % 0x20 == 0:
            more = {base for base in range(0x20, 0x100, 0x20) if any(p > base for p in supported)}
            return obd.encode_supported(pid, supported | more) if pid == 0 or pid in more else b""
        if pid not in supported:
            return b""
        specs = [spec for spec in self._pids[pid] if spec.path in values]
        length = next(iter(obd.data_lengths(pid)))
        word = 0
        for spec in specs:
            word |= spec.raw(values[spec.path]) << (length * 8 - spec.bit_start - spec.bit_length)
            if spec.present_bit is not None:
                word |= 1 << (length * 8 - 1 - spec.present_bit)
        return word.to_bytes(length, "big")

    def _answer_information(self, kind: int) -> bytes | None:
        if kind == 0:
            return b"\x49\x00" + obd.encode_supported(0, {obd.VIN, obd.CALIBRATION_IDS})
        if kind == obd.VIN:
            return b"\x49\x02\x01" + self.vin.encode("ascii")
        if kind == obd.CALIBRATION_IDS:
            return b"\x49\x04\x01" + self._calibration_id.encode("ascii").ljust(16, b"\0")[:16]
        return None


class DidEcu:
    """An ECU that is asked by UDS only, at an identifier of its own: service 22, one data identifier at a time."""

    def __init__(self, request_id: int, reply_id: int, pages: Mapping[int, bytes]) -> None:
        self.request_id = request_id
        self.reply_id = reply_id
        self.pages = dict(pages)

    def answer(self, request: bytes) -> bytes | None:
        """Return the reply to one request, None for silence."""
        did = int.from_bytes(request[1:], "big")
        if request[:1] != bytes([uds.READ_DATA]) or len(request) != 3:
            return bytes([0x7F, request[0], _SERVICE_NOT_SUPPORTED])
        if did not in self.pages:
            return bytes([0x7F, uds.READ_DATA, _OUT_OF_RANGE])
        return bytes([uds.READ_DATA + 0x40]) + request[1:] + self.pages[did]


class CanEcu:
    """The same ECU on a raw CAN bus with 11-bit identifiers: frames in, frames out, time as an argument."""

    def __init__(self, ecu: Ecu) -> None:
        self.bad = 0
        self._ecu = ecu
        self._request_id = ecu.reply_id - 8
        self._reassembler = Reassembler()
        self._sending: Segmenter | None = None

    def receive(self, frame: Frame) -> list[Frame]:
        """Take one frame from the bus; return what the ECU puts on it at once."""
        if frame.can_id not in {FUNCTIONAL_ID, self._request_id}:
            return []
        try:
            if self._sending is not None:
                self._sending.feed(frame.data, frame.t_ns)
            received = self._reassembler.feed(frame.can_id, frame.data, frame.t_ns)
        except ProtocolError:
            self.bad += 1
            self._sending = None
            return []
        if received.message is not None and (reply := self._ecu.answer(received.message)) is not None:
            self._sending = Segmenter(reply)
        acknowledgement = [] if received.flow_control is None else [self._frame(received.flow_control, frame.t_ns)]
        return acknowledgement + self.poll(frame.t_ns)

    def poll(self, t_ns: int) -> list[Frame]:
        """Frames due by now: what the tester's separation time or flow control had put off."""
        if self._sending is None:
            return []
        try:
            frames = self._sending.take(t_ns)
        except ProtocolError:
            self.bad += 1
            self._sending = None
            return []
        if self._sending.done:
            self._sending = None
        return [self._frame(data, t_ns) for data in frames]

    @property
    def next_ns(self) -> int | None:
        """When poll has something to send again."""
        return None if self._sending is None else self._sending.next_ns

    def _frame(self, data: bytes, t_ns: int) -> Frame:
        return Frame(t_ns, self._ecu.reply_id, data)
