import numpy as np
import pytest

from agent.core.signals import Quality, Samples, SignalCatalog, SignalSpec, samples_from
from agent.decode.history import History

SECOND = 1_000_000_000


def samples(*rows: tuple[float, int, float], quality: int = Quality.VALID) -> Samples:
    """Rows of (seconds, signal, value)."""
    return Samples(
        np.array([round(t * SECOND) for t, _, _ in rows], np.int64),
        np.array([signal for _, signal, _ in rows], np.int32),
        np.array([value for _, _, value in rows], np.float64),
        np.full(len(rows), quality, np.uint8),
    )


@pytest.fixture
def catalog() -> SignalCatalog:
    return SignalCatalog([SignalSpec("A", stale_after_s=2.0), SignalSpec("B", stale_after_s=0.5), SignalSpec("C")])


@pytest.fixture(params=[0, 40], ids=["singly", "in runs"])
def padding(request: pytest.FixtureRequest) -> list[tuple[float, int, float]]:
    """Samples of a signal nobody asks for, so that a batch takes the one way or the other."""
    return [(0.0, 2, 0.0)] * int(request.param)


def test_new_recent_latest(catalog: SignalCatalog, padding: list[tuple[float, int, float]]) -> None:
    history = History(catalog)
    first = samples((1.0, 0, 10.0), (1.0, 1, 20.0), (1.5, 0, 11.0), *padding)
    history.extend(first)
    window = history.window(first, 2 * SECOND)
    assert window.t_ns == 2 * SECOND
    assert window.new("A").value.tolist() == [10.0, 11.0]
    assert window.new("A").t_ns.tolist() == [SECOND, 1_500_000_000]
    assert window.recent("A", 0.5).value.tolist() == [11.0]
    assert window.recent("A", 60).value.tolist() == [10.0, 11.0]
    assert window.latest("A") == 11.0
    assert window.latest("B") is None, "stale after 0.5 s"

    second = samples((1.9, 1, 21.0), *padding)
    history.extend(second)
    window = history.window(second, 2 * SECOND)
    assert len(window.new("A")) == 0
    assert window.new("B").value.tolist() == [21.0]
    assert window.latest("B") == 21.0
    assert window.recent("B", 5).value.tolist() == [20.0, 21.0]
    for path in ("C", "nobody"):
        assert len(window.new(path)) == (len(padding) if path == "C" else 0)
    assert window.latest("nobody") is None
    assert len(window.recent("nobody", 1)) == 0


def test_only_valid_samples(catalog: SignalCatalog, padding: list[tuple[float, int, float]]) -> None:
    history = History(catalog)
    for quality in (Quality.STALE, Quality.SENTINEL, Quality.IMPLAUSIBLE):
        batch = samples((1.0, 0, 10.0), *padding, quality=quality)
        history.extend(batch)
        window = history.window(batch, SECOND)
        assert len(window.new("A")) == len(window.recent("A", 9)) == 0
        assert window.latest("A") is None
    assert history.backwards == 0


def test_times_that_go_back_are_dropped_and_counted(
    catalog: SignalCatalog, padding: list[tuple[float, int, float]]
) -> None:
    history = History(catalog)
    batch = samples((2.0, 0, 1), (1.0, 0, 2), (1.9, 0, 3), (2.0, 0, 4), (1.0, 1, 5), *padding)
    history.extend(batch)
    assert history.backwards == 2
    window = history.window(batch, 3 * SECOND)
    assert window.new("A").value.tolist() == window.recent("A", 9).value.tolist() == [1, 4]
    batch = samples((1.5, 0, 6), (0.5, 1, 7), *padding)
    history.extend(batch)
    window = history.window(batch, 3 * SECOND)
    assert history.backwards == 4
    assert len(window.new("A")) == len(window.new("B")) == 0
    assert window.latest("A") == 4


def test_views_stay_true_while_the_history_moves_on(catalog: SignalCatalog) -> None:
    history = History(catalog, seconds=1.0, samples_max=50)
    kept = []
    for step in range(500):
        batch = samples((step * 0.1, 0, float(step)))
        history.extend(batch)
        kept.append((step, history.window(batch, step * SECOND // 10).recent("A", 0.5)))
    for step, series in kept:
        assert series.value.tolist() == [float(n) for n in range(max(0, step - 5), step + 1)]


def test_nobody_looked_back_for_a_long_time(catalog: SignalCatalog, padding: list[tuple[float, int, float]]) -> None:
    history = History(catalog, seconds=60.0)
    kept = []
    for step in range(700):
        now_s = step * 0.1
        batch = samples((now_s, 0, float(step)), (now_s, 1, 0.0), *[(now_s, 2, 0.0) for _ in padding])
        history.extend(batch)
        window = history.window(batch, round(now_s * SECOND))
        assert window.new("A").value.tolist() == [float(step)]
        assert window.latest("A") == float(step)
        if step in (255, 256, 650, 699):
            kept.append((step, window.recent("A", 50.0)))
    for step, series in kept:
        assert series.value.tolist() == [float(n) for n in range(max(0, step - 500), step + 1)]


def test_bounded_in_seconds_and_samples(catalog: SignalCatalog) -> None:
    history = History(catalog, seconds=2.0, samples_max=100)
    for step in range(0, 2000, 4):
        batch = samples(*[((step + n) * 0.1, 0, float(step + n)) for n in range(4)])
        history.extend(batch)
    window = history.window(batch, round(199.9 * SECOND))
    assert window.recent("A", 1e6).value.tolist() == [float(n) for n in range(1979, 2000)]
    for start in range(0, 2000, 250):  # batches larger than what is kept
        batch = samples(*[(300 + (start + n) * 1e-4, 0, float(start + n)) for n in range(250)])
        history.extend(batch)
    window = history.window(batch, 400 * SECOND)
    assert window.recent("A", 1e6).value.tolist() == [float(n) for n in range(1900, 2000)]
    assert len(window.new("A")) == 250
    assert history._rings[0]._t_ns.nbytes <= 16 * 2 * (100 + 250)


def test_signals_may_join_later(catalog: SignalCatalog) -> None:
    history = History(catalog)
    history.extend(samples((1.0, 0, 1.0)))
    late = samples_from(catalog, SECOND, {"D": 4.0})
    history.extend(late)
    window = history.window(late, SECOND)
    assert window.latest("D") == 4.0
    assert len(window.new("A")) == 0
    assert window.latest("A") == 1.0


def test_a_window_over_samples_extended_piecemeal(catalog: SignalCatalog) -> None:
    history = History(catalog)
    history.extend(samples((1.0, 0, 1.0)))
    history.extend(samples((2.0, 0, 2.0), (2.0, 1, 3.0)))
    together = samples((1.0, 0, 1.0), (2.0, 0, 2.0), (1.5, 0, 9.0), (2.0, 1, 3.0))
    window = history.window(together, 2 * SECOND)
    assert window.new("A").value.tolist() == [1.0, 2.0]
    assert window.new("B").value.tolist() == [3.0]
