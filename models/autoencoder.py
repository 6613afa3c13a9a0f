"""A dense autoencoder. Exported by `onnx`."""

from collections.abc import Callable, Iterator

import numpy as np
import numpy.typing as npt
import onnx
from onnx import TensorProto, helper, numpy_helper

from models.layers import Adam, Layers

Floats = npt.NDArray[np.float64]


class Autoencoder(Layers):
    """Gives back the rows of a batch, which are flattened windows."""

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
        adam = Adam([*self.weights, *self.biases], steps=epochs * (len(x) // batch), rate=rate)
        for _ in range(epochs):
            losses = []
            order = rng.permutation(len(x))
            for start in range(0, len(x) - batch + 1, batch):
                clean = x[order[start : start + batch]]
                outputs = self.forward(corrupt(clean, rng))
                losses.append(float(((outputs[-1] - clean) ** 2).mean()))
                adam.step(self.backward(outputs, 2 * (outputs[-1] - clean) / clean.size))
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
