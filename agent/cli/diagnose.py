"""`outrider diagnose`: what may be behind trouble codes, with what speaks for and against it. Asks no car."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Final, get_args

from agent.core.errors import InputError
from agent.core.ports import Language
from agent.decode.profile import load_profile
from agent.diagnosis.engine import Findings, Ranked, Repair, Seen, Verdict, diagnose, frame_figures, points_of
from agent.diagnosis.knowledge import Knowledge, load_knowledge
from agent.diagnosis.rules import CODE, Figure

_WORDS: Final = {
    "en": {
        "go_on": "you can go on driving",
        "to_a_garage": "drive gently, to a garage",
        "stop_now": "STOP NOW",
        "for": "for",
        "against": "against",
        "common": "how common it is",
        "next": "next",
        "points": "points",
        "unknown": "not in the rule base; a garage with the maker's list knows more",
        "because": "because",
    },
    "zh": {
        "go_on": "可以继续行驶",
        "to_a_garage": "温和驾驶，去维修点",
        "stop_now": "立即停车",
        "for": "支持",
        "against": "反对",
        "common": "常见程度",
        "next": "下一步",
        "points": "分",
        "unknown": "规则库中没有；请查厂家资料",
        "because": "因为",
    },
}


def show_diagnosis(  # one caller
    codes: Sequence[str],
    *,
    freeze: Path | None,
    repairs: Sequence[str],
    profile: str,
    language: Language,
    as_json: bool,
) -> int:
    """Print the verdicts. Raises InputError where a code, a repair or the freeze frame cannot be used."""
    knowledge = load_knowledge(load_profile(profile).diagnosis)
    wanted = [code.upper() for code in codes]
    if bad := next((code for code in wanted if not CODE.fullmatch(code)), None):
        raise InputError(f"{bad}: no trouble code such as P0171")
    if bad := next((name for name in repairs if name not in knowledge.repairs), None):
        raise InputError(f"--repair {bad}: unknown; known are {', '.join(sorted(knowledge.repairs))}")
    findings = Findings(
        codes=frozenset(wanted),
        frame=read_frame(freeze) if freeze else {},
        repairs=[Repair(name) for name in repairs],
    )
    verdicts = diagnose(knowledge, wanted, findings)
    if as_json:
        print(json.dumps([_as_json(verdict, language) for verdict in verdicts], ensure_ascii=False))
    else:
        print("\n\n".join("\n".join(_lines(verdict, knowledge, language)) for verdict in verdicts))
    return 0


def read_frame(path: Path) -> dict[str, float]:
    """Figures from a JSON object of VSS paths, or of figures such as trim_long. Raises InputError."""
    try:
        given = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as exc:
        raise InputError(f"{path}: no freeze frame in JSON: {exc}") from exc
    if not isinstance(given, dict):
        raise InputError(f"{path}: no JSON object of names and numbers")
    for name, value in given.items():
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise InputError(f"{path}: {name}: {value!r} is no number")
        if name not in get_args(Figure) and not name.startswith("Vehicle."):
            raise InputError(f"{path}: {name}: neither a VSS path nor one of {', '.join(get_args(Figure))}")
    short = {name: float(value) for name, value in given.items() if name in get_args(Figure)}
    figures = frame_figures({name: float(value) for name, value in given.items()}) | short
    if "trim_long" in figures:
        figures.setdefault("trim_total", figures["trim_long"] + figures.get("trim_short", 0.0))
    return figures


def _lines(verdict: Verdict, knowledge: Knowledge, language: Language) -> list[str]:
    words = _WORDS[language]
    lines = [
        f"{code}: {getattr(knowledge.codes[code], language) if code in knowledge.codes else words['unknown']}"
        for code in verdict.codes
    ]
    lines.append(f"-> {words[verdict.drive]}")
    lines += [f"   {words['because']} {seen.words(language)}" for seen in verdict.limits]
    for place, ranked in enumerate(verdict.causes, 1):
        lines += _cause_lines(place, ranked, language)
    return lines


def _cause_lines(place: int, ranked: Ranked, language: Language) -> list[str]:
    words, cause = _WORDS[language], ranked.cause
    head = f"{place}. [{ranked.points} {words['points']}] {getattr(cause, language)}"
    evidence = [f"     {cause.points:+d}  {words['common']}"]
    evidence += [
        f"     {points_of(seen):+d}  {_side(seen, language)}: {seen.words(language)}" for seen in ranked.evidence
    ]
    return [head, *evidence, f"     {words['next']}: {getattr(cause, f'next_{language}')}"]


def _side(seen: Seen, language: Language) -> str:
    return _WORDS[language]["for" if points_of(seen) >= 0 else "against"]


def _as_json(verdict: Verdict, language: Language) -> dict[str, object]:
    return {
        "codes": verdict.codes,
        "drive": verdict.drive,
        "limits": [seen.words(language) for seen in verdict.limits],
        "causes": [
            {
                "cause": ranked.cause.id,
                "points": ranked.points,
                "text": getattr(ranked.cause, language),
                "next": getattr(ranked.cause, f"next_{language}"),
                "evidence": [
                    {"evidence": seen.condition.id, "points": points_of(seen), "text": seen.words(language)}
                    for seen in ranked.evidence
                ],
            }
            for ranked in verdict.causes
        ],
    }
