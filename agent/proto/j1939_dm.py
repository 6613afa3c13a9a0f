"""DM1 and DM2 of SAE J1939-73: which lamps are on, which faults are active or were."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Final

from agent.core.errors import ProtocolError

_NO_FAULT: Final = (b"\0\0\0\0", b"\xff\xff\xff\xff")


class LampState(IntEnum):
    """Two bits of a lamp."""

    OFF = 0
    ON = 1
    ERROR = 2
    NOT_AVAILABLE = 3


class Flash(IntEnum):
    """How a lamp that is on flashes."""

    SLOW = 0
    FAST = 1
    RESERVED = 2
    STEADY = 3  # "do not flash", or not available


@dataclass(frozen=True, slots=True)
class Lamp:
    """One lamp."""

    state: LampState = LampState.OFF
    flash: Flash = Flash.STEADY

    @property
    def is_on(self) -> bool:
        """Whether the driver sees it."""
        return self.state is LampState.ON


@dataclass(frozen=True, slots=True)
class Fault:
    """One DTC of a truck.

    spn: what (suspect parameter number, 19 bits); fmi: how it fails (0-31); occurrences: how often, None where the
    ECU does not count. certain: False where the conversion bit says that the ECU packs its SPN in one of three older
    ways, which cannot be told apart: spn is then read the modern way and may be wrong.
    """

    spn: int
    fmi: int
    occurrences: int | None = None
    certain: bool = True


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """One DM1 (active faults) or DM2 (earlier ones)."""

    malfunction: Lamp = Lamp()  # MIL: emissions
    stop: Lamp = Lamp()  # red: stop the vehicle
    warning: Lamp = Lamp()  # amber
    protect: Lamp = Lamp()  # not electronic
    faults: Sequence[Fault] = field(default=())


def parse_diagnosis(data: bytes) -> Diagnosis:
    """Lamps and faults from the data of a DM1 or DM2, short or long. Raises ProtocolError.

    An SPN and FMI of 0 means "no fault"; a short message is filled up with FF.
    """
    if len(data) < 6:
        raise ProtocolError(f"J1939 DM: {len(data)} bytes, at least 6 are needed")
    rest = (len(data) - 2) % 4
    if rest and not (len(data) == 8 and data[6:].strip(b"\xff\0") == b""):
        raise ProtocolError(f"J1939 DM: {len(data) - 2} bytes of faults are no multiple of 4")
    lamps = [Lamp(LampState(data[0] >> shift & 3), Flash(data[1] >> shift & 3)) for shift in (6, 4, 2, 0)]
    codes = (data[i : i + 4] for i in range(2, len(data) - rest, 4))
    faults = tuple(_parse_fault(code) for code in codes if code not in _NO_FAULT)
    return Diagnosis(lamps[0], lamps[1], lamps[2], lamps[3], faults)


def encode_diagnosis(diagnosis: Diagnosis) -> bytes:
    """Inverse of parse_diagnosis: 8 bytes with up to one fault, else as long as it takes. Raises ValueError."""
    lamps = (diagnosis.malfunction, diagnosis.stop, diagnosis.warning, diagnosis.protect)
    states = flashes = 0
    for lamp in lamps:
        states, flashes = states << 2 | lamp.state, flashes << 2 | lamp.flash
    faults = b"".join(map(_encode_fault, diagnosis.faults)) or _NO_FAULT[0]
    return (bytes([states, flashes]) + faults).ljust(8, b"\xff")


def _parse_fault(code: bytes) -> Fault:
    spn = code[0] | code[1] << 8 | (code[2] & 0xE0) << 11
    count = code[3] & 0x7F
    return Fault(spn, code[2] & 0x1F, None if count == 0x7F else count, certain=not code[3] & 0x80)


def _encode_fault(fault: Fault) -> bytes:
    count = 0x7F if fault.occurrences is None else fault.occurrences
    if not (0 <= fault.spn < 1 << 19 and 0 <= fault.fmi < 32 and 0 <= count < 128):
        raise ValueError(f"{fault} does not fit a DTC")
    code = fault.spn & 0xFFFF | (fault.spn >> 16) << 21 | fault.fmi << 16 | (count | (not fault.certain) << 7) << 24
    encoded = code.to_bytes(4, "little")
    if encoded in _NO_FAULT:
        raise ValueError(f"{fault} means that there is no fault")
    return encoded
