"""Message counters and checksums: a frame that fails them is counted and never becomes a signal.

Every algorithm works on all frames of one message at once. Sources: SAE J1850 and AUTOSAR CRC as catalogued publicly
(check values of "123456789": 4B and DF); Toyota, Honda and hyundai_4bit as published in comma's opendbc (MIT);
nibble_sum and nibble_xor (other Hyundai/Kia messages) as found in public Kona EV recordings.
"""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from agent.core.errors import InputError
from agent.core.frames import EXTENDED_KEY, REFUSED, FrameBatch
from agent.decode.layout import Field

Bytes = npt.NDArray[np.uint8]
Flags = npt.NDArray[np.bool_]
Ints = npt.NDArray[np.int64]
Algorithm = Callable[["Check", Bytes, Ints], Ints]


@dataclass(frozen=True, slots=True)
class Check:
    """One message's counter and checksum: where they lie, and how they are computed. key as of FrameBatch.keys."""

    name: str
    key: int
    length: int  # bytes the message must have
    counter: Field | None = None
    modulus: int = 0
    checksum: Field | None = None
    algorithm: str = ""
    data_id: int | None = None  # AUTOSAR end-to-end: a secret byte at the end of what the CRC covers

    def __post_init__(self) -> None:
        if self.checksum is not None and self.algorithm not in ALGORITHMS:
            raise InputError(f"{self.name}: checksum {self.algorithm!r} is not known: {', '.join(sorted(ALGORITHMS))}")
        for place in (self.counter, self.checksum):
            if place is not None and (place.length > 16 or place.is_float or place.last_byte >= self.length):
                raise InputError(f"{place.label}: no counter or checksum of up to 16 bits within {self.length} bytes")


class FrameChecker:
    """Takes the frames that fail out of a batch. Keeps the last counter of each message and bus."""

    def __init__(self, checks: Sequence[Check]) -> None:
        self.counts: Counter[str] = Counter()  # "MESSAGE.checksum", "MESSAGE.counter" failed, "MESSAGE.lost" skipped
        self._checks = {check.key: check for check in checks}
        self._keys = np.array(sorted(self._checks), np.uint32)
        self._last: dict[tuple[int, int], int] = {}

    def filter(self, batch: FrameBatch) -> FrameBatch:
        """The batch without the frames that fail; the same object where none does."""
        good = self.judge(batch)
        return batch if good.all() else batch[good]

    def judge(self, batch: FrameBatch) -> Flags:
        """bool[n]: whether a frame passes; one without a check does."""
        good = np.ones(len(batch), np.bool_)
        if not len(self._keys):
            return good
        keys = batch.keys()
        checked = np.isin(keys, self._keys) & ((batch.flags & REFUSED) == 0)  # those are the decoder's to refuse
        if not checked.any():
            return good
        for key in np.unique(keys[checked]).tolist():
            check = self._checks[key]
            rows = (checked & (keys == key)).nonzero()[0]
            rows = rows[batch.length[rows] >= check.length]  # shorter ones are the decoder's to refuse
            good[rows] = self._judge(check, batch, rows)
        return good

    def failed(self) -> int:
        """Frames taken out so far."""
        return sum(count for name, count in self.counts.items() if not name.endswith(".lost"))

    def _judge(self, check: Check, batch: FrameBatch, rows: npt.NDArray[np.intp]) -> Flags:
        data = batch.data[rows]
        good = np.ones(len(rows), np.bool_)
        if check.checksum is not None:
            given = _read(check.checksum, data)
            good = ALGORITHMS[check.algorithm](check, data, given) == given
            self.counts[f"{check.name}.checksum"] += int(np.count_nonzero(~good))
        if check.counter is not None:
            values = _read(check.counter, data) % check.modulus
            for bus in np.unique(batch.bus[rows]).tolist():
                those = ((batch.bus[rows] == bus) & good).nonzero()[0]  # a spoilt frame's counter says nothing
                good[those] &= self._count(check, bus, values[those])
        return good

    def _count(self, check: Check, bus: int, values: Ints) -> Flags:
        """Whether each counter has moved on; how far is only counted, since frames are lost."""
        if not len(values):
            return np.ones(0, np.bool_)
        before = self._last.get((check.key, bus), int(values[0]) - 1)
        self._last[check.key, bus] = int(values[-1])
        steps = np.diff(values, prepend=before) % check.modulus
        moved = steps != 0
        self.counts[f"{check.name}.counter"] += int(np.count_nonzero(~moved))
        self.counts[f"{check.name}.lost"] += int((steps[moved] - 1).sum())
        return np.asarray(moved, np.bool_)


def _read(place: Field, data: Bytes) -> Ints:
    """Raw values of an integer field of up to 16 bits, int64[n]."""
    if place.big_endian:
        octets = range(place.first_byte, place.last_byte + 1)
        shift = 8 * (place.last_byte + 1) - place.first_bit - place.length
    else:
        octets = range(place.last_byte, place.first_byte - 1, -1)
        shift = place.first_bit - 8 * place.first_byte
    word = np.zeros(len(data), np.int64)
    for octet in octets:
        word = word << 8 | data[:, octet]
    return word >> shift & (1 << place.length) - 1


def _covered(check: Check, data: Bytes) -> Bytes:
    """The message's bytes but those of the checksum, [n, bytes]."""
    place = check.checksum
    assert place is not None  # noqa: S101  # only called for messages that have one
    keep = [octet for octet in range(check.length) if not place.first_byte <= octet <= place.last_byte]
    return data[:, keep]


def _without(check: Check, data: Bytes, given: Ints) -> Ints:
    """Sum of all nibbles of the message but the checksum's own."""
    body = data[:, : check.length].astype(np.int64)
    total = (body & 0x0F).sum(axis=1) + (body >> 4).sum(axis=1)
    return np.asarray(total - (given & 0x0F) - (given >> 4), np.int64)


def _xor(check: Check, data: Bytes, _: Ints) -> Ints:
    folded: Bytes = np.bitwise_xor.reduce(_covered(check, data), axis=1)
    return folded.astype(np.int64)


def _sum(check: Check, data: Bytes, _: Ints) -> Ints:
    total: Ints = _covered(check, data).sum(axis=1, dtype=np.int64)
    return total & _mask(check)


def _toyota(check: Check, data: Bytes, given: Ints) -> Ints:
    address = sum((check.key & ~EXTENDED_KEY).to_bytes(4, "big"))
    return (_sum(check, data, given) + check.length + address) & 0xFF


def _honda(check: Check, data: Bytes, given: Ints) -> Ints:
    identifier = check.key & ~EXTENDED_KEY
    address = sum(identifier >> shift & 0x0F for shift in range(0, 32, 4))
    return (8 - address - _without(check, data, given) + (3 if identifier > 0x7FF else 0)) & 0x0F


def _hyundai4(check: Check, data: Bytes, given: Ints) -> Ints:
    return -_without(check, data, given) & 0x0F


def _nibble_sum(check: Check, data: Bytes, given: Ints) -> Ints:
    return _without(check, data, given) & 0x0F


def _nibble_xor(check: Check, data: Bytes, given: Ints) -> Ints:
    folded: Bytes = np.bitwise_xor.reduce(data[:, : check.length], axis=1)
    return (folded.astype(np.int64) & 0x0F) ^ (folded.astype(np.int64) >> 4) ^ (given & 0x0F)


def _mask(check: Check) -> int:
    return (1 << (check.checksum.length if check.checksum else 8)) - 1


def _crc8_table(polynomial: int) -> Bytes:
    table = np.arange(256, dtype=np.uint8)
    for _ in range(8):
        table = np.where(table & 0x80, table << 1 ^ polynomial, table << 1).astype(np.uint8)
    return table


def _crc8(polynomial: int, start: int, end_xor: int) -> Algorithm:
    table = _crc8_table(polynomial)

    def compute(check: Check, data: Bytes, _: Ints) -> Ints:
        body = _covered(check, data)
        crc = np.full(len(data), start, np.uint8)
        for octet in range(body.shape[1]):
            crc = table[crc ^ body[:, octet]]
        if check.data_id is not None:
            crc = table[crc ^ np.uint8(check.data_id)]
        return (crc ^ np.uint8(end_xor)).astype(np.int64)

    return compute


ALGORITHMS: Final[Mapping[str, Algorithm]] = {
    "xor": _xor,
    "sum": _sum,
    "crc8_j1850": _crc8(0x1D, 0xFF, 0xFF),
    "crc8_autosar_2f": _crc8(0x2F, 0xFF, 0xFF),
    "crc8_hyundai": _crc8(0x1D, 0xFD, 0xDF),
    "hyundai_4bit": _hyundai4,
    "nibble_sum": _nibble_sum,
    "nibble_xor": _nibble_xor,
    "toyota": _toyota,
    "honda": _honda,
}
