"""Numbers as a person says them: 56.4 is "56度" or "56 degrees", and cells count from 1."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from agent.core.config import Section

FactKind = Literal[
    "temperature",
    "voltage",
    "speed",
    "distance",
    "duration",
    "cell",
    "harsh",
    "count",
    "code",
    "name",
    "names",
    "energy",
    "text",
    "phone",
]


class Unit(Section, frozen=True, kw_only=True):
    """`many` holds {number}; `one`, where the language has it, is the singular."""

    many: str
    one: str = ""


class Words(Section, frozen=True, kw_only=True):
    """The words of one language around numbers. phone: a clause with its own beginning, left out without a number."""

    unknown: str
    cell: str
    battery: str
    temperature: Unit
    voltage: Unit
    speed: Unit
    kilometre: Unit
    metre: Unit
    hour: Unit
    minute: Unit
    harsh: Unit
    energy: Unit
    phone: str
    join: str
    listed: str


@dataclass(frozen=True, slots=True)
class Fact:
    """A value of an event: temperature Celsius, voltage V, speed km/h, distance m, duration s, energy kWh, cell from 0.

    text, of a code or a phone, stays as it is, for the speaker spells it; of a name, it is the words that are known
    for it; of names, with spaces between, the same of each; of a text, as it is.
    """

    kind: FactKind
    value: float | None = None
    text: str = ""


def read_fact(fact: Fact, words: Words, names: Mapping[str, str]) -> str:
    """Words for a value; nothing here raises on a value that is missing or not finite. names: words for names."""
    if fact.kind == "text":
        return fact.text
    if fact.kind == "phone":
        return words.phone.replace("{number}", fact.text) if fact.text else ""
    if fact.kind == "names":
        return words.listed.join(read_fact(Fact("name", text=name), words, names) for name in fact.text.split())
    if fact.text:
        return fact.text if fact.kind == "code" else names.get(fact.text) or fact.text.replace("_", " ")
    return _read_value(fact, words)


def _read_value(fact: Fact, words: Words) -> str:
    value = fact.value
    if value is None or not math.isfinite(value):
        return words.battery if fact.kind == "cell" else words.unknown
    match fact.kind:
        case "temperature":
            return _with_unit(value, 0, words.temperature)
        case "voltage":
            return _with_unit(value, 2, words.voltage)
        case "speed":
            return _with_unit(value, 0, words.speed)
        case "distance":
            return _read_distance(value, words)
        case "duration":
            return _read_duration(value, words)
        case "energy":
            return _with_unit(value, 0 if value >= 10 else 1, words.energy)
        case "harsh":
            return _with_unit(value, 0, words.harsh)
        case "cell":
            return words.cell.replace("{number}", str(round(value) + 1))
        case _:
            return str(round(value))


def _read_distance(metres: float, words: Words) -> str:
    if metres < 950:
        return _with_unit(round(metres, -1), 0, words.metre)
    return _with_unit(metres / 1000, 1 if metres < 9_950 else 0, words.kilometre)


def _read_duration(seconds: float, words: Words) -> str:
    minutes = max(1, round(seconds / 60))
    hours, minutes = divmod(minutes, 60)
    parts = [
        _with_unit(number, 0, unit) for number, unit in ((hours, words.hour), (minutes, words.minute)) if number > 0
    ]
    return words.join.join(parts)


def _with_unit(value: float, digits: int, unit: Unit) -> str:
    number = f"{value:.{digits}f}"
    if digits:
        number = number.rstrip("0").rstrip(".")
    number = "0" if number == "-0" else number
    return unit.one if number == "1" and unit.one else unit.many.replace("{number}", number)
