"""Parses `outrider COMMAND`; each command has its own file here and returns an exit code."""

import argparse
import asyncio
import os
import signal
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

from agent import __version__
from agent.cli.battery_command import add_battery
from agent.cli.evidence_commands import add_evidence
from agent.cli.privacy_options import add_privacy
from agent.cli.scene import add_scene
from agent.core.errors import AgentError, InputError

CONFIG_DEFAULT: Final = Path("/etc/outrider/outrider.toml")


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command. Expected errors are one line on stderr, and exit code 1 or 2."""
    given = list(sys.argv[1:] if argv is None else argv)
    if given[:1] == ["demo"]:  # it has options of its own
        from simulators.demo import main as demo

        return demo(given[1:])
    args = _parser().parse_args(given)
    try:
        return int(args.run(args))
    except AgentError as exc:
        print(f"outrider: {exc}", file=sys.stderr)
        return _code_of(exc)
    except BrokenPipeError:
        return _reader_left()
    except BaseExceptionGroup as group:
        return _explain_group(group)


def _explain_group(group: BaseExceptionGroup[BaseException]) -> int:
    """Expected errors may come out of the task tree together; anything else among them is a bug and goes on up."""
    if group.split(BrokenPipeError)[1] is None:
        return _reader_left()
    if group.split((AgentError, BrokenPipeError))[1] is not None:
        raise group
    leaves = list(_leaves(group))
    for text in dict.fromkeys(map(str, leaves)):
        print(f"outrider: {text}", file=sys.stderr)
    return max(map(_code_of, leaves))


def _code_of(exc: BaseException) -> int:
    """2: what was given cannot be used, and trying again is no use. 1: something failed that may work later."""
    return 2 if isinstance(exc, InputError) else 1


def _leaves(group: BaseExceptionGroup[BaseException]) -> Iterator[BaseException]:
    for exc in group.exceptions:
        if isinstance(exc, BaseExceptionGroup):
            yield from _leaves(exc)
        else:
            yield exc


def _reader_left() -> int:
    """`outrider ... | head`: whoever reads has seen enough. The shell's code for that."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return 128 + signal.SIGPIPE


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="outrider", description="In-vehicle edge agent for car insurers and fleets.")
    parser.add_argument("--version", action="version", version=__version__)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    _add_run(commands.add_parser("run", help="run the agent in the car"))
    _add_replay(commands.add_parser("replay", help="run recordings through the agent"))
    commands.add_parser("demo", help="one simulated drive, from frame to receipt; see: outrider demo --help")
    _add_status(commands.add_parser("status", help="what the running agent says of itself"))
    _add_events(commands.add_parser("events", help="what waits in the outbox"))
    _add_verify(commands.add_parser("verify", help="check a chain of records offline"))
    add_evidence(commands.add_parser("evidence", help="prove one event to others, or check such a proof"))
    _add_diagnose(commands.add_parser("diagnose", help="say what may be behind trouble codes"))
    add_battery(commands.add_parser("battery", help="what is known of the traction battery"), CONFIG_DEFAULT)
    add_privacy(commands, CONFIG_DEFAULT)
    add_scene(commands.add_parser("scene", help="check or try what the driver is asked"))
    _add_page(commands.add_parser("page", help="where the local page is, and its pairing code"))
    _add_doctor(commands.add_parser("doctor", help="say what keeps this box from working"))
    _add_config(commands.add_parser("config", help="check a config file, or list its keys"))
    _add_profile(commands.add_parser("profile", help="check a vehicle profile against recordings"))
    _add_keys(commands.add_parser("keys", help="make or show the device key; ask for a certificate"))
    return parser


def _config_option(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--config", type=Path, default=CONFIG_DEFAULT, help=f"default: {CONFIG_DEFAULT}")


def _add_run(parser: argparse.ArgumentParser) -> None:
    _config_option(parser)
    parser.add_argument("--listen-only", action="store_true", help="open nothing that could transmit to the car")

    def run(args: argparse.Namespace) -> int:
        from agent.cli.daemon import run_daemon

        return asyncio.run(run_daemon(args.config, listen_only=args.listen_only))

    parser.set_defaults(run=run)


def _add_replay(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("files", nargs="+", type=Path, metavar="FILE")
    parser.add_argument("--profile", required=True, help="a name in firmware_config/vehicles, or a TOML file")
    parser.add_argument("--dbc", action="append", default=[], help="a DBC file of your own; may be given again")
    parser.add_argument("--json", action="store_true", help="end with one line of JSON")

    def run(args: argparse.Namespace) -> int:
        from agent.cli.replay import replay

        return asyncio.run(replay(args.files, profile=args.profile, dbc=args.dbc, as_json=args.json))

    parser.set_defaults(run=run)


def _add_page(parser: argparse.ArgumentParser) -> None:
    _config_option(parser)

    def run(args: argparse.Namespace) -> int:
        from agent.cli.page_command import show_page

        return show_page(args.config)

    parser.set_defaults(run=run)


def _add_status(parser: argparse.ArgumentParser) -> None:
    _config_option(parser)

    def run(args: argparse.Namespace) -> int:
        from agent.cli.status import show_status

        return show_status(args.config)

    parser.set_defaults(run=run)


def _add_events(parser: argparse.ArgumentParser) -> None:
    _config_option(parser)
    parser.add_argument("--key", type=Path, help="the owner's private key: opens the records")
    parser.add_argument("--most", type=int, default=50)

    def run(args: argparse.Namespace) -> int:
        from agent.cli.events import show_events

        return show_events(args.config, key=args.key, most=args.most)

    parser.set_defaults(run=run)


def _add_verify(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("paths", nargs="+", type=Path, metavar="FILE|DIR")
    _device_option(parser)
    text = "a recipient's private keys, the retired ones too: also opens and checks signatures"
    parser.add_argument("--key", type=Path, nargs="+", action="extend", default=[], metavar="KEY", help=text)
    parser.add_argument("--receipts", type=Path, help="the insurer's receipts: show what was cut off at the end")
    parser.add_argument("--receipt-key", type=Path, help="the insurer's public key that signed them, PEM")

    def run(args: argparse.Namespace) -> int:
        from agent.cli.verify import verify

        return verify(
            args.paths,
            device_key=args.device_key,
            keys=args.key,
            receipts=args.receipts,
            receipt_key=args.receipt_key,
        )

    parser.set_defaults(run=run)


def _device_option(parser: argparse.ArgumentParser) -> None:
    text = "the device's certificate or public key, PEM"
    parser.add_argument("--device-cert", "--device-key", dest="device_key", type=Path, required=True, help=text)


def _add_diagnose(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("codes", nargs="+", metavar="CODE", help="such as P0171")
    parser.add_argument(
        "--freeze", type=Path, metavar="FILE", help="the freeze frame: JSON, VSS path or figure to value"
    )
    parser.add_argument("--repair", action="append", default=[], metavar="NAME", help="done lately; may be given again")
    parser.add_argument("--profile", default="generic", help="a name in firmware_config/vehicles, or a TOML file")
    parser.add_argument("--language", choices=("zh", "en"), default="en")
    parser.add_argument("--json", action="store_true", help="one line of JSON")

    def run(args: argparse.Namespace) -> int:
        from agent.cli.diagnose import show_diagnosis

        return show_diagnosis(
            args.codes,
            freeze=args.freeze,
            repairs=args.repair,
            profile=args.profile,
            language=args.language,
            as_json=args.json,
        )

    parser.set_defaults(run=run)


def _add_doctor(parser: argparse.ArgumentParser) -> None:
    _config_option(parser)

    def run(args: argparse.Namespace) -> int:
        from agent.cli.doctor import examine

        return asyncio.run(examine(args.config))

    parser.set_defaults(run=run)


def _add_config(parser: argparse.ArgumentParser) -> None:
    actions = parser.add_subparsers(required=True, metavar="ACTION")
    check = actions.add_parser("check", help="say whether a config file is good")
    check.add_argument("file", type=Path)

    def run(args: argparse.Namespace) -> int:
        from agent.core.config import load_config

        config = load_config(args.file)
        print(f"{args.file}: good (version {config.version}, profile {config.profile})")
        return 0

    check.set_defaults(run=run)
    reference = actions.add_parser("reference", help="every key, its default and its range")

    def run_reference(_: argparse.Namespace) -> int:
        from agent.cli.reference import rows

        for key, default, allowed in rows():
            print(f"{key:<44} {default:<28} {allowed}")
        return 0

    reference.set_defaults(run=run_reference)
    schema = actions.add_parser("schema", help="JSON Schema of the config file, or of a vehicle profile")
    schema.add_argument("--of", choices=("config", "profile"), default="config")

    def run_schema(args: argparse.Namespace) -> int:
        from agent.cli.schema import print_schema

        return print_schema(args.of)

    schema.set_defaults(run=run_schema)


def _add_profile(parser: argparse.ArgumentParser) -> None:
    actions = parser.add_subparsers(required=True, metavar="ACTION")
    check = actions.add_parser("check", help="say how much of recordings a profile decodes")
    check.add_argument("profile", help="a name in firmware_config/vehicles, or a TOML file")
    check.add_argument("files", nargs="+", type=Path, metavar="FILE")
    check.add_argument("--dbc", action="append", default=[], help="a DBC file of your own; may be given again")
    check.add_argument("--json", action="store_true", help="one line of JSON")

    def run(args: argparse.Namespace) -> int:
        from agent.cli.profile import check_profile

        return check_profile(args.profile, args.files, dbc=args.dbc, as_json=args.json)

    check.set_defaults(run=run)


def _add_keys(parser: argparse.ArgumentParser) -> None:
    actions = parser.add_subparsers(required=True, metavar="ACTION")
    create = actions.add_parser("create", help="make a device key; prints the public half")
    create.add_argument("path", type=Path)
    create.add_argument("--device", required=True)
    show = actions.add_parser("show", help="print the public half")
    show.add_argument("path", type=Path)
    show.add_argument("--device", default="unnamed")

    request = actions.add_parser("request", help="print a request for the link's certificate (PKCS#10)")
    request.add_argument("path", type=Path, help="the link's private key")
    request.add_argument("--device", required=True, help="its id: the certificate's common name")
    request.add_argument("--new", action="store_true", help="make the key first")

    def run_create(args: argparse.Namespace) -> int:
        from drivers.keystore import FileKeystore

        return _print_public(FileKeystore.create(args.path, args.device).public_key)

    def run_show(args: argparse.Namespace) -> int:
        from drivers.keystore import FileKeystore

        return _print_public(FileKeystore.open(args.path, args.device).public_key)

    def run_request(args: argparse.Namespace) -> int:
        from agent.cli.certificate_request import print_request

        return print_request(args.path, args.device, new=args.new)

    create.set_defaults(run=run_create)
    request.set_defaults(run=run_request)
    show.set_defaults(run=run_show)


def _print_public(raw: bytes) -> int:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

    key = Ed25519PublicKey.from_public_bytes(raw)
    print(key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode(), end="")
    return 0
