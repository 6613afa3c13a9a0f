"""Trains a net of the keyword model, with PyTorch, which nothing else here needs (pip install torch).

Products of matrices are made in bfloat16 where the processor has instructions for it, three times as fast. Elsewhere
that is ten times as slow. Sums and weights stay float32.
"""

from collections.abc import Iterator
from typing import Final

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from models.keyword_examples import Examples, varied
from models.speech_net import CONVOLUTIONS, HIDDEN, PIECES, POOL, Shape, Weights

_BATCH: Final = 128
_RATE: Final = 2e-3
_WARM: Final = 0.1  # of the training the rate grows, and then falls to nothing
_DECAY: Final = 0.02
_DROPOUT: Final = 0.2
_CAPABILITIES: Final = torch.cpu.get_capabilities()
_HALF: Final = any(_CAPABILITIES.get(name, False) for name in ("amx_bf16", "avx512_bf16", "bf16"))  # Intel, AMD, Arm
_OTHER_WEIGHT: Final = 0.5  # of what is no reply; there is much of it


class _Convolution(nn.Module):  # type: ignore[misc]  # mypy skips PyTorch, which is seldom installed
    def __init__(self, inputs: int, shape: Shape) -> None:
        super().__init__()
        self.shape = shape
        self.summed = nn.Conv1d(inputs, shape.channels, shape.kernel, shape.stride, dilation=shape.spacing, bias=False)
        self.levelled = nn.BatchNorm1d(shape.channels)

    def forward(self, x: Tensor) -> Tensor:
        padded = functional.pad(x, (self.shape.before, self.shape.after))
        found = functional.relu(self.levelled(self.summed(padded)))
        return x + found if self.shape.added else found

    def weights(self) -> Weights:
        """With the levelling, which is another factor and another bias once training is over."""
        level = self.levelled
        factor = level.weight / torch.sqrt(level.running_var + level.eps)
        bias = level.bias - level.running_mean * factor
        return [_array(self.summed.weight * factor[:, None, None]), _array(bias)]


class _Net(nn.Module):  # type: ignore[misc]  # the same
    def __init__(self, bands: int, classes: int) -> None:
        super().__init__()
        inputs = [bands, *(shape.channels for shape in CONVOLUTIONS)]
        layers = [_Convolution(given, shape) for given, shape in zip(inputs, CONVOLUTIONS, strict=False)]
        self.convolutions = nn.Sequential(*layers)
        self.hidden = nn.Linear(PIECES * inputs[-1], HIDDEN)
        self.last = nn.Linear(HIDDEN, classes)

    def forward(self, x: Tensor) -> Tensor:
        pieces = functional.avg_pool1d(self.convolutions(x), POOL).flatten(1)
        hidden = functional.relu(self.hidden(functional.dropout(pieces, _DROPOUT, self.training)))
        return self.last(functional.dropout(hidden, _DROPOUT, self.training))

    def weights(self) -> Weights:
        convolutions = [array for layer in self.convolutions for array in layer.weights()]
        dense = [array for layer in (self.hidden, self.last) for array in (layer.weight, layer.bias)]
        return [*convolutions, *map(_array, dense)]


class Training:
    """One net, whose last class is what is no reply; everything is drawn from a seed."""

    def __init__(self, given: Examples, bands: int, classes: int, seed: int) -> None:
        torch.set_num_threads(1)  # at these sizes more threads wait for each other
        torch.manual_seed(seed)
        self._rng = np.random.default_rng(seed)
        self._given = given
        self._other = classes - 1
        self._net = _Net(bands, classes)

    def fit(self, epochs: int) -> Iterator[float]:
        """Train; the mean loss of each epoch."""
        steps = len(self._given.frames) // _BATCH
        adam = torch.optim.AdamW(self._net.parameters(), _RATE, weight_decay=_DECAY)
        rate = torch.optim.lr_scheduler.OneCycleLR(adam, _RATE, total_steps=epochs * steps, pct_start=_WARM)
        self._net.train()
        for _ in range(epochs):
            order = self._rng.permutation(len(self._given.frames))
            total = 0.0
            for rows in np.split(order[: steps * _BATCH], steps):
                loss = self._loss(rows)
                adam.zero_grad()
                loss.backward()
                adam.step()
                rate.step()
                total += float(loss.detach())
            yield total / steps

    def weights(self) -> Weights:
        """Of the net as it is now."""
        return self._net.weights()

    def _loss(self, rows: np.typing.NDArray[np.int64]) -> Tensor:
        given = self._given
        seen = np.stack([varied(self._rng, given.frames[row], given.noise) for row in rows])
        classes = torch.from_numpy(given.classes[rows])
        weights = torch.where(classes == self._other, _OTHER_WEIGHT, 1.0)
        with torch.autocast("cpu", torch.bfloat16, enabled=_HALF):
            logits = self._net(torch.from_numpy(seen).transpose(1, 2).contiguous())
        return (functional.cross_entropy(logits.float(), classes, reduction="none") * weights).mean()


def _array(values: Tensor) -> np.typing.NDArray[np.float32]:
    return np.asarray(values.detach().numpy(), np.float32)
