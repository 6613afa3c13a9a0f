"""A dense net that names the probability of one thing from features. Exported by `onnx`."""

from typing import Final

import numpy as np
import numpy.typing as npt
import onnx
from onnx import TensorProto, helper, numpy_helper

from models.layers import Adam, Layers

Floats = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]

_NOISE: Final = 0.2  # of a feature's spread: what another sensor, or another car, would make of the same blow
_DOUBT: Final = 0.02  # of the labels: nothing simulated teaches more certainty than this


class Classifier:
    """Scaled features float64[n, k] to probabilities float64[n].

    The inverse hyperbolic sine of the features comes first: peaks of a crash are hundreds of spreads of a pothole's.
    """

    def __init__(self, sizes: list[int], rng: np.random.Generator) -> None:
        self._net = Layers([*sizes, 1], rng)
        self._slope, self._offset = 1.0, 0.0

    def train(
        self, x: Floats, true: Flags, weight: Floats, rng: np.random.Generator, *, epochs: int, batch: int, rate: float
    ) -> None:
        """Learn by weighted cross entropy."""
        parameters = [*self._net.weights, *self._net.biases]
        targets = np.where(true, 1 - _DOUBT, _DOUBT)
        adam = Adam(parameters, steps=epochs * (len(x) // batch), rate=rate, decay=0.02)
        for _ in range(epochs):
            order = rng.permutation(len(x))
            for start in range(0, len(x) - batch + 1, batch):
                rows = order[start : start + batch]
                outputs = self._net.forward(np.arcsinh(x[rows] + rng.normal(0, _NOISE, (batch, x.shape[1]))))
                off = _logistic(outputs[-1][:, 0]) - targets[rows]
                adam.step(self._net.backward(outputs, (weight[rows] * off)[:, None] / batch))

    def calibrate(self, x: Floats, true: Flags, weight: Floats) -> None:
        """Platt's scaling of the log-odds, on what it was not trained on: slope and offset by damped Newton steps."""
        z = self._logit(x)
        targets = np.where(true, 1 - 1 / (true.sum() + 2), 1 / ((~true).sum() + 2))  # Platt's, against certainty
        inputs = np.column_stack([z, np.ones_like(z)])

        def loss(fit: Floats) -> float:
            logit = inputs @ fit
            return float((weight * (np.logaddexp(0, logit) - targets * logit)).sum())

        fit = np.array([1.0, 0.0])
        for _ in range(100):
            p = _logistic(inputs @ fit)
            gradient = inputs.T @ (weight * (p - targets))
            curvature = (inputs * (weight * p * (1 - p))[:, None]).T @ inputs + 1e-3 * np.eye(2)
            step = np.linalg.solve(curvature, gradient)
            while loss(fit - step) > loss(fit) and np.abs(step).max() > 1e-9:
                step = step / 2
            fit = fit - step
        self._slope, self._offset = float(fit[0]), float(fit[1])

    def probability(self, x: Floats) -> Floats:
        """Calibrated, float64[n]."""
        return _logistic(self._slope * self._logit(x) + self._offset)

    def export(self, opset: int) -> bytes:
        """Return the ONNX model: features float32[1, k] to a probability float32[1, 1]."""
        inputs = self._net.weights[0].shape[0]
        weights, biases = [*self._net.weights], [*self._net.biases]
        weights[-1], biases[-1] = self._slope * weights[-1], self._slope * biases[-1] + self._offset
        tensors: dict[str, npt.NDArray[np.float32]] = {}
        nodes = [helper.make_node("Asinh", ["features"], ["layer0"])]
        for number, (weight, bias) in enumerate(zip(weights, biases, strict=True)):
            tensors[f"weight{number}"], tensors[f"bias{number}"] = weight.astype(np.float32), bias.astype(np.float32)
            nodes.append(
                helper.make_node("Gemm", [f"layer{number}", f"weight{number}", f"bias{number}"], [f"sum{number}"])
            )
            last = number == len(weights) - 1
            out = "probability" if last else f"layer{number + 1}"
            nodes.append(helper.make_node("Sigmoid" if last else "Tanh", [f"sum{number}"], [out]))
        graph = helper.make_graph(
            nodes,
            "classifier",
            [helper.make_tensor_value_info("features", TensorProto.FLOAT, [1, inputs])],
            [helper.make_tensor_value_info("probability", TensorProto.FLOAT, [1, 1])],
            [numpy_helper.from_array(array, name) for name, array in tensors.items()],
        )
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)
        onnx.checker.check_model(model, full_check=True)
        return bytes(model.SerializeToString())

    def _logit(self, x: Floats) -> Floats:
        z: Floats = self._net.forward(np.arcsinh(x))[-1][:, 0]
        return z


def _logistic(z: Floats) -> Floats:
    p: Floats = 1 / (1 + np.exp(-np.clip(z, -60, 60)))
    return p
