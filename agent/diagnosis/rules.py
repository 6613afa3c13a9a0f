"""The rule base as typed data: what codes mean, what may be behind them, and what speaks for or against it."""

import re
import string
from typing import Annotated, Any, Final, Literal, get_args

import msgspec
from msgspec import Meta

from agent.core.config import Name, Section
from agent.core.diagnosis_events import Drive, EngineFault

CODE: Final = re.compile(r"[PCBU][0-3][0-9A-F]{3}")

Figure = Literal[
    "trim_short",
    "trim_long",
    "trim_total",
    "coolant",
    "load",
    "rpm",
    "speed",
    "map",
    "idle_map",
    "maf",
    "intake_temperature",
    "voltage",
]
"""Of a freeze frame. trim_total is both trims of bank 1; idle_map the manifold pressure of a frame taken at idle."""

TrendFigure = Literal["trim_idle", "trim_load", "trim_idle_excess", "trim_load_excess", "trim_change", "trim_size"]
"""Learnt while driving; see trends.Trends.figures."""

Pattern = Annotated[str, Meta(pattern=r"^[PCBU][0-3x][0-9A-Fx]{3}$")]
Words = Annotated[str, Meta(min_length=1, max_length=200)]
Points = Annotated[int, Meta(ge=-5, le=5)]


class Condition(Section, frozen=True, kw_only=True):
    """What must hold, all of it, in one piece of evidence; see firmware_config/diagnosis/causes.toml."""

    id: Name
    repairs: list[Name] = msgspec.field(default_factory=list)
    frame: Figure | None = None
    trend: TrendFigure | None = None
    minimum: float | None = None
    maximum: float | None = None
    codes: list[Pattern] = msgspec.field(default_factory=list)
    absent: list[Pattern] = msgspec.field(default_factory=list)
    advice: list[EngineFault] = msgspec.field(default_factory=list)
    en: Words
    zh: Words

    def __post_init__(self) -> None:
        bounded = self.minimum is not None or self.maximum is not None
        if self.frame and self.trend:
            raise ValueError(f"{self.id}: looks at a frame and at a trend; one of them is enough")
        if bounded != bool(self.frame or self.trend):
            raise ValueError(f"{self.id}: minimum or maximum, and frame or trend, go together")
        if self.minimum is not None and self.maximum is not None and self.minimum > self.maximum:
            raise ValueError(f"{self.id}: minimum {self.minimum} lies above maximum {self.maximum}")
        if not (bounded or self.repairs or self.codes or self.absent or self.advice):
            raise ValueError(f"{self.id}: has no condition, and would always be seen")
        for text in (self.en, self.zh):
            if _placeholders(text) - ({"value"} if bounded else set()):
                raise ValueError(f"{self.id}: the words may hold {{value}}, where there is a figure, and nothing else")
        if _placeholders(self.en) != _placeholders(self.zh):
            raise ValueError(f"{self.id}: only one of the languages tells the value")


class Evidence(Condition, frozen=True, kw_only=True):
    """A piece of evidence for a cause, or against it where the points are negative."""

    points: Points


class Limit(Condition, frozen=True, kw_only=True):
    """Where the codes are of these groups and this holds, no further than `drive`."""

    groups: list[Name]
    drive: Drive


class Cause(Section, frozen=True, kw_only=True):
    """What may be behind codes of these groups. points: how common it is; next: what to do about it."""

    id: Name
    groups: Annotated[list[Name], Meta(min_length=1)]
    points: Points
    en: Words
    zh: Words
    next_en: Words
    next_zh: Words
    drive: Drive | None = None
    evidence: Annotated[list[Evidence], Meta(max_length=20)] = msgspec.field(default_factory=list)


class CodeMeaning(Section, frozen=True, kw_only=True):
    """One trouble code: what it means, whose causes it shares, how far one may drive with it."""

    group: Name
    drive: Drive
    en: Words
    zh: Words


class RepairName(Section, frozen=True, kw_only=True):
    """A kind of repair, as config and command line name it."""

    en: Words
    zh: Words


class RuleFile(Section, frozen=True, kw_only=True):
    """One file of firmware_config/diagnosis. codes and repairs are converted one by one, to name the bad one."""

    codes: dict[str, dict[str, Any]] = msgspec.field(default_factory=dict)
    repairs: dict[str, dict[str, Any]] = msgspec.field(default_factory=dict)
    causes: Annotated[list[Cause], Meta(max_length=500)] = msgspec.field(default_factory=list)
    limits: Annotated[list[Limit], Meta(max_length=100)] = msgspec.field(default_factory=list)


def matches(code: str, pattern: str) -> bool:
    """Whether a code is of a pattern, in which x stands for any digit."""
    return len(code) == len(pattern) and all(p in ("x", c) for c, p in zip(code, pattern, strict=True))


def gravest(*drives: Drive) -> Drive:
    """The most cautious of them."""
    return max(drives, key=get_args(Drive).index)


def _placeholders(text: str) -> set[str]:
    return {name for _, name, _, _ in string.Formatter().parse(text) if name is not None}
