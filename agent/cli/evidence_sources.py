"""Who can put evidence together: the insurer from its database, the owner from the box's outbox; and days' roots."""

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

from agent.cli.evidence_export import EACH_SIDE_MAX, Source
from agent.cli.stamp import request_stamp
from agent.core.config import load_config
from agent.core.errors import InputError
from agent.core.keys import parse_ed25519, public_pem, read_key
from agent.core.records import Position, Range, digest_of, parse_envelope
from agent.link.wire import encode_receipt
from agent.store.evidence import (
    DAY_NS,
    DAY_PATH,
    DAY_ROOT,
    DEVICE,
    INSURER,
    RECEIPTS,
    STAMP,
    DayRoot,
    Sign,
    day_start_ns,
    encode_path,
    peek_day_root,
    sign_day_root,
)
from agent.store.look import look_around
from agent.store.merkle import merkle_root, prove
from drivers.keystore import FileKeystore, open_x25519

Received = Callable[[int, int], list[bytes]]
"""Hashes of the records that came from one instant until before another, in ascending order."""

_SETTLED_NS: Final = 600 * 10**9  # a receiver may still be storing what came in the day's last moment
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


def from_outbox(config_path: Path, key: Path, position: Position) -> Source:
    """On the box, for the owner: what waits in the outbox around a place, signed for by the device.

    Without receipts or a day's root. Raises InputError.
    """
    config = load_config(config_path)
    keystore = FileKeystore.open(Path(config.device.key), config.device.id)
    return Source(
        device=config.device.id,
        envelopes=look_around(Path(config.store.directory), position, EACH_SIDE_MAX),
        keys=[open_x25519(key)],
        device_key=parse_ed25519(keystore.public_key),
        by="device",
        sign=keystore.sign,
        files={DEVICE: keystore.public_pem()},
    )


def from_database(
    database: str, directory: Path, device: str, *, certificate: Path | None = None, roots: Path | None = None
) -> Source:
    """At the insurer's: the receiver's database and keys.

    certificate is the device's, followed by those above it; roots a folder that write_day_root writes to. Raises
    InputError.
    """
    from fleet.receiver.database import open_store
    from fleet.receiver.keys import ReceiverKeys

    keys = ReceiverKeys.open(directory)
    device_key = keys.device_key(device)
    if device_key is None:
        raise InputError(f"device {device} is not registered in {directory}")
    if certificate is not None and read_key(certificate, parse_ed25519) != device_key:
        raise InputError(f"{certificate}: not of the key that {device} is registered with")
    with closing(open_store(database)) as store:
        envelopes = store.envelopes(device)
        received = {Position(row["boot"], row["sequence"]): int(row["received_ns"]) for row in store.events(device)}

    def add(bundle: Sequence[bytes], event: bytes) -> dict[str, bytes]:
        came_ns = received[parse_envelope(event)[0].position]
        with closing(open_store(database)) as store:
            day = _day_files(store.received, keys.sign_receipt, roots, event, came_ns)
        return {RECEIPTS: _receipt(bundle, device, received, keys.sign_receipt), **day}

    return Source(
        device=device,
        envelopes=envelopes,
        keys=keys.decryption_keys,
        device_key=device_key,
        by="insurer",
        sign=keys.sign_receipt,
        files={
            DEVICE: public_pem(device_key) if certificate is None else certificate.read_bytes(),
            INSURER: read_key(keys.receipt_public, bytes),
        },
        add=add,
    )


def make_day_root(received: Received, sign: Sign, day: str, *, now_ns: int) -> bytes:
    """Sign the root over what came on a UTC day (YYYY-MM-DD), until now where it is not over. Raises InputError."""
    first_ns = _start_ns(day)
    until_ns = min(first_ns + DAY_NS, now_ns)
    digests = received(first_ns, until_ns)
    if not digests:
        raise InputError(f"no record came on {day}")
    return sign_day_root(
        DayRoot(v=1, day=day, until_ns=until_ns, records=len(digests), root=merkle_root(digests)), sign
    )


def root_path(folder: Path, day: str) -> Path:
    """Where the signed root of a day is kept; its time stamp lies beside it, ending in .tsr."""
    return folder / f"{day}.cose"


def _day_files(received: Received, sign: Sign, roots: Path | None, event: bytes, came_ns: int) -> dict[str, bytes]:
    """The day's root, as it was signed and stamped then or else as it is now, and the path to it from the event."""
    day = (_EPOCH + timedelta(seconds=came_ns // 10**9)).strftime("%Y-%m-%d")
    kept = root_path(roots, day) if roots is not None else None
    blob = kept.read_bytes() if kept and kept.exists() else make_day_root(received, sign, day, now_ns=time.time_ns())
    until_ns = peek_day_root(blob).until_ns
    inclusion = prove(received(_start_ns(day), until_ns), digest_of(event))
    files = {DAY_ROOT: blob, DAY_PATH: encode_path(inclusion)}
    stamp = kept.with_suffix(".tsr") if kept else None
    return files | ({STAMP: stamp.read_bytes()} if stamp and stamp.exists() else {})


def _receipt(envelopes: Sequence[bytes], device: str, received: Mapping[Position, int], sign: Sign) -> bytes:
    """One receipt for just these records, dated when the last of them came."""
    places = [parse_envelope(envelope)[0].position for envelope in envelopes]
    part = Range(places[0].boot, places[0].sequence, places[-1].sequence, digest_of(envelopes[-1]))
    return encode_receipt(device, [part], received_ns=max(received[place] for place in places), sign=sign)


def _start_ns(day: str) -> int:
    try:
        return day_start_ns(day)
    except ValueError as exc:
        raise InputError(f"{day!r} is no day: YYYY-MM-DD") from exc


def write_day_root(database: str, directory: Path, day: str, folder: Path, *, tsa: str | None) -> int:
    """Keep the signed root of a day that is over, and an authority's stamp on it. A root is never made twice.

    A second call only asks for the stamp where there is none yet. Raises InputError, LinkDown, SealError.
    """
    from fleet.receiver.database import open_store
    from fleet.receiver.keys import ReceiverKeys

    path = root_path(folder, day)
    if not path.exists():
        if _start_ns(day) + DAY_NS + _SETTLED_NS > time.time_ns():
            raise InputError(f"{day} is not over yet (UTC), or not for ten minutes")
        with closing(open_store(database)) as store:
            sign = ReceiverKeys.open(directory).sign_receipt
            blob = make_day_root(store.received, sign, day, now_ns=time.time_ns())
        write_file(path, blob)
    root = peek_day_root(path.read_bytes())
    print(f"{path}: {root.records} records, root {root.root.hex()}")
    stamp = path.with_suffix(".tsr")
    if tsa is not None and not stamp.exists():
        write_file(stamp, request_stamp(path.read_bytes(), tsa))
        print(f"{stamp}: stamped by {tsa}")
    return 0


def write_file(path: Path, data: bytes) -> None:
    """Whole or not at all. Raises InputError, also where the file exists."""
    temporary = path.with_name(f".{path.name}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary.write_bytes(data)
        path.hardlink_to(temporary)  # unlike rename, refuses to replace
    except OSError as exc:
        raise InputError(f"{path}: cannot be written: {exc.strerror}") from exc
    finally:
        temporary.unlink(missing_ok=True)
