"""`python -m tests.eval NAME [options]`: run an evaluation of this folder.

An evaluation is a module with `main(argv) -> int`; with --json its last line is one JSON object.
"""

import importlib
import sys
from typing import Final

KNOWN: Final = ("battery", "bus", "collision", "drive", "fnol", "gate", "voice")


def main() -> int:
    """Run the evaluation asked for."""
    name, *argv = sys.argv[1:] or [""]
    if name not in KNOWN:
        sys.stderr.write(f"usage: python -m tests.eval NAME [options]; NAME is one of: {', '.join(KNOWN)}\n")
        return 2
    status: int = importlib.import_module(f"tests.eval.{name}").main(argv)
    return status


if __name__ == "__main__":
    sys.exit(main())
