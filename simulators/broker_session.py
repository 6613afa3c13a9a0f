"""What the embedded broker keeps for one client: subscriptions, what is on its way, what waits."""

import asyncio
from collections import deque
from dataclasses import replace
from typing import Final

from simulators.mqtt_codec import Publish, encode_publish
from simulators.mqtt_fields import MESSAGE_EXPIRY, RECEIVE_MAXIMUM, SESSION_EXPIRY, Properties

_RECEIVE_MAXIMUM_DEFAULT: Final = 65_535
_NEVER_EXPIRES: Final = 0xFFFF_FFFF
_PACKET_IDS: Final = 65_535


class Session:
    """Outlives its connections for expiry_s."""

    def __init__(self, client_id: str, user: str, *, queue_max: int) -> None:
        self.key = (user, client_id)
        self.user = user
        self.subscriptions: dict[str, int] = {}
        self.writer: asyncio.StreamWriter | None = None
        self.expiry_s = 0
        self._detached_s = 0.0
        self._receive_maximum = _RECEIVE_MAXIMUM_DEFAULT
        self._queue: deque[tuple[Publish, float]] = deque()
        self._queue_max = queue_max
        self._in_flight: dict[int, Publish] = {}
        self._packet_id = 0

    def attach(self, writer: asyncio.StreamWriter, properties: Properties) -> None:
        """Speak over this connection from now on."""
        self.writer = writer
        self.expiry_s = 0
        self.set_expiry(properties)
        maximum = properties.get(RECEIVE_MAXIMUM, _RECEIVE_MAXIMUM_DEFAULT)
        self._receive_maximum = maximum if isinstance(maximum, int) and maximum > 0 else _RECEIVE_MAXIMUM_DEFAULT

    def detach(self, now_s: float) -> None:
        """Keep everything for the next connection."""
        self.writer = None
        self._detached_s = now_s

    def set_expiry(self, properties: Properties) -> None:
        """Take the Session Expiry Interval of a CONNECT or DISCONNECT, where it has one."""
        expiry_s = properties.get(SESSION_EXPIRY)
        if isinstance(expiry_s, int):
            self.expiry_s = expiry_s

    def expired(self, now_s: float) -> bool:
        """Whether nobody came back in time."""
        return self.writer is None and self.expiry_s != _NEVER_EXPIRES and now_s >= self._detached_s + self.expiry_s

    def offer(self, packet: Publish, qos_max: int, now_s: float) -> int:
        """Send it or let it wait; returns how many were dropped for want of room: the oldest goes."""
        if min(packet.qos, qos_max) == 0:
            if self.writer is not None:
                self.writer.write(encode_publish(replace(packet, qos=0)))
            return 0
        dropped = 0
        if len(self._queue) >= self._queue_max:
            self._queue.popleft()
            dropped = 1
        expiry_s = packet.properties.get(MESSAGE_EXPIRY)
        due_s = now_s + expiry_s if isinstance(expiry_s, int) else float("inf")
        self._queue.append((packet, due_s))
        self._send_waiting(now_s)
        return dropped

    def resume(self, now_s: float) -> None:
        """Send again what the last connection left unacknowledged, in order, then what waited."""
        if self.writer is None:
            return
        for packet in self._in_flight.values():
            self.writer.write(encode_publish(replace(packet, duplicate=True)))
        self._send_waiting(now_s)

    def acknowledged(self, packet_id: int, now_s: float) -> None:
        """A PUBACK makes room for the next."""
        self._in_flight.pop(packet_id, None)
        self._send_waiting(now_s)

    def _send_waiting(self, now_s: float) -> None:
        while self.writer is not None and self._queue and len(self._in_flight) < self._receive_maximum:
            packet, due_s = self._queue.popleft()
            if now_s >= due_s:
                continue
            packet_id = self._next_packet_id()
            properties = dict(packet.properties)
            if MESSAGE_EXPIRY in properties:
                properties[MESSAGE_EXPIRY] = max(1, round(due_s - now_s))  # 3.3.2.3.3: less what it has waited
            self._in_flight[packet_id] = replace(packet, packet_id=packet_id, properties=properties)
            self.writer.write(encode_publish(self._in_flight[packet_id]))

    def _next_packet_id(self) -> int:
        while True:
            self._packet_id = self._packet_id % _PACKET_IDS + 1
            if self._packet_id not in self._in_flight:
                return self._packet_id


def parse_filter(topic_filter: str) -> tuple[str | None, str] | None:
    """Share name (or None) and pattern of a topic filter; None where it breaks MQTT 5, 4.7.1 and 4.8.2."""
    share: str | None = None
    pattern = topic_filter
    if topic_filter.startswith("$share/"):
        _, share, *rest = topic_filter.split("/", 2)
        pattern = rest[0] if rest else ""
        if not share or "+" in share or "#" in share:
            return None
    levels = pattern.split("/")
    if not pattern or any(("#" in level or "+" in level) and len(level) > 1 for level in levels):
        return None
    return (share, pattern) if "#" not in levels[:-1] else None
