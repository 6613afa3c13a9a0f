"""`outrider-fleet msd`: minimum sets of data (EN 15722) in words a person reads."""

import argparse
from contextlib import closing

import msgspec

from agent.core.errors import InputError, ProtocolError
from agent.core.events import EmergencyData
from agent.proto.msd import decode_msd, describe_msd
from fleet.receiver.database import open_store


def add_msd(parser: argparse.ArgumentParser) -> None:
    """Arguments and work of the command. Raises InputError for what is none."""
    parser.add_argument("hex", nargs="*", metavar="HEX", help="the bytes of one; nothing: those that were received")
    parser.add_argument("--database", help="where the receiver keeps them")
    parser.add_argument("--device", help="only this one's")

    def run(args: argparse.Namespace) -> int:
        if args.hex:
            print(_read("".join(args.hex)))
        elif args.database:
            _print_received(args.database, args.device)
        else:
            raise InputError("give the bytes in HEX, or --database")
        return 0

    parser.set_defaults(run=run)


def _print_received(database: str, device: str | None) -> None:
    with closing(open_store(database)) as store:
        for row in store.events(device, kinds=["emergency_data"]):
            place = f"{row['device']} {row['boot']}/{row['sequence']}"
            event = msgspec.convert(row["event"], EmergencyData)
            try:
                print(f"{place}: {describe_msd(decode_msd(event.msd))}")
            except ProtocolError as exc:  # what a car signed is not ours to believe
                print(f"{place}: {exc}")


def _read(text: str) -> str:
    try:
        return describe_msd(decode_msd(bytes.fromhex(text)))
    except (ValueError, ProtocolError) as exc:
        raise InputError(f"{text}: {exc}") from exc
