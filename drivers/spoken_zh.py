"""Chinese text as it is said: 56.4°C is 五十六点四度, P0301 is P 零三零幺, 粤B12345 is 粤 B 幺二三四五.

Digits of codes, plates and telephone numbers are said one by one, and 1 is 幺, which nobody mistakes for 七.
"""

import re
from collections.abc import Callable
from typing import Final

_DIGITS: Final = "零一二三四五六七八九"
_CODE_DIGITS: Final = "零幺二三四五六七八九"
_NUMERAL_MAX: Final = 99_999_999  # beyond, digit by digit
_NOT_LATIN: Final = r"(?<![A-Za-z0-9])"
_ENDS: Final = r"(?![A-Za-z0-9])"
_NUMBER: Final = re.compile(r"(?P<ordinal>第)?(?P<minus>-)?(?P<whole>\d+)(?:\.(?P<fraction>\d+))?")
_MEASURES: Final = (
    "公里", "米", "小时", "分钟", "次", "个", "辆", "位", "天", "度电", "家", "条", "块", "种", "周", "张", "台",
)  # fmt: skip

# Longest first. What is said before and after the number.
_UNITS: Final = {
    "L/100km": "升每百公里", "km/h": "公里每小时", "kWh": "度电", "kPa": "千帕", "kΩ": "千欧", "MΩ": "兆欧",
    "rpm": "转", "bar": "巴", "min": "分钟", "km": "公里", "mm": "毫米", "cm": "厘米", "kg": "公斤", "kW": "千瓦",
    "Ah": "安时", "Nm": "牛米", "ms": "毫秒", "Hz": "赫兹", "mV": "毫伏", "mA": "毫安", "V": "伏", "A": "安", "W": "瓦",
    "L": "升", "Ω": "欧", "h": "小时", "m": "米", "s": "秒",
}  # fmt: skip
_UNIT: Final = "|".join(map(re.escape, _UNITS))
_PROVINCES: Final = "京津沪渝冀豫云辽黑湘皖鲁新苏浙赣鄂桂甘晋蒙陕吉闽贵粤青藏川宁琼"
_CALLING: Final = r"(?:拨打|拨|致电|电话|热线|手机|打|火警|匪警|急救)"
_GROUPED: Final = r"\+?\(?\d[\d() -]{3,}\d"  # as people write telephone numbers; only where nothing else can be meant

_Say = Callable[["re.Match[str]"], str]


def spoken_zh(text: str) -> str:
    """What is read out, digits and units in words; Latin letters that are read one by one stand apart."""
    for pattern, say in _RULES:
        text = pattern.sub(say, text)
    return re.sub(r" {2,}", " ", spell_numbers(text)).strip()


def spell_numbers(text: str) -> str:
    """Replace digits by Chinese numerals: "56.4" is 五十六点四, "2公里" is 两公里, "第2" stays 第二."""

    def spell(match: re.Match[str]) -> str:
        whole = match["whole"]
        spelt = _numeral(int(whole)) if int(whole) <= _NUMERAL_MAX and not _is_code(whole) else digits_of(whole)
        if match["ordinal"] and spelt.startswith("两"):
            spelt = "二" + spelt[1:]
        counted = text.startswith(_MEASURES, match.end())
        if whole == "2" and counted and not (match["ordinal"] or match["minus"] or match["fraction"]):
            spelt = "两"
        fraction = "" if match["fraction"] is None else "点" + digits_of(match["fraction"])
        minus = ""
        if match["minus"]:
            minus = "零下" if text.startswith("度", match.end()) else "负"
        return (match["ordinal"] or "") + minus + spelt + fraction

    return _NUMBER.sub(spell, text)


def digits_of(digits: str) -> str:
    """One by one, as in a year."""
    return "".join(_DIGITS[int(digit)] for digit in digits)


def _code(text: str) -> str:
    """A code: letters apart, digits one by one with 幺."""
    spelt = ""
    for character in text:
        if character.isdecimal():
            spelt += _CODE_DIGITS[int(character)]
        elif character.isalpha():
            spelt += f" {character.upper()} "
        elif character == "+":
            spelt += "加"
    return f" {spelt} "


def _date(match: re.Match[str]) -> str:
    year, month, day = match.groups()
    return f"{digits_of(year)}年{_numeral(int(month))}月{_numeral(int(day))}号"


def _time(match: re.Match[str]) -> str:
    hour, minute = int(match[1]), int(match[2])
    if minute == 0:
        return f"{_numeral(hour)}点整"
    return f"{_numeral(hour)}点{'零' if minute < 10 else ''}{_numeral(minute)}分"


def _percent(match: re.Match[str]) -> str:
    return "百分之百" if match[1] == "100" else f"百分之{spell_numbers(match[1])}"


def _range(match: re.Match[str]) -> str:
    first = "两" if match[1] == "2" else spell_numbers(match[1])
    return f"{first}到{match[2]}"


def _version(match: re.Match[str]) -> str:
    return "点".join(spell_numbers(part) for part in match[0].split("."))


_RULES: Final[tuple[tuple[re.Pattern[str], _Say], ...]] = (
    (re.compile(r"(?<=\d),(?=\d{3}(?!\d))"), lambda _: ""),
    (re.compile(r"(\d{4})-(\d{1,2})-(\d{1,2})(?!\d)"), _date),
    (re.compile(r"(\d{4})(?=年)"), lambda match: digits_of(match[1])),
    (re.compile(r"(?<![\d.:])([01]?\d|2[0-4])[:：]([0-5]\d)(?![\d:])"), _time),
    (re.compile(rf"([{_PROVINCES}])([A-Z])[·• ]?([A-Z0-9]{{5,6}}){_ENDS}"), lambda m: m[1] + _code(m[2] + m[3])),
    (re.compile(rf"{_NOT_LATIN}[PCBU][0-3][0-9A-F]{{3}}{_ENDS}"), lambda match: _code(match[0])),
    (re.compile(rf"(电话|热线|手机)({_GROUPED})(?!\d)"), lambda m: m[1] + _code(m[2]).strip()),
    (re.compile(rf"({_CALLING})(\d{{3,5}}(?:-\d{{3,4}})+|\d{{3,12}})(?!\d)"), lambda m: m[1] + _code(m[2]).strip()),
    (re.compile(r"(?<!\d)(1(?:10|19|20|22))(?=报警|求助|急救)"), lambda match: _code(match[1]).strip()),
    (re.compile(rf"(事故请打|请打)(\d{{3,5}}){_ENDS}"), lambda match: match[1] + _code(match[2]).strip()),
    (re.compile(r"[¥￥] ?(\d+(?:\.\d+)?)"), lambda match: f"{match[1]}元"),
    (re.compile(r"(?<=\d\.)(\d)0(?=元)|\.00(?=元)"), lambda match: match[1] or ""),
    (re.compile(r"\d+\.\d+\.\d+(?:\.\d+)*"), _version),
    (re.compile(r"(?<![\d.-])(\d+)[-~～—–](\d+)(?=[一-鿿])"), _range),
    (re.compile(r"(\d+(?:\.\d+)?) ?[%％]"), _percent),
    (re.compile(r"(?<=\d) ?(?:°C|℃)"), lambda _: "度"),
    (re.compile(rf"(?<=\d) ?({_UNIT}){_ENDS}"), lambda match: _UNITS[match[1]]),
    (re.compile(rf"{_NOT_LATIN}[A-Z]{{2,5}}{_ENDS}"), lambda match: f" {' '.join(match[0])} "),
    (re.compile(r"(\d+)S店"), lambda match: f"{match[1]} S 店"),
)


def _is_code(digits: str) -> bool:
    return len(digits) > 1 and digits[0] == "0"


def _numeral(number: int) -> str:
    """0 to 99999999 in words; 2 before 百, 千 and 万 is 两, as people say."""
    if number >= 10_000:
        high, low = divmod(number, 10_000)
        gap = "零" if 0 < low < 1000 else ""
        head = "两" if high == 2 else _below_ten_thousand(high)
        spelt = head + "万" + gap + (_below_ten_thousand(low) if low else "")
        return spelt.removeprefix("一") if 100_000 <= number < 200_000 else spelt
    spelt = _below_ten_thousand(number)
    return spelt.removeprefix("一") if 10 <= number < 20 else spelt


def _below_ten_thousand(number: int) -> str:
    if number == 0:
        return _DIGITS[0]
    spelt = ""
    pending_zero = False
    for size, unit in ((1000, "千"), (100, "百"), (10, "十"), (1, "")):
        digit = number // size % 10
        if digit == 0:
            pending_zero = bool(spelt)
            continue
        liang = digit == 2 and (size == 1000 or (size == 100 and not spelt))
        word = "两" if liang else _DIGITS[digit]
        spelt += ("零" if pending_zero else "") + word + unit
        pending_zero = False
    return spelt
