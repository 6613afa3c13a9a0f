import numpy as np
import onnxruntime
import pytest

from models.speech_net import CONVOLUTIONS, PIECES, RIVALS, STEPS, VIEWS, Weights, moved, pace, sizes
from models.speech_onnx import export

BANDS, CLASSES = 12, 7
REPLIES = np.eye(4, dtype=np.float32)[[0, 0, 1, 1, 2, 2, 3]]


@pytest.fixture
def inputs() -> np.ndarray:
    return np.random.default_rng(2).normal(0, 1, (3, STEPS, BANDS)).astype(np.float32)


def test_the_exported_model_answers_as_the_net_does(inputs: np.ndarray) -> None:
    weights = _drawn(1)
    answers = _answers(export([weights], BANDS, REPLIES, 17), inputs)
    wanted = _sure(_likely(weights, inputs))
    assert np.abs(answers - wanted).max() < 1e-5
    assert wanted.max() < 0.9
    assert np.ptp(wanted, axis=0).max() > 0.01


def test_of_several_nets_the_mean_is_heard(inputs: np.ndarray) -> None:
    nets = [_drawn(seed) for seed in (1, 2, 3)]
    wanted = _sure(np.mean([_likely(weights, inputs) for weights in nets], axis=0))
    assert np.abs(_answers(export(nets, BANDS, REPLIES, 17), inputs) - wanted).max() < 1e-5


def _drawn(seed: int) -> Weights:
    rng = np.random.default_rng(seed)
    return [rng.normal(0, (1 / np.prod(size[1:])) ** 0.5, size).astype(np.float32) for size in sizes(BANDS, CLASSES)]


def _likely(weights: Weights, inputs: np.ndarray) -> np.ndarray:
    """How likely each class is, in the mean of all views, in float64 and by the definition."""
    seen = [(pace(by) @ inputs @ moved(BANDS, at)).transpose(0, 2, 1) for at, by in VIEWS]
    of_views = [_softmax(_logits([array.astype(np.float64) for array in weights], x)) for x in seen]
    return np.asarray(np.mean(of_views, axis=0))


def _logits(weights: list[np.ndarray], x: np.ndarray) -> np.ndarray:
    for n, shape in enumerate(CONVOLUTIONS):
        padded = np.pad(x, ((0, 0), (0, 0), (shape.before, shape.after)))
        span = shape.spacing * (shape.kernel - 1)
        starts = range(0, padded.shape[2] - span, shape.stride)
        seen = [padded[:, :, at : at + span + 1 : shape.spacing] for at in starts]
        sums = [np.einsum("nik,oik->no", each, weights[2 * n]) + weights[2 * n + 1] for each in seen]
        found = np.maximum(np.stack(sums, axis=2), 0)
        x = x + found if shape.added else found
    first, first_bias, last, last_bias = weights[2 * len(CONVOLUTIONS) :]
    pieces = x.reshape(*x.shape[:2], PIECES, -1).mean(axis=3).reshape(len(x), -1)
    return np.asarray(np.maximum(pieces @ first.T + first_bias, 0) @ last.T + last_bias)


def _softmax(logits: np.ndarray) -> np.ndarray:
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    return np.asarray(powers / powers.sum(axis=1, keepdims=True))


def _sure(classes: np.ndarray) -> np.ndarray:
    """What speaks for each reply, over that, what speaks for none and a share of what speaks for others."""
    likely = classes @ REPLIES
    none = likely[:, -1:]
    return np.asarray(likely / (likely + none + RIVALS * (1 - likely - none)))


def _answers(model: bytes, inputs: np.ndarray) -> np.ndarray:
    session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
    return np.concatenate([session.run(None, {"speech": row[None]})[0] for row in inputs])
