from collections.abc import Iterator

import numpy as np
import onnxruntime
import pytest

from models.convolution import Convolution, logistic

Batches = Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]
STEPS, INPUTS, CHANGING, OUTPUTS = 40, 5, 3, 2


def _net(seed: int = 1) -> Convolution:
    rng = np.random.default_rng(seed)
    return Convolution(INPUTS, (4, 6), changing=CHANGING, dense=8, outputs=OUTPUTS, rng=rng)


def _windows(count: int, seed: int = 2) -> np.ndarray:
    return np.random.default_rng(seed).normal(0, 1, (count, STEPS, INPUTS)).astype(np.float32)


def test_what_is_exported_answers_as_what_was_trained() -> None:
    net, x = _net(), _windows(4)
    shift = np.array([0.5, -1.0], np.float32)
    session = onnxruntime.InferenceSession(net.export(steps=STEPS, shift=shift, opset=17))
    for window in x:
        (scores,) = session.run(None, {"window": window[None]})
        np.testing.assert_allclose(scores, logistic(net.log_odds(window[None]) - shift), atol=1e-5)


def test_it_learns_what_only_the_changes_from_step_to_step_tell() -> None:
    net = _net()

    def batches(rng: np.random.Generator) -> Batches:
        for _ in range(40):
            x = _windows(32, int(rng.integers(1 << 30))) * np.float32(0.02)
            rough = rng.random(32) < 0.5
            x[rough, :, 1] += rng.normal(0, 0.15, (int(rough.sum()), STEPS)).astype(np.float32)
            target = np.column_stack([rough, ~rough]).astype(np.float32)
            yield x, target, np.ones_like(target)

    losses = list(net.train(batches, np.random.default_rng(3), epochs=8, steps=40, rate=1e-2))
    assert losses[0] > 0.3
    assert losses[-1] < 0.1


def test_a_weight_of_none_teaches_nothing() -> None:
    net, x = _net(), _windows(8)
    before = net.log_odds(x)

    def batches(_: np.random.Generator) -> Batches:
        yield x, np.ones((8, OUTPUTS), np.float32), np.zeros((8, OUTPUTS), np.float32)

    assert list(net.train(batches, np.random.default_rng(4), epochs=1, steps=1, rate=0.0)) == [0.0]
    assert net.log_odds(x) == pytest.approx(before)
