"""What the simulators' command lines understand alike."""

import argparse
from typing import Any, Final, NoReturn

SCENARIO_HELP: Final = "a name from `list`, or a .toml file"


class Parser(argparse.ArgumentParser):
    """Says what is wrong in one line, and exits with 2. Keeps the lines of description and epilog as they are."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False, **settings)

    def error(self, message: str) -> NoReturn:
        """Exit; the line begins with the command's name."""
        self.exit(2, f"{self.prog.removeprefix('python -m ')}: {message}\n")


def seed(text: str) -> int:
    """A whole number from 0. Raises ArgumentTypeError."""
    if not text.isdecimal() or len(text) > 18:
        raise argparse.ArgumentTypeError(f"{text!r} is no seed: a whole number from 0")
    return int(text)


def pace(text: str) -> float:
    """Seconds of drive in a second of real time; 0 is as fast as possible. Raises ArgumentTypeError."""
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value <= 1000:
        raise argparse.ArgumentTypeError(f"{text!r} is no pace: a number from 0 to 1000")
    return value


def count(text: str) -> int:
    """A whole number from 1 to 256. Raises ArgumentTypeError."""
    if not text.isdecimal() or not 1 <= int(text[:4]) <= 256:
        raise argparse.ArgumentTypeError(f"{text!r}: a whole number from 1 to 256")
    return int(text)


def port(text: str) -> int:
    """A TCP port from 1 to 65535. Raises ArgumentTypeError."""
    if not text.isdecimal() or not 1 <= int(text[:6]) <= 65535:
        raise argparse.ArgumentTypeError(f"{text!r} is no port: a whole number from 1 to 65535")
    return int(text)
