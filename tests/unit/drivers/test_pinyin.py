import os
import subprocess
import sys
from typing import Final

import pytest

from agent.core.paths import PROMPTS, ROOT
from agent.diagnosis.knowledge import load_knowledge
from agent.voice.prompts import load_phrases
from drivers.pinyin import to_pinyin


@pytest.mark.parametrize(
    ("text", "pinyin"),
    [
        ("您好", "nin2 hao3"),
        ("您还好吗？", "nin2 hai2 hao3 ma5?"),
        ("不用，绿色。", "bu2 yong4, lv4 se4."),
        ("第5号电芯温度56度！", "di4 wu3 hao4 dian4 xin1 wen1 du4 wu3 shi2 liu4 du4!"),
        ("一路平稳，慢一点，第一次，21度", "yi2 lu4 ping2 wen3, man4 yi4 dian3, di4 yi1 ci4, er4 shi2 yi1 du4"),
        ("1.5伏，唯一", "yi1 dian3 wu3 fu2, wei2 yi1"),
        ("着火了，有空更新，刹得急", "zhao2 huo3 le5, you3 kong4 geng1 xin1, sha1 de5 ji2"),
        ("打开ABC", "da3 kai1 A B C"),
        ("故障码P0301", "gu4 zhang4 ma3 P ling2 san1 ling2 yao1"),
        ("\U00020000不是", "\U00020000 bu2 shi4"),
        ("", ""),
    ],
)
def test_chinese_becomes_toned_syllables(text: str, pinyin: str) -> None:
    assert to_pinyin(text) == pinyin


# Where we differ from the dictionary on purpose: the complement 得 and the tones that depend on what follows.
OURS: Final = {"de2": "de5", "bu2": "bu4", "yi2": "yi1", "yi4": "yi1"}
ORACLE: Final = """
import sys
from pypinyin import Style, lazy_pinyin
for line in sys.stdin.read().splitlines():
    print(" ".join(lazy_pinyin(line, style=Style.TONE3, neutral_tone_with_five=True)))
"""


def test_the_shipped_phrases_sound_as_the_full_dictionary_has_them() -> None:
    book = load_phrases(PROMPTS).languages["zh"]
    texts = [text for spec in book.prompts.values() for text in (spec.text, spec.unsent) if text]
    for question in book.questions.values():
        texts += [question.text, question.again, *question.replies.values(), *question.unsent.values()]
        texts += question.confirms.values()
    texts += [cause.zh for cause in load_knowledge().causes.values()]  # spoken within a prompt
    environment = {name: value for name, value in os.environ.items() if name != "PYPINYIN_NO_PHRASES"}
    oracle = subprocess.run(
        [sys.executable, "-c", ORACLE],
        input="\n".join(texts),
        capture_output=True,
        text=True,
        check=True,
        cwd=ROOT,
        env=environment | {"PYTHONUTF8": "1"},
    )
    for text, dictionary in zip(texts, oracle.stdout.splitlines(), strict=True):
        assert _syllables(to_pinyin(text)) == _syllables(dictionary), text


def _syllables(pinyin: str) -> list[str]:
    words = "".join(character if character.isalnum() else " " for character in pinyin).split()
    return [OURS.get(word, word) for word in words if word[-1].isdigit()]
