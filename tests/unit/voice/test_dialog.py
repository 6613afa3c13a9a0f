import pytest

from agent.core.events import Collision, Feedback
from agent.core.ports import Heard, Language
from agent.voice.dialog import Dialog, Turn
from agent.voice.prompts import Phrases

COLLISION = Collision(t_ns=3, delta_v_kmh=9, duration_ms=90, peak_mps2=60, stationary=False, severity="minor")


@pytest.fixture
def dialog(phrases: Phrases) -> Dialog:
    return Dialog(phrases.languages["zh"].questions["all_right"], about=COLLISION, language="zh")


def test_an_answer_becomes_feedback_with_the_words_that_were_said(dialog: Dialog) -> None:
    turn = dialog.hear(Heard("我没事", 0.8), asked_ns=5, t_ns=9)
    assert turn.feedback is not None
    assert (turn.feedback.question, turn.feedback.about, turn.feedback.intent) == ("all_right", "collision", "fine")
    assert (turn.feedback.transcript, turn.feedback.confidence, turn.feedback.language) == ("我没事", 0.8, "zh")
    assert (turn.feedback.asked_ns, turn.feedback.t_ns, turn.feedback.about_ns) == (5, 9, 3)
    assert turn.text.startswith("那就好")


def test_silence_is_a_certain_answer_and_deafness_is_none(dialog: Dialog) -> None:
    silent = dialog.hear(None, asked_ns=0, t_ns=1).feedback
    deaf = dialog.deaf(asked_ns=0, t_ns=1).feedback
    assert silent is not None
    assert deaf is not None
    assert (silent.intent, silent.confidence) == ("none", 1.0)
    assert (deaf.intent, deaf.confidence) == ("none", 0.0)


def test_what_is_not_understood_is_asked_once_more_and_then_kept_word_for_word(dialog: Dialog) -> None:
    first = dialog.hear(Heard("嗒嗒嗒", 0.9), asked_ns=0, t_ns=1)
    assert first.feedback is None
    assert first.text.startswith("我没听明白")
    second = dialog.hear(Heard("嘀嘀", 0.9), asked_ns=2, t_ns=3)
    assert second.feedback is not None
    assert (second.feedback.intent, second.feedback.transcript, second.feedback.confidence) == ("unclear", "嘀嘀", 0.0)


def test_a_broken_terminal_gives_text_that_can_be_encoded(dialog: Dialog) -> None:
    turn = dialog.hear(Heard("没事\udcff" + "啊" * 10_000, float("nan")), asked_ns=0, t_ns=1)
    assert turn.feedback is not None
    assert turn.feedback.transcript.encode("utf-8").startswith("没事?".encode())
    assert len(turn.feedback.transcript) == 500
    assert turn.feedback.confidence == 0.0


def severe(phrases: Phrases, language: Language, *, may_silence: bool = False) -> Dialog:
    question = phrases.languages[language].questions["all_right_severe"]
    return Dialog(question, about=COLLISION, language=language, may_silence=may_silence)


def put(dialog: Dialog, *said: str | Heard | None) -> list[Turn]:
    """Say one thing after the other; a text is heard at 0.9."""
    heard = [Heard(one, 0.9) if isinstance(one, str) else one for one in said]
    return [dialog.hear(one, asked_ns=10 * place, t_ns=10 * place + 5) for place, one in enumerate(heard)]


def outcome(dialog: Dialog, *said: str | Heard | None) -> Feedback:
    """What came of it; only the last thing said ends the talk."""
    *before, last = put(dialog, *said)
    assert [turn.feedback for turn in before] == [None] * len(before)
    assert last.feedback is not None
    return last.feedback


@pytest.mark.parametrize(
    ("language", "first", "second", "intent", "asked_back"),
    [
        ("zh", "没事", "没事", "fine", "您说您没事，对吗？"),
        ("zh", "没事", "是的", "fine", "您说您没事，对吗？"),
        ("zh", "没事", "没错", "fine", "您说您没事，对吗？"),
        ("zh", "没事", "没有撞", "fine", "您说您没事，对吗？"),
        ("zh", "没有撞", "没有撞", "false_alarm", "您说没出事，对吗？"),
        ("zh", "误报", "对", "false_alarm", "您说没出事，对吗？"),
        ("en", "I'm fine", "fine", "fine", "You said you are fine. Is that right?"),
        ("en", "I'm fine", "that's correct", "fine", "You said you are fine. Is that right?"),
        ("en", "false alarm", "yes", "false_alarm", "You said there was no accident. Is that right?"),
        ("en", "false alarm", "right, no accident", "false_alarm", "You said there was no accident. Is that right?"),
    ],
)
def test_what_is_asked_back_counts_as_first_said_once_it_is_heard_again(
    phrases: Phrases, language: Language, first: str, second: str, intent: str, asked_back: str
) -> None:
    back, end = put(severe(phrases, language), first, second)
    assert (back.text, back.feedback, back.follow_up) == (asked_back, None, None)
    assert end.feedback is not None
    assert (end.feedback.intent, end.feedback.transcript) == (intent, f"{first} / {second}")
    assert (end.feedback.asked_ns, end.feedback.t_ns) == (10, 15)
    assert (end.follow_up is not None) == (intent == "fine")
    assert end.text == phrases.languages[language].questions["all_right_severe"].replies[intent]


def test_the_lesser_confidence_counts_whichever_it_is(phrases: Phrases) -> None:
    assert outcome(severe(phrases, "en"), Heard("fine", 0.6), Heard("fine", 0.9)).confidence == 0.6
    assert outcome(severe(phrases, "en"), Heard("fine", 0.9), Heard("yes", 0.9)).confidence == 0.63, "a weak word"


@pytest.mark.parametrize(
    ("language", "said", "transcript"),
    [
        ("zh", ["没事", None], "没事"),
        ("zh", ["没有撞", None], "没有撞"),
        ("zh", ["没事", "嗒嗒嗒"], "没事 / 嗒嗒嗒"),
        ("zh", ["嗒嗒嗒", "没事", "嗒嗒"], "没事 / 嗒嗒"),
        ("zh", ["没事", "取消"], "没事 / 取消"),
        ("zh", ["没有撞", "不，你搞错了"], "没有撞 / 不，你搞错了"),
        ("zh", ["没事", "不我要救护车"], "没事 / 不我要救护车"),
        ("zh", ["没事", "谁说我没事"], "没事 / 谁说我没事"),
        ("en", ["I'm fine", None], "I'm fine"),
        ("en", ["I'm fine", "blah"], "I'm fine / blah"),
        ("en", ["I'm fine", "no I said help"], "I'm fine / no I said help"),
        ("en", ["false alarm", "you are wrong"], "false alarm / you are wrong"),
    ],
)
def test_what_is_not_confirmed_is_unclear_and_kept(
    phrases: Phrases, language: Language, said: list[str | None], transcript: str
) -> None:
    dialog = severe(phrases, language)
    feedback = outcome(dialog, *said)
    assert (feedback.intent, feedback.transcript, feedback.confidence) == ("unclear", transcript, 0.0)
    question = phrases.languages[language].questions["all_right_severe"]
    assert put(severe(phrases, language), *said)[-1].text == question.replies["unclear"]


@pytest.mark.parametrize(
    ("language", "second", "intent"),
    [
        ("zh", "不", "help"),
        ("zh", "救命", "help"),
        ("zh", "叫拖车", "garage"),
        ("en", "no", "help"),
        ("en", "call an ambulance", "help"),
        ("en", "garage", "garage"),
    ],
)
def test_who_says_something_else_then_has_said_that(
    phrases: Phrases, language: Language, second: str, intent: str
) -> None:
    calm = {"zh": "没事", "en": "I'm fine"}[language]
    feedback = outcome(severe(phrases, language), calm, second)
    alone = outcome(severe(phrases, language), second)
    assert (feedback.intent, feedback.transcript, feedback.confidence) == (intent, second, alone.confidence)


def test_who_wants_to_be_asked_no_more_is_heeded_then_too(phrases: Phrases) -> None:
    for said, intent in (
        (["I'm fine", "stop asking"], "stop_asking"),
        (["I'm fine, stop asking me", "yes"], "fine"),
        (["I'm fine, stop asking me", None], "unclear"),
        (["I'm fine", "help, and stop asking me"], "help"),
    ):
        last = put(severe(phrases, "en", may_silence=True), *said)[-1]
        assert last.feedback is not None
        assert (last.feedback.intent, last.stop, last.follow_up) == (intent, True, None)
        assert last.text.endswith("I will not ask you about this again.")


def test_a_microphone_that_falls_silent_confirms_nothing(phrases: Phrases) -> None:
    dialog = severe(phrases, "zh")
    put(dialog, "没事")
    feedback = dialog.deaf(asked_ns=2, t_ns=3).feedback
    assert feedback is not None
    assert (feedback.intent, feedback.transcript, feedback.confidence) == ("none", "", 0.0)


def test_both_things_said_fit_into_one_transcript(phrases: Phrases) -> None:
    feedback = outcome(severe(phrases, "zh"), "没事" + "啊" * 600, "没事" + "啊" * 600)
    assert (feedback.intent, len(feedback.transcript)) == ("fine", 500)


def test_only_a_severe_question_asks_back(phrases: Phrases) -> None:
    asked_back = {
        name: set(question.confirms)
        for book in phrases.languages.values()
        for name, question in book.questions.items()
        if question.confirms
    }
    assert asked_back == {"all_right_severe": {"fine", "false_alarm"}}
