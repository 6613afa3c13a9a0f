"""`outrider verify`: the chain of a device's records, offline, as a third party would check it.

Files are CBOR sequences (RFC 8742) of envelopes, as published. Imports nothing that writes.
"""

from collections.abc import Iterator, Sequence
from itertools import accumulate
from pathlib import Path
from typing import Final

from agent.cli.opening import Verdict, open_all, read_receipts
from agent.core.errors import InputError, SealError
from agent.core.keys import parse_ed25519, read_key
from agent.core.records import GENESIS, Range, parse_envelope
from agent.store.chain import Admission, ChainReport, Date, split_envelopes, verify_chain
from drivers.keystore import open_x25519

_ZIP: Final = b"PK\x03\x04"


def verify(
    paths: Sequence[Path],
    *,
    device_key: Path,
    keys: Sequence[Path] = (),
    receipts: Path | None = None,
    receipt_key: Path | None = None,
) -> int:
    """Check all records of the files, in the order given, as one chain. Returns 0 where it is sound, 1 where not.

    device_key is the device's public key. Its signatures and dates lie below the encryption: they are checked only with
    keys, the private keys of a recipient, who may have had several one after another. receipts is a CBOR sequence of
    the insurer's receipts, receipt_key the public key that signed them: only they show that records are missing at the
    end. Raises InputError where a file or key cannot be used.
    """
    public = read_key(device_key, parse_ed25519)
    private = [open_x25519(key) for key in keys]
    files = [(path, _read(path)) for path in _list_files(paths)]
    envelopes = [envelope for _, part in files for envelope in part]
    if not envelopes:
        raise InputError(f"no records in {', '.join(map(str, paths))}")
    receipted = read_receipts(receipts, receipt_key, device=_device_of(envelopes[0])) if receipts else []
    if not private:
        report = verify_chain(envelopes, receipted=receipted)
    else:
        report = _verify_opened(envelopes, open_all(envelopes, private, public), receipted)
    signatures = "signatures verified" if keys else "signatures not checked: they need a recipient's key (--key)"
    print(f"{report.records} of {len(envelopes)} records fit together, {report.boots} boots; {signatures}")
    _print_start(envelopes[0], report)
    if report.admitted:
        print(f"{report.admitted} more were let go by a full disk, as the device itself has signed")
    if receipts:
        print(f"compared with {len(receipted)} ranges that the insurer has signed for")
    if report.finding is None:
        return 0
    print(f"{_file_of(files, report.finding.index)}: {report.finding}")
    return 1


def _verify_opened(envelopes: Sequence[bytes], verdicts: Iterator[Verdict], receipted: Sequence[Range]) -> ChainReport:
    admissions: list[Admission] = []

    def check(_: bytes) -> Date | None:
        verdict = next(verdicts)
        admissions.extend(verdict.admissions)
        return verdict.told()

    return verify_chain(envelopes, check=check, receipted=receipted, admissions=admissions)


def _device_of(envelope: bytes) -> str:
    try:
        return parse_envelope(envelope)[0].device
    except SealError as exc:
        raise InputError(f"the first record cannot be read: {exc}") from exc


def _list_files(paths: Sequence[Path]) -> list[Path]:
    """Files as given; of a directory, all its files by name."""
    files: list[Path] = []
    for path in paths:
        if path.is_dir():
            files += sorted(inner for inner in path.iterdir() if inner.is_file())
        else:
            files.append(path)
    return files


def _read(path: Path) -> list[bytes]:
    try:
        return list(split_envelopes(data := path.read_bytes()))
    except OSError as exc:
        raise InputError(f"{path}: cannot be read: {exc.strerror}") from exc
    except InputError as exc:
        hint = "; is it evidence? then: outrider evidence verify" if data.startswith(_ZIP) else ""
        raise InputError(f"{path}: {exc}{hint}") from exc


def _print_start(first: bytes, report: ChainReport) -> None:
    """Say what the chain cannot show: what came before its first record, and where it begins anew."""
    if report.records == 0:
        return
    header, _ = parse_envelope(first)
    anew = report.restarts - (header.previous == GENESIS)
    if header.previous != GENESIS:
        print(f"begins at boot {header.boot}, sequence {header.sequence}: what came before is not shown")
    if anew:
        print(f"a new chain begins {anew} more time(s): the store was lost or replaced")


def _file_of(files: Sequence[tuple[Path, Sequence[bytes]]], index: int) -> Path:
    ends = accumulate(len(part) for _, part in files)
    return next((path for (path, _), end in zip(files, ends, strict=True) if index < end), files[-1][0])
