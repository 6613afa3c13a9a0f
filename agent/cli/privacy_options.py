"""`outrider consent`: its options. What it does is loaded when it is asked for."""

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import get_args

from agent.core.event_base import Purpose

_PURPOSES = get_args(Purpose)


def add_consent(parser: argparse.ArgumentParser, config_default: Path) -> None:
    """`outrider consent show|grant|revoke`."""
    actions = parser.add_subparsers(required=True, metavar="ACTION")
    show = actions.add_parser("show", help="what is agreed to now, and what each purpose sends")
    grant = actions.add_parser("grant", help="agree to one purpose, after its notice")
    revoke = actions.add_parser("revoke", help="agree no longer, from this moment on")
    for each, name in ((show, "show_consent"), (grant, "grant"), (revoke, "revoke")):
        each.add_argument("--config", type=Path, default=config_default, help=f"default: {config_default}")
        each.add_argument("--language", choices=("zh", "en"), help="default: the voice's")
        each.set_defaults(run=_later(name))
    grant.add_argument("purpose", choices=_PURPOSES)
    grant.add_argument("--days", type=int, default=365, help="1 to 1826; default: 365")
    grant.add_argument("--trip", action="store_true", help="for one trip only")
    grant.add_argument("--score-only", action="store_true", help="of ubi_score only the sums of a trip")
    grant.add_argument("--place", choices=("none", "area", "exact"), default="none", help="of claims and safety")
    grant.add_argument("--yes", action="store_true", help="I have read the notice")
    revoke.add_argument("purposes", nargs="+", choices=_PURPOSES, metavar="PURPOSE")


def _later(name: str) -> Callable[[argparse.Namespace], int]:
    def run(args: argparse.Namespace) -> int:
        from agent.cli import privacy_commands

        return int(getattr(privacy_commands, name)(args))

    return run
