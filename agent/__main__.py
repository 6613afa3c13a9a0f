"""The `outrider` command line."""

import sys


def main() -> int:
    """Run the command named on the command line."""
    return 0


if __name__ == "__main__":
    sys.exit(main())
