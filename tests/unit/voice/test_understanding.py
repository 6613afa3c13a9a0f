import pytest

from agent.core.ports import Language
from agent.voice.prompts import Phrases
from agent.voice.understanding import Answer, Grammar, compile_lexicon, understand
from tests.unit.voice.utterances import FRESH, WRITTEN_FIRST
from tests.unit.voice.utterances_charge import CHARGE

HURT: list[tuple[Language, str, str | None]] = [
    ("zh", "没事", "fine"),
    ("zh", "我没事，谢谢！", "fine"),
    ("zh", "还好", "fine"),
    ("zh", "好", "fine"),
    ("zh", "不好", "help"),
    ("zh", "不太好", "help"),
    ("zh", "我不是没事", "help"),
    ("zh", "没有受伤", "fine"),
    ("zh", "没有人受伤或者流血", "fine"),
    ("zh", "不用帮忙", "fine"),
    ("zh", "没有，我很好", "fine"),
    ("zh", "没事但是头很疼", "help"),
    ("zh", "好疼", "help"),
    ("zh", "动不了", "help"),
    ("zh", "救命", "help"),
    ("zh", "不", "help"),
    ("zh", "不好意思", None),
    ("zh", "不知道", None),
    ("zh", "今天星期几", None),
    ("en", "I'm fine", "fine"),
    ("en", "not fine", "help"),
    ("en", "no help needed", "fine"),
    ("en", "I don\u2019t need any help", "fine"),
    ("en", "No, I'm fine.", "fine"),
    ("en", "nobody is hurt", "fine"),
    ("en", "not hurt or bleeding", "fine"),
    ("en", "not bad", "fine"),
    ("en", "I do not think I am fine", "help"),
    ("en", "it did not stop and I need help", "help"),
    ("en", "it did not stop for us at all I need help", "help"),
    ("en", "fine, but my leg hurts", "help"),
    ("en", "I can't breathe", "help"),
    ("en", "no", "help"),
    ("en", "Yes", "fine"),
    ("en", "no but yes", "help"),
    ("en", "I am not sure", None),
    ("en", "", None),
]
RESCUE: list[tuple[Language, str, str | None]] = [
    ("zh", "要", "yes"),
    ("zh", "不要", "no"),
    ("zh", "需要", "yes"),
    ("zh", "不需要", "no"),
    ("zh", "先不要", "no"),
    ("zh", "不用了，谢谢", "no"),
    ("zh", "请叫拖车", "yes"),
    ("zh", "好的", "yes"),
    ("en", "yes please", "yes"),
    ("en", "no thanks", "no"),
    ("en", "I don't need it", "no"),
    ("en", "send someone", "yes"),
    ("en", "no", "no"),
]


@pytest.mark.parametrize(("language", "text", "intent"), HURT)
def test_are_you_all_right(phrases: Phrases, language: Language, text: str, intent: str | None) -> None:
    lexicon = phrases.languages[language].questions["all_right"].lexicon
    assert understand(text, lexicon).intent == intent


@pytest.mark.parametrize(("language", "text", "intent"), RESCUE)
def test_do_you_need_rescue(phrases: Phrases, language: Language, text: str, intent: str | None) -> None:
    lexicon = phrases.languages[language].questions["rescue"].lexicon
    assert understand(text, lexicon).intent == intent


def test_clear_words_weigh_more_than_weak_and_contradictory_ones(phrases: Phrases) -> None:
    lexicon = phrases.languages["zh"].questions["all_right"].lexicon
    clear, weak, mixed = (understand(text, lexicon).confidence for text in ("没事", "好", "没事但是头很疼"))
    assert clear > weak > mixed > understand("今天星期几", lexicon).confidence == 0


def test_a_negated_answer_speaks_for_none_of_three_others() -> None:
    grammar = Grammar(negations=["not"], joins=[], breaks=[], neutral=[])
    answers = {name: Answer(words=[name], reply="-") for name in ("red", "green", "blue")}
    lexicon = compile_lexicon(answers, grammar)
    assert understand("not red", lexicon).intent is None
    assert understand("not red, blue", lexicon).intent == "blue"


def test_an_answer_of_several_may_name_what_its_negation_means() -> None:
    grammar = Grammar(negations=["not"], joins=[], breaks=[], neutral=[])
    answers = {
        "hurt": Answer(words=["hurt"], opposite="well", reply="-"),
        "well": Answer(words=["well"], opposite="hurt", reply="-"),
        "pothole": Answer(words=["pothole"], reply="-"),
    }
    lexicon = compile_lexicon(answers, grammar)
    heard = {text: understand(text, lexicon).intent for text in ("not hurt", "not well", "not pothole")}
    assert heard == {"not hurt": "well", "not well": "hurt", "not pothole": None}
    with pytest.raises(ValueError, match="'hurt' is no opposite of 'hurt'"):
        compile_lexicon({"hurt": Answer(words=["hurt"], opposite="hurt", reply="-")}, grammar)


@pytest.mark.parametrize("language", ["zh", "en"])
def test_what_people_say_after_a_crash_is_understood(phrases: Phrases, language: Language) -> None:
    """One in fifty may be missed, but no cry for help, and none may be made of what is none."""
    questions = phrases.languages[language].questions
    said = [case for case in (*WRITTEN_FIRST, *FRESH) if case[0] == language]
    assert len(said) >= 100
    missed = [
        (text, intent, found)
        for _, question, text, intent in said
        if (found := understand(text, questions[question].lexicon).intent) != intent
    ]
    assert not [case for case in missed if "help" in case[1:]]
    assert len(missed) <= len(said) / 50, missed


@pytest.mark.parametrize("language", ["zh", "en"])
def test_what_people_say_about_a_charge_is_understood(phrases: Phrases, language: Language) -> None:
    """One in twenty may be missed, but no heat at a plug, and none may be made of what is none."""
    questions = phrases.languages[language].questions
    said = [case for case in CHARGE if case[0] == language]
    assert len(said) >= 70
    missed = [
        (text, intent, found)
        for _, question, text, intent in said
        if (found := understand(text, questions[question].lexicon).intent) != intent
    ]
    assert not [case for case in missed if "hot" in case[1:]]
    assert len(missed) <= len(said) / 20, missed
