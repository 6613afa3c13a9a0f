"""The short commands of `python -m simulators`: list, run and schema."""

import argparse
import asyncio
import json
from collections.abc import Awaitable, Callable, Sequence
from typing import Final

from agent.core import vss
from agent.core.errors import InputError
from simulators.arguments import SCENARIO_HELP, Parser, pace, seed
from simulators.can import CHANNELS, INTERFACES, CarBus
from simulators.clock import ManualClock
from simulators.drive import CarDrive
from simulators.world import Scenario, Truth, load_scenario, scenario_names, simulate
from simulators.world.frames import encode_drive
from simulators.world.schema import schema_text

_RUN_EXAMPLES: Final = """\
examples:
  python -m simulators run crash_chain --pace 0
  python -m simulators run mine.toml --interface socketcan --channel vcan0
  python -m simulators run commute --interface udp_multicast     # other programs join it without root

A line a second; lines with -> are what a perfect agent would report at that moment."""


def print_list(argv: Sequence[str]) -> int:
    """Exit code 0. Raises InputError for a family without scenarios, ConfigError for a damaged file."""
    parser = Parser(prog="python -m simulators list", description="The shipped scenarios: name, family, length.")
    parser.add_argument("--family", metavar="F", help="only these, such as crash or battery")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args(argv)
    every = [load_scenario(name) for name in scenario_names()]
    chosen = [scenario for scenario in every if options.family in {None, scenario.family}]
    if not chosen:
        families = ", ".join(sorted({scenario.family for scenario in every}))
        raise InputError(f"--family {options.family}: there are {families}")
    if options.json:
        fields = ("name", "family", "duration_s", "description")
        print(json.dumps([{name: getattr(scenario, name) for name in fields} for scenario in chosen], indent=2))
        return 0
    wide = max(len(scenario.name) for scenario in chosen)
    for scenario in chosen:
        print(f"{scenario.name:{wide}} {scenario.family:10} {scenario.duration_s:5.0f} s  {scenario.description}")
    return 0


def run(argv: Sequence[str]) -> int:
    """Exit code 0. Raises AgentError for a scenario or a bus that cannot be used."""
    parser = Parser(
        prog="python -m simulators run", description="Run the simulated car alone on a CAN bus.", epilog=_RUN_EXAMPLES
    )
    parser.add_argument("scenario", metavar="NAME", help=SCENARIO_HELP)
    parser.add_argument("--seed", type=seed, default=7, metavar="N", help="without it: %(default)s")
    parser.add_argument("--interface", default="virtual", choices=INTERFACES, help="python-can interface to send on")
    parser.add_argument("--channel", default=None, metavar="C", help="such as vcan0 or 239.74.163.2")
    parser.add_argument("--pace", type=pace, default=1.0, metavar="X", help="1 is real time, 0 as fast as possible")
    options = parser.parse_args(argv)
    asyncio.run(_drive(load_scenario(options.scenario), options))
    return 0


def print_schema(argv: Sequence[str]) -> int:
    """Exit code 0."""
    Parser(
        prog="python -m simulators schema",
        description="Print the JSON Schema of a scenario file, for editors that check and complete TOML.",
    ).parse_args(argv)
    print(schema_text(), end="")
    return 0


async def _drive(scenario: Scenario, options: argparse.Namespace) -> None:
    """Drive it, with one line a second and one for each thing that an agent should notice."""
    drive = simulate(scenario, options.seed)
    channel = options.channel or CHANNELS.get(options.interface, "outrider")
    bus = CarBus(encode_drive(drive), interface=options.interface, channel=channel)
    car = CarDrive(drive, ManualClock(), bus=bus, pace=options.pace)
    print(f"{scenario.name}, seed {options.seed}, on {options.interface}:{channel}: {scenario.description}", flush=True)
    for second in range(1, int(scenario.duration_s) + 1):
        car.at(second, _status(car, bus))
    for truth in drive.truth:
        car.at(truth.t_ns / 1e9, _tell(truth))
    await car.run()
    print(f"{bus.sent} frames sent", flush=True)


def _status(car: CarDrive, bus: CarBus) -> Callable[[], Awaitable[None]]:
    async def print_status() -> None:
        now = car.values()
        print(
            f"{car.clock.monotonic_ns() / 1e9:6.1f} s {now[vss.SPEED]:6.1f} km/h {now[vss.ENGINE_SPEED]:5.0f} rpm "
            f"{now[vss.STATE_OF_CHARGE]:5.1f} % {now[vss.PACK_CURRENT]:6.0f} A "
            f"cells to {now[vss.PACK_TEMPERATURE_MAX]:4.1f} C {bus.sent:6d} frames",
            flush=True,
        )

    return print_status


def _tell(truth: Truth) -> Callable[[], Awaitable[None]]:
    async def print_truth() -> None:
        details = ", ".join(f"{key} {value}" for key, value in truth.details.items())
        print(f"{truth.t_ns / 1e9:6.1f} s -> {truth.kind} {details}".rstrip(), flush=True)

    return print_truth
