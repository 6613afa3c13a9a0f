"""`outrider events`: what waits in the outbox, also while the agent runs. Sealed, unless the owner's key opens it."""

from pathlib import Path
from typing import Final

import msgspec
from rich.console import Console
from rich.table import Table

from agent.core.config import load_config
from agent.core.errors import ProtocolError, SealError
from agent.core.events import EmergencyData, Event, Priority
from agent.core.keys import parse_ed25519
from agent.core.records import parse_envelope
from agent.proto.msd import decode_msd, describe_msd
from agent.store.look import look
from agent.store.unseal import open_record
from drivers.keystore import FileKeystore, open_x25519

_BYTES_SHOWN: Final = 256


def show_events(config_path: Path, *, key: Path | None, most: int) -> int:
    """Print the newest records; `key` is the owner's private key. Raises InputError."""
    config = load_config(config_path)
    count, envelopes = look(Path(config.store.directory), most)
    table = Table(title=f"{count} records wait for a receipt")
    for name in ("boot", "sequence", "priority", "bytes", "event"):
        table.add_column(name, overflow="fold")
    private = None if key is None else open_x25519(key)
    public = None
    if private is not None:
        public = parse_ed25519(FileKeystore.open(Path(config.device.key), config.device.id).public_key)
    for envelope in envelopes:
        header, _ = parse_envelope(envelope)
        text = "sealed"
        if private is not None and public is not None:
            try:
                text = _describe(open_record(envelope, private, public)[1].event)
            except SealError as exc:
                text = f"cannot be opened: {exc}"
        place = (str(header.boot), str(header.sequence), Priority(header.priority).name.lower())
        table.add_row(*place, str(len(envelope)), text)
    Console().print(table)
    return 0


def _describe(event: Event) -> str:
    """JSON, and what a minimum set of data says."""
    text = _text_of(event)
    if not isinstance(event, EmergencyData):
        return text
    try:
        return f"{text}\n{describe_msd(decode_msd(event.msd))}"
    except ProtocolError as exc:
        return f"{text}\n{exc}"


def _text_of(event: Event) -> str:
    """JSON without what no person reads: of long bytes and texts their length."""
    plain: dict[str, object] = msgspec.to_builtins(event)
    for name, value in plain.items():
        if isinstance(value, str) and len(value) > _BYTES_SHOWN:
            plain[name] = f"({len(value)} characters)"
    return msgspec.json.encode(plain).decode()
