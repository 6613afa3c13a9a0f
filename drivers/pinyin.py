"""Chinese text as the pinyin that espeak-ng's cmn-latn-pinyin voice reads: "您好" is "nin2 hao3".

Syllables are separated by spaces and end in a tone number 1-5 (5: neutral); measured against espeak-ng 1.51, whose
`cmn` voice, fed with characters, falls back to English letters. Numbers become Chinese numerals first: the pinyin voice
would join their digits and mistake the tones. Two third tones in a row it handles by itself.

pypinyin's phrase dictionary costs 45 MB of memory and 0.2 s, for which a box has better uses: it stays unloaded, and
the words of the road whose readings depend on the word stand here. A test holds the shipped phrases to the full one.
"""

import os
import re
from typing import Final

os.environ.setdefault("PYPINYIN_NO_PHRASES", "true")
from pypinyin import Style, lazy_pinyin, load_phrases_dict  # reads that at import

from drivers.spoken_zh import spoken_zh

_HAN: Final = "㐀-鿿"
_DIGITS: Final = "零一二三四五六七八九"
_NUMERALS: Final = "第十百千万点两" + _DIGITS
_PAUSES: Final = str.maketrans({"。": ". ", "！": "! ", "？": "? ", "，": ", ", "、": ", ", "；": "; ", "：": ": "})
_READINGS: Final = {
    "有空": "yǒu kòng",
    "空调": "kōng tiáo",
    "更新": "gēng xīn",
    "更换": "gēng huàn",
    "重新": "chóng xīn",
    "重复": "chóng fù",
    "长度": "cháng dù",
    "长途": "cháng tú",
    "长时间": "cháng shí jiān",
    "还车": "huán chē",
    "归还": "guī huán",
    "着火": "zháo huǒ",
    "着急": "zháo jí",
    "这个": "zhè ge",
    "那个": "nà ge",
    "一个": "yī ge",
    "几个": "jǐ ge",
    "两个": "liǎng ge",
    "刹得": "shā de",
    "过得": "guò de",
    "开得": "kāi de",
    "转得": "zhuǎn de",
    "跑得": "pǎo de",
    "觉得": "jué de",
    "记得": "jì de",
    "调整": "tiáo zhěng",
    "调节": "tiáo jié",
    "银行": "yín háng",
    "都市": "dū shì",
    "转速": "zhuàn sù",
    "倒数": "dào shǔ",
    "差不多": "chà bu duō",
    "温差": "wēn chā",
    "压差": "yā chā",
    "处理": "chǔ lǐ",
    "大夫": "dài fu",
    "系好": "jì hǎo",
    "系上": "jì shàng",
    "的确": "dí què",
    "目的地": "mù dì dì",
    "慢慢地": "màn màn de",
    "反应": "fǎn yìng",
    "撞中": "zhuàng zhòng",
    "看护": "kān hù",
    "部分": "bù fen",
    "测量": "cè liáng",
    "弹簧": "tán huáng",
    "堵塞": "dǔ sè",
    "要求": "yāo qiú",
    "拧紧": "nǐng jǐn",
    "拉长": "lā cháng",
    "校准": "jiào zhǔn",
}
load_phrases_dict({word: [[syllable] for syllable in reading.split()] for word, reading in _READINGS.items()})


def to_pinyin(text: str) -> str:
    """Toned pinyin for Chinese text; other scripts pass unchanged."""
    spaced = " ".join(_syllables(spoken_zh(text))).translate(_PAUSES)
    return re.sub(r"\s+(?=[,.!?])", "", re.sub(r"\s+", " ", spaced)).strip()


def _syllables(text: str) -> list[str]:
    syllables = []
    for run in re.split(rf"([{_HAN}]+)", text):
        if re.match(f"[{_HAN}]", run):
            syllables += _with_sandhi(run, lazy_pinyin(run, style=Style.TONE3, neutral_tone_with_five=True))
        else:
            syllables.append(run)
    return syllables


def _with_sandhi(han: str, syllables: list[str]) -> list[str]:
    """不 and 一 take their tone from what follows; 一 in a number or ordinal keeps its own."""
    if len(syllables) != len(han):  # a character without a reading
        return syllables
    spoken = list(syllables)
    for place, character in enumerate(han[:-1]):
        falling = syllables[place + 1].endswith("4")
        if character == "不" and falling:
            spoken[place] = "bu2"
        elif character == "一" and not _counts(han, place):
            spoken[place] = "yi2" if falling else "yi4"
    return spoken


def _counts(han: str, place: int) -> bool:
    before, after = han[:place][-1:], han[place + 1 :]
    return before in tuple(_NUMERALS) or after[0] in _DIGITS or (after[0] == "点" and after[1:2] in tuple(_DIGITS))
