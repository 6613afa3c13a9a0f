"""The child process of onnx_worker: `python -m drivers.onnx_child MANIFEST...`.

Both pipes carry messages of four bytes of length (little endian) and a payload. The child greets with one JSON object,
{"refused": {"NAME": "why"}}; then it answers each question, one byte for the model's place on the command line and its
float32 input, with the model's float32 output.
"""

import hashlib
import json
import resource
import struct
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, BinaryIO, Final

import numpy as np
import numpy.typing as npt

from agent.core.errors import ConfigError, ModelRefused
from agent.core.manifest import AnyManifest, load_manifest

Float32s = npt.NDArray[np.float32]

LENGTH: Final = struct.Struct("<I")
_MEMORY_MAX: Final = 1 << 29  # private memory; a model that wants more dies alone


def main(argv: Sequence[str]) -> int:
    """Serve the models on stdin and stdout until stdin ends."""
    _offer_to_die_first()
    served: list[tuple[AnyManifest, Any] | None] = []
    refused = {}
    for path in map(Path, argv):
        try:
            manifest = load_manifest(path)
            served.append((manifest, open_model(manifest, path.parent / manifest.file)))
        except (ConfigError, ModelRefused) as exc:
            refused[path.stem] = str(exc)
            served.append(None)
    write_message(sys.stdout.buffer, json.dumps({"refused": refused}).encode())
    while (question := read_message(sys.stdin.buffer)) is not None:
        asked = served[question[0]]
        if asked is None:
            return 1  # the parent asks a refused model: better no answer than a wrong one
        manifest, session = asked
        write_message(sys.stdout.buffer, run(session, np.frombuffer(question[1:], np.float32), manifest).tobytes())
    return 0


def open_model(manifest: AnyManifest, path: Path) -> Any:
    """Load an onnxruntime session and hold it to its manifest. Raises ModelRefused naming what differs."""
    try:
        blob = path.read_bytes()
    except OSError as exc:
        raise ModelRefused(f"{path}: cannot be read: {exc.strerror}") from exc
    digest = hashlib.sha256(blob).hexdigest()
    if digest != manifest.sha256:
        raise ModelRefused(f"{path}: sha256 is {digest}, the manifest says {manifest.sha256}")
    session = _open_session(blob, path)
    shapes = session.get_inputs()[0].shape, session.get_outputs()[0].shape
    if shapes != (list(manifest.input_shape), list(manifest.output_shape)):
        wanted = f"{manifest.input_shape} and {manifest.output_shape}"
        raise ModelRefused(f"{path}: input and output have shapes {shapes}, the manifest says {wanted}")
    for number, golden in enumerate(manifest.golden):
        output = run(session, np.array(golden.input, np.float32), manifest)
        wrong = np.abs(output.ravel() - np.array(golden.output, np.float32)).max()
        if not wrong <= manifest.golden_tolerance:
            raise ModelRefused(f"{path}: golden vector {number} is off by {wrong:.3g}")
    return session


def run(session: Any, values: Float32s, manifest: AnyManifest) -> Float32s:
    """The model's output for values of its input's size."""
    (output,) = session.run(None, {session.get_inputs()[0].name: values.reshape(manifest.input_shape)})
    return np.asarray(output, np.float32)


def _open_session(blob: bytes, path: Path) -> Any:
    import onnxruntime  # noqa: PLC0415  # slow, and nothing for a refused file to wait for
    from onnxruntime.capi import onnxruntime_pybind11_state as failures  # noqa: PLC0415  # the same

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 3
    try:
        return onnxruntime.InferenceSession(blob, options, providers=["CPUExecutionProvider"])
    except (failures.Fail, failures.InvalidGraph, failures.InvalidProtobuf, failures.NotImplemented) as exc:
        raise ModelRefused(f"{path}: not a model: {exc}") from exc


def _offer_to_die_first() -> None:
    """Of all processes of the box the kernel should take this one when memory is short, and it may not take much."""
    resource.setrlimit(resource.RLIMIT_DATA, (_MEMORY_MAX, _MEMORY_MAX))
    with suppress(OSError):  # a sandbox may hide /proc; the limit holds all the same
        Path("/proc/self/oom_score_adj").write_text("1000", encoding="ascii")


def read_message(stream: BinaryIO) -> bytes | None:
    """The next message, None at the end."""
    head = stream.read(LENGTH.size)
    if len(head) < LENGTH.size:
        return None
    return stream.read(LENGTH.unpack(head)[0])


def write_message(stream: BinaryIO, payload: bytes) -> None:
    """Length and payload, at once."""
    stream.write(LENGTH.pack(len(payload)) + payload)
    stream.flush()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
