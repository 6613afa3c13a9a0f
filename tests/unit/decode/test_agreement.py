import numpy as np
import pytest

from agent.core.signals import EMPTY_SERIES, Series
from agent.decode.agreement import speed_agreement


def series(t_s: np.ndarray[tuple[int], np.dtype[np.float64]], *, late_s: float = 0.0, error_kmh: float = 0.0) -> Series:
    """A drive that speeds up and slows down, in km/h, shown late_s after it happened."""
    speed = 50 + 30 * np.sin((t_s - late_s) / 7) + 10 * np.sin((t_s - late_s) / 2.3)
    return Series(np.round(t_s * 1e9).astype(np.int64), speed + error_kmh * (-1.0) ** np.arange(len(t_s)))


def test_lag_is_found_and_taken_out() -> None:
    reference, other = series(np.arange(0, 300, 0.1)), series(np.arange(5, 290, 1.0), late_s=0.44)
    agreement = speed_agreement(reference, other)
    assert agreement is not None
    assert agreement.lag_s == pytest.approx(0.44)
    assert agreement.rmse < 0.01
    assert (agreement.samples, agreement.left_out) == (285, 0)
    early = speed_agreement(reference, series(np.arange(5, 290, 1.0), late_s=-1.2))
    assert early is not None
    assert early.lag_s == pytest.approx(-1.2)


def test_rmse_is_in_metres_per_second() -> None:
    agreement = speed_agreement(series(np.arange(0, 300, 0.1)), series(np.arange(5, 290, 1.0), error_kmh=3.6))
    assert agreement is not None
    assert agreement.rmse == pytest.approx(1.0, abs=0.01)


def test_gaps_and_ends_of_the_reference_are_left_out() -> None:
    t_s = np.arange(0, 300, 0.1)
    gappy = series(t_s[(t_s < 100.05) | (t_s > 150.05)])
    agreement = speed_agreement(gappy, series(np.arange(-20.0, 320.0)), gated=7)
    assert agreement is not None
    # 2..98, 153..297: each sample has the reference on both sides for every lag up to 2 s
    assert (agreement.samples, agreement.left_out) == (97 + 145, 340 - 242 + 7)
    assert agreement.rmse < 0.01


def test_too_little_to_compare() -> None:
    few = series(np.arange(0, 5, 1.0))
    many = series(np.arange(0, 300, 0.1))
    assert speed_agreement(many, few) is None
    assert speed_agreement(EMPTY_SERIES, many) is None
    assert speed_agreement(many, series(np.arange(400, 500, 1.0))) is None
