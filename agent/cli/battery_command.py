"""`outrider battery`: what is known of the traction battery, as a page."""

import argparse
from pathlib import Path

from agent.core.errors import InputError


def add_battery(parser: argparse.ArgumentParser, config_default: Path) -> None:
    """Add the command's actions."""
    actions = parser.add_subparsers(required=True, metavar="ACTION")
    report = actions.add_parser("report", help="the battery's health as a page with charts")
    report.add_argument("--config", type=Path, default=config_default, help=f"default: {config_default}")
    report.add_argument("--state", type=Path, metavar="DIR", help="a store directory, in place of the config's")
    report.add_argument("--device", help="the name on the page; default: the config's, or the directory's")
    report.add_argument("--language", choices=("zh", "en"), help="default: what the config speaks, else zh")
    report.add_argument("-o", "--output", type=Path, required=True, metavar="FILE", help="HTML")
    report.set_defaults(run=_run)


def _run(args: argparse.Namespace) -> int:
    from agent.cli.battery_facts import read_facts
    from agent.cli.battery_page import render_battery
    from agent.core.config import load_config

    if args.state is None:
        config = load_config(args.config)
        directory, device, language = Path(config.store.directory), config.device.id, config.voice.language
    else:
        directory, device, language = args.state, args.state.resolve().name, "zh"
    facts = read_facts(directory, args.device or device)
    if facts is None:
        raise InputError(f"{directory}: nothing is kept of a battery there")
    page = render_battery(facts, args.language or language)
    try:
        args.output.write_text(page, encoding="utf-8")
    except OSError as exc:
        raise InputError(f"{args.output}: {exc.strerror}") from exc
    print(f"{args.output}: {facts.device}, {len(facts.numbers)} days of cells, {len(facts.diary.charges)} charges")
    return 0
