"""`python -m simulators`: the car alone on a CAN bus, for whoever develops against it."""

import argparse
import asyncio
import sys
from collections.abc import Awaitable, Callable, Sequence

from agent.core import vss
from agent.core.errors import AgentError
from simulators.arguments import Parser, pace, seed
from simulators.can import INTERFACES, CarBus
from simulators.clock import ManualClock
from simulators.drive import CarDrive
from simulators.world import Scenario, Truth, load_scenario, scenario_names, simulate
from simulators.world.frames import encode_drive


def main(argv: Sequence[str]) -> int:
    """Return the exit code: 0 done, 2 for what cannot be done as asked, 130 when interrupted."""
    if argv[:1] == ["demo"]:
        from simulators.demo import main as run_demo  # noqa: PLC0415  # it brings the whole agent and cloud along

        return run_demo(argv[1:])
    if argv[:1] == ["dongle"]:
        from simulators.dongle import main as run_dongle  # noqa: PLC0415  # the car on the bus needs none of it

        return run_dongle(argv[1:])
    if argv[:1] == ["sweep"]:
        from simulators.sweep import main as run_sweep  # noqa: PLC0415  # it brings the whole agent along

        return run_sweep(argv[1:])
    if argv[:1] == ["export"]:
        from simulators.export import main as run_export  # noqa: PLC0415  # the car on the bus writes no file

        return run_export(argv[1:])
    if list(argv) == ["list"]:
        _print_list()
        return 0
    if argv[:1] == ["run"]:
        argv = ["--scenario", *argv[1:]]
    options = _parser().parse_args(argv)
    try:
        scenario = load_scenario(options.scenario)
        asyncio.run(_drive(scenario, options))
    except AgentError as exc:
        print(f"simulators: {exc}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = Parser(
        prog="python -m simulators",
        description="Run the simulated car alone. "
        "Also: `list` the scenarios; `run NAME`: the same as --scenario NAME; "
        "`export NAME`: a recording and its truth; `sweep`: scenarios through the agent, and its score; "
        "`demo`: car, agent and cloud; `dongle`: an ELM327 adapter.",
    )
    parser.add_argument("--scenario", default="commute", metavar="NAME", help="a name from `list`, or a .toml file")
    parser.add_argument("--seed", type=seed, default=7, metavar="N")
    parser.add_argument("--interface", default="virtual", choices=INTERFACES, help="python-can interface to send on")
    parser.add_argument("--channel", default=None, metavar="C", help="such as vcan0 or 239.74.163.2")
    parser.add_argument("--pace", type=pace, default=1.0, metavar="X", help="1 is real time, 0 as fast as possible")
    return parser


def _print_list() -> None:
    for name in scenario_names():
        scenario = load_scenario(name)
        print(f"{name:18} {scenario.family:10} {scenario.duration_s:5.0f} s  {scenario.description}")


async def _drive(scenario: Scenario, options: argparse.Namespace) -> None:
    """Drive it, with one line a second and one for each thing that an agent should notice."""
    drive = simulate(scenario, options.seed)
    channel = options.channel or {"socketcan": "vcan0", "udp_multicast": "239.74.163.2"}.get(
        options.interface, "outrider"
    )
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


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
