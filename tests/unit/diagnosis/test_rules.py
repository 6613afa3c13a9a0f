"""The rule base: what is shipped holds together, and a mistake in it is one line that names where."""

import re
from pathlib import Path

import pytest

from agent.core.errors import ConfigError
from agent.diagnosis.knowledge import load_knowledge
from agent.diagnosis.rules import gravest, matches

KNOWLEDGE = load_knowledge()
GOOD = """
[[causes]]
id = "gnomes"
groups = ["lean"]
points = 1
en = "gnomes"
zh = "地精"
next_en = "feed them"
next_zh = "喂它们"

[[causes.evidence]]
id = "heard"
points = 2
codes = ["P017x"]
en = "they were heard"
zh = "听到了"
"""


def laid_over(text: str, folder: Path) -> None:
    path = folder / "mine.toml"
    path.write_text(text, encoding="utf-8")
    load_knowledge([str(path)])


def test_the_common_codes_of_all_four_letters_are_known() -> None:
    assert len(KNOWLEDGE.codes) >= 120
    assert {code[0] for code in KNOWLEDGE.codes} == set("PCBU")
    for code in ("P0171", "P0300", "P0420", "P0128", "P0A0A", "P0AA6", "U0100", "C0035", "B0001"):
        assert code in KNOWLEDGE.codes


def test_every_code_has_a_cause_and_every_text_is_of_its_language() -> None:
    groups = {group for cause in KNOWLEDGE.causes.values() for group in cause.groups}
    assert {meaning.group for meaning in KNOWLEDGE.codes.values()} == groups
    texts = [(meaning.en, meaning.zh) for meaning in KNOWLEDGE.codes.values()]
    texts += [(repair.en, repair.zh) for repair in KNOWLEDGE.repairs.values()]
    texts += [(limit.en, limit.zh) for limit in KNOWLEDGE.limits.values()]
    for cause in KNOWLEDGE.causes.values():
        texts += [(cause.en, cause.zh), (cause.next_en, cause.next_zh)]
        texts += [(evidence.en, evidence.zh) for evidence in cause.evidence]
    for english, chinese in texts:
        assert not re.search(r"[\u4e00-\u9fff]", english)
        assert re.search(r"[\u4e00-\u9fff]", chinese)


def test_no_two_codes_mean_the_same() -> None:
    for language in ("en", "zh"):
        texts = [getattr(meaning, language) for meaning in KNOWLEDGE.codes.values()]
        assert len(texts) == len(set(texts))


def test_names_are_words_in_both_languages() -> None:
    assert KNOWLEDGE.names("en")["intake_leak"].startswith("air gets in")
    assert "漏气" in KNOWLEDGE.names("zh")["intake_leak"]


def test_a_file_lays_causes_over(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(GOOD, encoding="utf-8")
    whole = load_knowledge([str(path)])
    assert list(whole.causes)[-1] == "gnomes"
    assert len(whole.causes) == len(KNOWLEDGE.causes) + 1


def test_a_file_replaces_a_code(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text('[codes]\nP0171 = { group = "rich", drive = "stop_now", en = "x", zh = "一" }\n', encoding="utf-8")
    assert load_knowledge([str(path)]).codes["P0171"].drive == "stop_now"
    assert KNOWLEDGE.codes["P0171"].drive == "to_a_garage"


@pytest.mark.parametrize(("old", "new", "reason"), [
    ("points = 2", "points = 9", r"mine\.toml:13: causes\.0\.evidence\.0\.points: .*<= 5"),
    ('codes = ["P017x"]', 'codes = ["P1"]', r"mine\.toml:14"),
    ('codes = ["P017x"]', "", "heard: has no condition"),
    ('codes = ["P017x"]', 'frame = "coolant"', "minimum or maximum, and frame or trend, go together"),
    ('codes = ["P017x"]', 'frame = "coolant"\ntrend = "trim_idle"\nminimum = 1.0', "one of them is enough"),
    ('codes = ["P017x"]', 'frame = "coolant"\nminimum = 2.0\nmaximum = 1.0', "minimum 2.0 lies above maximum 1.0"),
    ('codes = ["P017x"]', 'frame = "colant"\nminimum = 2.0', "colant"),
    ('codes = ["P017x"]', 'repairs = ["gnome_house"]', r"mine\.toml:14: .*there is no repair 'gnome_house'"),
    ('"they were heard"', '"they said {value}"', "may hold {value}, where there is a figure"),
    ('groups = ["lean"]', 'groups = ["lean", "gnomish"]', r"no code has the group 'gnomish'"),
    ('id = "heard"', "", r"causes\.0\.evidence\.0: .*missing required field `id`"),
    ("points = 1", "points = 1\nfire = true", r"mine\.toml:6: unknown key causes\.0\.fire"),
])  # fmt: skip
def test_a_mistake_is_named(old: str, new: str, reason: str, tmp_path: Path) -> None:
    assert old in GOOD
    with pytest.raises(ConfigError) as caught:
        laid_over(GOOD.replace(old, new), tmp_path)
    assert re.search(reason.replace("{", r"\{"), str(caught.value)), caught.value
    assert "mine.toml" in str(caught.value)


@pytest.mark.parametrize(("text", "reason"), [
    ('[codes]\nP0171 = { group = "lean", drive = "fly", en = "x", zh = "一" }', r"mine\.toml:2: codes\.P0171: .*'fly'"),
    ('[codes]\nZ0171 = { group = "lean", drive = "go_on", en = "x", zh = "一" }', r"toml:2: .*Z0171 is no trouble"),
    (GOOD + GOOD, "gnomes stands there twice"),
    ("codes = 5", "codes"),
    ("[codes", "not TOML"),
])  # fmt: skip
def test_other_mistakes_are_named(text: str, reason: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        laid_over(text, tmp_path)
    assert re.search(reason, str(caught.value)), caught.value


def test_a_missing_file_is_named() -> None:
    with pytest.raises(ConfigError, match=r"gnomes\.toml"):
        load_knowledge(["gnomes"])


def test_patterns_and_caution() -> None:
    assert matches("P0301", "P030x")
    assert not matches("P0311", "P030x")
    assert not matches("P030", "P030x")
    assert gravest("go_on", "stop_now", "to_a_garage") == "stop_now"
