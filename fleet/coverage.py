"""Which covers of a Chinese motor policy an event may concern: a hint for a desk, never a decision on cover. Pure.

The rules are data (firmware_config/coverage.toml). Whoever adds an event that tells of one more situation adds it to
`situation_of`; until then a desk may name the situation itself.
"""

import datetime as dt
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Annotated, Final, Literal

import msgspec
from msgspec import Meta

from agent.core.errors import ConfigError
from agent.core.events import (
    BatteryAlarm,
    BatteryReport,
    ChargeSession,
    ChargingFault,
    Collision,
    Event,
    Feedback,
    RoadImpact,
    Rollover,
)
from agent.core.paths import COVERAGE
from agent.core.toml import load_toml

Situation = Literal[
    "collision",
    "rollover",
    "parked_hit",
    "wheel_damage",
    "water_ingress",
    "thermal_event",
    "charging_fault",
    "charger_damage",
    "theft_or_tow",
    "battery_ageing",
]
Powertrain = Literal["fuel", "new_energy"]
Certainty = Literal["A", "B", "M"]

_THERMAL_LEVEL: Final = 4
_Word = Annotated[str, Meta(min_length=1)]


class Text(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The same in both languages."""

    zh: _Word
    en: _Word


class Edition(Text, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Whose wording a cover is from, since when it holds, and which cars it insures."""

    since: dt.date
    powertrains: Annotated[list[Powertrain], Meta(min_length=1)]
    certainty: Certainty
    source: _Word


class Cover(Text, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One insurance by its name; zh is the name in the policy, en a gloss."""

    edition: str
    addon: bool = False


class Rule(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """These situations concern these covers."""

    situations: Annotated[list[Situation], Meta(min_length=1)]
    covers: Annotated[list[str], Meta(min_length=1)]
    condition: Text | None = None
    excluded: bool = False
    needs_occupants: bool = False
    certainty: Certainty | None = None


class Coverage(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The whole file."""

    editions: dict[str, Edition]
    covers: dict[str, Cover]
    rules: list[Rule]


@dataclass(frozen=True, slots=True)
class Hint:
    """One cover that may be concerned. excluded: it does not pay for this. condition: what must be asked first."""

    situation: Situation
    cover: Cover
    edition: Edition
    certainty: Certainty
    condition: Text | None = None
    excluded: bool = False


def load_coverage(path: Path = COVERAGE) -> Coverage:
    """Read and check the rules. Raises ConfigError that names key, file and line."""
    coverage = load_toml(path, Coverage)
    for name, cover in coverage.covers.items():
        _check_name(f"covers.{name}.edition", cover.edition, coverage.editions, path)
    for number, rule in enumerate(coverage.rules):
        for cover_name in rule.covers:
            _check_name(f"rules.{number}.covers", cover_name, coverage.covers, path)
    return coverage


def situation_of(event: Event) -> Situation | None:
    """What an event means to a policy, None where it means nothing to it."""
    match event:
        case Collision(stationary=True):
            return "parked_hit"
        case Collision():
            return "collision"
        case Rollover():
            return "rollover"
        case RoadImpact():
            return "wheel_damage"
        case BatteryAlarm(cleared=False) if event.alarm == "thermal_runaway" or event.level >= _THERMAL_LEVEL:
            return "thermal_event"
        case BatteryReport() if "capacity_low" in event.advice:
            return "battery_ageing"
        case _:
            return _of_charge(event)


def _of_charge(event: Event) -> Situation | None:
    """A charger or grid that failed, by what the car saw or its driver says; at home the charger is the owner's."""
    match event:
        case ChargingFault(fault="charger" | "grid"):
            return "charging_fault"
        case ChargeSession() if {"charger", "grid"} & set(event.faults):
            return "charging_fault"
        case Feedback(about="charge_session", question="charge_where", intent="home"):
            return "charger_damage"
        case Feedback(about="charge_session", intent="charger_fault" | "hot"):
            return "charging_fault"
        case _:
            return None


def hints(
    found: Iterable[Event | Situation],
    powertrain: Powertrain | None,
    *,
    coverage: Coverage | None = None,
) -> list[Hint]:
    """Covers that events, or situations named by a desk, may concern; each once, in the order of the rules.

    powertrain None: it is not known, so both editions speak. An event that means nothing to a policy gives no hint.
    The occupants' cover is left out where the car says that nobody was in it.
    """
    rules = _shipped() if coverage is None else coverage
    events = list(found)
    named = [event if isinstance(event, str) else situation_of(event) for event in events]
    empty = _nobody_in_it(event for event in events if isinstance(event, Event))
    told: dict[tuple[str, str], Hint] = {}
    for situation, rule in ((s, r) for r in rules.rules for s in dict.fromkeys(named) if s in r.situations):
        if situation is None or (rule.needs_occupants and empty):
            continue
        for name, hint in _hints_of(situation, rule, rules):
            if powertrain is None or powertrain in hint.edition.powertrains:
                told.setdefault((name, hint.condition.zh if hint.condition else ""), hint)
    return list(told.values())


def _hints_of(situation: Situation, rule: Rule, rules: Coverage) -> Iterator[tuple[str, Hint]]:
    for name in rule.covers:
        cover = rules.covers[name]
        edition = rules.editions[cover.edition]
        certainty = rule.certainty or edition.certainty
        yield name, Hint(situation, cover, edition, certainty, rule.condition, rule.excluded)


def _nobody_in_it(events: Iterable[Event]) -> bool:
    """Whether each collision that tells of occupants tells of none."""
    counts = [event.occupants for event in events if isinstance(event, Collision) and event.occupants is not None]
    return bool(counts) and not any(counts)


def _check_name(key: str, name: str, known: Mapping[str, object], path: Path) -> None:
    if name not in known:
        raise ConfigError(f"{key}: there is no {name!r}, only {', '.join(known)}", path=path)


@cache
def _shipped() -> Coverage:
    return load_coverage()
