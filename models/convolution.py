"""A small net over windows of signals: convolutions in time, their mean and maximum, a dense layer. To ONNX.

NumPy in single precision: so small that no training framework is worth its weight.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import onnx
from onnx import TensorProto, helper, numpy_helper

from models.layers import Adam

Float32s = npt.NDArray[np.float32]

WIDTH: Final = 5
STRIDE: Final = 2
_STEP_GAIN: Final = 10.0  # of a signal's change within a second: of engine speed 100 rpm then weigh like 1000
_CLIP: Final = 6.0  # of scaled inputs, in spreads: a sensor that reads nonsense should not drown the others


class Convolution:
    """Windows float32[n, steps, inputs] to log-odds float32[n, outputs]; stride 2 in every layer.

    Beside the signals the first layer is given how each of the first `changing` inputs changes from step to step.
    """

    def __init__(
        self,
        inputs: int,
        channels: Sequence[int],
        *,
        changing: int,
        dense: int,
        outputs: int,
        rng: np.random.Generator,
    ) -> None:
        self._inputs, self._changing = inputs, changing
        inputs += changing
        self._weights: list[Any] = []
        for before, after in zip([inputs, *channels[:-1]], channels, strict=True):
            self._weights.append(_draw(rng, WIDTH * before, after))
        self._weights += [_draw(rng, 2 * channels[-1], dense), _draw(rng, dense, outputs)]
        self._biases: list[Any] = [np.zeros(weight.shape[1], np.float32) for weight in self._weights]
        self._depth = len(channels)

    @property
    def parameters(self) -> int:
        """How many numbers it has learnt."""
        return sum(array.size for array in [*self._weights, *self._biases])

    def train(
        self,
        batches: Callable[[np.random.Generator], Iterator[tuple[Float32s, Float32s, Float32s]]],
        rng: np.random.Generator,
        *,
        epochs: int,
        steps: int,
        rate: float,
    ) -> Iterator[float]:
        """Learn by weighted cross entropy from `steps` batches (windows, targets, weights) an epoch; yields losses."""
        parameters = [*self._weights, *self._biases]
        adam = Adam(parameters, steps=epochs * steps, rate=rate, decay=0.01)
        for _ in range(epochs):
            losses = []
            for x, target, weight in batches(rng):
                kept, z = self._forward(x)
                p = logistic(z)
                losses.append(float((weight * (np.logaddexp(0, z) - target * z)).mean()))
                gradients = self._backward(kept, (weight * (p - target) / len(x)).astype(np.float32))
                adam.step(gradients)
            yield float(np.mean(losses))

    def log_odds(self, x: Float32s) -> Float32s:
        """Of each output, float32[n, outputs]."""
        return self._forward(x)[1]

    def export(self, *, steps: int, shift: Float32s, opset: int) -> bytes:
        """The ONNX model: window float32[1, steps, inputs] to float32[1, outputs], logistic(log-odds - shift)."""
        inputs = self._inputs
        tensors: dict[str, Any] = {"low": -_CLIP, "high": _CLIP, "gain": _STEP_GAIN}
        places = {"first": [0, 0], "second": [1, 0], "last": [steps - 1, self._changing]}
        places |= {"end": [steps, self._changing], "all": [steps, inputs], "axes": [1, 2]}
        nodes = [
            helper.make_node("Slice", ["window", "second", "all", "axes"], ["now"]),
            helper.make_node("Slice", ["window", "second", "end", "axes"], ["after"]),
            helper.make_node("Slice", ["window", "first", "last", "axes"], ["before"]),
            helper.make_node("Sub", ["after", "before"], ["step"]),
            helper.make_node("Mul", ["step", "gain"], ["change"]),
            helper.make_node("Concat", ["now", "change"], ["signals"], axis=2),
            helper.make_node("Clip", ["signals", "low", "high"], ["clipped"]),
            helper.make_node("Transpose", ["clipped"], ["map0"], perm=[0, 2, 1]),
        ]
        for layer in range(self._depth):
            weight = self._weights[layer]
            tensors[f"kernel{layer}"] = weight.reshape(WIDTH, -1, weight.shape[1]).transpose(2, 1, 0)
            tensors[f"bias{layer}"] = self._biases[layer]
            names = [f"map{layer}", f"kernel{layer}", f"bias{layer}"]
            nodes.append(helper.make_node("Conv", names, [f"sum{layer}"], strides=[STRIDE], kernel_shape=[WIDTH]))
            nodes.append(helper.make_node("Relu", [f"sum{layer}"], [f"map{layer + 1}"]))
        last = f"map{self._depth}"
        nodes += [
            helper.make_node("ReduceMean", [last], ["mean"], axes=[2], keepdims=0),
            helper.make_node("ReduceMax", [last], ["largest"], axes=[2], keepdims=0),
            helper.make_node("Concat", ["mean", "largest"], ["pooled"], axis=1),
        ]
        dense, out = self._depth, self._depth + 1
        for layer, source in ((dense, "pooled"), (out, "hidden")):
            tensors[f"weight{layer}"] = self._weights[layer]
            tensors[f"bias{layer}"] = self._biases[layer] - (shift if layer == out else np.float32(0))
            names = [source, f"weight{layer}", f"bias{layer}"]
            nodes.append(helper.make_node("Gemm", names, ["log_odds" if layer == out else "dense"]))
            if layer == dense:
                nodes.append(helper.make_node("Relu", ["dense"], ["hidden"]))
        nodes.append(helper.make_node("Sigmoid", ["log_odds"], ["score"]))
        graph = helper.make_graph(
            nodes,
            "convolution",
            [helper.make_tensor_value_info("window", TensorProto.FLOAT, [1, steps, inputs])],
            [helper.make_tensor_value_info("score", TensorProto.FLOAT, [1, self._weights[out].shape[1]])],
            [
                *(numpy_helper.from_array(np.asarray(array, np.float32), name) for name, array in tensors.items()),
                *(numpy_helper.from_array(np.asarray(place, np.int64), name) for name, place in places.items()),
            ],
        )
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)
        onnx.checker.check_model(model, full_check=True)
        return bytes(model.SerializeToString())

    def _forward(self, x: Float32s) -> tuple[list[Any], Float32s]:
        """What backward needs, and the log-odds."""
        kept: list[Any] = []
        changes = _STEP_GAIN * np.diff(x[:, :, : self._changing], axis=1)
        signal = np.clip(np.concatenate([x[:, 1:], changes], axis=2), -_CLIP, _CLIP)
        for layer in range(self._depth):
            view = np.lib.stride_tricks.sliding_window_view(signal, WIDTH, axis=1)[:, ::STRIDE]
            columns = np.ascontiguousarray(view.transpose(0, 1, 3, 2)).reshape(*view.shape[:2], -1)
            kept.append((signal.shape, columns))
            signal = np.maximum(columns @ self._weights[layer] + self._biases[layer], 0)
            kept.append(signal)
        pooled = np.concatenate([signal.mean(axis=1), signal.max(axis=1)], axis=1)
        hidden = np.maximum(pooled @ self._weights[-2] + self._biases[-2], 0)
        kept += [pooled, hidden]
        z: Float32s = hidden @ self._weights[-1] + self._biases[-1]
        return kept, z

    def _backward(self, kept: list[Any], delta: Float32s) -> list[Any]:
        """Gradients of all weights, then of all biases."""
        pooled, hidden = kept[-2:]
        weights: list[Any] = [None] * len(self._weights)
        biases: list[Any] = [None] * len(self._biases)
        weights[-1], biases[-1] = hidden.T @ delta, delta.sum(axis=0)
        delta = (delta @ self._weights[-1].T) * (hidden > 0)
        weights[-2], biases[-2] = pooled.T @ delta, delta.sum(axis=0)
        delta = delta @ self._weights[-2].T
        signal = kept[2 * self._depth - 1]
        count, half = signal.shape[1], signal.shape[2]
        at_most = signal == signal.max(axis=1, keepdims=True)
        flow = delta[:, None, :half] / np.float32(count) + delta[:, None, half:] * at_most
        for layer in reversed(range(self._depth)):
            shape, columns = kept[2 * layer]
            flow = flow * (kept[2 * layer + 1] > 0)
            flat = flow.reshape(-1, flow.shape[2])
            weights[layer] = columns.reshape(len(flat), -1).T @ flat
            biases[layer] = flat.sum(axis=0)
            if layer:
                flow = _spread(flow @ self._weights[layer].T, shape)
        return [*weights, *biases]


def logistic(z: Float32s) -> Float32s:
    """1 / (1 + exp(-z))."""
    return np.asarray(1 / (1 + np.exp(-np.clip(z, -60, 60))), np.float32)


def _spread(columns: Float32s, shape: tuple[int, ...]) -> Float32s:
    """Add up what each step got through the windows it was in."""
    count = columns.shape[1]
    pieces = columns.reshape(*columns.shape[:2], WIDTH, shape[2])
    flow = np.zeros(shape, np.float32)
    for place in range(WIDTH):
        flow[:, place : place + STRIDE * (count - 1) + 1 : STRIDE] += pieces[:, :, place]
    return flow


def _draw(rng: np.random.Generator, before: int, after: int) -> Float32s:
    return np.asarray(rng.normal(0, (2 / before) ** 0.5, (before, after)), np.float32)
