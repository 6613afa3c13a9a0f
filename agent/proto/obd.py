"""SAE J1979 (OBD-II): which PID means which signal, requests out, replies in.

Source: the widely published PID tables of SAE J1979 / ISO 15031-5 (the standard's text was not read: no conformity
is claimed). Bits of a PID are counted MSB-first from the first data byte after the PID.
"""

import math
from typing import Annotated, Final

from msgspec import Meta

from agent.core.config import Section

DATA_BYTES_MAX: Final = 64  # of one PID; the longest published one has 41

Byte = Annotated[int, Meta(ge=0, le=0xFF)]


class PidSpec(Section, frozen=True, kw_only=True):
    """One signal inside the answer to one PID: value = raw * scale + offset, in the VSS unit of its path."""

    service: Annotated[int, Meta(ge=1, le=9)] = 1
    pid: Byte
    path: Annotated[str, Meta(pattern=r"^Vehicle(\.[A-Za-z0-9]+)+$")]
    unit: str = ""
    bit_start: Annotated[int, Meta(ge=0, le=DATA_BYTES_MAX * 8 - 1)] = 0
    bit_length: Annotated[int, Meta(ge=1, le=32)] = 8
    signed: bool = False
    scale: float = 1.0
    offset: float = 0.0
    minimum: float = -math.inf
    maximum: float = math.inf
    name: str = ""

    def __post_init__(self) -> None:
        if self.bit_start + self.bit_length > DATA_BYTES_MAX * 8:
            raise ValueError(f"PID {self.pid:02X}: bits {self.bit_start}+{self.bit_length} lie beyond its data")
        if self.scale == 0 or not math.isfinite(self.scale) or not math.isfinite(self.offset):
            raise ValueError(f"PID {self.pid:02X}: scale {self.scale}, offset {self.offset} cannot be computed with")
        if self.minimum > self.maximum:
            raise ValueError(f"PID {self.pid:02X}: minimum {self.minimum} is above maximum {self.maximum}")

    @property
    def byte_count(self) -> int:
        """Data bytes that must be there to read this signal."""
        return -(-(self.bit_start + self.bit_length) // 8)

    def value(self, data: bytes) -> float:
        """Physical value from the data bytes after the PID; data must have at least byte_count of them."""
        count = self.byte_count
        word = int.from_bytes(data[:count], "big") >> (count * 8 - self.bit_start - self.bit_length)
        raw = word & ((1 << self.bit_length) - 1)
        if self.signed and raw >> (self.bit_length - 1):
            raw -= 1 << self.bit_length
        return raw * self.scale + self.offset

    def raw(self, value: float) -> int:
        """Nearest raw bits for a physical value, clamped to what the bits hold: the inverse of `value`."""
        low, high = (
            (-(1 << (self.bit_length - 1)), (1 << (self.bit_length - 1)) - 1)
            if self.signed
            else (0, (1 << self.bit_length) - 1)
        )
        nearest = min(high, max(low, round((value - self.offset) / self.scale)))
        return nearest & ((1 << self.bit_length) - 1)


class PidTable(Section, frozen=True, kw_only=True):
    """The PIDs this agent understands: firmware_config/obd_pids.toml."""

    pids: list[PidSpec]

    def __post_init__(self) -> None:
        paths = [spec.path for spec in self.pids]
        for path in paths:
            if paths.count(path) > 1:
                raise ValueError(f"path {path} is given twice")
