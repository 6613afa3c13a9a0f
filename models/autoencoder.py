"""A dense autoencoder in NumPy: small enough that no training framework is worth its weight. Exported by `onnx`."""

from collections.abc import Callable, Iterator
from itertools import pairwise

import numpy as np
import numpy.typing as npt
import onnx
from onnx import TensorProto, helper, numpy_helper

Floats = npt.NDArray[np.float64]


class Autoencoder:
    """tanh layers of the given sizes, the last one linear; rows of a batch are flattened windows."""

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

    def gradients(self, outputs: list[Floats], target: Floats) -> tuple[list[Floats], list[Floats]]:
        """Gradients of the mean squared error against target: (weights, biases)."""
        count = len(self.weights)
        weights, biases = [np.empty(0)] * count, [np.empty(0)] * count
        delta = 2 * (outputs[-1] - target) / target.size
        for layer in reversed(range(count)):
            weights[layer], biases[layer] = outputs[layer].T @ delta, delta.sum(axis=0)
            if layer:
                delta = (delta @ self.weights[layer].T) * (1 - outputs[layer] ** 2)
        return weights, biases

    def train(
        self,
        x: Floats,
        rng: np.random.Generator,
        *,
        corrupt: Callable[[Floats, np.random.Generator], Floats],
        epochs: int,
        batch: int,
        rate: float,
    ) -> Iterator[float]:
        """Learn to give x back from corrupt(x): Adam with a cosine rate; yields the mean loss of each epoch."""
        adam = _Adam([*self.weights, *self.biases], steps=epochs * (len(x) // batch), rate=rate)
        for _ in range(epochs):
            losses = []
            order = rng.permutation(len(x))
            for start in range(0, len(x) - batch + 1, batch):
                clean = x[order[start : start + batch]]
                outputs = self.forward(corrupt(clean, rng))
                losses.append(float(((outputs[-1] - clean) ** 2).mean()))
                weights, biases = self.gradients(outputs, clean)
                adam.step([*weights, *biases])
            yield float(np.mean(losses))

    def errors(self, x: Floats, inputs: int) -> Floats:
        """Size of the mean error per input, float64[n, inputs], of flattened windows float64[n, steps * inputs].

        The mean and not the mean square: what polls of a dongle lack in timing averages out, a fault does not.
        """
        means: Floats = np.abs((self.forward(x)[-1] - x).reshape(len(x), -1, inputs).mean(axis=1))
        return means


def export(net: Autoencoder, *, steps: int, inputs: int, error_scale: Floats, opset: int) -> bytes:
    """Return the ONNX model: window float32[1, steps, inputs] to relative errors float32[1, inputs]."""
    tensors = {"flat_shape": np.array([1, steps * inputs]), "window_shape": np.array([1, steps, inputs])}
    tensors["error_scale"] = error_scale.astype(np.float32)[None, :]
    nodes = [helper.make_node("Reshape", ["window", "flat_shape"], ["layer0"])]
    for number, (weight, bias) in enumerate(zip(net.weights, net.biases, strict=True)):
        tensors[f"weight{number}"], tensors[f"bias{number}"] = weight.astype(np.float32), bias.astype(np.float32)
        linear = number == len(net.weights) - 1
        out = "rebuilt" if linear else f"sum{number}"
        nodes.append(helper.make_node("Gemm", [f"layer{number}", f"weight{number}", f"bias{number}"], [out]))
        if not linear:
            nodes.append(helper.make_node("Tanh", [out], [f"layer{number + 1}"]))
    nodes += [
        helper.make_node("Reshape", ["rebuilt", "window_shape"], ["rebuilt_window"]),
        helper.make_node("Sub", ["rebuilt_window", "window"], ["difference"]),
        helper.make_node("ReduceMean", ["difference"], ["mean_difference"], axes=[1], keepdims=0),
        helper.make_node("Abs", ["mean_difference"], ["error"]),
        helper.make_node("Div", ["error", "error_scale"], ["score"]),
    ]
    graph = helper.make_graph(
        nodes,
        "drive",
        [helper.make_tensor_value_info("window", TensorProto.FLOAT, [1, steps, inputs])],
        [helper.make_tensor_value_info("score", TensorProto.FLOAT, [1, inputs])],
        [numpy_helper.from_array(array, name) for name, array in tensors.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)
    onnx.checker.check_model(model, full_check=True)
    return bytes(model.SerializeToString())


class _Adam:
    """The optimiser, over parameters that it changes in place."""

    def __init__(self, parameters: list[Floats], *, steps: int, rate: float) -> None:
        self._parameters = parameters
        self._first = [np.zeros_like(p) for p in parameters]
        self._second = [np.zeros_like(p) for p in parameters]
        self._steps, self._rate = steps, rate
        self._done = 0

    def step(self, gradients: list[Floats]) -> None:
        self._done += 1
        rate = self._rate * 0.5 * (1 + np.cos(np.pi * self._done / self._steps))
        for number, gradient in enumerate(gradients):
            self._first[number] += 0.1 * (gradient - self._first[number])
            self._second[number] += 0.001 * (gradient**2 - self._second[number])
            mean = self._first[number] / (1 - 0.9**self._done)
            spread = np.sqrt(self._second[number] / (1 - 0.999**self._done))
            self._parameters[number] -= rate * mean / (spread + 1e-8)
