"""The keyword model's nets as one ONNX model: the mean of what all say of all views, and how sure that is."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import onnx
from onnx import NodeProto, TensorProto, helper, numpy_helper

from models.speech_net import CONVOLUTIONS, POOL, RIVALS, STEPS, VIEWS, Weights, moved, pace

Float32s = npt.NDArray[np.float32]
Graph = tuple[list[NodeProto], dict[str, npt.NDArray[np.generic]]]


def export(nets: Sequence[Weights], bands: int, replies: Float32s, opset: int) -> bytes:
    """The ONNX model: float32[1, 192, bands] to float32[1, k]; replies, float32[classes, k], adds classes up.

    The last of the k is what is no reply.
    """
    nodes, tensors = _views(bands)
    for number, weights in enumerate(nets):
        of_net = _net(weights, f"net{number}.")
        nodes += of_net[0]
        tensors |= of_net[1]
    tensors["replies"] = replies
    each = [f"net{number}.each" for number in range(len(nets))]
    nodes.append(helper.make_node("Concat", each, ["each"], axis=0))
    nodes.append(helper.make_node("Softmax", ["each"], ["verdicts"], axis=1))
    nodes.append(helper.make_node("ReduceMean", ["verdicts"], ["classes"], axes=[0], keepdims=1))
    nodes.append(helper.make_node("MatMul", ["classes", "replies"], ["probabilities"]))
    of_sureness = _sureness(replies)
    nodes += of_sureness[0]
    tensors |= of_sureness[1]
    graph = helper.make_graph(
        nodes,
        "keywords",
        [helper.make_tensor_value_info("speech", TensorProto.FLOAT, [1, STEPS, bands])],
        [helper.make_tensor_value_info("sureness", TensorProto.FLOAT, [1, replies.shape[1]])],
        [numpy_helper.from_array(array, name) for name, array in tensors.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)
    onnx.checker.check_model(model, full_check=True)
    return bytes(model.SerializeToString())


def _sureness(replies: Float32s) -> Graph:
    """From "probabilities" p to "sureness", p / (p + none + RIVALS (1 - p - none)): what is neither are the rivals."""
    tensors: dict[str, npt.NDArray[np.generic]] = {
        "none": replies[:, -1:],
        "rivals": np.array(RIVALS, np.float32),
        "others": np.array(1 - RIVALS, np.float32),
    }
    nodes = [
        helper.make_node("MatMul", ["classes", "none"], ["refused"]),
        helper.make_node("Add", ["probabilities", "refused"], ["either"]),
        helper.make_node("Mul", ["either", "others"], ["weighed"]),
        helper.make_node("Add", ["weighed", "rivals"], ["against"]),
        helper.make_node("Div", ["probabilities", "against"], ["sureness"]),
    ]
    return nodes, tensors


def _views(bands: int) -> Graph:
    """From "speech" to "views", float32[views, bands, 192]."""
    tensors: dict[str, npt.NDArray[np.generic]] = {}
    nodes = []
    for n, (at, by) in enumerate(VIEWS):
        tensors[f"pace{n}"], tensors[f"moved{n}"] = pace(by), moved(bands, at)
        nodes.append(helper.make_node("MatMul", [f"pace{n}", "speech"], [f"paced{n}"]))
        nodes.append(helper.make_node("MatMul", [f"paced{n}", f"moved{n}"], [f"view{n}"]))
    nodes.append(helper.make_node("Concat", [f"view{n}" for n in range(len(VIEWS))], ["stacked"], axis=0))
    nodes.append(helper.make_node("Transpose", ["stacked"], ["views"], perm=[0, 2, 1]))
    return nodes, tensors


def _net(weights: Weights, name: str) -> Graph:
    """From "views" to NAME.each, float32[views, classes]: its logits of each view."""
    tensors: dict[str, npt.NDArray[np.generic]] = {f"{name}{n}": array for n, array in enumerate(weights)}
    nodes, x = [], "views"
    for n, shape in enumerate(CONVOLUTIONS):
        given = {
            "kernel_shape": [shape.kernel],
            "strides": [shape.stride],
            "dilations": [shape.spacing],
            "pads": [shape.before, shape.after],
        }
        found = f"{name}found{n}"
        nodes.append(helper.make_node("Conv", [x, f"{name}{2 * n}", f"{name}{2 * n + 1}"], [f"{name}c{n}"], **given))
        nodes.append(helper.make_node("Relu", [f"{name}c{n}"], [found]))
        if shape.added:
            nodes.append(helper.make_node("Add", [x, found], [f"{name}sum{n}"]))
        x = f"{name}sum{n}" if shape.added else found
    dense = 2 * len(CONVOLUTIONS)
    first, first_bias, last, last_bias = (f"{name}{n}" for n in range(dense, dense + 4))
    pool = {"kernel_shape": [POOL], "strides": [POOL]}
    nodes.append(helper.make_node("AveragePool", [x], [f"{name}pooled"], **pool))
    nodes.append(helper.make_node("Flatten", [f"{name}pooled"], [f"{name}pieces"], axis=1))
    nodes.append(helper.make_node("Gemm", [f"{name}pieces", first, first_bias], [f"{name}hidden"], transB=1))
    nodes.append(helper.make_node("Relu", [f"{name}hidden"], [f"{name}kept"]))
    nodes.append(helper.make_node("Gemm", [f"{name}kept", last, last_bias], [f"{name}each"], transB=1))
    return nodes, tensors
