"""Where PyTorch is installed: nothing but training needs it."""

import numpy as np
import onnxruntime
import pytest

from drivers.keyword_features import BANDS, model_input
from models.keyword_examples import Examples
from models.speech_net import STEPS, sizes
from models.speech_onnx import export

pytest.importorskip("torch", reason="PyTorch is not installed")

from models.speech_training import Training


def test_what_was_learnt_is_in_the_weights() -> None:
    rng = np.random.default_rng(1)
    classes = np.arange(512) % 2
    training = Training(
        Examples([_tone(rng, int(at)) for at in classes], classes, np.ones((4000, BANDS), np.float32)), BANDS, 3, 7
    )
    losses = list(training.fit(6))
    assert losses[-1] < 0.3 * losses[0]
    weights = training.weights()
    assert [array.shape for array in weights] == sizes(BANDS, 3)
    session = onnxruntime.InferenceSession(export([weights], BANDS, np.eye(3, dtype=np.float32), 17))
    heard = [_answer(session, _tone(rng, at)) for at in (0, 1)]
    assert [int(answer.argmax()) for answer in heard] == [0, 1]
    assert min(answer.max() for answer in heard) > 0.8


def _tone(rng: np.random.Generator, at: int) -> np.ndarray:
    """A tone that is low first, or high first."""
    frames = rng.normal(-8, 1, (120, BANDS))
    for half, band in enumerate((10, 30) if at else (30, 10)):
        frames[10 + 50 * half : 60 + 50 * half, band - 4 : band + 4] += 8
    return frames.astype(np.float16)


def _answer(session: onnxruntime.InferenceSession, frames: np.ndarray) -> np.ndarray:
    return np.asarray(session.run(None, {"speech": model_input(frames.astype(np.float32), STEPS)})[0][0])
