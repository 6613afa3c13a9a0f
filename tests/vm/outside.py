"""The world outside the box, run in the guest with the packaged Python modules; each role says "ready" on a line.

`dongle LINK`      an ELM327 adapter on a pty, reached by LINK, readable by the group dialout as udev would have it
`broker FOLDER ID` an insurer's mosquitto on port 8883 with certificates in FOLDER for device ID and the receiver
`records KEY PUB [STORE]` not a role: prints the outbox's records, opened and verified, as JSON lines
`identifiers P D`  not a role: prints FrameBatch.keys() of what profile P decodes by D.dbc, as JSON
"""

import asyncio
import json
import shutil
import signal
import sys
from pathlib import Path
from typing import Final

from msgspec import to_builtins

from agent.core.keys import parse_ed25519, read_key
from agent.core.paths import find_dbc
from agent.core.signals import SignalCatalog
from agent.decode.profile import load_profile
from agent.decode.table import build_table
from agent.store.look import look
from agent.store.unseal import open_record
from drivers.keystore import open_x25519
from simulators.access import INSURER, RULES
from simulators.dongle import Dongle
from simulators.ecu import Ecu
from simulators.mosquitto import Mosquitto, find_mosquitto
from simulators.pki import Authority

PORT: Final = 8883
_STORE: Final = Path("/var/lib/outrider")
_FUEL: Final = "Vehicle.Powertrain.FuelSystem.RelativeLevel"


async def serve_dongle(link: Path) -> None:
    """A car that has fuel for 42 %, as far as OBD-II is concerned; all the rest comes over CAN."""
    dongle = Dongle([Ecu(lambda: {_FUEL: 42.0})])
    await dongle.start()
    _hand_over(Path(dongle.port), link)
    _say_ready()
    await asyncio.Event().wait()


def _hand_over(port: Path, link: Path) -> None:
    tty = port.resolve()
    shutil.chown(tty, "root", "dialout")
    tty.chmod(0o660)
    link.symlink_to(tty)


async def serve_broker(folder: Path, device: str) -> None:
    """Mutual TLS: broker, device and insurer have certificates of one authority."""
    program = find_mosquitto()
    if program is None:
        raise SystemExit("the image has no mosquitto")
    authority = Authority(folder / "pki")
    for name in (device, INSURER):
        identity = authority.issue_client(name)
        shutil.copy(identity.certificate, folder / f"{name}.crt")
        shutil.copy(identity.key, folder / f"{name}.key")
    shutil.copy(authority.certificate, folder / "ca.crt")
    broker = Mosquitto(
        program,
        folder / "broker",
        authority=authority.certificate,
        identity=authority.issue_server(),
        rules=RULES,
        port=PORT,
    )
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    await broker.start()
    _say_ready()
    await stop.wait()
    await broker.stop()


def _say_ready() -> None:
    sys.stdout.write("ready\n")
    sys.stdout.flush()


def print_records(insurer_key: Path, device_key: Path, store: Path = _STORE) -> None:
    """Boot, sequence, kind and all the rest of every record that waits; one that does not open ends this."""
    private, public = open_x25519(insurer_key), read_key(device_key, parse_ed25519)
    _, envelopes = look(store, 1_000_000)
    for envelope in envelopes:
        header, told = open_record(envelope, private, public)
        sys.stdout.write(json.dumps([header.boot, header.sequence, told.event.kind, to_builtins(told.event)]) + "\n")


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["dongle", link]:
            asyncio.run(serve_dongle(Path(link)))
        case ["broker", folder, device]:
            asyncio.run(serve_broker(Path(folder), device))
        case ["records", *names]:
            print_records(*map(Path, names))
        case ["identifiers", profile, dbc]:
            table = build_table(load_profile(profile), [find_dbc(dbc)], SignalCatalog())
            sys.stdout.write(json.dumps([int(key) for key in table.identifiers() or ()]) + "\n")
        case _:
            raise SystemExit(__doc__)
