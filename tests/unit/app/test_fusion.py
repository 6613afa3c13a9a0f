"""What an answer of the driver's carries of the car around it: bounded, and the same however samples come."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import msgspec
import numpy as np
import pytest

from agent.core import vss
from agent.core.config import Telemetry
from agent.core.event_base import Event
from agent.core.events import BatteryAlarm, Diagnosis, Feedback, HarshDriving, TroubleCodes
from agent.core.records import Position, encode_event
from agent.core.signals import EMPTY_SERIES, Series
from agent.fusion import CODES_MAX, EARLIER_MAX, Fusion
from agent.privacy.agreed import Agreed
from agent.voice.free_words import FreeWords, load_free_words

S = 10**9
ALL = Agreed(frozenset({"rights", "feedback", "service", "safety", "ubi_score", "claims", "diagnostics"}), {})
ANSWER = Feedback(
    t_ns=100 * S, question="charge", about="charge_session", about_ns=90 * S, intent="bad",
    transcript="刹车有异响，很不满意", confidence=0.9, language="zh", asked_ns=98 * S,
)  # fmt: skip


@pytest.fixture(scope="module")
def words() -> FreeWords:
    return load_free_words()


@dataclass
class Window:
    """Samples of the speed."""

    t_ns: int
    series: dict[str, Series] = field(default_factory=dict)

    def paths(self) -> list[str]:
        return list(self.series)

    def new(self, path: str) -> Series:
        return self.series.get(path, EMPTY_SERIES)

    def recent(self, path: str, seconds: float) -> Series:
        series = self.new(path)
        inside = series.t_ns > self.t_ns - seconds * S
        return Series(series.t_ns[inside], series.value[inside])

    def latest(self, path: str) -> float | None:
        return float(self.new(path).value[-1])


def fusion(words: FreeWords, *, agreed: Agreed = ALL, trends: Mapping[str, float] | None = None, **how: Any) -> Fusion:
    return Fusion(
        Telemetry().signals,
        words,
        trends=lambda: trends or {},
        agreed=lambda: agreed,
        ticket_of=how.get("ticket_of", lambda _: 0),
        open_tickets=how.get("open_tickets", list),
    )


def feed(made: Fusion, t_s: np.ndarray[Any, Any], values: np.ndarray[Any, Any], *, size: int) -> None:
    for first in range(0, len(t_s), size):
        end = min(first + size, len(t_s))
        series = Series((t_s[:end] * S).astype(np.int64), values[:end])
        made.on_window(Window(int(series.t_ns[-1]), {vss.SPEED: series}))


def completed(made: Fusion, event: Feedback = ANSWER) -> Feedback:
    told = made.complete(event)
    assert isinstance(told, Feedback)
    return told


@pytest.mark.parametrize("size", [1, 7, 40])
def test_signals_are_summed_up_over_the_minute_before(words: FreeWords, size: int) -> None:
    made = fusion(words)
    t_s = np.arange(0, 100.95, 0.1)
    feed(made, t_s, np.where(t_s < 30, 120.0, np.floor(t_s)), size=size)
    told = completed(made)
    assert told.signals == [vss.SPEED]
    least, mean, most, last = told.signal_values
    assert (least, most, last) == (39.0, 98.0, 98.0), "whole seconds; what was faster is more than a minute ago"
    assert mean == pytest.approx(68.5, abs=0.01)


def test_what_was_said_is_read_once_more_as_free_words(words: FreeWords) -> None:
    told = completed(fusion(words))
    assert (told.topic, told.sentiment, told.urgency, told.wish) == ("brake_noise", "negative", "soon", "report")
    silent = completed(fusion(words), msgspec.structs.replace(ANSWER, transcript=""))
    assert (silent.topic, silent.sentiment, silent.urgency, silent.wish) == ("", "", "", "")


def test_codes_trends_diagnosis_and_tickets_come_along(words: FreeWords) -> None:
    made = fusion(words, trends={"trim_idle": 8.12345}, ticket_of=lambda _: 4, open_tickets=lambda: [7, 4])
    made.on_event(
        TroubleCodes(
            t_ns=50 * S, source="dongle", stored=["P0171"], pending=["P0300", "P0171"], permanent=[], added=[], gone=[],
            after_restart=False, frozen="", frame_signals=[], frame_values=[],
        )
    )  # fmt: skip
    made.on_event(
        Diagnosis(
            t_ns=51 * S, codes=["P0171"], confirmed=True, drive="go_on", causes=["a", "b", "c", "d"],
            points=[4, 3, 2, 1], evidence_of=[], evidence=[], evidence_points=[], evidence_values=[], limits=[],
        )
    )  # fmt: skip
    told = completed(made)
    assert told.codes == ["P0171", "P0300"]
    assert (told.trends, told.trend_values) == (["trim_idle"], [8.123])
    assert (told.causes, told.diagnosis_ns) == (["a", "b", "c"], 51 * S)
    assert (told.ticket, told.tickets) == (4, [7])
    assert told.earlier == ["trouble_codes", "diagnosis"]
    assert told.earlier_ns == [50 * S, 51 * S]


def test_of_events_that_nobody_agreed_to_an_answer_tells_nothing(words: FreeWords) -> None:
    made = fusion(words, agreed=Agreed(frozenset({"rights", "feedback", "service"}), {}))
    made.on_event(HarshDriving(t_ns=60 * S, maneuver="braking", peak_mps2=6.0, duration_s=1.0))
    assert completed(made).earlier == []


def test_what_is_long_over_or_what_was_asked_about_is_no_earlier_event(words: FreeWords) -> None:
    made = fusion(words)
    old = BatteryAlarm(t_ns=1, alarm="insulation", level=1, value=0, limit=0, unit="ohm/V")
    for event in (old, msgspec.structs.replace(old, t_ns=90 * S)):
        made.on_event(event)
    late = msgspec.structs.replace(ANSWER, t_ns=3601 * S, about="battery_alarm")
    assert completed(made, late).earlier == []


def test_other_events_pass_untouched(words: FreeWords) -> None:
    event: Event = HarshDriving(t_ns=1, maneuver="braking", peak_mps2=6.0, duration_s=1.0)
    assert fusion(words).complete(event) is event


def test_the_longest_answer_has_at_most_4_kb(words: FreeWords) -> None:
    trends = {f"{'trend_of_something' * 2}_{n}": 123456.789 for n in range(40)}
    made = fusion(words, trends=trends, ticket_of=lambda _: 2**31 - 1, open_tickets=lambda: [2**31 - 2] * 99)
    t_s = np.arange(0, 100, 0.5)
    series = Series((t_s * S).astype(np.int64), np.full(len(t_s), 123.456))
    made.on_window(Window(100 * S, {signal.path: series for signal in Telemetry().signals}))
    codes = [f"P{n:04X}-AF" for n in range(99)]
    made.on_event(
        TroubleCodes(
            t_ns=50 * S, source="dongle", stored=codes, pending=codes, permanent=codes, added=[], gone=[],
            after_restart=False, frozen="", frame_signals=[], frame_values=[],
        )
    )  # fmt: skip
    for n in range(99):
        made.on_event(BatteryAlarm(t_ns=50 * S + n, alarm="insulation", level=1, value=0, limit=0, unit="ohm/V"))
    told = completed(made, msgspec.structs.replace(ANSWER, transcript="响" * 500))
    assert len(told.codes) == CODES_MAX
    assert len(told.earlier) == EARLIER_MAX
    size = len(encode_event(told, position=Position(1, 1), wall_offset_ns=10**18, agent_version="0.1.0"))
    assert size <= 4096, size
