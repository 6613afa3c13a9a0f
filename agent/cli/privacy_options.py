"""`outrider consent`, `erase` and `export`: their options. What they do is loaded when it is asked for."""

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import get_args

from agent.core.event_base import Purpose

_PURPOSES = get_args(Purpose)


def add_privacy(commands: "argparse._SubParsersAction[argparse.ArgumentParser]", config_default: Path) -> None:
    """Add the three commands."""
    _add_consent(commands.add_parser("consent", help="what the owner agrees to"), config_default)
    _add_erase(commands.add_parser("erase", help="let the owner's data be gone, also at the insurer's"), config_default)
    _add_export(commands.add_parser("export", help="the owner's data as plain JSON"), config_default)


def _add_consent(parser: argparse.ArgumentParser, config_default: Path) -> None:
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


def _add_erase(parser: argparse.ArgumentParser, config_default: Path) -> None:
    """`outrider erase`."""
    parser.add_argument("--config", type=Path, default=config_default, help=f"default: {config_default}")
    parser.add_argument("--purpose", choices=_PURPOSES, action="append", default=[], help="may be given again")
    parser.add_argument("--from", dest="from_time", metavar="TIME", help="2026-11-28, or 2026-11-28T14:30; local time")
    parser.add_argument("--to", dest="to_time", metavar="TIME", help="the same; excluded")
    parser.add_argument("--all", action="store_true", help="everything")
    parser.add_argument("--yes", action="store_true", help="do not ask")
    parser.set_defaults(run=_later("erase"))


def _add_export(parser: argparse.ArgumentParser, config_default: Path) -> None:
    """`outrider export`."""
    parser.add_argument("file", type=Path, metavar="FILE", help="JSON, to be made; - for standard output")
    parser.add_argument("--config", type=Path, default=config_default, help=f"default: {config_default}")
    parser.add_argument("--key", type=Path, help="the owner's private key: without it records stay sealed")
    parser.add_argument(
        "--sounds",
        type=Path,
        metavar="DIRECTORY",
        help="also write each kept sound there, BOOT-SEQUENCE.wav; needs --key",
    )
    parser.set_defaults(run=_later("export"))


def _later(name: str) -> Callable[[argparse.Namespace], int]:
    def run(args: argparse.Namespace) -> int:
        from agent.cli import privacy_commands

        return int(getattr(privacy_commands, name)(args))

    return run
