"""What to ask a car of which nothing is known but the PIDs it supports. Pure."""

from collections.abc import Sequence
from typing import Final

from agent.proto.schedule import Poll

_FAST: Final = frozenset({0x04, 0x0C, 0x0D, 0x10, 0x11, 0x5A})  # load, engine and road speed, air, throttle, pedal
_SLOW: Final = frozenset({0x05, 0x0F, 0x2F, 0x33, 0x46, 0x51, 0x5B, 0x5C, 0xA6})  # temperatures, levels, odometer
_EVERY: Final = {"fast": 1, "middle": 4, "slow": 20}  # periods


def generic_polls(pids: Sequence[int], period_s: float) -> list[Poll]:
    """Rates for a car of which nothing else is known: what a maneuver is seen by comes in every period."""
    polls = []
    for pid in dict.fromkeys(pids):
        kind = "fast" if pid in _FAST else "slow" if pid in _SLOW else "middle"
        priority = ("fast", "middle", "slow").index(kind)
        period = min(86_400.0, max(0.05, period_s * _EVERY[kind]))
        polls.append(Poll(pid=pid, period_s=period, priority=priority))
    return polls
