import pytest

from tests.eval.voice import missed

KEPT = {
    "accuracy_zh": 0.95,
    "accuracy_en": 1.0,
    "wrong_en": 0.9,
    "false_accepts_per_hour": 0.5,
    "severe_cancelled": 0,
    "prompt_p95_ms": 300.0,
    "answer_p95_ms": 500.0,
    "voice_rss_mb": 120.0,
}


def test_figures_at_their_bars_miss_none_and_what_was_not_measured_is_not_judged() -> None:
    assert missed(KEPT) == []
    assert missed({}) == []


@pytest.mark.parametrize(
    ("name", "value", "line"),
    [
        ("accuracy_zh", 0.9499, "accuracy_zh 0.9499, at least 0.95"),
        ("accuracy_en", 0.0, "accuracy_en 0, at least 0.95"),
        ("false_accepts_per_hour", 0.51, "false_accepts_per_hour 0.51, at most 0.5"),
        ("severe_cancelled", 1, "severe_cancelled 1, at most 0"),
        ("prompt_p95_ms", 301.0, "prompt_p95_ms 301, at most 300"),
        ("answer_p95_ms", 501.0, "answer_p95_ms 501, at most 500"),
        ("voice_rss_mb", 121.0, "voice_rss_mb 121, at most 120"),
    ],
)
def test_a_bar_that_is_missed_is_named_with_its_figure(name: str, value: float, line: str) -> None:
    assert missed({**KEPT, name: value}) == [line]
