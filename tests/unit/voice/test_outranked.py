from typing import Final, Literal

import pytest

from agent.core.events import Collision, Event, Rollover
from agent.voice.outranked import Outranked

S: Final = 10**9


def hit(t_s: float, severity: Literal["minor", "moderate", "severe"], *, confidence: float = 1.0) -> Collision:
    return Collision(
        t_ns=round(t_s * S),
        delta_v_kmh=20,
        duration_ms=90,
        peak_mps2=90,
        stationary=False,
        severity=severity,
        confidence=confidence,
    )


@pytest.mark.parametrize(
    ("first", "second", "silenced"),
    [
        (hit(0, "moderate"), hit(3, "moderate"), "second"),
        (hit(0, "moderate"), hit(3, "minor"), "second"),
        (hit(0, "moderate"), hit(3, "severe"), "first"),
        (hit(0, "minor"), hit(3, "moderate", confidence=0.3), "second"),
        (hit(0, "minor"), hit(3, "moderate"), "first"),
        (hit(0, "minor"), Rollover(t_ns=4 * S), "first"),
        (hit(0, "severe"), Rollover(t_ns=12 * S), "second"),
        (Rollover(t_ns=0), hit(9, "severe"), "second"),
        (hit(0, "moderate"), hit(6, "moderate"), None),
        (hit(0, "severe"), hit(60, "minor"), None),
        (hit(0, "minor"), hit(60, "severe"), "first"),
    ],
)
def test_a_crash_is_asked_about_once_and_the_graver_takes_over(
    first: Event, second: Event, silenced: str | None
) -> None:
    outranked = Outranked()
    outranked.heed(first)
    assert not outranked.silences(first, first.t_ns)
    spoken = not outranked.silences(second, second.t_ns)
    if spoken:
        outranked.heed(second)
        assert not outranked.silences(second, second.t_ns)
    assert (outranked.silences(first, second.t_ns), not spoken) == (silenced == "first", silenced == "second")
