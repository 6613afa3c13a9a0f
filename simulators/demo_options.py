"""The command line of `./run demo`."""

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from agent.core.ports import Language
from simulators.arguments import pace, port
from simulators.can import INTERFACES
from simulators.claims_pages import PAGES
from simulators.cloud import BrokerKind


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What the command line chose.

    claims: where the claims desk's pages go, None for nowhere; page: port of the box's own page, 0 for none;
    speak: whether the simulated driver's answers are sound; keep_sound: whether he agrees to that being kept.
    """

    scenario: str = "commute"
    seed: int = 7
    pace: float = 1.0
    language: Language = "zh"
    headless: bool = False
    broker: BrokerKind | None = None
    can: str = ""
    claims: Path | None = None
    page: int = 0
    speak: bool = False
    keep_sound: bool = False


def parse_options(argv: Sequence[str]) -> Options:
    """Exits with 2 where there is no such option."""
    parser = argparse.ArgumentParser(prog="./run demo", description="One simulated drive, from frame to receipt.")
    parser.add_argument("--headless", action="store_true", help="nobody is there to answer: the simulated driver does")
    parser.add_argument("--seed", type=int, default=7, help="the same seed gives the same events (default 7)")
    parser.add_argument("--scenario", default="commute", help="a name from `python -m simulators list`, or a file")
    parser.add_argument("--language", choices=("zh", "en"), default="zh")
    parser.add_argument("--pace", type=pace, default=1.0, help="1 is real time, 0 as fast as possible")
    parser.add_argument("--broker", choices=("mosquitto", "embedded"), help="default: mosquitto where installed")
    parser.add_argument("--can", choices=INTERFACES, default="", help="send the frames on this bus, for others to hear")
    parser.add_argument(
        "--claims", type=Path, default=PAGES, metavar="DIRECTORY", help="the claims desk's pages (default build/claims)"
    )
    parser.add_argument("--page", type=port, default=0, metavar="PORT", help="serve the box's own page on this port")
    parser.add_argument(
        "--speak", action="store_true", help="the simulated driver speaks his answers, and the box hears the sound"
    )
    parser.add_argument(
        "--keep-sound", action="store_true", help="with --speak: he also agrees to `audio`, that the sound is kept"
    )
    args = parser.parse_args(argv)
    if args.keep_sound and not args.speak:
        parser.error("--keep-sound needs --speak: without it there is no sound")
    return Options(**vars(args))
