"""Dense tanh layers in NumPy: nets so small that no training framework is worth its weight."""

from itertools import pairwise

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]


class Layers:
    """tanh layers of the given sizes, the last one linear; a batch is float64[n, sizes[0]]."""

    def __init__(self, sizes: list[int], rng: np.random.Generator) -> None:
        self.weights = [rng.normal(0, (1 / a) ** 0.5, (a, b)) for a, b in pairwise(sizes)]
        self.biases = [np.zeros(b) for b in sizes[1:]]

    def forward(self, x: Floats) -> list[Floats]:
        """Return every layer's output, the input first."""
        outputs = [x]
        for number, (weight, bias) in enumerate(zip(self.weights, self.biases, strict=True)):
            y = outputs[-1] @ weight + bias
            outputs.append(y if number == len(self.weights) - 1 else np.tanh(y))
        return outputs

    def backward(self, outputs: list[Floats], delta: Floats) -> list[Floats]:
        """Gradients of all weights, then of all biases, from the loss's gradient by the last output."""
        count = len(self.weights)
        weights, biases = [np.empty(0)] * count, [np.empty(0)] * count
        for layer in reversed(range(count)):
            weights[layer], biases[layer] = outputs[layer].T @ delta, delta.sum(axis=0)
            if layer:
                delta = (delta @ self.weights[layer].T) * (1 - outputs[layer] ** 2)
        return [*weights, *biases]


class Adam:
    """The optimiser, over parameters that it changes in place; its rate falls along a cosine. decay pulls them to 0."""

    def __init__(self, parameters: list[Floats], *, steps: int, rate: float, decay: float = 0.0) -> None:
        self._parameters = parameters
        self._first = [np.zeros_like(p) for p in parameters]
        self._second = [np.zeros_like(p) for p in parameters]
        self._steps, self._rate, self._decay = steps, rate, decay
        self._done = 0

    def step(self, gradients: list[Floats]) -> None:
        """Go one step against the gradients."""
        self._done += 1
        rate = self._rate * 0.5 * (1 + np.cos(np.pi * self._done / self._steps))
        for number, gradient in enumerate(gradients):
            self._first[number] += 0.1 * (gradient - self._first[number])
            self._second[number] += 0.001 * (gradient**2 - self._second[number])
            mean = self._first[number] / (1 - 0.9**self._done)
            spread = np.sqrt(self._second[number] / (1 - 0.999**self._done))
            pull = rate * self._decay * self._parameters[number]
            self._parameters[number] -= rate * mean / (spread + 1e-8) + pull
