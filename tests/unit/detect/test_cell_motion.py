import numpy as np

from agent.detect.cell_days import FEATURES, CellDays
from agent.detect.cell_motion import Motion
from tests.unit.detect.feed import NS, Floats

CELLS = 12


def _drive(rows: int = 600, *, seed: int = 1, step_s: float = 1.0) -> Motion:
    """Cell 3 has a contact that comes and goes, 5 a noisy sensor, 7 reads one value all day, 9 is missing."""
    rng = np.random.default_rng(seed)
    motion = Motion.of(CELLS)
    for row in range(rows):
        ampere = float(rng.uniform(-150, 50))
        volt: Floats = 3.7 + 0.001 * ampere + 0.001 * rng.standard_normal(CELLS)
        volt[3] += 0.0008 * ampere * (rng.random() < 0.5)
        volt[5] += 0.03 * rng.standard_normal()
        volt[7], volt[9] = 3.7, np.nan
        motion.feed(round(row * step_s * NS), volt, float(np.nanmedian(volt)))
    return motion


def test_entropy_knows_whose_deviation_cannot_be_foretold() -> None:
    bits = _drive().entropy()
    healthy = np.delete(bits, [3, 5, 7, 9])
    assert healthy.max() < 1.9
    assert bits[[3, 5, 7]].min() > healthy.max() + 0.5
    assert np.isnan(bits[9])


def test_correlation_knows_who_does_not_follow_the_others() -> None:
    z = _drive().correlation()
    healthy = np.delete(z, [3, 5, 7, 9])
    assert healthy.min() > 3
    assert z[[3, 5]].max() < healthy.min() - 1
    assert z[7] == 0
    assert np.isnan(z[9])


def test_a_steady_load_and_rows_far_apart_say_nothing() -> None:
    motion = Motion.of(CELLS)
    for row in range(500):
        motion.feed(row * NS, np.full(CELLS, 3.7), 3.7)
    assert np.isnan(motion.entropy()).all()
    assert np.isnan(_drive(step_s=90.0).correlation()).all()


def test_counts_stay_within_their_type() -> None:
    motion = Motion.of(CELLS)
    motion.counts[:, 6] = 65_500
    for row in range(200):
        motion.feed(row * NS, np.full(CELLS, 3.7 + 0.01 * (row % 2)), 3.7 + 0.01 * (row % 2))
    assert 0 < motion.counts.max() <= 65_535
    assert motion.entropy().max() == 0
    assert motion.correlation().min() > 5


def test_a_days_measures_are_kept_and_unknown_ones_are_none() -> None:
    days = CellDays(CELLS)
    days.begin(4)
    assert days.open is not None
    days.open.motion = _drive()
    days.open.add_resistance(np.zeros(CELLS), 0.001)
    assert days.close(6)
    numbers, values = days.by_day()
    assert numbers.tolist() == [4]
    told = dict(zip(FEATURES, values[0].T, strict=True))
    assert np.isnan(told["volt"]).all()
    assert np.nanmax(np.abs(told["entropy"] - _drive().entropy())) <= 0.015 + 1e-9
    assert np.nanmax(np.abs(told["correlation"] - _drive().correlation())) <= 0.025 + 1e-9
