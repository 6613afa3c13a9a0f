"""What a road between car and cloud can be like, as data; and when bytes arrive on it. No I/O.

A proxy stands between two TCP stacks and cannot drop a segment: what a lost one does to TCP is to hold up everything
behind it until it has been sent again, and that is what is done here.
"""

import math
from random import Random
from typing import Annotated, Final, Literal

from msgspec import Meta

from agent.core.config import Section

SEGMENT: Final = 1448
"""Bytes of payload in a segment on Ethernet, with timestamps."""

_SYN_S: Final = 1.0  # RFC 6298, 2.1
_TRIES_MAX: Final = 6  # of one segment; TCP's own patience is of that order, and the model stays bounded

Seconds = Annotated[float, Meta(ge=0, le=86_400)]


class Conditions(Section, frozen=True, kw_only=True):
    """One kind of road. The default lets everything through at once.

    way: open; cut (everything is reset); hung (everything is silent, nothing is closed, and comes late). answers: who
    is behind the port: the broker, a captive portal (HTTP 302 to whatever comes), or a stranger (TLS with a
    certificate that is not the broker's). name: what the resolver says: found, unknown, or nothing (silent).

    delay_s and jitter_s are one way; loss is the share of segments that need sending again, retransmit_s after the
    first, twice that after the second, and so on (RFC 6298; upward backoff_up times, 1 where the car's kernel repeats
    thin streams evenly); rate_bps holds for each direction, whatever the number of
    connections. reset_after_bytes: how many bytes of a connection get to the broker before it is reset, drawn anew for
    each connection.
    """

    way: Literal["open", "cut", "hung"] = "open"
    answers: Literal["broker", "portal", "stranger"] = "broker"
    name: Literal["found", "unknown", "silent"] = "found"
    delay_s: Seconds = 0.0
    jitter_s: Seconds = 0.0
    loss: Annotated[float, Meta(ge=0, lt=1)] = 0.0
    retransmit_s: Annotated[float, Meta(gt=0, le=60)] = 0.2
    backoff_up: Annotated[float, Meta(ge=1, le=2)] = 2.0
    rate_bps: Annotated[float, Meta(gt=0)] | None = None
    reset_after_bytes: tuple[Annotated[int, Meta(ge=0)], Annotated[int, Meta(ge=0)]] | None = None

    def __post_init__(self) -> None:
        if self.reset_after_bytes is not None and self.reset_after_bytes[0] > self.reset_after_bytes[1]:
            raise ValueError("reset_after_bytes: the second number is the larger one")


OPEN: Final = Conditions()

CONDITIONS: Final = {
    "open": OPEN,
    "cut": Conditions(way="cut"),
    "hung": Conditions(way="hung"),
    "lossy": Conditions(delay_s=0.05, loss=0.2),
    "satellite": Conditions(delay_s=2.0),
    "modem": Conditions(delay_s=0.3, rate_bps=9600),
    "resets": Conditions(reset_after_bytes=(6_000, 40_000)),
    "portal": Conditions(answers="portal"),
    "stranger": Conditions(answers="stranger"),
    "no_name": Conditions(name="unknown"),
    "no_resolver": Conditions(name="silent"),
}
"""Roads with a name, for command lines."""


class Phase(Section, frozen=True, kw_only=True):
    """These conditions for that long; the last phase of a schedule stays."""

    for_s: Annotated[float, Meta(ge=0, le=2_592_000)]
    conditions: Conditions = OPEN


class Schedule(Section, frozen=True, kw_only=True):
    """A journey through conditions: TOML `[[phases]]`."""

    phases: Annotated[list[Phase], Meta(min_length=1, max_length=1000)]


class Channel:
    """One direction of the road, which its connections share: when the line is free again."""

    def __init__(self) -> None:
        self.free_s = 0.0


class Lane:
    """One direction of one connection. The same seed gives the same draws, in the order of what is sent."""

    def __init__(self, channel: Channel, random: Random, *, upward: bool = False) -> None:
        self._channel = channel
        self._upward = upward
        self._random = random
        self._arrived_s = 0.0
        self._open_s = 0.0

    def shake_hands(self, now_s: float, conditions: Conditions) -> None:
        """Nothing goes before TCP's handshake is done: a round trip, more where SYN or SYN-ACK are lost.

        The proxy's own handshake with a client on this machine takes no time, so the first bytes wait instead.
        """
        lost_s = sum(self._held_up_s(conditions, _SYN_S) for _ in ("SYN", "SYN-ACK"))
        self._open_s = now_s + 2 * conditions.delay_s + lost_s

    def arrival_s(self, size: int, now_s: float, conditions: Conditions) -> float:
        """When size bytes that are sent at now_s have arrived: never before what was sent earlier."""
        begin_s = max(now_s, self._channel.free_s, self._open_s)
        if conditions.rate_bps is not None:
            begin_s += size * 8 / conditions.rate_bps
        self._channel.free_s = begin_s
        arrival_s = begin_s + conditions.delay_s + conditions.jitter_s * self._random.random()
        for _ in range(math.ceil(size / SEGMENT)):
            arrival_s += self._held_up_s(conditions, conditions.retransmit_s)
        self._arrived_s = max(self._arrived_s, arrival_s)
        return self._arrived_s

    def _held_up_s(self, conditions: Conditions, wait_s: float) -> float:
        """How long one segment's losses hold up the stream; wait_s is the first timeout."""
        held_s = 0.0
        for _ in range(_TRIES_MAX):
            if not conditions.loss or self._random.random() >= conditions.loss:
                break
            held_s += wait_s
            wait_s *= conditions.backoff_up if self._upward else 2
        return held_s
