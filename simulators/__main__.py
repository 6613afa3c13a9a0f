"""`python -m simulators`: the simulated car and all that is around it, one command a job.

A new command is a line in COMMANDS: the module that has its `main(argv) -> exit code`, and what it does. The module is
imported only when it is asked for, since some bring the whole agent along. AgentErrors become one line here.
"""

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import Final

from agent.core.errors import AgentError
from simulators.guess import guess


@dataclass(frozen=True, slots=True)
class Command:
    """Where a command lives; `summary` is its line of help."""

    module: str
    summary: str
    function: str = "main"

    def run(self, argv: Sequence[str]) -> int:
        """Return its exit code."""
        return int(getattr(import_module(self.module), self.function)(argv))


COMMANDS: Final[Mapping[str, Command]] = {
    "list": Command("simulators.commands", "the shipped scenarios", "print_list"),
    "run": Command("simulators.commands", "the car alone on a CAN bus, with its truth as it happens", "run"),
    "export": Command("simulators.export", "a scenario's bus as candump, asc, blf, mf4 or csv, and its truth"),
    "sweep": Command("simulators.sweep", "scenarios through the agent: recall, false alarms, latency, lead time"),
    "schema": Command("simulators.commands", "the JSON Schema of a scenario file, for editors", "print_schema"),
    "demo": Command("simulators.demo", "car, agent and cloud: one drive from frame to receipt"),
    "fleet": Command("simulators.fleet", "thousands of vehicles against one broker and the receiver"),
    "serve": Command(
        "simulators.serve", "the wires of one car for other programs: can, ecus, j1939, gnss, imu, cloud, ..."
    ),
    "claims": Command("simulators.claims_pages", "the claims desk's pages from a receiver's database"),
    "mounting": Command("simulators.mounting", "how well the box learns its own mounting from driving"),
    "dongle": Command("simulators.dongle", "an ELM327 adapter on a pty or a TCP port"),
}


def main(argv: Sequence[str]) -> int:
    """Return the exit code: 0 done, 2 for what cannot be done as asked, 130 when interrupted."""
    name, *rest = argv or ["--help"]
    if name in {"-h", "--help", "help"}:
        print(_usage())
        return 0
    command = COMMANDS.get(name)
    if command is None:
        print(f"simulators: unknown command {name!r}{guess(name, COMMANDS)}", file=sys.stderr)
        return 2
    try:
        return command.run(rest)
    except AgentError as exc:
        print(f"simulators {name}: {exc}", file=sys.stderr)
        return 2
    except BrokenPipeError:  # `list | head`: the reader has seen enough
        sys.stderr.close()
        return 0
    except KeyboardInterrupt:
        return 130


def _usage() -> str:
    lines = [
        "usage: python -m simulators COMMAND ...",
        "",
        "A whole car without a car. The same seed gives the same bytes.",
    ]
    lines += ["", *(f"  {name:8} {command.summary}" for name, command in COMMANDS.items())]
    return "\n".join([*lines, "", "python -m simulators COMMAND --help says more."])


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
