import numpy as np
import onnxruntime
import pytest

from models.speech_net import STEPS, SpeechNet
from models.speech_onnx import export

BANDS, CLASSES = 12, 7
REPLIES = np.eye(4, dtype=np.float32)[[0, 0, 1, 1, 2, 2, 3]]


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
    answers = _answers(export([net], BANDS, REPLIES, 17), inputs)
    assert np.abs(answers - net.probabilities(inputs) @ REPLIES).max() < 1e-5
    assert answers.sum(axis=1) == pytest.approx(1.0, abs=1e-5)


def test_of_several_nets_the_mean_is_heard(inputs: np.ndarray) -> None:
    nets = [SpeechNet(BANDS, CLASSES, np.random.default_rng(seed)) for seed in (1, 2, 3)]
    each = [np.log(net.probabilities(inputs)) for net in nets]  # but for a constant, what the net says
    powers = np.exp(np.mean(each, axis=0))
    wanted = powers / powers.sum(axis=1, keepdims=True)
    assert np.abs(_answers(export(nets, BANDS, REPLIES, 17), inputs) - wanted @ REPLIES).max() < 1e-5


def _answers(model: bytes, inputs: np.ndarray) -> np.ndarray:
    session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
    return np.concatenate([session.run(None, {"speech": row[None]})[0] for row in inputs])
