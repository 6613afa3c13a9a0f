"""`outrider verify` with signatures on a long log: how long it takes, and which damage it names.

The log is really sealed. Each damage sits near the end, where it takes longest to find. The peer is the least that any
verifier has to do for a record: one X25519, one Ed25519 and one AES-GCM of the library, nothing parsed, one core.
RECORDS of the environment shortens the log.
"""

import contextlib
import io
import os
import re
import resource
import time
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from agent.cli.verify import verify
from agent.core.events import Event
from agent.core.keys import public_pem
from agent.core.records import GENESIS, Header, Range, SealedRecord, build_envelope, encode_event, parse_envelope
from agent.link.wire import encode_receipt
from drivers.keystore import write_private
from tests.unit.store.kit import KEYS, braking, thermal

_RECORDS: Final = int(os.environ.get("RECORDS", "100000"))
_BOOT: Final = 5_000  # records of one start
_SYNCED_NS: Final = 1_790_000_000 * 10**9
_SAMPLE: Final = 2_000
_INSURER: Final = Ed25519PrivateKey.from_private_bytes(b"\3" * 32)


def run() -> dict[str, object]:
    """seconds and cpu_s for the sound log, seconds of the slowest damaged one, what each damage was called."""
    with TemporaryDirectory(prefix="verify-") as name:
        folder = Path(name)
        log = _seal(_RECORDS)
        _write_keys(folder, log)
        sound = [record.payload for record in log]
        seconds, cpu_s, said = _verify(folder, sound)
        if said:
            raise SystemExit(f"the sound log was called {said}")
        named: dict[str, object] = {}
        slowest_s = 0.0
        for fault, damaged in _damage(log).items():
            took_s, _, found = _verify(folder, damaged)
            named[fault] = found
            slowest_s = max(slowest_s, took_s)
    bare_us = _bare_us()
    return {
        "name": "verify",
        "records": _RECORDS,
        "seconds": round(seconds, 1),
        "cpu_s": round(cpu_s, 1),
        "seconds_damaged_slowest": round(slowest_s, 1),
        "us_per_record": round(cpu_s / _RECORDS * 1e6),
        "us_per_record_bare_crypto": round(bare_us),
        "ratio_bare": round(bare_us * _RECORDS / 1e6 / cpu_s, 2),
        **{f"named_{fault}": found for fault, found in named.items()},
    }


def _seal(count: int) -> list[SealedRecord]:
    log: list[SealedRecord] = []
    for number in range(count):
        log.append(_seal_one(number, log[-1].digest if log else GENESIS, offset_ns=_SYNCED_NS))
    return log


def _seal_one(number: int, after: bytes, *, offset_ns: int) -> SealedRecord:
    event: Event = thermal(number * 10**9) if number % 3 else braking(number * 10**9)
    boot, sequence = number // _BOOT + 1, number % _BOOT + 1
    header = Header(device="car-1", boot=boot, sequence=sequence, priority=event.priority, previous=after)
    content = encode_event(event, position=header.position, wall_offset_ns=offset_ns, agent_version="0.1.0")
    return _SEALER.seal(content, header)


def _damage(log: Sequence[SealedRecord]) -> dict[str, list[bytes]]:
    """One damage each, at nine tenths of the log; back-dating makes the rest anew, as its author could."""
    at = len(log) * 9 // 10
    sound = [record.payload for record in log]
    header, cose = parse_envelope(sound[at])
    altered = build_envelope(header, cose[:-60] + bytes([cose[-60] ^ 1]) + cose[-59:])
    dated = _seal_one(at, log[at - 1].digest, offset_ns=_SYNCED_NS - 3600 * 10**9)
    return {
        "deleted": sound[:at] + sound[at + 1 :],
        "inserted": [*sound[:at], sound[at - 7], *sound[at:]],
        "reordered": [*sound[:at], sound[at + 1], sound[at], *sound[at + 2 :]],
        "altered": [*sound[:at], altered, *sound[at + 1 :]],
        "back-dated": [*sound[:at], dated.payload],
        "truncated": sound[:at],
    }


def _write_keys(folder: Path, log: Sequence[SealedRecord]) -> None:
    (folder / "device.pem").write_bytes(KEYS.device.public_pem())
    (folder / "insurer.pem").write_bytes(public_pem(_INSURER.public_key()))
    write_private(folder / "key.pem", KEYS.insurer.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    # What is receipted ends in each case where the log does, but for the truncated one.
    last = log[-1]
    whole = Range(last.boot, 1, last.sequence, last.digest)
    (folder / "receipts").write_bytes(encode_receipt("car-1", [whole], received_ns=1, sign=_INSURER.sign))


def _verify(folder: Path, envelopes: Sequence[bytes]) -> tuple[float, float, str]:
    """Seconds, CPU seconds of all processes, and the finding ("" for none)."""
    log = folder / "log"
    log.write_bytes(b"".join(envelopes))
    before_s, started = _cpu_s(), time.monotonic()
    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        verify(
            [log],
            device_key=folder / "device.pem",
            keys=[folder / "key.pem"],
            receipts=folder / "receipts",
            receipt_key=folder / "insurer.pem",
        )
    took_s = time.monotonic() - started
    found = re.search(r"record (\d+) .*?(deleted|inserted|reordered|altered|back-dated|truncated)", out.getvalue())
    return took_s, _cpu_s() - before_s, f"record {found[1]} {found[2]}" if found else ""


def _cpu_s() -> float:
    own, children = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return own.ru_utime + own.ru_stime + children.ru_utime + children.ru_stime


def _bare_us() -> float:
    """CPU of the crypto alone, best of three."""
    peer, aead = X25519PrivateKey.generate().public_key(), AESGCM(bytes(32))
    blob, message = aead.encrypt(bytes(12), bytes(200), None), bytes(300)
    signature = KEYS.device.sign(message)
    best_s = 1e9
    for _ in range(3):
        begin_s = time.process_time()
        for _ in range(_SAMPLE):
            KEYS.insurer.exchange(peer)
            KEYS.device_public.verify(signature, message)
            aead.decrypt(bytes(12), blob, None)
        best_s = min(best_s, time.process_time() - begin_s)
    return best_s / _SAMPLE * 1e6


_SEALER: Final = KEYS.sealer()
