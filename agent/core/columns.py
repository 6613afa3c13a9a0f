"""Columns of whole steps in few bytes: as differences, as variable-length numbers. Pure; NumPy does the work.

One token a value: 0 where there is none, else 1 + zigzag(steps - steps before), the first against 0. Tokens are LEB128
(7 bits a byte, low ones first, the high bit says "more"). docs/wire.md has it; telemetry and crash records share it.
"""

from typing import Final

import numpy as np
import numpy.typing as npt

from agent.core.errors import ProtocolError

Steps = npt.NDArray[np.int64]
Known = npt.NDArray[np.bool_]
Values = npt.NDArray[np.float64]
Tokens = npt.NDArray[np.uint64]

STEPS_MAX: Final = 2**53  # beyond it a float64 has no whole numbers
_BYTES_MAX: Final = 9  # of a token
_CHANGE_MAX: Final = 2 * STEPS_MAX


def pack_column(steps: Steps, known: Known | None = None) -> bytes:
    """Bytes of int64[n] steps, within +-2^53; known bool[n] says where there is a value, None: everywhere."""
    there = steps if known is None else steps[known]
    change = np.diff(there, prepend=0)
    tokens = (((change << 1) ^ (change >> 63)) + 1).astype(np.uint64)
    if known is not None:
        column = np.zeros(len(steps), np.uint64)
        column[known] = tokens
        tokens = column
    return _leb128(tokens)


def read_tokens(data: bytes, *, what: str) -> Tokens:
    """uint64[n] of LEB128 numbers one after another. Raises ProtocolError that begins with what."""
    octets = np.frombuffer(data, np.uint8)
    if not len(octets):
        return np.empty(0, np.uint64)
    ends = np.flatnonzero(octets < 0x80)
    starts = np.concatenate([[0], ends + 1])
    if int(np.diff(starts, append=len(octets)).max()) > _BYTES_MAX:
        raise ProtocolError(f"{what}: a number of more than {_BYTES_MAX} bytes")
    if octets[-1] >= 0x80:
        raise ProtocolError(f"{what}: the last number is cut off")
    sizes = np.diff(starts)
    shifts = 7 * (np.arange(len(octets)) - starts[:-1].repeat(sizes))
    parts = (octets & 0x7F).astype(np.uint64) << shifts.astype(np.uint64)
    return np.bitwise_or.reduceat(parts, starts[:-1])


def read_column(tokens: Tokens, *, what: str) -> Values:
    """Whole steps of one column, float64[n], NaN where there was no value. Raises ProtocolError beyond 2^53."""
    values = np.full(len(tokens), np.nan)
    known = tokens != 0
    zigzag = tokens[known] - np.uint64(1)
    half = (zigzag >> np.uint64(1)).astype(np.int64)
    change = np.where(zigzag & np.uint64(1), ~half, half)
    # A sum of floats may be inexact where it is too large, never wrong about that; then integers cannot overflow.
    if len(change) and float(np.abs(np.cumsum(change.astype(np.float64))).max()) <= _CHANGE_MAX:
        steps = np.cumsum(change)
        if int(np.abs(steps).max()) <= STEPS_MAX:
            values[known] = steps
            return values
    if len(change):
        raise ProtocolError(f"{what}: a value beyond 2^53 steps")
    return values


def _leb128(tokens: Tokens) -> bytes:
    sizes = np.ones(len(tokens), np.int64)
    largest = int(tokens.max(initial=0))
    longest = max(1, -(-largest.bit_length() // 7))
    for count in range(1, longest):
        sizes += tokens >= np.uint64(1 << 7 * count)
    starts = np.cumsum(sizes) - sizes
    octets = np.empty(int(sizes.sum()), np.uint8)
    for place in range(longest):
        longer = sizes > place
        part = (tokens[longer] >> np.uint64(7 * place)).astype(np.uint8) & 0x7F
        octets[starts[longer] + place] = part | np.where(sizes[longer] > place + 1, 0x80, 0).astype(np.uint8)
    return octets.tobytes()
