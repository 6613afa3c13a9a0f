import numpy as np
import onnxruntime
import pytest

from models.speech_net import STEPS, SpeechNet

BANDS, CLASSES = 12, 7


@pytest.fixture
def inputs() -> np.ndarray:
    return np.random.default_rng(2).normal(0, 1, (3, STEPS, BANDS)).astype(np.float32)


def test_gradients_are_those_of_the_loss(inputs: np.ndarray) -> None:
    net = SpeechNet(BANDS, CLASSES, np.random.default_rng(1))
    net.parameters = [parameter.astype(np.float64) for parameter in net.parameters]
    classes, weights = np.array([1, 4, 6]), np.array([1.0, 0.5, 1.0])
    draw = np.random.default_rng(3)

    def loss() -> float:
        logits = net._forward(inputs.astype(np.float64))[-1].astype(np.float64)
        p = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
        return float(-(weights * np.log(p[np.arange(3), classes])).mean())

    _, gradients = net.gradients(
        inputs.astype(np.float64), classes, weights, dropout=0.0, smoothing=0.0, rng=np.random.default_rng(4)
    )
    for parameter, gradient in zip(net.parameters, gradients, strict=True):
        steepest = np.unravel_index(np.abs(gradient).argmax(), gradient.shape)
        other = tuple(draw.integers(0, size) for size in parameter.shape)
        for place in (steepest, other):
            kept = parameter[place]
            parameter[place] = kept + 1e-3
            above = loss()
            parameter[place] = kept - 1e-3
            below = loss()
            parameter[place] = kept
            assert (above - below) / 2e-3 == pytest.approx(gradient[place], abs=2e-3, rel=0.05)


def test_the_exported_model_answers_as_the_net_does(inputs: np.ndarray) -> None:
    net = SpeechNet(BANDS, CLASSES, np.random.default_rng(1))
    replies = np.eye(4, dtype=np.float32)[[0, 0, 1, 1, 2, 2, 3]]
    session = onnxruntime.InferenceSession(net.export(BANDS, replies, 17), providers=["CPUExecutionProvider"])
    for row, wanted in zip(inputs, net.probabilities(inputs) @ replies, strict=True):
        (answer,) = session.run(None, {"speech": row[None]})
        assert np.abs(answer - wanted).max() < 1e-5
        assert answer.sum() == pytest.approx(1.0, abs=1e-5)
