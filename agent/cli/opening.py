"""For `outrider verify`: opening many records on every core, and reading the insurer's receipts."""

import multiprocessing
import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from agent.core.errors import InputError, SealError
from agent.core.keys import parse_ed25519, raw_bytes, read_key
from agent.core.records import Range
from agent.link.wire import parse_receipt
from agent.store.chain import Admission, Date, admissions_of, date_of, split_envelopes
from agent.store.unseal import open_record

_CHUNK: Final = 500


@dataclass(frozen=True, slots=True)
class Verdict:
    """What opening a record said: its date and what it admits, or why it cannot be opened."""

    date: Date | None = None
    admissions: Sequence[Admission] = ()
    refusal: str | None = None

    def told(self) -> Date | None:
        """The date. Raises SealError where the record was refused."""
        if self.refusal is not None:
            raise SealError(self.refusal)
        return self.date


def open_all(
    envelopes: Sequence[bytes], keys: Sequence[X25519PrivateKey], device_key: Ed25519PublicKey
) -> Iterator[Verdict]:
    """One verdict for each envelope, in order. Long logs are spread over processes."""
    chunks = [envelopes[start : start + _CHUNK] for start in range(0, len(envelopes), _CHUNK)]
    work = partial(_open_chunk, [key.private_bytes_raw() for key in keys], raw_bytes(device_key))
    if len(chunks) <= 2:
        return chain.from_iterable(map(work, chunks))
    return _spread(work, chunks)


def read_receipts(path: Path, key: Path | None, *, device: str) -> list[Range]:
    """Ranges of a CBOR sequence of receipts by this key for this device. Raises InputError naming the file."""
    if key is None:
        raise InputError(f"{path}: receipts need the public key that signed them (--receipt-key)")
    public = raw_bytes(read_key(key, parse_ed25519))
    try:
        blobs = list(split_envelopes(path.read_bytes()))
        return [part for blob in blobs for part in parse_receipt(blob, public, device)]
    except OSError as exc:
        raise InputError(f"{path}: cannot be read: {exc.strerror}") from exc
    except (InputError, SealError) as exc:
        raise InputError(f"{path}: {exc}") from exc


def _spread(work: "partial[list[Verdict]]", chunks: Sequence[Sequence[bytes]]) -> Iterator[Verdict]:
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(os.cpu_count(), mp_context=spawn) as pool:
        for verdicts in pool.map(work, chunks):
            yield from verdicts


def _open_chunk(keys: Sequence[bytes], device_key: bytes, envelopes: Sequence[bytes]) -> list[Verdict]:
    private = [X25519PrivateKey.from_private_bytes(key) for key in keys]
    public = Ed25519PublicKey.from_public_bytes(device_key)
    return [_open(envelope, private, public) for envelope in envelopes]


def _open(envelope: bytes, keys: Sequence[X25519PrivateKey], device_key: Ed25519PublicKey) -> Verdict:
    try:
        _, told = open_record(envelope, keys, device_key)
    except SealError as exc:
        return Verdict(refusal=str(exc))
    return Verdict(date_of(told), admissions_of(told))
