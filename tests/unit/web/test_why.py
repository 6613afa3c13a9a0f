from typing import Any

import pytest

from agent.core.paths import PAGE
from agent.core.words import load_words
from agent.web.frame import word
from agent.web.why import find_reasons

GOOD: dict[str, Any] = {
    "sources": {"can0": {"frames": 10}},
    "frames": 10,
    "decoded": 10,
    "samples": 20,
    "store": {"dropped": 0, "shed": 0},
    "clock_synced": True,
    "link": {"published": 3, "trouble": ""},
    "waiting": 0,
}
AGREED = [{"in_force": True, "withheld": 0}]


def test_nothing_is_wrong_where_all_is_well() -> None:
    assert find_reasons(GOOD, AGREED) == []


@pytest.mark.parametrize(
    ("change", "key"),
    [
        ({"sources": {}}, "no_source"),
        ({"frames": 0, "samples": 0}, "silent"),
        ({"decoded": 0}, "unknown_car"),
        ({"store": {"dropped": 1, "shed": 2}}, "full"),
        ({"voice": {"speaker_outages": 1, "speaker_trouble": "no card"}}, "speaker"),
        ({"voice": {"microphone_trouble": "no card"}}, "microphone"),
        ({"clock_synced": False}, "no_clock"),
        ({"link": {}}, "no_insurer"),
        ({"link": {"trouble": "no route"}, "waiting": 4}, "offline"),
        ({"waiting": 4}, "on_the_way"),
    ],
)
def test_each_reason_is_told_in_both_languages(change: dict[str, Any], key: str) -> None:
    (reason,) = find_reasons(GOOD | change, AGREED)
    assert reason.key == key
    for language in ("zh", "en"):
        text = word(f"why_{key}", language, **reason.places)
        assert "{" not in text
        assert text != f"why_{key}"


def test_consent_is_named_as_a_reason() -> None:
    reasons = find_reasons(GOOD, [{"in_force": False, "withheld": 7}])
    assert [reason.key for reason in reasons] == ["no_consent", "withheld"]
    assert reasons[1].places == {"count": 7}


def test_both_languages_have_the_same_words_with_the_same_places() -> None:
    ours, theirs = load_words(PAGE, "zh"), load_words(PAGE, "en")
    assert list(ours) == list(theirs)
    for key, text in ours.items():
        places = {part.split("}")[0] for part in text.split("{")[1:]}
        assert places == {part.split("}")[0] for part in theirs[key].split("{")[1:]}, key
