"""The keyword model's nets as one ONNX model: the mean of what all say of all views."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import onnx
from onnx import NodeProto, TensorProto, helper, numpy_helper

from models.speech_net import CONVOLUTIONS, POOL, STEPS, VIEWS, SpeechNet, moved, pace

Float32s = npt.NDArray[np.float32]
Graph = tuple[list[NodeProto], dict[str, npt.NDArray[np.generic]]]


def export(nets: Sequence[SpeechNet], bands: int, replies: Float32s, opset: int) -> bytes:
    """The ONNX model: float32[1, 192, bands] to float32[1, k]; replies, float32[classes, k], adds classes up."""
    nodes, tensors = _views(bands)
    for number, net in enumerate(nets):
        of_net = _net(net, bands, f"net{number}.")
        nodes += of_net[0]
        tensors |= of_net[1]
    tensors["replies"] = replies
    each = [f"net{number}.each" for number in range(len(nets))]
    nodes.append(helper.make_node("Concat", each, ["each"], axis=0))
    nodes.append(helper.make_node("ReduceMean", ["each"], ["logits"], axes=[0], keepdims=1))
    nodes.append(helper.make_node("Softmax", ["logits"], ["classes"], axis=1))
    nodes.append(helper.make_node("MatMul", ["classes", "replies"], ["probabilities"]))
    graph = helper.make_graph(
        nodes,
        "keywords",
        [helper.make_tensor_value_info("speech", TensorProto.FLOAT, [1, STEPS, bands])],
        [helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, [1, replies.shape[1]])],
        [numpy_helper.from_array(array, name) for name, array in tensors.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)
    onnx.checker.check_model(model, full_check=True)
    return bytes(model.SerializeToString())


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


def _net(net: SpeechNet, bands: int, name: str) -> Graph:
    """From "views" to NAME.each, float32[views, classes]: its logits of each view."""
    tensors: dict[str, npt.NDArray[np.generic]] = {}
    nodes = []
    inputs, x = bands, "views"
    for n, shape in enumerate(CONVOLUTIONS):
        weight = net.parameters[2 * n].reshape(shape.kernel, inputs, shape.channels)
        tensors[f"{name}w{n}"], tensors[f"{name}b{n}"] = weight.transpose(2, 1, 0).copy(), net.parameters[2 * n + 1]
        given = {"strides": [shape.stride], "pads": [shape.before, shape.after], "kernel_shape": [shape.kernel]}
        nodes.append(helper.make_node("Conv", [x, f"{name}w{n}", f"{name}b{n}"], [f"{name}c{n}"], **given))
        inputs, x = shape.channels, f"{name}x{n}"
        nodes.append(helper.make_node("Relu", [f"{name}c{n}"], [x]))
    pool = {"kernel_shape": [POOL], "strides": [POOL]}
    nodes.append(helper.make_node("AveragePool", [x], [f"{name}pooled"], **pool))
    nodes.append(helper.make_node("Transpose", [f"{name}pooled"], [f"{name}pieces"], perm=[0, 2, 1]))
    nodes.append(helper.make_node("Flatten", [f"{name}pieces"], [f"{name}flat"], axis=1))
    for n, parameter in enumerate(net.parameters[2 * len(CONVOLUTIONS) :]):
        tensors[f"{name}dense{n}"] = parameter
    nodes.append(helper.make_node("Gemm", [f"{name}flat", f"{name}dense0", f"{name}dense1"], [f"{name}hidden"]))
    nodes.append(helper.make_node("Relu", [f"{name}hidden"], [f"{name}kept"]))
    nodes.append(helper.make_node("Gemm", [f"{name}kept", f"{name}dense2", f"{name}dense3"], [f"{name}each"]))
    return nodes, tensors
