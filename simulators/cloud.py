"""The insurer's cloud on this machine: PKI, broker, receiver, and a network that can be cut."""

import asyncio
import os
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Literal, Self

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from agent.core.config import Link, Trust
from agent.core.errors import InputError
from agent.core.keys import public_pem
from fleet.receiver.intake import Intake, Outcome
from fleet.receiver.keys import ReceiverKeys
from fleet.receiver.service import DEFAULT_TERMS, Terms, serve
from fleet.receiver.sqlite import SqliteStore
from fleet.receiver.store import Counts, Store
from simulators.access import INSURER, OPERATOR, RESERVED, RULES
from simulators.broker import Broker
from simulators.cloud_desk import CloudDesk
from simulators.mosquitto import BrokerFailed, Mosquitto, find_mosquitto
from simulators.network import Network
from simulators.pki import Authority

_START_TIMEOUT_S: Final = 5.0
_STOP_TIMEOUT_S: Final = 5.0

BrokerKind = Literal["mosquitto", "embedded"]


class Cloud:
    """Everything runs within `async with Cloud(directory) as cloud`. broker_kind says which broker it is.

    outcomes counts what reached the receiver: accepted, duplicate, dead; on_outcome is told of each.
    operator_key and owner_key are the private halves of what trust() names: the operator's, to sign bundles with, and
    the vehicle owner's, who may read his own records.
    """

    def __init__(
        self,
        directory: Path,
        *,
        broker: BrokerKind | None = None,
        port: int = 0,
        road_port: int = 0,
        terms: Terms = DEFAULT_TERMS,
        on_outcome: Callable[[Outcome], None] = lambda _: None,
        now_ns: Callable[[], int] = time.time_ns,
    ) -> None:
        """With broker None it is mosquitto if installed. Raises BrokerFailed where the one asked for is not.

        port is the broker's own, road_port the one that cars use; 0 is any free one. now_ns is the receiver's clock.
        """
        program = find_mosquitto()
        if broker == "mosquitto" and program is None:
            raise BrokerFailed("mosquitto is not installed; the embedded broker needs nothing")
        self.directory = directory
        self.broker_kind: BrokerKind = broker or ("embedded" if program is None else "mosquitto")
        self.authority = Authority(directory / "pki")
        self.operator_key = Ed25519PrivateKey.generate()
        self.owner_key = X25519PrivateKey.generate()
        self.outcomes: Counter[str] = Counter()
        self._keys = ReceiverKeys.create(directory / "insurer")
        self._intake = Intake(self._keys, SqliteStore(directory / "received.sqlite"), now_ns=now_ns)
        self._broker = self._make_broker(program if self.broker_kind == "mosquitto" else None, port)
        self._network: Network | None = None
        self._road_port = road_port
        self._terms = terms
        self._now_ns = now_ns
        self.on_outcome = on_outcome
        self._stopping = asyncio.Event()
        self._changed = asyncio.Event()
        self._service: asyncio.Task[None] | None = None
        self._last_counts: Counts | None = None
        self._trust = self._write_trust()

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()

    async def start(self) -> None:
        """Return when cars may connect. Raises BrokerFailed with the broker's own words."""
        try:
            await self._start_broker()
            await self._start_network()
            await self._start_receiver()
        except BaseException:
            await self.stop()
            raise

    async def stop(self) -> None:
        """Receiver first, with its last receipts, then network and broker. Raises what ended the receiver early."""
        self._stopping.set()
        try:
            if self._service is not None:
                await asyncio.wait({self._service}, timeout=_STOP_TIMEOUT_S)
                self._service.cancel()  # where it was about to connect it has nothing to say any more
                with suppress(asyncio.CancelledError):
                    await self._service
        finally:
            if self._network is not None:
                await self._network.stop()
            await self._broker.stop()
            if self._last_counts is None:
                self._last_counts = self.store.counts()
                self.store.close()

    def register(self, device: str, public_key: bytes) -> None:
        """Let a device in: its Ed25519 key, raw. Raises InputError for a name that the topics need."""
        if device in RESERVED:
            raise InputError(f"device {device}: this name is reserved")
        self._keys.register(device, public_key)

    def link_config(self, device: str, **settings: float) -> Link:
        """Config of a device's link, through the network; settings are further keys of [link]."""
        return self._link(device, self.network.port, **settings)

    def open_desk(self, **how: Any) -> CloudDesk:
        """The desk behind the receiver; how: what CloudDesk takes besides. It works when it is run, or in turns."""
        return CloudDesk(self.store, self._keys, now_ns=self._now_ns, **how)

    def insurer_link(self) -> Link:
        """Link of the insurer's own programs, which no cut reaches."""
        return self._link(INSURER, self._broker.port)

    def operator_link(self) -> Link:
        """Link of the operator's own console, which no cut reaches."""
        return self._link(OPERATOR, self._broker.port)

    def trust(self) -> Trust:
        """Whom a device of this cloud believes."""
        return self._trust

    @property
    def network(self) -> Network:
        """The road between cars and broker."""
        if self._network is None:
            raise RuntimeError("the cloud is not started")
        return self._network

    def cut(self) -> None:
        """Cars lose their connections, and get none."""
        self.network.cut()

    def restore(self) -> None:
        """Cars may connect again."""
        self.network.restore()

    @property
    def broker(self) -> Broker | Mosquitto:
        """The one of broker_kind: the embedded one can be told to misbehave."""
        return self._broker

    async def restart_broker(self, *, forget: bool = False) -> None:
        """Everybody is disconnected, the receiver too; sessions and retained messages stay, or are lost as well."""
        await self._broker.stop()
        if forget:
            self._broker.forget()
        await self._start_broker()

    async def until(self, condition: Callable[[], bool], *, timeout_s: float) -> bool:
        """Wait until condition holds, asked again after every record; False where it does not in time."""
        try:
            async with asyncio.timeout(timeout_s):
                while not condition():
                    self._changed.clear()
                    await self._changed.wait()
        except TimeoutError:
            return condition()
        return True

    def counts(self) -> Counts:
        """What the insurer holds; also after stop."""
        return self.store.counts() if self._last_counts is None else self._last_counts

    @property
    def store(self) -> Store:
        """The insurer's own view: events, envelopes, dead letters."""
        return self._intake.store

    def _note(self, outcome: Outcome) -> None:
        self.outcomes[outcome.status] += 1
        self.on_outcome(outcome)
        self._changed.set()

    async def _start_receiver(self) -> None:
        """Return when it has subscribed: before that the broker would drop what cars publish."""
        listening = asyncio.Event()
        self._service = asyncio.create_task(
            serve(
                self.insurer_link(),
                self._intake,
                stopping=self._stopping,
                terms=self._terms,
                on_connected=listening.set,
                on_outcome=self._note,
            ),
            name="receiver",
        )
        waiting = asyncio.create_task(listening.wait())
        await asyncio.wait({waiting, self._service}, timeout=_START_TIMEOUT_S, return_when=asyncio.FIRST_COMPLETED)
        waiting.cancel()
        if not listening.is_set():
            raise BrokerFailed(f"the receiver cannot reach the {self.broker_kind} broker on port {self._broker.port}")

    async def _start_network(self) -> None:
        stranger = Authority(self.directory / "stranger").issue_server()
        self._network = Network(self._broker.port, port=self._road_port, stranger=stranger)
        try:
            await self._network.start()
        except OSError as exc:
            raise BrokerFailed(f"port {self._road_port}: {os.strerror(exc.errno or 0)}") from exc

    async def _start_broker(self) -> None:
        try:
            await self._broker.start()
        except OSError as exc:
            raise BrokerFailed(f"embedded broker: {exc.strerror or exc}") from exc

    def _make_broker(self, program: str | None, port: int) -> Broker | Mosquitto:
        server = self.authority.issue_server()
        if program is None:
            return Broker(authority=self.authority.certificate, identity=server, rules=RULES, port=port)
        directory = self.directory / "mosquitto"
        return Mosquitto(
            program, directory, authority=self.authority.certificate, identity=server, rules=RULES, port=port
        )

    def _link(self, name: str, port: int, **settings: float) -> Link:
        return self.authority.link(name, port, **({"backoff_longest_s": 1.0} | settings))

    def _write_trust(self) -> Trust:
        folder = self.directory / "trust"
        folder.mkdir(parents=True, exist_ok=True)
        owner, operator = folder / "owner.pub.pem", folder / "operator.pub.pem"
        owner.write_bytes(public_pem(self.owner_key.public_key()))
        operator.write_bytes(public_pem(self.operator_key.public_key()))
        return Trust(
            insurer_encryption_key=str(self._keys.encryption_public),
            insurer_receipt_key=str(self._keys.receipt_public),
            owner_encryption_key=str(owner),
            operator_key=str(operator),
        )
