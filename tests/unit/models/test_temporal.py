import numpy as np
import onnxruntime
import pytest

from models.temporal import Temporal


def _draw(rng: np.random.Generator, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Noise; kind 1 rises in its first feature over the last steps, kind 2 lies high in its second one once."""
    x = rng.normal(0, 0.5, (count, 6, 3))
    kind = rng.integers(0, 3, count)
    x[kind == 1, :, 0] += np.array([0, 0, 0, 1, 2, 3])
    rows = np.flatnonzero(kind == 2)
    x[rows, rng.integers(0, 6, len(rows)), 1] += 5
    return x, kind


@pytest.fixture(scope="module")
def net() -> Temporal:
    rng = np.random.default_rng(1)
    x, kind = _draw(rng, 900)
    net = Temporal(3, 3, rng, width=6, hidden=8)
    net.train(x, kind, np.ones(len(x)), rng, epochs=25, batch=30, rate=0.02, noise=0.1)
    x, kind = _draw(rng, 500)
    net.calibrate(x, kind, np.ones(len(x)))
    return net


def test_it_learns_what_happens_in_time(net: Temporal) -> None:
    x, kind = _draw(np.random.default_rng(2), 600)
    p = net.probability(x)
    assert p.sum(axis=1) == pytest.approx(1.0)
    assert (p.argmax(axis=1) == kind).mean() > 0.95


def test_what_is_exported_says_the_same(net: Temporal) -> None:
    session = onnxruntime.InferenceSession(net.export(17, steps=6), providers=["CPUExecutionProvider"])
    x = _draw(np.random.default_rng(3), 20)[0]
    told = [session.run(None, {"steps": row[None].astype(np.float32)})[0][0] for row in x]
    np.testing.assert_allclose(told, net.probability(x), atol=1e-5)


def test_gradients_are_those_of_the_loss() -> None:
    rng = np.random.default_rng(4)
    net = Temporal(2, 3, rng, width=3, hidden=4)
    x, weight = rng.normal(0, 1, (5, 4, 2)), rng.uniform(0.5, 2, 5)
    targets = rng.dirichlet(np.ones(3), 5)
    for array, gradient in zip(net.parameters(), net.gradients(x, targets, weight), strict=True):
        place = array.size // 2
        before = array.flat[place]
        array.flat[place] = before + 1e-6
        above = net.loss(x, targets, weight)
        array.flat[place] = before - 1e-6
        below = net.loss(x, targets, weight)
        array.flat[place] = before
        assert gradient.flat[place] == pytest.approx((above - below) / 2e-6, rel=1e-4, abs=1e-8)
