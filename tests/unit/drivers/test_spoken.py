import re
from collections.abc import Callable
from pathlib import Path

import pytest

from drivers.spoken_en import spoken_en
from drivers.spoken_zh import spell_numbers, spoken_zh


def golden(language: str) -> list[tuple[str, str]]:
    path = Path(__file__).with_name(f"spoken_{language}.tsv")
    lines = [line for line in path.read_text(encoding="utf-8").splitlines() if not line.startswith("#")]
    return [(text, reading) for text, _, reading in (line.partition("\t") for line in lines)]


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
        ("20500", "两万零五百"),
        ("12345678", "一千二百三十四万五千六百七十八"),
        ("123456789", "一二三四五六七八九"),
        ("007", "零零七"),
        ("3.65", "三点六五"),
        ("-3度", "零下三度"),
        ("-3", "负三"),
        ("第200号", "第二百号"),
        ("120000", "十二万"),
        ("第2号", "第二号"),
        ("2公里", "两公里"),
        ("2.5公里", "二点五公里"),
        ("12公里", "十二公里"),
    ],
)
def test_numbers_become_numerals(digits: str, numeral: str) -> None:
    assert spell_numbers(digits) == numeral


@pytest.mark.parametrize(("text", "reading"), golden("zh"))
def test_chinese_is_read_as_a_person_would(text: str, reading: str) -> None:
    assert re.sub(r"\s", "", spoken_zh(text)) == re.sub(r"\s", "", reading)


@pytest.mark.parametrize(("text", "reading"), golden("en"))
def test_english_is_read_as_a_person_would(text: str, reading: str) -> None:
    assert spoken_en(text) == reading


@pytest.mark.parametrize(("language", "spoken"), [("zh", spoken_zh), ("en", spoken_en)])
def test_no_digit_is_left_and_nothing_is_read_twice_in_another_way(language: str, spoken: Callable[[str], str]) -> None:
    for text, _ in golden(language):
        once = spoken(text)
        assert not re.search(r"\d", once)
        assert re.sub(r"\s", "", spoken(once)) == re.sub(r"\s", "", once)


def test_the_golden_texts_are_two_hundred_and_all_different() -> None:
    texts = [text for language in ("zh", "en") for text, _ in golden(language)]
    assert len(set(texts)) == len(texts) >= 200
