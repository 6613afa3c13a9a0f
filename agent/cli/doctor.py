"""`outrider doctor`: says in plain words what keeps this box from working."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

from rich.console import Console

from agent.cli.doctor_voice import Finding, examine_sound, examine_voice
from agent.cli.privacy_commands import look_at_consents
from agent.core.best_time import BestTime
from agent.core.config import Config, load_config
from agent.core.errors import AgentError
from agent.core.keys import parse_ed25519, parse_x25519, raw_bytes, read_key
from agent.core.paths import find_dbc
from agent.core.ports import Source
from agent.core.signals import SignalCatalog
from agent.decode.profile import load_profile
from agent.decode.table import build_table
from agent.link.dial import dial
from agent.link.renewal import Renewal
from agent.link.signed_time import SignedTime
from agent.privacy.erasures import Erasures
from agent.privacy.notices import PURPOSES
from drivers.clock import SystemClock
from drivers.hardware import open_hardware
from drivers.keystore import FileKeystore
from drivers.state_file import FileErasureStore

_TRUSTED: Final[dict[str, Callable[[bytes], object]]] = {
    "insurer_encryption_key": parse_x25519,
    "insurer_receipt_key": parse_ed25519,
    "owner_encryption_key": parse_x25519,
    "operator_key": parse_ed25519,
}
_NEEDED: Final = frozenset({"insurer_encryption_key", "insurer_receipt_key"})
_WITHOUT: Final = {
    "insurer_encryption_key": "events cannot be sealed, the agent does not start",
    "insurer_receipt_key": "no receipt can be checked, records stay for ever",
    "owner_encryption_key": "the owner cannot read his own records",
    "operator_key": "no pushed config is taken",
}


async def examine(config_path: Path) -> int:
    """Check everything the config names; exit code 1 where something is wrong. Raises ConfigError."""
    config = load_config(config_path)
    findings = [*_examine_files(config)]
    if all(good for good, _ in findings):
        findings += [*await _examine_sources(config), *await examine_sound(config), *await _examine_link(config)]
    console = Console()
    for good, text in findings:
        console.print(f"[green]good[/] {text}" if good else f"[red]bad [/] {text}", highlight=False)
    return 0 if all(good for good, _ in findings) else 1


def _examine_files(config: Config) -> Iterator[Finding]:
    try:
        catalog = SignalCatalog()
        build_table(load_profile(config.profile), [find_dbc(name) for name in config.dbc], catalog)
        yield True, f"profile {config.profile}: {len(catalog)} signals"
    except AgentError as exc:
        yield False, f"profile {config.profile}: {exc}"
    try:
        FileKeystore.open(Path(config.device.key), config.device.id)
        yield True, f"device key {config.device.key}"
    except AgentError as exc:
        yield False, f"device key: {exc}"
    yield from _examine_trust(config)
    store = Path(config.store.directory)
    writable = store.is_dir() and os.access(store, os.W_OK)
    yield writable, f"store {store}" if writable else f"store {store}: not a writable folder"
    yield from examine_voice(config)


def _examine_trust(config: Config) -> Iterator[Finding]:
    """Every key that is named must be readable; without the insurer's first one nothing can be sealed."""
    for name, parse in _TRUSTED.items():
        path = getattr(config.trust, name)
        if not path:
            yield name not in _NEEDED, f"trust.{name}: none; {_WITHOUT[name]}"
            continue
        try:
            read_key(Path(path), parse)
            yield True, f"trust.{name} {path}"
        except AgentError as exc:
            yield False, f"trust.{name}: {exc}"
    if not look_at_consents(config).agreed().grounds & set(PURPOSES):
        yield False, "consent: the owner agreed to nothing, so nothing is sealed or sent"
    for each in Erasures(FileErasureStore(Path(config.store.directory))).overdue(BestTime(SystemClock()).now()):
        yield False, f"erasure {each.request}: the insurer has not signed for it in time"


async def _examine_sources(config: Config) -> list[Finding]:
    hardware = open_hardware(config, SystemClock())
    sources: list[Source] = [*hardware.frames, *hardware.samples]
    found = [await _examine_source(source) for source in sources]
    return [
        *(found or [(False, "no bus, dongle or receiver is configured")]),
        *[await _examine_source(button) for button in hardware.buttons],
    ]


async def _examine_source(source: Source) -> Finding:
    try:
        await source.open()
    except AgentError as exc:
        return False, str(exc) if source.name in str(exc) else f"{source.name}: {exc}"
    else:
        return True, f"{source.name}: opens"
    finally:
        await source.close()


async def _examine_link(config: Config) -> list[Finding]:
    link = config.link
    if not link.host:
        return [(False, "link: no insurer's broker is configured; events stay on disk")]
    best = BestTime(SystemClock())
    if config.trust.insurer_receipt_key:
        key = raw_bytes(read_key(Path(config.trust.insurer_receipt_key), parse_ed25519))
        SignedTime(Path(config.store.directory), best, device=config.device.id, receipt_key=key)
    findings: list[Finding] = []
    if link.certificate:
        good, text = Renewal(Path(link.certificate), best.now).look()
        findings.append((good, f"link.certificate: {text}"))
    try:
        (await dial(link, timeout_s=link.ack_timeout_s, now=best.now())).close()
    except AgentError as exc:
        return [*findings, (False, f"link: {exc}")]
    return [
        *findings,
        (True, f"link: {link.host}:{link.port} answers" + (", certificates accepted" if link.ca else "")),
    ]
