"""`python -m tests.bench [NAME...] [--json]`: run the benches of this folder.

A bench is a module with `run() -> dict[str, object]`; the dict has "name", its ratios (peer's time / ours: higher is
better) and whatever else is worth printing.
"""

import argparse
import importlib
import json
import pkgutil
import sys

from rich.console import Console
from rich.table import Table

import tests.bench


def main() -> int:
    """Run the benches asked for, all of them without a name."""
    known = sorted(module.name for module in pkgutil.iter_modules(tests.bench.__path__) if module.name != "__main__")
    parser = argparse.ArgumentParser(prog="bench", description="Ratios against a peer, measured in one run.")
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"one or more of: {', '.join(known)}")
    parser.add_argument("--json", action="store_true", help="one JSON object a line")
    arguments = parser.parse_args()
    for name in arguments.names:
        if name not in known:
            parser.error(f"there is no bench {name}; known: {', '.join(known)}")
    console = Console()
    for name in arguments.names or known:
        result: dict[str, object] = importlib.import_module(f"tests.bench.{name}").run()
        if arguments.json:
            sys.stdout.write(json.dumps(result) + "\n")
            sys.stdout.flush()
        else:
            console.print(_table(result))
    return 0


def _table(result: dict[str, object]) -> Table:
    table = Table(title=f"bench {result['name']}", title_justify="left")
    table.add_column("what")
    table.add_column("value", justify="right")
    for key, value in result.items():
        if key != "name":
            table.add_row(key, f"{value:.1f} x" if isinstance(value, float) and "ratio" in key else str(value))
    return table


if __name__ == "__main__":
    sys.exit(main())
