from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.core.errors import ConfigError
from agent.core.paths import CONSENT
from agent.core.ports import Language
from agent.voice.consent_words import PURPOSES, ConsentWish, load_consent_words
from drivers.keyword_replies import load_keywords
from models.keyword_talk import chatter
from simulators.voices import Part
from tests.eval import free_words
from tests.unit.voice import utterances, utterances_charge

WORDS = load_consent_words()
ALL = PURPOSES
OTHERS = tuple(purpose for purpose in PURPOSES if purpose != "claims")
BOTH = pytest.mark.parametrize("language", ["zh", "en"])


@pytest.mark.parametrize(
    ("text", "purposes"),
    [
        ("撤回驾驶评分的同意", ("ubi_score",)),
        ("我要撤回对驾驶评分的同意。", ("ubi_score",)),
        ("请帮我把驾驶评分关了，我不再同意驾驶评分", ("ubi_score",)),
        ("关掉驾驶评分", ("ubi_score",)),
        ("别再上传我的数据", ALL),
        ("能不能别再收集我的数据了", ALL),
        ("不要再上传任何东西了", ALL),
        ("我全部不同意了", ALL),
        ("撤销所有授权", ALL),
        ("停止收集保养数据", ("service",)),
        ("不许收集我的驾驶习惯和设备诊断", ("ubi_score", "diagnostics")),
        ("别录音", ("feedback", "audio")),
        ("不要把我说的话发出去", ("feedback", "audio")),
        ("别上传我的回答", ("feedback", "audio")),
        ("撤回录音的同意", ("audio",)),
        ("请撤回对回答的录音的同意", ("audio",)),
        ("别保存我的声音", ("audio",)),
        ("除了录音，别的全都撤回同意", tuple(purpose for purpose in ALL if purpose not in ("feedback", "audio"))),
        ("除了理赔，别的全都撤回同意", OTHERS),
        ("除理赔以外的数据都别再上传", OTHERS),
        ("驾驶评分，我要撤回同意", ("ubi_score",)),
        ("撤回驾驶评分的同意，理赔的保留", ("ubi_score",)),
        ("撤回全部同意，理赔的保留", OTHERS),
        ("撤回同意，理赔的继续", ()),
        ("我要撤回同意", ()),
        ("停止上传", ()),
        ("withdraw my consent to the driving score", ("ubi_score",)),
        ("I no longer agree to maintenance and service", ("service",)),
        ("Please stop sending my data.", ALL),
        ("stop collecting anything", ALL),
        ("Revoke all consents", ALL),
        ("I'd like to take my consent back for the battery safety", ("safety",)),
        ("don't record what I say", ("feedback", "audio")),
        ("stop recording", ("feedback", "audio")),
        ("don't send my answers", ("feedback", "audio")),
        ("withdraw my consent to the sound of my answers", ("audio",)),
        ("I withdraw my consent to recording", ("audio",)),
        ("please stop keeping my voice", ("audio",)),
        ("opt out of everything except claims", OTHERS),
        ("Turn off the driving score, keep the claims", ("ubi_score",)),
        ("withdraw consent", ()),
        ("不要停止上传理赔但是停止上传驾驶评分", ("ubi_score",)),
        ("撤回驾驶评分的同意但理赔保留", ("ubi_score",)),
        ("停止上传驾驶评分并保留我的回答", ()),
        ("我不同意上传我的驾驶评分", ("ubi_score",)),
        ("不许录音", ("feedback", "audio")),
        ("keep sending my answers but stop sending my driving score", ("ubi_score",)),
        ("stop sending my driving score but not my answers", ("ubi_score",)),
        ("stop sending my driving score and keep my answers", ()),
        ("stop sending everything and keep the claims", ()),
        ("stop sending everything but keep the claims", OTHERS),
        ("stop sending all my data but not the claims", OTHERS),
        ("stop sending all my data but the claims", OTHERS),
        ("撤回全部同意但理赔可以", OTHERS),
        ("stop recording how I drive", ("ubi_score", "feedback", "audio")),
        ("why don't you stop sending my data", ALL),
        ("把驾驶评分的同意撤回来", ("ubi_score",)),
        ("驾驶评分的授权取消掉", ("ubi_score",)),
        ("请把所有授权都取消", ALL),
        ("把我的同意都撤回", ALL),
        ("以后不要再传我的数据", ALL),
        ("不准记录我的驾驶习惯", ("ubi_score",)),
        ("I don't want you to send my data", ALL),
        ("I do not want my data collected", ALL),
        ("I don't want to be recorded", ("feedback", "audio")),
    ],
)
def test_what_is_taken_back(text: str, purposes: tuple[str, ...]) -> None:
    assert WORDS.read(text, _language(text)) == ConsentWish("take_back", purposes)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "text",
    [
        "我同意了什么",
        "你在上传什么？",
        "你收集了什么数据",
        "你都收集我的哪些数据",
        "What did I agree to?",
        "what data are you collecting",
        "which consents do you have",
    ],
)
def test_he_may_ask_what_he_agreed_to(text: str) -> None:
    assert WORDS.read(text, _language(text)) == ConsentWish("tell")


@pytest.mark.parametrize(
    "text",
    [
        "不要撤回同意",
        "我不想撤回驾驶评分的同意",
        "我没有要撤回所有同意",
        "怎么撤回同意",
        "如果我撤回全部同意会怎么样",
        "什么时候可以撤回驾驶评分的同意",
        "好的，我同意",
        "我同意驾驶评分",
        "别再问我了",
        "别把我的车刮花了",
        "保险公司不再理我",
        "评分太低了",
        "取消预约",
        "你们停止上传我的数据了吗",
        "停止录音是什么意思",
        "谁让你停止录音的",
        "行车记录仪停止录音了",
        "我不同意停止上传",
        "我可以撤回驾驶评分的同意吗",
        "我在考虑要不要撤回所有同意",
        "我没有说过让你们停止上传我的数据",
        "我从来没有要求过你们停止上传我的数据",
        "我同意取消预约",
        "别把驾驶评分的同意取消",
        "不要让驾驶评分的授权被取消",
        "你们的同意书我没收到",
        "I don't want to withdraw my consent",
        "I don't want to stop sending my data",
        "I wouldn't stop sending my data",
        "it isn't that I want you to stop sending my data",
        "there is no reason to stop sending my data",
        "I have no intention to withdraw all consents",
        "you can't stop recording now",
        "did you stop recording",
        "when will you stop recording",
        "can I withdraw my consent to the driving score",
        "I never told you that you should at some point stop sending my data",
        "maybe I should stop sharing my data",
        "the dash cam should stop recording",
        "please never revoke my consent to claims",
        "how do I withdraw my consent?",
        "what happens if I withdraw all consents",
        "stop asking",
        "stop sending me messages",
        "I agree to the driving score",
        "my driving score is too low",
        "cancel the appointment",
        "",
    ],
)
def test_anything_less_changes_nothing(text: str) -> None:
    assert WORDS.read(text, _language(text)) is None


@BOTH
def test_nothing_that_is_said_of_other_things_takes_anything_back(language: Language) -> None:
    replies = load_keywords()[language].replies.values()
    said = [wording for reply in replies for wording in reply.wordings]
    said += [text for text, _ in free_words.sentences(language)]
    parts: tuple[Part, ...] = ("training", "validation")
    for part in parts:
        said += [*chatter(language, part, "words"), *chatter(language, part, "sentences")]
    written = (*utterances.WRITTEN_FIRST, *utterances.FRESH, *utterances_charge.CHARGE)
    said += [words for spoken, _, words, _ in written if spoken == language]
    assert len(said) > 500
    assert [text for text in said if WORDS.read(text, language)] == []


@BOTH
@given(text=st.text(max_size=700))
def test_any_text_can_be_read(language: Language, text: str) -> None:
    wish = WORDS.read(text, language)
    assert wish is None or set(wish.purposes) <= set(PURPOSES)


def test_a_list_that_is_missing_is_named(tmp_path: Path) -> None:
    path = tmp_path / "spoken.toml"
    path.write_text((CONSENT / "spoken.toml").read_text(encoding="utf-8").replace("[purposes.safety]", "[purposes.x]"))
    with pytest.raises(ConfigError, match=r"spoken\.toml.*purposes"):
        load_consent_words(path)


def _language(text: str) -> Language:
    return "en" if text.isascii() else "zh"
