import pytest

from drivers.pinyin import spell_numbers, to_pinyin


@pytest.mark.parametrize(
    ("digits", "numeral"),
    [
        ("0", "零"),
        ("10", "十"),
        ("12", "十二"),
        ("56", "五十六"),
        ("101", "一百零一"),
        ("110", "一百一十"),
        ("1005", "一千零五"),
        ("20500", "二万零五百"),
        ("12345678", "一千二百三十四万五千六百七十八"),
        ("123456789", "一二三四五六七八九"),
        ("007", "零零七"),
        ("3.65", "三点六五"),
        ("-3度", "负三度"),
        ("第2号", "第二号"),
        ("2公里", "两公里"),
        ("2.5公里", "二点五公里"),
        ("12公里", "十二公里"),
    ],
)
def test_numbers_become_numerals(digits: str, numeral: str) -> None:
    assert spell_numbers(digits) == numeral


@pytest.mark.parametrize(
    ("text", "pinyin"),
    [
        ("您好", "nin2 hao3"),
        ("您还好吗？", "nin2 hai2 hao3 ma5?"),
        ("不用，绿色。", "bu2 yong4, lv4 se4."),
        ("第5号电芯温度56度！", "di4 wu3 hao4 dian4 xin1 wen1 du4 wu3 shi2 liu4 du4!"),
        ("", ""),
    ],
)
def test_chinese_becomes_toned_syllables(text: str, pinyin: str) -> None:
    assert to_pinyin(text) == pinyin
