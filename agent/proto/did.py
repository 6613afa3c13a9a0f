"""Answers to UDS 22 (read data by identifier) as signals: what a vehicle profile says of each DID.

Works on whole messages (the diagnostics port) and on frames from a bus, where somebody else may have asked: ISO-TP is
put together for the identifiers of the profile only.
"""

import math
from collections.abc import Sequence
from typing import Annotated, Final

import numpy as np
from msgspec import Meta, field

from agent.core.config import Section
from agent.core.errors import ProtocolError
from agent.core.frames import EXTENDED_KEY, REFUSED, FrameBatch
from agent.core.signals import Quality, Samples, SignalCatalog, SignalSpec
from agent.proto.isotp import Reassembler

READ_DATA_ANSWER: Final = 0x62
_HEADER: Final = 3
_STALE_AFTER_S: Final = 30.0


class DidSpec(Section, frozen=True, kw_only=True):
    """One signal in the answer to one DID, or a row of them: value = raw * scale + offset, in the VSS unit of its path.

    Bits count from the first byte after the DID, most significant first. count > 1 gives signals stride bits apart,
    whose path has {} for first, first + 1, ... reply: the identifier of the answer. sentinels are raw values.
    """

    reply: Annotated[int, Meta(ge=0x700, le=0x18DAFFFF)]
    did: Annotated[int, Meta(ge=0, le=0xFFFF)]
    path: Annotated[str, Meta(pattern=r"^Vehicle(\.[A-Za-z0-9{}]+)+$")]
    unit: str = ""
    bit_start: Annotated[int, Meta(ge=0, le=32_000)] = 0
    bit_length: Annotated[int, Meta(ge=1, le=32)] = 8
    signed: bool = False
    scale: float = 1.0
    offset: float = 0.0
    minimum: float | None = None
    maximum: float | None = None
    sentinels: Annotated[list[int], Meta(max_length=8)] = field(default_factory=list)
    count: Annotated[int, Meta(ge=1, le=256)] = 1
    stride: Annotated[int, Meta(ge=1, le=256)] = 8
    first: Annotated[int, Meta(ge=0, le=1024)] = 0
    stale_after_s: Annotated[float, Meta(gt=0, le=3600)] = _STALE_AFTER_S

    def __post_init__(self) -> None:
        if (self.count > 1) != ("{}" in self.path):
            raise ValueError(f"{self.path}: a row of signals has {{}} in its path, and nothing else has")
        if self.scale == 0 or not math.isfinite(self.scale) or not math.isfinite(self.offset):
            raise ValueError(f"{self.path}: scale {self.scale}, offset {self.offset} cannot be computed with")

    def paths(self) -> list[str]:
        """The path of each signal."""
        return [self.path.replace("{}", str(self.first + n)) for n in range(self.count)]


class DidDecoder:
    """Turns answers into samples. Memory: what its Reassembler holds."""

    def __init__(self, specs: Sequence[DidSpec], catalog: SignalCatalog) -> None:
        self.unknown = 0  # answers to a DID the profile does not have
        self.bad = 0  # frames that break ISO-TP, and answers too short for their signals
        self.messages = 0
        self._rows: dict[tuple[int, int], list[tuple[int, int, DidSpec]]] = {}
        for spec in specs:
            rows = self._rows.setdefault((spec.reply, spec.did), [])
            for place, path in enumerate(spec.paths()):
                low = -math.inf if spec.minimum is None else spec.minimum
                high = math.inf if spec.maximum is None else spec.maximum
                number = catalog.add(SignalSpec(path, spec.unit, low, high, spec.stale_after_s))
                rows.append((number, spec.bit_start + place * spec.stride, spec))
        replies = sorted({reply for reply, _ in self._rows})
        self._keys = np.array([r | EXTENDED_KEY if r > 0x7FF else r for r in replies], np.uint32)
        self._reassembler = Reassembler()

    def frames(self, batch: FrameBatch) -> Samples | None:
        """Samples of the answers that end in this batch; None where none does."""
        usable = (batch.flags & REFUSED) == 0
        rows = (np.isin(batch.keys(), self._keys) & usable).nonzero()[0]
        found: list[tuple[int, int, float, int]] = []
        for row in rows.tolist():
            sender, t_ns = int(batch.can_id[row]), int(batch.t_ns[row])
            payload = batch.data[row, : int(batch.length[row])].tobytes()
            try:
                message = self._reassembler.feed(sender, payload, t_ns).message
            except ProtocolError:
                self.bad += 1
                continue
            if message is not None:
                found += self.values(sender, message, t_ns)
        return samples_of(found) if found else None

    def values(self, sender: int, message: bytes, t_ns: int) -> list[tuple[int, int, float, int]]:
        """(t_ns, signal, value, quality) of one whole answer; empty where it is none of ours."""
        if len(message) < _HEADER or message[0] != READ_DATA_ANSWER:
            return []
        self.messages += 1
        rows = self._rows.get((sender, int.from_bytes(message[1:3], "big")))
        if rows is None:
            self.unknown += 1
            return []
        data = message[_HEADER:]
        whole, size = int.from_bytes(data, "big"), 8 * len(data)
        found = []
        for number, start, spec in rows:
            if start + spec.bit_length > size:
                self.bad += 1
                break
            raw = whole >> size - start - spec.bit_length & (1 << spec.bit_length) - 1
            sign = 1 << spec.bit_length - 1 if spec.signed else 0
            value = ((raw ^ sign) - sign) * spec.scale + spec.offset
            found.append((t_ns, number, value, int(_quality(spec, raw, value))))
        return found


def samples_of(rows: Sequence[tuple[int, int, float, int]]) -> Samples:
    """Columns from (t_ns, signal, value, quality)."""
    return Samples(
        np.array([row[0] for row in rows], np.int64),
        np.array([row[1] for row in rows], np.int32),
        np.array([row[2] for row in rows], np.float64),
        np.array([row[3] for row in rows], np.uint8),
    )


def _quality(spec: DidSpec, raw: int, value: float) -> Quality:
    if raw in spec.sentinels:
        return Quality.SENTINEL
    low = -math.inf if spec.minimum is None else spec.minimum
    high = math.inf if spec.maximum is None else spec.maximum
    return Quality.VALID if low <= value <= high else Quality.IMPLAUSIBLE
