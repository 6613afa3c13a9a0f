"""What `outrider consent`, `erase` and `export` do: the owner's will, on the box itself."""

import argparse
import os
import sys
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, cast

import msgspec

from agent.core.best_time import BestTime
from agent.core.config import Config, load_config
from agent.core.durable import open_new
from agent.core.errors import AgentError, InputError
from agent.core.events import VoiceClip
from agent.core.keys import parse_ed25519, raw_bytes, read_key
from agent.core.paths import CONSENT
from agent.core.pcmu import to_wav
from agent.core.ports import Language
from agent.core.records import Position
from agent.privacy.consent import Consents, Standing
from agent.privacy.door import Erase, Grant, Request, Revoke, ask
from agent.privacy.notices import PURPOSES, PurposeNotice, load_notices, versions_of
from agent.privacy_export import export_parts
from drivers.clock import SystemClock
from drivers.keystore import FileKeystore, open_x25519
from drivers.state_file import FileConsentStore

_WAIT_S: Final = 5.0
_ERASE_WAIT_S: Final = 15.0
_ROWS: Final[Mapping[Language, Mapping[str, str]]] = {
    "zh": {"sends": "送出", "to": "给谁", "kept": "保存", "why": "为什么", "refusing": "不同意"},
    "en": {"sends": "sent", "to": "to", "kept": "kept", "why": "why", "refusing": "without it"},
}
_WHY: Final[Mapping[Language, Mapping[str, str]]] = {
    "zh": {
        "never_asked": "还没有问过",
        "paper": "安装时书面同意",
        "chosen": "您自己选的",
        "expired": "已到期",
        "trip_ended": "只到上次行程结束",
        "notice_changed": "说明有变动，请重新选择",
        "unreadable": "记录读不出来，按不同意处理",
    },
    "en": {
        "never_asked": "never asked",
        "paper": "on paper, at installation",
        "chosen": "your own choice",
        "expired": "ran out",
        "trip_ended": "it was for the last trip only",
        "notice_changed": "the notice has changed, please choose anew",
        "unreadable": "could not be read, so it counts as refused",
    },
}
_ERASE: Final = {
    "zh": "将从本机删除，并要求保险公司删除，无法恢复。输入 yes 继续：",
    "en": "It is deleted here, and the insurer is asked to delete it; it cannot be brought back. yes to go on: ",
}
_SURE: Final = {"zh": "同意吗？输入 yes 同意：", "en": "Do you agree? yes to agree: "}


def put(config: Config, request: Request, *, wait_s: float = _WAIT_S) -> int:
    """Hand a request to the running agent and print what became of it. Raises InputError."""
    answer = ask(Path(config.store.directory), request, wait_s=wait_s)
    if answer is None:
        raise AgentError("the agent does not run: it will do this before anything else when it starts")
    print(answer)
    return 0


def look_at_consents(config: Config) -> Consents:
    """As the agent sees them at its start; nothing is changed."""
    return Consents(
        config.consent,
        versions_of(load_notices(CONSENT)),
        store=FileConsentStore(Path(config.store.directory)),
        time=BestTime(SystemClock()),
        monotonic_ns=lambda: 0,
    )


def show_consent(args: argparse.Namespace) -> int:
    """Every purpose: whether it is agreed to, why so, and its notice."""
    config = load_config(args.config)
    language: Language = args.language or config.voice.language
    consents, notices = look_at_consents(config), load_notices(CONSENT)[language]
    for purpose in PURPOSES:
        _print_standing(consents.standing(purpose), notices[purpose], language)
    return 0


def grant(args: argparse.Namespace) -> int:
    """Show the notice, ask, and agree."""
    config = load_config(args.config)
    language: Language = args.language or config.voice.language
    notice = load_notices(CONSENT)[language][args.purpose]
    if not args.yes:
        _print_notice(notice, language)
        print(_SURE[language], end="", flush=True)
        if sys.stdin.readline().strip().lower() != "yes":
            raise AgentError("not agreed to; nothing has changed")
    request = Grant(
        purpose=args.purpose,
        notice=notice.version,
        days=args.days,
        trip_only=args.trip,
        score_only=args.score_only,
        place=args.place,
    )
    return put(config, request)


def revoke(args: argparse.Namespace) -> int:
    """Agree no longer."""
    return put(load_config(args.config), Revoke(purposes=args.purposes))


def erase(args: argparse.Namespace) -> int:
    """Ask, and let it be gone. Raises InputError where nothing is named."""
    if not (args.all or args.purpose or args.from_time or args.to_time):
        raise InputError("name what is to be erased: --purpose, --from, --to, or --all")
    if args.all and (args.purpose or args.from_time or args.to_time):
        raise InputError("--all leaves nothing to choose: not together with --purpose, --from or --to")
    config = load_config(args.config)
    if not args.yes:
        print(_ERASE[config.voice.language], end="", flush=True)
        if sys.stdin.readline().strip().lower() != "yes":
            raise AgentError("nothing is erased")
    request = Erase(purposes=args.purpose, from_ns=_instant(args.from_time), until_ns=_instant(args.to_time))
    return put(config, request, wait_s=_ERASE_WAIT_S)


def export(args: argparse.Namespace) -> int:
    """Write all that the box knows of its owner. Raises InputError where a file is there already."""
    if args.sounds is not None and args.key is None:
        raise InputError("--sounds needs --key: without it records stay sealed")
    config = load_config(args.config)
    keystore = FileKeystore.open(Path(config.device.key), config.device.id)
    receipts = config.trust.insurer_receipt_key
    private = None if args.key is None else open_x25519(args.key)
    consents = [_plain(look_at_consents(config).standing(purpose)) for purpose in PURPOSES]
    parts = export_parts(
        Path(config.store.directory),
        config,
        keystore,
        private,
        insurer_key=raw_bytes(read_key(Path(receipts), parse_ed25519)) if receipts else b"",
        consents=consents,
        on_clip=_sounds_to(args.sounds),
    )
    if str(args.file) == "-":
        for part in parts:
            sys.stdout.write(part)
        return 0
    try:
        with os.fdopen(open_new(args.file), "w", encoding="utf-8") as file:
            file.writelines(parts)
    except OSError as exc:
        raise InputError(f"{args.file}: {exc.strerror}") from exc
    print(f"{args.file}: {args.file.stat().st_size} bytes")
    return 0


def _sounds_to(directory: Path | None) -> Callable[[Position, VoiceClip], None]:
    """What writes clips there, None for nowhere. It raises InputError."""

    def write(position: Position, clip: VoiceClip) -> None:
        if directory is None:
            return
        path = directory / f"{position.boot}-{position.sequence}.wav"
        try:
            directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            with os.fdopen(open_new(path), "wb") as file:
                file.write(to_wav(clip.sound, clip.rate_hz))
        except OSError as exc:
            raise InputError(f"{path}: {exc.strerror}") from exc

    return write


def _plain(standing: Standing) -> dict[str, Any]:
    return cast("dict[str, Any]", msgspec.to_builtins(standing))


def _instant(text: str | None) -> int | None:
    """UTC in ns of a date or a time, of the box's time zone where it names none."""
    if text is None:
        return None
    try:
        return int(datetime.fromisoformat(text).astimezone(UTC).timestamp()) * 10**9
    except ValueError as exc:
        raise InputError(f"{text}: not a time such as 2026-11-28 or 2026-11-28T14:30") from exc


def _print_standing(standing: Standing, notice: PurposeNotice, language: Language) -> None:
    mark = "x" if standing.in_force else " "
    print(f"[{mark}] {standing.purpose}  {notice.title}  ({_WHY[language][standing.why]}{_terms(standing)})")
    _print_notice(notice, language)


def _terms(standing: Standing) -> str:
    """What limits a choice, as options of `grant`."""
    choice = standing.choice
    if choice is None or not choice.granted:
        return ""
    terms: dict[str, Any] = {
        f"--until {datetime.fromtimestamp((choice.until_ns or 0) / 1e9, UTC):%Y-%m-%d}": choice.until_ns,
        f"--days {choice.days}": choice.days,
        "--trip": choice.trip_only,
        "--score-only": choice.score_only,
        f"--place {choice.place}": choice.place != "none",
    }
    return "".join(f"; {term}" for term, holds in terms.items() if holds)


def _print_notice(notice: PurposeNotice, language: Language) -> None:
    for field, label in _ROWS[language].items():
        print(f"    {label}: {getattr(notice, field)}")
