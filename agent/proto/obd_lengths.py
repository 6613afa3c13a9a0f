"""How many data bytes the PIDs of SAE J1979 service 01 have: what it takes to cut a combined answer."""

from collections.abc import Sequence
from typing import Final


def data_lengths(pid: int) -> Sequence[int]:
    """Data bytes a live-data PID may have, the usual number first; empty where we cannot tell.

    Fuel trims have a second byte on engines with a third bank. A PID without lengths is never packed with others.
    """
    if pid % 0x20 == 0:
        return (4,)
    return _LENGTHS.get(pid, ())


def has_sure_length(pid: int) -> bool:
    """Whether a live-data PID has one known length: then an answer that lost characters shows it."""
    return len(data_lengths(pid)) == 1


def _lengths() -> dict[int, tuple[int, ...]]:
    one = [0x04, 0x05, *range(0x0A, 0x0C), *range(0x0D, 0x10), *range(0x11, 0x14), *range(0x1C, 0x1F)]
    one += [*range(0x2C, 0x31), 0x33, *range(0x45, 0x4D), *range(0x51, 0x53), *range(0x5A, 0x5D), 0x5F, 0x61, 0x62]
    one += [0x84, 0x8D, 0x8E, 0xAA, 0xB2]
    two = [0x02, 0x03, 0x0C, 0x10, *range(0x14, 0x1C), 0x1F, *range(0x21, 0x24), 0x31, 0x32, *range(0x3C, 0x40)]
    two += [*range(0x42, 0x45), 0x4D, 0x4E, 0x53, 0x54, 0x59, 0x5D, 0x5E, 0x63, 0x65, 0x9E, 0xA2]
    four = [0x01, *range(0x24, 0x2C), *range(0x34, 0x3C), 0x41, 0x4F, 0x50, 0x9D, 0xA4, 0xA5, 0xA6, 0xD3]
    by_length = {1: one, 2: two, 3: [0x67, 0xD2], 4: four, 5: [0x64, 0x66, 0x6B, 0x6C, 0x72], 6: [0x9A]}
    by_length |= {7: [0x68, 0x69], 9: [0x78, 0x79, 0x9F], 11: [0x6D], 13: [0x7F]}
    lengths = {pid: (length,) for length, pids in by_length.items() for pid in pids}
    return lengths | dict.fromkeys([6, 7, 8, 9, *range(0x55, 0x59)], (1, 2))


_LENGTHS: Final[dict[int, tuple[int, ...]]] = _lengths()
