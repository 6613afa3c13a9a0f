import numpy as np
import pytest

from models.drive_cars import draw_cars, drive_cars
from models.drive_data import made_drives
from models.drive_faults import FAULTS, INPUTS, PLACE, REQUIRED, Fault, put_in
from models.drive_figures import lasting, measure

CARS = draw_cars(40, np.random.default_rng(1))
DRIVEN = drive_cars(CARS, 600, np.random.default_rng(2))
ROWS = np.stack([getattr(DRIVEN, signal.name) for signal in INPUTS], axis=2)


def test_made_cars_drive_within_what_cars_do() -> None:
    assert np.isfinite(ROWS).all()
    limits = {
        "speed": (0, 180),
        "rpm": (500, 6600),
        "throttle": (0, 100),
        "load": (0, 100),
        "map_kpa": (10, 230),
        "maf_gps": (0.5, 200),
        "coolant": (-25, 125),
        "volts": (11.5, 15.5),
    }
    for name, (least, most) in limits.items():
        values = getattr(DRIVEN, name)
        assert least <= values.min(), name
        assert values.max() <= most, name
    stands = DRIVEN.speed == 0
    assert np.median(DRIVEN.map_kpa[stands]) < 45  # a throttled engine idles on vacuum
    warm = np.array(CARS.before_s) > 600
    assert (np.median(DRIVEN.coolant[warm, -100:], axis=1) > 70).mean() > 0.8


def test_the_same_seed_makes_the_same_drives() -> None:
    first, second = (list(made_drives(6, np.random.default_rng(5))) for _ in range(2))
    for one, other in zip(first, second, strict=True):
        np.testing.assert_array_equal(one.rows, other.rows)
        np.testing.assert_array_equal(one.shown, other.shown)


def test_healthy_drives_show_nothing_and_tell_what_they_must() -> None:
    for told in made_drives(20, np.random.default_rng(6), healthy=True):
        assert not told.shown.any()
        assert not told.present.any()
        assert np.isfinite(told.rows[:, :REQUIRED]).all()


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: f"{fault.fault}-{fault.name}")
def test_a_fault_changes_its_own_signal_from_its_onset_on(fault: Fault) -> None:
    rng, shown = np.random.default_rng(7), 0
    for rows in ROWS:
        broken, shows = put_in(fault, rows, 200, rng)
        np.testing.assert_array_equal(broken[:200], rows[:200])
        assert not shows[:259].any()
        assert (broken[200:, PLACE[fault.name]] != rows[200:, PLACE[fault.name]]).any() or not shows.any()
        shown += bool(shows.any())
    assert shown >= len(ROWS) / 4


def test_what_lasts_is_the_least_of_so_many_in_a_row() -> None:
    z = np.array([[1.0, 0.0], [3.0, 0.0], [2.0, 5.0], [4.0, 0.0]], np.float32)
    assert lasting(z, 2).tolist() == [2.0, 0.0]
    assert lasting(z[:1], 2).tolist() == [-99.0, -99.0]


def test_precision_is_told_at_a_prevalence() -> None:
    told = [drive for drive in made_drives(60, np.random.default_rng(8)) if drive.shown[:, 1].any()]
    high, low = np.zeros(len(FAULTS)), np.zeros(len(FAULTS))
    high[1], low[1] = 5.0, -5.0
    metrics = measure([low] * 9 + [high], [(drive, high) for drive in told], np.full(len(FAULTS), 1.0), source="made")
    lean = next(metric for metric in metrics if metric.what.startswith("lean_mixture"))
    assert f"found in {len(told)} of {len(told)}" in lean.value
    assert "precision at 1 % prevalence 0.09, at least 0.02 (1 of 10 healthy drives)" in lean.value
