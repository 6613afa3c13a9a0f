"""Whole columns of values into CAN payloads: the DBC's encoding, a bit at a time but all frames at once."""

from collections.abc import Iterable, Iterator, Mapping

import numpy as np
import numpy.typing as npt
from cantools.database.can import Signal

from agent.core.frames import DATA_SIZE

Bytes = npt.NDArray[np.uint8]


def pack(signals: Iterable[Signal], values: Mapping[str, npt.NDArray[np.float64]], count: int) -> Bytes:
    """uint8[count, 64] with every signal of `signals` set from values[name], physical, float64[count].

    Values beyond what the bits can hold are clipped, as a control unit does. NaN becomes all ones: "no value".
    """
    data = np.zeros((count, DATA_SIZE), np.uint8)
    for signal in signals:
        raw = _raw(signal, values[signal.name])
        for position, weight in _bits(signal):
            data[:, position // 8] |= (((raw >> weight) & 1) << (position % 8)).astype(np.uint8)
    return data


def _raw(signal: Signal, physical: npt.NDArray[np.float64]) -> npt.NDArray[np.int64]:
    top = (1 << (signal.length - signal.is_signed)) - 1
    bottom = -top - 1 if signal.is_signed else 0
    raw = np.rint((physical - float(signal.offset)) / float(signal.scale))
    return np.where(np.isnan(raw), top if not signal.is_signed else -1, np.clip(raw, bottom, top)).astype(np.int64)


def _bits(signal: Signal) -> Iterator[tuple[int, int]]:
    """Position in the payload (byte * 8 + bit, bit 0 least significant) and weight of each of its bits."""
    position = signal.start
    for number in range(signal.length):
        if signal.byte_order == "little_endian":
            yield position + number, number
        else:
            yield position, signal.length - 1 - number
            position += 15 if position % 8 == 0 else -1
