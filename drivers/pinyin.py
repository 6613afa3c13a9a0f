"""Chinese text as the pinyin that espeak-ng's cmn-latn-pinyin voice reads: "您好" is "nin2 hao3".

Syllables are separated by spaces and end in a tone number 1-5 (5: neutral); measured against espeak-ng 1.51, whose
`cmn` voice, fed with characters, falls back to English letters. Numbers become Chinese numerals first: the pinyin voice
would join their digits and mistake the tones.
"""

import re
from typing import Final

from pypinyin import Style, lazy_pinyin

_DIGITS: Final = "零一二三四五六七八九"
_NUMBER: Final = re.compile(r"(?P<ordinal>第)?(?P<minus>-)?(?P<whole>\d+)(?:\.(?P<fraction>\d+))?")
_COUNTED: Final = ("公里", "米", "小时", "分钟", "次", "个", "辆", "位", "天")
_PAUSES: Final = str.maketrans({"。": ". ", "！": "! ", "？": "? ", "，": ", ", "、": ", ", "；": "; ", "：": ": "})
_NUMERAL_MAX: Final = 99_999_999  # beyond, digit by digit


def to_pinyin(text: str) -> str:
    """Toned pinyin for Chinese text; other scripts pass unchanged."""
    spaced = " ".join(_syllables(spell_numbers(text))).translate(_PAUSES)
    return re.sub(r"\s+(?=[,.!?])", "", re.sub(r"\s+", " ", spaced)).strip()


def spell_numbers(text: str) -> str:
    """Replace digits by Chinese numerals: "56.4" is 五十六点四, "2公里" is 两公里, "第2" stays 第二."""

    def spell(match: re.Match[str]) -> str:
        whole = match["whole"]
        spelt = _numeral(int(whole)) if int(whole) <= _NUMERAL_MAX and not _is_code(whole) else _by_digits(whole)
        counted = text.startswith(_COUNTED, match.end())
        if whole == "2" and counted and not (match["ordinal"] or match["minus"] or match["fraction"]):
            spelt = "两"
        fraction = "" if match["fraction"] is None else "点" + _by_digits(match["fraction"])
        return (match["ordinal"] or "") + ("负" if match["minus"] else "") + spelt + fraction

    return _NUMBER.sub(spell, text)


def _syllables(text: str) -> list[str]:
    # tone_sandhi: 不 and 一 by their neighbours; espeak-ng itself sees to two third tones in a row.
    return lazy_pinyin(text, style=Style.TONE3, neutral_tone_with_five=True, tone_sandhi=True)


def _is_code(digits: str) -> bool:
    return len(digits) > 1 and digits[0] == "0"


def _by_digits(digits: str) -> str:
    return "".join(_DIGITS[int(digit)] for digit in digits)


def _numeral(number: int) -> str:
    """0 to 99999999 in words."""
    if number >= 10_000:
        high, low = divmod(number, 10_000)
        gap = "零" if 0 < low < 1000 else ""
        return _numeral(high) + "万" + gap + (_below_ten_thousand(low) if low else "")
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
        spelt += ("零" if pending_zero else "") + _DIGITS[digit] + unit
        pending_zero = False
    return spelt
