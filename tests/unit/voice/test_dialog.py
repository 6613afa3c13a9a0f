import pytest

from agent.core.events import Collision
from agent.core.ports import Heard
from agent.voice.dialog import Dialog
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
