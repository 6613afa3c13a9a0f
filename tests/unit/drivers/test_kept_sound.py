"""The sound of a reply is handed on where that is asked for, and only then."""

import numpy as np
import pytest

from drivers.microphone import TypedMicrophone
from simulators.clock import ManualClock
from tests.unit.drivers.test_keyword_microphone import (
    SENTENCE,
    TWO_WORDS,
    WORD,
    FakeCapture,
    FakeInference,
    FakeRecogniser,
    microphone,
)
from tests.unit.drivers.test_keyword_segments import RATE


async def test_a_reply_has_no_sound_unless_it_is_asked_for() -> None:
    heard = await microphone(FakeCapture(WORD), FakeInference("help")).listen(timeout_s=5, language="zh")
    assert heard is not None
    assert heard.sound == b""


async def test_the_sound_is_the_reply_s_and_nothing_else_s() -> None:
    """Of two words the first is no reply: nothing of it is there."""
    capture = FakeCapture(TWO_WORDS)
    all_of_it = capture._data
    heard = await microphone(capture, FakeInference("other", "yes")).listen(timeout_s=8, language="zh", keep_sound=True)
    assert heard is not None
    assert heard.sound in all_of_it
    start_s = all_of_it.index(heard.sound) / 2 / RATE
    end_s = start_s + len(heard.sound) / 2 / RATE
    assert 2.4 < start_s < 3.1, "the second word begins at 3.1 s"
    assert 3.6 < end_s < 4.2, "and ends at 3.6 s"


async def test_a_sentence_that_is_heard_has_its_sound() -> None:
    ears = microphone(FakeCapture(SENTENCE), FakeInference(), FakeRecogniser("brakes squeal"))
    heard = await ears.listen(timeout_s=5, language="en", keep_sound=True)
    assert heard is not None
    assert 2.2 < len(heard.sound) / 2 / RATE < 3.4
    assert np.abs(np.frombuffer(heard.sound, "<i2")).max() > 500
    assert "sound" not in repr(heard), "it comes into no log"


@pytest.mark.parametrize("keep_sound", [False, True])
async def test_what_is_typed_has_none(keep_sound: bool) -> None:  # noqa: FBT001
    typed = TypedMicrophone(ManualClock(), fd=None)
    typed._lines.append("fine")
    heard = await typed.listen(timeout_s=1, language="en", keep_sound=keep_sound)
    assert heard is not None
    assert (heard.text, heard.sound) == ("fine", b"")
