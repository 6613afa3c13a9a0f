"""A small convolutional net over steps in time, that says which of several kinds a sequence is. Exported by `onnx`."""

from typing import Final

import numpy as np
import numpy.typing as npt
import onnx
from onnx import TensorProto, helper, numpy_helper

from models.layers import Adam, Layers

Floats = npt.NDArray[np.float64]
Numbers = npt.NDArray[np.int64]

_TAPS: Final = 3
_DOUBT: Final = 0.02  # of the labels: nothing simulated teaches more certainty than this


class Temporal:
    """Scaled steps float64[n, steps, features] to probabilities float64[n, kinds].

    asinh, two convolutions over three steps (tanh), then the last step, the mean and the maximum of all steps side by
    side, and a dense net. The convolutions see nothing before the first step and nothing after the last.
    """

    def __init__(self, features: int, kinds: int, rng: np.random.Generator, *, width: int, hidden: int) -> None:
        self._convolutions = [Layers([_TAPS * inputs, width], rng) for inputs in (features, width)]
        self._head = Layers([3 * width, hidden, kinds], rng)
        self._slope = 1.0

    def train(
        self,
        x: Floats,
        kind: Numbers,
        weight: Floats,
        rng: np.random.Generator,
        *,
        epochs: int,
        batch: int,
        rate: float,
        noise: float,
    ) -> None:
        """Learn by weighted cross entropy. noise: added to the scaled steps, in their spreads."""
        adam = Adam(self.parameters(), steps=epochs * (len(x) // batch), rate=rate, decay=0.02)
        kinds = self._head.biases[-1].size
        targets = np.full((len(x), kinds), _DOUBT / (kinds - 1))
        targets[np.arange(len(x)), kind] = 1 - _DOUBT
        for _ in range(epochs):
            order = rng.permutation(len(x))
            for start in range(0, len(x) - batch + 1, batch):
                rows = order[start : start + batch]
                steps = x[rows] + rng.normal(0, noise, x[rows].shape) * (x[rows] != 0)
                adam.step(self.gradients(steps, targets[rows], weight[rows]))

    def gradients(self, x: Floats, targets: Floats, weight: Floats) -> list[Floats]:
        """Of the mean weighted cross entropy by all parameters."""
        taps, maps, outputs = self._forward(x)
        delta = (_softmax(outputs[-1]) - targets) * weight[:, None] / len(x)
        head = self._head.backward(outputs, delta)
        down = (delta @ self._head.weights[1].T) * (1 - outputs[1] ** 2) @ self._head.weights[0].T
        grid = self._unpool(maps[1], down)
        grid = grid * (1 - maps[1] ** 2)
        second = _dense_gradients(taps[1], grid)
        grid = _fold(grid @ self._convolutions[1].weights[0].T) * (1 - maps[0] ** 2)
        first = _dense_gradients(taps[0], grid)
        return [*first, *second, *head]

    def calibrate(self, x: Floats, kind: Numbers, weight: Floats) -> None:
        """Scale the log-odds by one temperature, on what it was not trained on."""
        logits = self._forward(x)[2][-1]

        def loss(slope: float) -> float:
            p = _softmax(slope * logits)[np.arange(len(kind)), kind]
            return float(-(weight * np.log(np.maximum(p, 1e-12))).sum())

        self._slope = float(min(np.geomspace(0.2, 3.0, 120), key=loss))

    def probability(self, x: Floats) -> Floats:
        """Calibrated, float64[n, kinds]."""
        return _softmax(self._slope * self._forward(x)[2][-1])

    def loss(self, x: Floats, targets: Floats, weight: Floats) -> float:
        """The mean weighted cross entropy."""
        logits = self._forward(x)[2][-1]
        shifted = logits - logits.max(axis=1, keepdims=True)
        log_p = shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))
        return float(-(targets * log_p).sum(axis=1) @ weight) / len(x)

    def export(self, opset: int, *, steps: int) -> bytes:
        """Return the ONNX model: steps float32[1, steps, features] to probabilities float32[1, kinds]."""
        features = self._convolutions[0].weights[0].shape[0] // _TAPS
        kinds = self._head.biases[-1].size
        arrays: dict[str, npt.NDArray[np.float32] | npt.NDArray[np.int64]] = {
            "last_from": np.array([-1], np.int64),
            "last_to": np.array([np.iinfo(np.int64).max], np.int64),
            "time_axis": np.array([2], np.int64),
        }
        nodes = [
            helper.make_node("Asinh", ["steps"], ["small"]),
            helper.make_node("Transpose", ["small"], ["map0"], perm=[0, 2, 1]),
        ]
        for number, layer in enumerate(self._convolutions):
            taps, width = layer.weights[0].shape
            kernel = layer.weights[0].reshape(_TAPS, taps // _TAPS, width).transpose(2, 1, 0)
            arrays[f"kernel{number}"] = kernel.astype(np.float32)
            arrays[f"shift{number}"] = layer.biases[0].astype(np.float32)
            inputs = [f"map{number}", f"kernel{number}", f"shift{number}"]
            nodes.append(helper.make_node("Conv", inputs, [f"sum{number}"], kernel_shape=[_TAPS], pads=[1, 1]))
            nodes.append(helper.make_node("Tanh", [f"sum{number}"], [f"map{number + 1}"]))
        nodes += [
            helper.make_node("Slice", ["map2", "last_from", "last_to", "time_axis"], ["last_step"]),
            helper.make_node("Flatten", ["last_step"], ["last"]),
            helper.make_node("ReduceMean", ["map2"], ["mean"], axes=[2], keepdims=0),
            helper.make_node("ReduceMax", ["map2"], ["highest"], axes=[2], keepdims=0),
            helper.make_node("Concat", ["last", "mean", "highest"], ["pooled"], axis=1),
        ]
        for number, (name, scale) in enumerate((("pooled", 1.0), ("hidden", self._slope))):
            arrays[f"weight{number}"] = (scale * self._head.weights[number]).astype(np.float32)
            arrays[f"bias{number}"] = (scale * self._head.biases[number]).astype(np.float32)
            out = ["dense", "logits"][number]
            nodes.append(helper.make_node("Gemm", [name, f"weight{number}", f"bias{number}"], [out]))
            last = ("Softmax", "probability") if number else ("Tanh", "hidden")
            nodes.append(helper.make_node(last[0], [out], [last[1]]))
        graph = helper.make_graph(
            nodes,
            "temporal",
            [helper.make_tensor_value_info("steps", TensorProto.FLOAT, [1, steps, features])],
            [helper.make_tensor_value_info("probability", TensorProto.FLOAT, [1, kinds])],
            [numpy_helper.from_array(array, name) for name, array in arrays.items()],
        )
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)
        onnx.checker.check_model(model, full_check=True)
        return bytes(model.SerializeToString())

    def parameters(self) -> list[Floats]:
        """All weights and biases, in the order of `gradients`; changed in place by whoever trains them."""
        parts = [*self._convolutions, self._head]
        return [array for part in parts for array in (*part.weights, *part.biases)]

    def _forward(self, x: Floats) -> tuple[list[Floats], list[Floats], list[Floats]]:
        """Unfolded inputs and maps of both convolutions, and the head's outputs."""
        taps, maps, grid = [], [], np.arcsinh(x)
        for layer in self._convolutions:
            taps.append(_unfold(grid))
            grid = np.tanh(taps[-1] @ layer.weights[0] + layer.biases[0])
            maps.append(grid)
        pooled = np.concatenate([grid[:, -1], grid.mean(axis=1), grid.max(axis=1)], axis=1)
        return taps, maps, self._head.forward(pooled)

    @staticmethod
    def _unpool(grid: Floats, down: Floats) -> Floats:
        """Share the gradient of what was pooled out over the map float64[n, steps, width]."""
        count, steps, width = grid.shape
        last, mean, highest = down[:, :width], down[:, width : 2 * width], down[:, 2 * width :]
        out = np.repeat(mean[:, None] / steps, steps, axis=1)
        out[:, -1] += last
        place = grid.argmax(axis=1)
        out[np.arange(count)[:, None], place, np.arange(width)] += highest
        return out


def _unfold(grid: Floats) -> Floats:
    """Each step beside its neighbours: float64[n, steps, 3 * width] of float64[n, steps, width]; zeros outside."""
    padded = np.pad(grid, ((0, 0), (1, 1), (0, 0)))
    return np.concatenate([padded[:, tap : tap + grid.shape[1]] for tap in range(_TAPS)], axis=2)


def _fold(taps: Floats) -> Floats:
    """The gradient of `_unfold`'s input by its output's."""
    count, steps, wide = taps.shape
    width = wide // _TAPS
    padded = np.zeros((count, steps + 2, width))
    for tap in range(_TAPS):
        padded[:, tap : tap + steps] += taps[:, :, tap * width : (tap + 1) * width]
    return padded[:, 1:-1]


def _dense_gradients(taps: Floats, grid: Floats) -> list[Floats]:
    weights = taps.reshape(-1, taps.shape[2]).T @ grid.reshape(-1, grid.shape[2])
    return [weights, grid.sum(axis=(0, 1))]


def _softmax(z: Floats) -> Floats:
    shifted = np.exp(z - z.max(axis=1, keepdims=True))
    p: Floats = shifted / shifted.sum(axis=1, keepdims=True)
    return p
