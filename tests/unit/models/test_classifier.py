import numpy as np
import onnxruntime
import pytest

from models.classifier import Classifier
from models.layers import Layers


@pytest.fixture(scope="module")
def net() -> Classifier:
    """Taught that a sum above 0 is a yes, with every tenth label wrong."""
    rng = np.random.default_rng(1)
    x, true = _draw(rng, 2_000)
    net = Classifier([3, 8], rng)
    net.train(x, true, np.ones(len(x)), rng, epochs=30, batch=50, rate=0.02)
    x, true = _draw(rng, 2_000)
    net.calibrate(x, true, np.ones(len(x)))
    return net


def _draw(rng: np.random.Generator, count: int) -> tuple[np.ndarray, np.ndarray]:
    x = rng.normal(0, 3, (count, 3))
    return x, (x.sum(axis=1) > 0) ^ (rng.random(count) < 0.1)


def test_it_learns_and_says_how_sure_it_may_be(net: Classifier) -> None:
    x, true = _draw(np.random.default_rng(2), 4_000)
    p = net.probability(x)
    assert ((p > 0.5) == (x.sum(axis=1) > 0)).mean() > 0.95
    sure = p > 0.8
    assert sure.any()
    assert p[sure].mean() == pytest.approx(true[sure].mean(), abs=0.03)  # one label in ten is wrong, and it knows
    assert p.max() < 0.99


def test_what_is_exported_says_the_same(net: Classifier) -> None:
    session = onnxruntime.InferenceSession(net.export(17), providers=["CPUExecutionProvider"])
    x = _draw(np.random.default_rng(3), 20)[0]
    told = [session.run(None, {"features": row[None].astype(np.float32)})[0][0, 0] for row in x]
    np.testing.assert_allclose(told, net.probability(x), atol=1e-5)


def test_what_can_be_told_apart_wholly_is_still_no_certainty() -> None:
    rng = np.random.default_rng(4)
    x = np.concatenate([rng.normal(-9, 1, (200, 3)), rng.normal(9, 1, (200, 3))])
    true = np.arange(400) >= 200
    net = Classifier([3, 4], rng)
    net.train(x, true, np.ones(400), rng, epochs=20, batch=20, rate=0.02)
    net.calibrate(x, true, np.ones(400))
    assert 0.9 < net.probability(x)[true].min() < net.probability(x).max() < 0.9999


def test_gradients_are_those_of_the_loss() -> None:
    rng = np.random.default_rng(5)
    net = Layers([4, 3, 2], rng)
    x, target = rng.normal(0, 1, (6, 4)), rng.normal(0, 1, (6, 2))

    def loss() -> float:
        return float(((net.forward(x)[-1] - target) ** 2).sum() / 2)

    outputs = net.forward(x)
    for array, gradient in zip([*net.weights, *net.biases], net.backward(outputs, outputs[-1] - target), strict=True):
        before = array.flat[0]
        array.flat[0] = before + 1e-6
        above = loss()
        array.flat[0] = before - 1e-6
        below = loss()
        array.flat[0] = before
        assert gradient.flat[0] == pytest.approx((above - below) / 2e-6, rel=1e-4, abs=1e-7)
