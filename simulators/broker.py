"""A small MQTT 5 broker inside this process, for machines without mosquitto.

QoS 0 and 1, retained messages, sessions (in memory, as long as the object lives), shared subscriptions, message expiry,
both sides' Receive Maximum, TLS with client certificates, access rules by their common name. Bounded everywhere.
On demand it misbehaves (broker_faults).
"""

import asyncio
import ssl
from collections import Counter
from collections.abc import Iterable
from itertools import count
from pathlib import Path
from typing import Final

from agent.core.errors import ProtocolError
from simulators.access import Rule, allowed, topic_matches
from simulators.broker_connection import CONNECT_TIMEOUT_S, Connection
from simulators.broker_faults import HONEST, BrokerFaults, Mischief
from simulators.broker_session import Session, parse_filter
from simulators.mqtt_codec import Connect, Decoder, Publish, encode_disconnect
from simulators.mqtt_fields import CONTENT_TYPE, MESSAGE_EXPIRY, Properties
from simulators.mqtt_reasons import Reason
from simulators.pki import Identity

_CHUNK: Final = 65_536
_SHUTDOWN_TIMEOUT_S: Final = 0.5
_FORWARDED: Final = (MESSAGE_EXPIRY, CONTENT_TYPE)
_HELD_S: Final = 0.02  # how long a delivery waits for others to change places with


class Broker:
    """Start and stop it as often as you like: sessions and retained messages stay."""

    def __init__(
        self,
        *,
        authority: Path,
        identity: Identity,
        rules: Iterable[Rule],
        port: int = 0,
        packet_size_max: int = 1 << 20,
        queue_max: int = 10_000,
        sessions_max: int = 1000,
        retained_max: int = 10_000,
    ) -> None:
        self.counts: Counter[str] = Counter()
        self.mischief = Mischief()
        self._held: list[Publish] = []
        self._rules = tuple(rules)
        self._packet_size_max = packet_size_max
        self._queue_max = queue_max
        self._sessions_max = sessions_max
        self._retained_max = retained_max
        self._tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=str(authority))
        self._tls.minimum_version = ssl.TLSVersion.TLSv1_2
        self._tls.verify_mode = ssl.CERT_REQUIRED
        self._tls.load_cert_chain(identity.certificate, identity.key)
        self._sessions: dict[tuple[str, str], Session] = {}  # a foreign certificate cannot touch another's session
        self._retained: dict[str, Publish] = {}
        self._turns = count()
        self._server: asyncio.Server | None = None
        self._port = port
        self._clients: dict[asyncio.Task[None], asyncio.StreamWriter] = {}

    @property
    def port(self) -> int:
        """Where it listens; kept over a restart."""
        return self._port

    async def start(self) -> None:
        """Listen on loopback. Raises OSError where the port is taken."""
        self._server = await asyncio.start_server(
            self._serve, "127.0.0.1", self._port, ssl=self._tls, ssl_shutdown_timeout=_SHUTDOWN_TIMEOUT_S
        )
        self._port = int(self._server.sockets[0].getsockname()[1])

    async def stop(self) -> None:
        """Tell the clients and close; sessions stay in memory."""
        if self._server is None:
            return
        self._server.close()
        for writer in self._clients.values():
            writer.write(encode_disconnect(Reason.SERVER_SHUTTING_DOWN))
            writer.close()
        await asyncio.gather(*self._clients)
        self._server = None  # not wait_closed: since Python 3.12 it waits for handshakes that may never end

    def misbehave(self, faults: BrokerFaults = HONEST, *, seed: int = 0) -> None:
        """Have these faults from now on, or none; what is held back is delivered."""
        self._release()
        self.mischief = Mischief(faults, seed=seed)

    def forget(self) -> None:
        """Lose every session and every retained message, as a restart without a database does. Only while stopped."""
        self._sessions.clear()
        self._retained.clear()
        self._held.clear()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One client, from its CONNECT to its end."""
        task = asyncio.current_task()
        if task is None:
            raise RuntimeError("the server runs its clients as tasks")
        self._clients[task] = writer
        connection = Connection(self, writer)
        try:
            async with asyncio.timeout(None) as deadline:
                decoder = Decoder(size_max=self._packet_size_max)
                silence_max_s = CONNECT_TIMEOUT_S
                while not connection.ended:
                    deadline.reschedule(asyncio.get_running_loop().time() + silence_max_s)
                    data = await reader.read(_CHUNK)
                    if not data:
                        break
                    for packet in decoder.feed(data):
                        if not connection.ended:
                            connection.take(packet)
                    silence_max_s = connection.silence_max_s
                    await writer.drain()
        except ProtocolError:
            self.counts["protocol_errors"] += 1
            writer.write(encode_disconnect(Reason.PROTOCOL_ERROR))
        except (OSError, TimeoutError):
            self.counts["connections_lost"] += 1
        finally:
            connection.close()
            writer.close()
            del self._clients[task]

    # What a connection asks of the broker.

    def open_session(self, packet: Connect, user: str, writer: asyncio.StreamWriter) -> tuple[Session | None, bool]:
        """Return the client's session, None where it may not have it, and whether it was there before."""
        now_s = asyncio.get_running_loop().time()
        for key in [key for key, session in self._sessions.items() if session.expired(now_s)]:
            del self._sessions[key]
        session = self._sessions.get((user, packet.client_id))
        if session is not None and session.writer is not None:
            session.writer.write(encode_disconnect(Reason.SESSION_TAKEN_OVER))
            session.writer.close()
            session.detach(now_s)
        present = session is not None and not packet.clean_start
        if session is None or packet.clean_start:
            if session is None and len(self._sessions) >= self._sessions_max:
                return None, False
            session = Session(packet.client_id, user, queue_max=self._queue_max)
            self._sessions[user, packet.client_id] = session
        session.attach(writer, packet.properties)
        return session, present

    def close_session(self, session: Session) -> None:
        """Keep it as long as its expiry says."""
        session.detach(asyncio.get_running_loop().time())
        if session.expiry_s == 0 and self._sessions.get(session.key) is session:
            del self._sessions[session.key]

    def publish(self, packet: Publish, user: str, *, copies: int = 1) -> int:
        """Route a message, so many times; returns the reason code for its PUBACK."""
        self.counts["published"] += 1
        if not packet.topic or "+" in packet.topic or "#" in packet.topic:
            return Reason.TOPIC_NAME_INVALID
        if not allowed(self._rules, user, "write", packet.topic):
            self.counts["refused"] += 1
            return Reason.NOT_AUTHORIZED
        if not copies:
            return Reason.SUCCESS
        if packet.retain and not packet.payload:
            self._retained.pop(packet.topic, None)
        elif packet.retain:
            if packet.topic not in self._retained and len(self._retained) >= self._retained_max:
                return Reason.QUOTA_EXCEEDED
            self._retained[packet.topic] = _forwarded(packet, retain=True)
        forwarded = [_forwarded(packet, retain=False)] * copies
        held_max = self.mischief.for_user(user).reordered
        if not held_max:
            self._deliver(forwarded)
            return Reason.SUCCESS
        if not self._held:
            asyncio.get_running_loop().call_later(_HELD_S, self._release)
        self._held += forwarded
        if len(self._held) >= held_max:
            self._release()
        return Reason.SUCCESS

    def _release(self) -> None:
        """Deliver what was held back, in another order."""
        held, self._held = self._held, []
        if held:
            self.mischief.shuffle(held)
            self._deliver(held)

    def _deliver(self, packets: Iterable[Publish]) -> None:
        now_s = asyncio.get_running_loop().time()
        for packet in packets:
            for session, qos in self._receivers(packet.topic):
                self.counts["queue_full"] += session.offer(packet, qos, now_s)

    def subscribe(self, session: Session, topic_filter: str, options: int) -> int:
        """Return the reason code for the SUBACK; retained messages follow (not for shared subscriptions)."""
        parsed = parse_filter(topic_filter)
        if parsed is None:
            return Reason.TOPIC_FILTER_INVALID
        share, pattern = parsed
        known = topic_filter in session.subscriptions
        qos = min(options & 3, 1)
        session.subscriptions[topic_filter] = qos
        retain_handling = options >> 4 & 3
        if share is None and (retain_handling == 0 or (retain_handling == 1 and not known)):
            now_s = asyncio.get_running_loop().time()
            for topic, packet in self._retained.items():
                if topic_matches(pattern, topic) and allowed(self._rules, session.user, "read", topic):
                    session.offer(packet, qos, now_s)
        return qos

    @property
    def packet_size_max(self) -> int:
        """What CONNACK announces."""
        return self._packet_size_max

    def _receivers(self, topic: str) -> list[tuple[Session, int]]:
        """Every session that is to have the message, once, with its QoS; of a shared subscription one, in turn."""
        receivers: dict[tuple[str, str], int] = {}
        shares: dict[str, list[Session]] = {}
        for session in self._sessions.values():
            if not allowed(self._rules, session.user, "read", topic):
                continue
            for topic_filter, qos in session.subscriptions.items():
                parsed = parse_filter(topic_filter)
                if parsed is None or not topic_matches(parsed[1], topic):
                    continue
                if parsed[0] is None:
                    receivers[session.key] = max(qos, receivers.get(session.key, 0))
                else:
                    shares.setdefault(topic_filter, []).append(session)
        for topic_filter, sessions in shares.items():
            live = [session for session in sessions if session.writer is not None] or sessions
            chosen = live[next(self._turns) % len(live)]
            receivers[chosen.key] = max(chosen.subscriptions[topic_filter], receivers.get(chosen.key, 0))
        return [(self._sessions[key], qos) for key, qos in receivers.items()]


def _forwarded(packet: Publish, *, retain: bool) -> Publish:
    properties: Properties = {key: packet.properties[key] for key in _FORWARDED if key in packet.properties}
    return Publish(packet.topic, packet.payload, packet.qos, retain, properties=properties)
