"""What `outrider consent` does: what the owner agrees to, shown and changed on the box itself."""

import argparse
import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from agent.core.best_time import BestTime
from agent.core.config import Config, load_config
from agent.core.errors import AgentError
from agent.core.paths import CONSENT
from agent.core.ports import Language
from agent.privacy.consent import Consents, Standing
from agent.privacy.door import Grant, Request, Revoke, ask
from agent.privacy.notices import PURPOSES, PurposeNotice, load_notices, versions_of
from drivers.clock import SystemClock
from drivers.state_file import FileConsentStore

_WAIT_S: Final = 5.0
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
_SURE: Final = {"zh": "同意吗？输入 yes 同意：", "en": "Do you agree? yes to agree: "}


def put(config: Config, request: Request) -> int:
    """Hand a request to the running agent and print what became of it. Raises InputError."""
    answer = ask(Path(config.store.directory), request, wait_s=_WAIT_S)
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
        "--trip": choice.trip_only,
        "--score-only": choice.score_only,
        f"--place {choice.place}": choice.place != "none",
    }
    return "".join(f"; {term}" for term, holds in terms.items() if holds)


def _print_notice(notice: PurposeNotice, language: Language) -> None:
    for field, label in _ROWS[language].items():
        print(f"    {label}: {getattr(notice, field)}")
