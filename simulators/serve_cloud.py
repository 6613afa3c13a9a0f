"""The insurer's cloud as a process: broker, receiver, claims desk and pricing, on a port where cars may connect.

The claims desk is a web page besides.
"""

import asyncio
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from agent.core.config import Link, Trust
from agent.core.errors import InputError
from agent.core.keys import parse_ed25519, raw_bytes
from agent.core.toml import load_toml
from fleet.desk.claims import Ticket
from fleet.desk.ticket import DeskTicket
from fleet.receiver.intake import Outcome
from simulators.claims_pages import render
from simulators.claims_web import ClaimsWeb
from simulators.claims_words import word
from simulators.cloud import Cloud
from simulators.cloud_desk import CloudDesk
from simulators.mosquitto import BrokerFailed
from simulators.network_conditions import CONDITIONS, Phase, Schedule
from simulators.pricing import Pricing

_ANSWERS_S = (20.0, 60.0)
_LINK_KEYS = ("host", "port", "ca", "certificate", "key")
_TRUST_KEYS = ("insurer_encryption_key", "insurer_receipt_key", "owner_encryption_key", "operator_key")


@dataclass(frozen=True, slots=True)
class CloudOptions:
    """Where it lives, the port for the cars, which cars (NAME=FILE of a public key), and what their road is like.

    desk_port: where a browser finds the claims desk; 0 is any free one.
    """

    directory: Path
    port: int
    devices: Sequence[str]
    network: str
    desk_port: int = 0


async def serve_cloud(options: CloudOptions, *, say: Callable[[str], None]) -> None:
    """Run until cancelled, telling what comes. Raises InputError, BrokerFailed."""
    schedule = load_schedule(options.network)
    devices = [_read_device(text) for text in options.devices]
    options.directory.mkdir(parents=True, exist_ok=True)
    cloud = Cloud(options.directory, road_port=options.port)
    office = Office(say)
    desk = cloud.open_desk(tell=office.tell_ticket, on_case=office.tell_case, delay_s=_ANSWERS_S)
    cloud.on_outcome = partial(office.take, desk)
    try:
        await cloud.start()
    except BrokerFailed as exc:
        raise InputError(f"cloud=tcp:{options.port}: {exc}") from exc
    try:
        say(f"{cloud.broker_kind} broker; cars connect to 127.0.0.1:{cloud.network.port}")
        for name, key in devices:
            cloud.register(name, key)
            path = options.directory / f"{name}.toml"
            path.write_text(_as_toml(cloud.link_config(name), cloud.trust()), encoding="utf-8")
            say(f"{name} may connect; its [link] and [trust]: {path}")
        web = ClaimsWeb(partial(render, cloud.store, desk.desk.claims), port=options.desk_port)
        async with web, asyncio.TaskGroup() as tasks:
            say(f"claims desk: {web.address}")
            stopping = asyncio.Event()
            tasks.create_task(desk.run(cloud.insurer_link(), stopping))
            try:
                await cloud.network.play(schedule)
            finally:
                stopping.set()
    finally:
        await cloud.stop()


class Office:
    """Claims desk and pricing behind the receiver: says what changed."""

    def __init__(self, say: Callable[[str], None]) -> None:
        self.pricing = Pricing()
        self._say = say

    def take(self, desk: CloudDesk, outcome: Outcome) -> None:
        """Look at what the receiver did with an envelope."""
        if outcome.status == "dead":
            self._say(f"{outcome.device or 'somebody'}: refused: {outcome.reason}")
        if outcome.event is None or outcome.position is None:
            return
        self._say(f"{outcome.device}: {outcome.event.kind}")
        desk.woken.set()
        exposure = self.pricing.take(outcome.device, outcome.event)
        if exposure is not None:
            self._say(f"{outcome.device}: {exposure.distance_km:.1f} km, premium factor {exposure.factor:.3f}")

    def tell_ticket(self, ticket: DeskTicket, what: str) -> None:
        """Something happened to a ticket."""
        self._say(f"ticket {ticket.number}: {what.replace('_', ' ')}")

    def tell_case(self, ticket: Ticket, before: Ticket | None) -> None:  # noqa: ARG002 - every change is said as it is
        """More is known of a case."""
        state = "open" if ticket.is_open else f"closed: {word(ticket.outcome, 'en')}"
        answer = word(ticket.answer, "en")
        self._say(f"ticket {ticket.number} {ticket.kind}, severity {ticket.severity}, {state}: {answer}")


def load_schedule(text: str) -> Schedule:
    """A named road for ever, or a .toml of phases. Raises InputError."""
    if text.endswith(".toml"):
        return load_toml(Path(text), Schedule)
    if text not in CONDITIONS:
        raise InputError(f"--network {text}: there are {', '.join(CONDITIONS)}, or a .toml of phases")
    return Schedule(phases=[Phase(for_s=0, conditions=CONDITIONS[text])])


def _read_device(text: str) -> tuple[str, bytes]:
    name, _, file = text.partition("=")
    if not name or not file:
        raise InputError(f"--device {text}: NAME=FILE is needed")
    try:
        return name, raw_bytes(parse_ed25519(Path(file).read_bytes()))
    except OSError as exc:
        raise InputError(f"--device {text}: {exc.strerror}") from exc


def _as_toml(link: Link, trust: Trust) -> str:
    tables = {"link": (link, _LINK_KEYS), "trust": (trust, _TRUST_KEYS)}
    lines = []
    for table, (section, names) in tables.items():
        lines += [f"[{table}]", *(f"{name} = {json.dumps(getattr(section, name))}" for name in names), ""]
    return "\n".join(lines)
