"""A small net over time in NumPy: convolutions, averages over pieces of the time, two dense layers.

float32 throughout: at these sizes the product of matrices is all of the time, and half as wide is twice as fast.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

Float32s = npt.NDArray[np.float32]
Ints = npt.NDArray[np.int64]

POOL: Final = 4


@dataclass(frozen=True, slots=True)
class Shape:
    """One convolution over time: frames in, kernel, stride, zeros before and after, channels out."""

    kernel: int
    stride: int
    before: int
    after: int
    channels: int


# 192 frames of 10 ms -> 64 -> 32 -> 32 -> 32, then 8 pieces: what was said first and last stays apart.
STEPS: Final = 192
CONVOLUTIONS: Final = (Shape(5, 3, 1, 1, 64), Shape(5, 2, 1, 2, 96), Shape(3, 1, 1, 1, 128), Shape(3, 1, 1, 1, 128))
_PIECES: Final = 8
# What is heard is looked at five times: as it is, by a longer and a shorter throat, said faster and slower. Pairs of
# bands moved and of the pace.
VIEWS: Final = ((0.0, 1.0), (1.0, 1.0), (-1.0, 1.0), (0.0, 0.93), (0.0, 1.08))
_HIDDEN: Final = 192


class SpeechNet:
    """Stretches float32[n, 192, bands] to class probabilities float32[n, classes]."""

    def __init__(self, bands: int, classes: int, rng: np.random.Generator) -> None:
        self.parameters: list[Float32s] = []
        inputs = bands
        for shape in CONVOLUTIONS:
            self._dense(shape.kernel * inputs, shape.channels, rng)
            inputs = shape.channels
        self._dense(_PIECES * inputs, _HIDDEN, rng)
        self._dense(_HIDDEN, classes, rng)

    def probabilities(self, x: Float32s, *, batch: int = 256) -> Float32s:
        """Without dropout, in batches, by the mean of all views' logits."""
        parts = [x[at : at + batch] for at in range(0, len(x), batch)]
        return np.concatenate([self._softmax(self._looked_at(part)) for part in parts])

    def _looked_at(self, x: Float32s) -> Float32s:
        bands = x.shape[2]
        logits = [self._forward(np.asarray(pace(by) @ x @ moved(bands, at), np.float32))[-1] for at, by in VIEWS]
        return np.asarray(sum(logits) / np.float32(len(VIEWS)), np.float32)

    def gradients(
        self,
        x: Float32s,
        classes: Ints,
        weights: Float32s,
        *,
        dropout: float,
        smoothing: float,
        rng: np.random.Generator,
    ) -> tuple[float, list[Float32s]]:
        """Mean cross entropy of a batch, weighted, with smoothed labels; and its gradient by each parameter."""
        masks = [
            ((rng.random((len(x), size), np.float32) >= dropout) / np.float32(1 - dropout)).astype(np.float32)
            for size in (_PIECES * CONVOLUTIONS[-1].channels, _HIDDEN)
        ]
        outputs = self._forward(x, masks)
        p = self._softmax(outputs[-1])
        count = p.shape[1]
        rows = np.arange(len(x))
        loss = -float((weights * np.log(p[rows, classes] + 1e-9)).mean())
        delta = p - np.float32(smoothing / count)
        delta[rows, classes] -= np.float32(1 - smoothing)
        return loss, self._backward(outputs, masks, delta * (weights / np.float32(len(x)))[:, None])

    def _dense(self, inputs: int, outputs: int, rng: np.random.Generator) -> None:
        self.parameters.append(rng.normal(0, (2 / inputs) ** 0.5, (inputs, outputs)).astype(np.float32))
        self.parameters.append(np.zeros(outputs, np.float32))

    def _forward(self, x: Float32s, masks: list[Float32s] | None = None) -> list[Float32s]:
        """Columns and outputs of each layer, in the order in which _backward wants them."""
        kept: list[Float32s] = []
        for n, shape in enumerate(CONVOLUTIONS):
            columns = _columns(x, shape)
            x = np.maximum(columns @ self.parameters[2 * n] + self.parameters[2 * n + 1], 0)
            kept += [columns, x]
        pieces = x.reshape(len(x), _PIECES, POOL, -1).mean(axis=2).reshape(len(x), -1)
        pieces = pieces if masks is None else pieces * masks[0]
        hidden = np.maximum(pieces @ self.parameters[8] + self.parameters[9], 0)
        hidden = hidden if masks is None else hidden * masks[1]
        return [*kept, pieces, hidden, hidden @ self.parameters[10] + self.parameters[11]]

    def _backward(self, outputs: list[Float32s], masks: list[Float32s], delta: Float32s) -> list[Float32s]:
        *kept, pieces, hidden, _ = outputs
        gradients = [hidden.T @ delta, delta.sum(axis=0)]
        delta = (delta @ self.parameters[10].T) * masks[1] * (hidden > 0)
        gradients = [pieces.T @ delta, delta.sum(axis=0), *gradients]
        delta = (delta @ self.parameters[8].T) * masks[0]
        channels = CONVOLUTIONS[-1].channels
        spread = np.repeat(delta.reshape(len(delta), _PIECES, 1, channels) / np.float32(POOL), POOL, axis=2)
        delta = spread.reshape(len(delta), _PIECES * POOL, channels)
        for n in reversed(range(len(CONVOLUTIONS))):
            columns, x = kept[2 * n], kept[2 * n + 1]
            delta = delta * (x > 0)
            flat = delta.reshape(-1, delta.shape[-1])
            gradients = [columns.reshape(len(flat), -1).T @ flat, flat.sum(axis=0), *gradients]
            if n:
                delta = _uncolumns(delta @ self.parameters[2 * n].T, CONVOLUTIONS[n], kept[2 * n - 1].shape)
        return gradients

    def _softmax(self, logits: Float32s) -> Float32s:
        powers = np.exp(logits - logits.max(axis=1, keepdims=True))
        return np.asarray(powers / powers.sum(axis=1, keepdims=True), np.float32)


def moved(bands: int, by: float) -> Float32s:
    """Moves a spectrum by so many bands, between them by interpolation; float32[bands, bands], from the right."""
    at = np.clip(np.arange(bands) + by, 0, bands - 1)
    return np.asarray(np.maximum(0, 1 - np.abs(np.arange(bands)[:, None] - at)), np.float32)


def pace(by: float) -> Float32s:
    """Says a stretch so many times as fast; float32[192, 192], from the left. Beyond its end there is nothing."""
    at = np.arange(STEPS)[:, None] * by
    return np.asarray(np.maximum(0, 1 - np.abs(np.arange(STEPS) - at)), np.float32)


def _columns(x: Float32s, shape: Shape) -> Float32s:
    """float32[n, steps, channels] as float32[n, steps out, kernel * channels]."""
    padded = np.pad(x, ((0, 0), (shape.before, shape.after), (0, 0)))
    view = np.lib.stride_tricks.sliding_window_view(padded, shape.kernel, axis=1)[:, :: shape.stride]
    return np.ascontiguousarray(view.transpose(0, 1, 3, 2)).reshape(len(x), view.shape[1], -1)


def _uncolumns(columns: Float32s, shape: Shape, size: tuple[int, ...]) -> Float32s:
    """The gradient by what _columns was given."""
    count, steps, channels = size
    padded = np.zeros((count, steps + shape.before + shape.after, channels), np.float32)
    taps = columns.reshape(count, columns.shape[1], shape.kernel, channels)
    for tap in range(shape.kernel):
        padded[:, tap : tap + shape.stride * (columns.shape[1] - 1) + 1 : shape.stride] += taps[:, :, tap]
    return padded[:, shape.before : shape.before + steps]
