"""English text as it is said: 56.4 °C is fifty-six point four degrees, P0301 is P zero three zero one."""

import re
from collections.abc import Callable
from typing import Final

_SMALL: Final = [
    "zero",
    "one",
    "two",
    "three",
    "four",
    "five",
    "six",
    "seven",
    "eight",
    "nine",
    "ten",
    "eleven",
    "twelve",
    "thirteen",
    "fourteen",
    "fifteen",
    "sixteen",
    "seventeen",
    "eighteen",
    "nineteen",
]
_TENS: Final = ["-", "-", "twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety"]
_ORDINALS: Final = {
    "one": "first", "two": "second", "three": "third", "five": "fifth", "eight": "eighth", "nine": "ninth",
    "twelve": "twelfth",
}  # fmt: skip
_MONTHS: Final = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
]
_DIGITS_MAX: Final = 6  # a number of more digits without commas is a code

# One, and many. Longest first.
_UNITS: Final = {
    "L/100km": ("litre per hundred kilometres", "litres per hundred kilometres"),
    "km/h": ("kilometre an hour", "kilometres an hour"),
    "kWh": ("kilowatt hour", "kilowatt hours"),
    "mph": ("mile an hour", "miles an hour"),
    "kPa": ("kilopascal", "kilopascals"),
    "rpm": ("R P M", "R P M"),
    "bar": ("bar", "bar"),
    "min": ("minute", "minutes"),
    "kΩ": ("kilohm", "kilohms"),
    "MΩ": ("megohm", "megohms"),
    "km": ("kilometre", "kilometres"),
    "mm": ("millimetre", "millimetres"),
    "cm": ("centimetre", "centimetres"),
    "kg": ("kilogram", "kilograms"),
    "kW": ("kilowatt", "kilowatts"),
    "Ah": ("amp hour", "amp hours"),
    "Nm": ("newton metre", "newton metres"),
    "ms": ("millisecond", "milliseconds"),
    "mV": ("millivolt", "millivolts"),
    "mA": ("milliamp", "milliamps"),
    "Hz": ("hertz", "hertz"),
    "°C": ("degree", "degrees"),
    "℃": ("degree", "degrees"),
    "V": ("volt", "volts"),
    "A": ("amp", "amps"),
    "W": ("watt", "watts"),
    "L": ("litre", "litres"),
    "Ω": ("ohm", "ohms"),
    "h": ("hour", "hours"),
    "m": ("metre", "metres"),
    "s": ("second", "seconds"),
    "%": ("percent", "percent"),
}
_UNIT: Final = "|".join(map(re.escape, _UNITS))
_MONEY: Final = {"£": ("pound", "pounds"), "€": ("euro", "euros"), "$": ("dollar", "dollars"), "¥": ("yuan", "yuan")}
_SPELLED: Final = "ABS|SOC|SOH|OBD|ECU|VIN|EV|GPS|LED|SUV|USB|BMS|DTC|ESP|TPMS|RPM"

_Say = Callable[["re.Match[str]"], str]


def spoken_en(text: str) -> str:
    """What is read out, digits and units in words; letters that are read one by one stand apart."""
    for pattern, say in _RULES:
        text = pattern.sub(say, text)
    return re.sub(r" {2,}", " ", text).strip()


def number_en(text: str) -> str:
    """Digits, with a fraction or a sign, in words."""
    sign = "minus " if text.startswith("-") else ""
    whole, _, fraction = text.lstrip("-").replace(",", "").partition(".")
    said = _code(whole) if len(whole) > 1 and whole[0] == "0" else _whole(int(whole))
    return sign + said + (f" point {_code(fraction)}" if fraction else "")


def _whole(number: int) -> str:
    for size, name in ((1_000_000, "million"), (1000, "thousand")):
        if number >= size:
            high, low = divmod(number, size)
            joint = " and " if 0 < low < 100 else " "
            return f"{_whole(high)} {name}" + (joint + _whole(low) if low else "")
    if number >= 100:
        high, low = divmod(number, 100)
        return f"{_SMALL[high]} hundred" + (f" and {_whole(low)}" if low else "")
    if number < 20:
        return _SMALL[number]
    tens, ones = divmod(number, 10)
    return _TENS[tens] + (f"-{_SMALL[ones]}" if ones else "")


def _ordinal(number: int) -> str:
    head, dash, last = _whole(number).rpartition("-")
    if not dash:
        head, dash, last = _whole(number).rpartition(" ")
    if last in _ORDINALS:
        return head + dash + _ORDINALS[last]
    return head + dash + (last.removesuffix("y") + "ieth" if last.endswith("y") else last + "th")


def _code(text: str) -> str:
    """Letters and digits one by one."""
    return " ".join(_SMALL[int(c)] if c.isdecimal() else c for c in text if c.isalnum())


def _dialled(match: re.Match[str]) -> str:
    return f"{match[1]}{'plus ' if '+' in match[2] else ''}{_code(match[2])}"


def _date(match: re.Match[str]) -> str:
    year, month, day = map(int, match.groups())
    high, low = divmod(year, 100)
    said = f"{_whole(high)} {'oh ' if 0 < low < 10 else ''}{_whole(low) if low else 'hundred'}"
    return f"the {_ordinal(day)} of {_MONTHS[(month - 1) % 12]} {said}"


def _time(match: re.Match[str]) -> str:
    hour, minute = int(match[1]), int(match[2])
    if minute == 0:
        return f"{_whole(hour)} o'clock"
    return f"{_whole(hour)} {'oh ' if minute < 10 else ''}{_whole(minute)}"


def _money(match: re.Match[str]) -> str:
    one, many = _MONEY[match[1]]
    whole, _, cents = match[2].replace(",", "").partition(".")
    said = f"{number_en(whole)} {one if whole == '1' else many}"
    return said + (f" {number_en(str(int(cents)))}" if cents.strip("0") else "")


def _measured(match: re.Match[str]) -> str:
    one, many = _UNITS[match["unit"]]
    single = match["number"].lstrip("-") == "1" or match["article"]
    return f"{match['article'] or ''}{number_en(match['number'])} {one if single else many}"


def _version(match: re.Match[str]) -> str:
    return " point ".join(number_en(part) for part in match[0].split("."))


_NUMBER: Final = r"(?<![\w.])-?\d+(?:,\d{3})*(?:\.\d+)?"
_RULES: Final[tuple[tuple[re.Pattern[str], _Say], ...]] = (
    (re.compile(r"\b(\d{4})-(\d\d)-(\d\d)\b"), _date),
    (re.compile(r"(?<![\d.:])([01]?\d|2[0-3]):([0-5]\d)(?![\d:])"), _time),
    (
        re.compile(r"\b((?:call|dial|phone|ring|number is) )(\+?\(?\d[\d() -]*\d)(?!\w)", re.IGNORECASE),
        _dialled,
    ),
    (
        re.compile(r"\b(plate )([A-Z0-9]+(?:[- ][A-Z0-9]+)*)\b"),
        lambda match: match[1] + _code(match[2]),
    ),
    (re.compile(r"\b[PCBU][0-3][0-9A-F]{3}\b"), lambda match: _code(match[0])),
    (re.compile(r"\b\d+\.\d+\.\d+(?:\.\d+)*\b"), _version),
    (re.compile(r"([£€$¥]) ?(\d+(?:,\d{3})*(?:\.\d\d)?)"), _money),
    (re.compile(r"(?<![\w.-])(\d+)[-–](\d+)(?= [a-z])"), lambda m: f"{number_en(m[1])} to {number_en(m[2])}"),
    (re.compile(r"\b(\d+)(?:st|nd|rd|th)\b"), lambda match: _ordinal(int(match[1]))),
    (re.compile(rf"\b\d{{{_DIGITS_MAX + 1},}}\b(?!\.)"), lambda match: _code(match[0])),
    (
        re.compile(
            rf"(?P<article>\b[Aa] (?=\S+ ?(?:{_UNIT}) [a-z]))?(?P<number>{_NUMBER}) ?(?P<unit>{_UNIT})(?![\w/])"
        ),
        _measured,
    ),
    (re.compile(_NUMBER), lambda match: number_en(match[0])),
    (re.compile(rf"\b(?:{_SPELLED})\b"), lambda match: " ".join(match[0])),
)
