"""`python -m fleet`: what operators and insurers run."""

import argparse
import asyncio
import json
import math
import os
import signal
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Final

import msgspec

from agent.core.config import Link, Name
from agent.core.errors import AgentError, InputError
from agent.core.keys import public_pem
from agent.core.toml import load_toml
from drivers.keystore import create_ed25519, open_ed25519
from fleet.bundle import make_manifest
from fleet.clips import add_clips, without_sound
from fleet.desk.command import add_desk, add_tickets
from fleet.emergency import add_msd
from fleet.labels import add_labels
from fleet.push import push
from fleet.receive import add_receive
from fleet.receiver.database import open_store
from fleet.receiver.keys import ReceiverKeys
from fleet.receiver.receipts import make_receipts
from fleet.receiver.store import Store
from fleet.reports import Report, find_report, newest_ns
from fleet.telemetry import telemetry_lines

_POLL_S: Final = 0.2
_DAYS_MAX: Final = 36_500


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command. Expected errors are one line on stderr and exit code 2."""
    args = _parser().parse_args(argv)
    try:
        code = int(args.run(args))
        sys.stdout.flush()
    except BrokenPipeError:  # `events | head`: the reader has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 128 + signal.SIGPIPE
    except AgentError as exc:
        print(f"fleet: {exc}", file=sys.stderr)
        return 2
    return code


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="fleet", description="What operators and insurers run.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    _add_keys(commands.add_parser("keys", help="make the insurer's and the operator's keys"))
    _add_register(commands.add_parser("register", help="let a device in by its public key"))
    _add_push(commands.add_parser("push", help="sign a config and push it to vehicles"))
    add_receive(commands.add_parser("receive", help="run the receiver"))
    _add_export(commands.add_parser("export", help="write a device's sealed records to a file, as evidence"))
    _add_events(commands.add_parser("events", help="list what has been received, as JSON lines"))
    _add_telemetry(commands.add_parser("telemetry", help="print a device's telemetry as CSV"))
    add_clips(commands.add_parser("clips", help="write the sound that drivers agreed to leave, as WAV files"))
    add_labels(commands.add_parser("labels", help="list collisions with what their drivers answered, for training"))
    _add_devices(commands.add_parser("devices", help="list the devices heard of, as JSON lines"))
    add_desk(commands.add_parser("desk", help="open tickets from what comes in, hold their clock, and speak to cars"))
    add_tickets(commands.add_parser("tickets", help="list, show, answer and close the desk's tickets"))
    add_msd(commands.add_parser("msd", help="read minimum sets of data (EN 15722), given or received"))
    return parser


def _add_keys(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("directory", type=Path)
    parser.add_argument("--rotate", action="store_true", help="make a new encryption key; the old one still opens")

    def run(args: argparse.Namespace) -> int:
        if args.rotate:
            key = ReceiverKeys.rotate(args.directory).encryption_public
            print(f"a new key is made; receivers with this directory find it. Now give {key} to the cars")
            return 0
        args.directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        ReceiverKeys.create(args.directory)
        operator = create_ed25519(args.directory / "operator.pem")
        (args.directory / "operator.pub.pem").write_bytes(public_pem(operator.public_key()))
        print(f"keys in {args.directory}; the .pub.pem files go into every car's [trust]")
        return 0

    parser.set_defaults(run=run)


def _add_register(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("device")
    parser.add_argument("public_key", type=Path, metavar="PUBLIC_KEY", help="what `outrider keys show` prints")
    parser.add_argument("--keys", type=Path, required=True, help="the insurer's key directory")

    def run(args: argparse.Namespace) -> int:
        try:
            pem = args.public_key.read_bytes()
        except OSError as exc:
            raise InputError(f"{args.public_key}: {exc.strerror}") from exc
        ReceiverKeys.open(args.keys).register(args.device, pem)
        print(f"{args.device}: registered")
        return 0

    parser.set_defaults(run=run)


def _add_push(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("config", type=Path, help="TOML with [detect] and [voice] tables only")
    target = parser.add_mutually_exclusive_group(required=True)
    target.add_argument("--vehicle", type=_name, action="append", default=[], metavar="ID")
    target.add_argument("--group", type=_name, action="append", default=[], metavar="NAME")
    parser.add_argument("--version", type=int, default=None, help="default: seconds since 1970; must grow")
    parser.add_argument("--valid-days", type=_days, default=30.0)
    parser.add_argument("--key", type=Path, required=True, help="the operator's private key")
    parser.add_argument("--link", type=Path, required=True, help="TOML: the keys of a [link] table")
    parser.add_argument("--database", help="the receiver's database: wait there for the vehicles' answers")
    parser.add_argument("--wait", type=float, default=60.0, metavar="SECONDS")
    parser.set_defaults(run=lambda args: asyncio.run(_push(args)))


async def _push(args: argparse.Namespace) -> int:
    """Exit code 0 pushed (and applied, where asked to wait), 1 refused or no answer in time."""
    try:
        text = args.config.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as exc:
        raise InputError(f"{args.config}: {exc}") from exc
    now_ns = time.time_ns()
    version = args.version or now_ns // 10**9
    bundle = f"{args.config.stem[:40]}-{version}"
    manifest = make_manifest(
        text,
        bundle=bundle,
        version=version,
        expires_ns=now_ns + round(args.valid_days * 86_400e9),
        issued_ns=now_ns,
        vehicles=args.vehicle,
        groups=args.group,
    )
    link, key = load_toml(args.link, Link), open_ed25519(args.key)
    if args.database is None:
        await push(link, manifest, key, said=print)
        return 0
    with closing(open_store(args.database)) as store:
        since_ns = newest_ns(store)
        blob = await push(link, manifest, key, said=print)
        look = partial(_look, store, bundle, blob, since_ns)
        return await _await_answers(look, args.vehicle, wait_s=args.wait)


def _name(text: str) -> str:
    """A vehicle's or group's name: it becomes a part of a topic."""
    try:
        return msgspec.convert(text, Name, strict=True)
    except msgspec.ValidationError as exc:
        raise argparse.ArgumentTypeError(f"{text!r} is no name: letters, digits and . _ - only, 64 at most") from exc


def _days(text: str) -> float:
    try:
        days = float(text)
    except ValueError:
        days = math.nan
    if not abs(days) <= _DAYS_MAX:
        raise argparse.ArgumentTypeError(f"{text!r} is no number of days up to {_DAYS_MAX}")
    return days


async def _await_answers(look: Callable[[str], Report | None], vehicles: Sequence[str], *, wait_s: float) -> int:
    """Print each vehicle's answer as it comes; for a group, the first one."""
    deadline_s = time.monotonic() + wait_s
    open_for = set(vehicles) or {""}
    refused = False
    while open_for and time.monotonic() < deadline_s:
        for vehicle in sorted(open_for):
            report = look(vehicle)
            if report is not None:
                print(f"{report.device}: {report.text}")
                refused |= not report.applied
                open_for.discard(vehicle)
        await asyncio.sleep(_POLL_S)
    for vehicle in sorted(open_for):
        print(
            f"{vehicle or 'group'}: no answer within {wait_s:g} s. The broker keeps the bundle for it; "
            "a car whose owner did not agree to diagnostics takes it without a word."
        )
    return 1 if refused or open_for else 0


def _look(store: Store, bundle: str, blob: bytes, since_ns: int, vehicle: str) -> Report | None:
    return find_report(store, bundle, blob, vehicle=vehicle, since_ns=since_ns)


def _add_export(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("device")
    parser.add_argument("file", type=Path, help="a CBOR sequence of envelopes: what `outrider verify` reads")
    parser.add_argument("--database", required=True)
    parser.add_argument("--receipts", type=Path, help="also write signed receipts for them here")
    parser.add_argument("--keys", type=Path, help="the insurer's key directory; needed with --receipts")

    def run(args: argparse.Namespace) -> int:
        if args.receipts and not args.keys:
            raise InputError("--receipts needs --keys: they are signed")
        try:
            with closing(open_store(args.database)) as store:
                envelopes = store.envelopes(args.device)
                args.file.write_bytes(b"".join(envelopes))
                if args.receipts:
                    keys = ReceiverKeys.open(args.keys)
                    args.receipts.write_bytes(make_receipts(store, keys, args.device, now_ns=time.time_ns()))
        except OSError as exc:
            raise InputError(f"{exc.filename or args.file}: {exc.strerror}") from exc
        print(f"{args.device}: {len(envelopes)} records to {args.file}")
        return 0

    parser.set_defaults(run=run)


def _add_events(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--database", required=True)
    parser.add_argument("--device", help="only this one's")

    def run(args: argparse.Namespace) -> int:
        with closing(open_store(args.database)) as store:
            for event in store.events(args.device):
                print(json.dumps(without_sound(event), ensure_ascii=False))
        return 0

    parser.set_defaults(run=run)


def _add_telemetry(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("device")
    parser.add_argument("--database", required=True)

    def run(args: argparse.Namespace) -> int:
        with closing(open_store(args.database)) as store:
            for line in telemetry_lines(store, args.device, on_bad=partial(print, file=sys.stderr)):
                print(line)
        return 0

    parser.set_defaults(run=run)


def _add_devices(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--database", required=True)

    def run(args: argparse.Namespace) -> int:
        with closing(open_store(args.database)) as store:
            for device in store.devices():
                print(json.dumps(device))
        return 0

    parser.set_defaults(run=run)


if __name__ == "__main__":
    sys.exit(main())
