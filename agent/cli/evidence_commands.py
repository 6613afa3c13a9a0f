"""Parses `outrider evidence ACTION`."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Final

from agent.core.errors import InputError
from agent.core.records import Position

if TYPE_CHECKING:
    from agent.cli.evidence_export import Source

_AROUND_S: Final = 60.0


def add_evidence(parser: argparse.ArgumentParser) -> None:
    """Add the actions export, verify and root."""
    actions = parser.add_subparsers(required=True, metavar="ACTION")
    _add_export(actions.add_parser("export", help="write a bundle that proves one event to others"))
    _add_verify(actions.add_parser("verify", help="check such a bundle, offline"))
    _add_root(actions.add_parser("root", help="sign the root over all records that came on a day; have it stamped"))


def _add_export(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("file", type=Path, help="the bundle to write, a .zip")
    parser.add_argument("--event", required=True, metavar="ID", help="DEVICE/BOOT/SEQUENCE; on the box BOOT/SEQUENCE")
    parser.add_argument("--around", type=float, default=_AROUND_S, metavar="SECONDS", help="records around it (60)")
    insurer = parser.add_argument_group("at the insurer's")
    insurer.add_argument("--database", help="the receiver's: a file or a postgresql:// address")
    insurer.add_argument("--keys", type=Path, help="the insurer's key directory")
    insurer.add_argument("--device-cert", type=Path, help="the device's certificate and those above it, PEM")
    insurer.add_argument("--roots", type=Path, help="the folder that `evidence root` writes to")
    owner = parser.add_argument_group("on the box, by its owner")
    owner.add_argument("--config", type=Path, help="the box's config file")
    owner.add_argument("--key", type=Path, help="the owner's private key")

    def run(args: argparse.Namespace) -> int:
        from agent.cli.evidence_export import export
        from agent.cli.evidence_sources import write_file

        source, position = _source(args)
        write_file(args.file, export(source, position, around_s=args.around))
        print(f"{args.file}: evidence of {source.device}/{position.boot}/{position.sequence}")
        return 0

    parser.set_defaults(run=run)


def _source(args: argparse.Namespace) -> "tuple[Source, Position]":
    from agent.cli.evidence_sources import from_database, from_outbox

    if not 0 <= args.around <= 86_400:
        raise InputError(f"--around {args.around}: 0 to 86400 seconds")
    device, position = parse_event_id(args.event)
    if args.database and args.keys:
        if not device:
            raise InputError(f"--event {args.event}: name the device, DEVICE/BOOT/SEQUENCE")
        return from_database(args.database, args.keys, device, certificate=args.device_cert, roots=args.roots), position
    if args.config and args.key:
        source = from_outbox(args.config, args.key, position)
        if device not in {"", source.device}:
            raise InputError(f"--event {args.event}: this box is {source.device}")
        return source, position
    raise InputError("give --database and --keys (the insurer), or --config and --key (the owner, on the box)")


def parse_event_id(text: str) -> tuple[str, Position]:
    """Device ("" where none is named) and place of DEVICE/BOOT/SEQUENCE or BOOT/SEQUENCE. Raises InputError."""
    *device, boot, sequence = text.split("/") if text.count("/") in {1, 2} else ("", "", "")
    if not (boot.isdecimal() and sequence.isdecimal()):
        raise InputError(f"--event {text}: DEVICE/BOOT/SEQUENCE is expected")
    return "".join(device), Position(int(boot), int(sequence))


def _add_verify(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("file", type=Path)
    parser.add_argument("--device-cert", type=Path, help="the device's certificate or public key, from elsewhere")
    parser.add_argument("--receipt-key", type=Path, help="the insurer's public receipt key, from elsewhere")
    parser.add_argument("--ca", type=Path, help="certificates that the device's certificate must lead to, PEM")
    parser.add_argument("--tsa-ca", type=Path, help="certificates that the time stamp must lead to, PEM")

    def run(args: argparse.Namespace) -> int:
        from agent.cli.evidence import verify_evidence

        return verify_evidence(
            args.file, device_cert=args.device_cert, receipt_key=args.receipt_key, ca=args.ca, tsa_ca=args.tsa_ca
        )

    parser.set_defaults(run=run)


def _add_root(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("folder", type=Path, help="where roots are kept: DAY.cose, and DAY.tsr where stamped")
    parser.add_argument("--day", required=True, help="YYYY-MM-DD (UTC), by when the records came")
    parser.add_argument("--database", required=True, help="the receiver's: a file or a postgresql:// address")
    parser.add_argument("--keys", type=Path, required=True, help="the insurer's key directory")
    parser.add_argument("--tsa", metavar="URL", help="a time-stamping authority (RFC 3161); needs outrider[timestamp]")

    def run(args: argparse.Namespace) -> int:
        from agent.cli.evidence_sources import write_day_root

        return write_day_root(args.database, args.keys, args.day, args.folder, tsa=args.tsa)

    parser.set_defaults(run=run)
