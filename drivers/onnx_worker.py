"""ONNX inference in a child process: a wheel that dies with SIGILL, hangs or eats the memory takes nothing with it.

`python -m drivers.onnx_worker MANIFEST` is the child. Both pipes carry messages of four bytes of length (little
endian) and a payload. The child greets with one JSON object, then answers each float32 window with a float32 output.
"""

import asyncio
import contextlib
import hashlib
import json
import struct
import sys
from pathlib import Path
from typing import Any, BinaryIO, Final

import numpy as np
import numpy.typing as npt

from agent.core.errors import ConfigError, ModelDown, ModelRefused
from agent.core.manifest import Manifest, load_manifest
from agent.core.paths import ROOT

Float32s = npt.NDArray[np.float32]

_LOAD_DEADLINE_S: Final = 20.0  # importing onnxruntime alone takes seconds on an SD card
_END_DEADLINE_S: Final = 2.0
_DEATH_DEADLINE_S: Final = 0.2
_MESSAGE_MAX: Final = 1 << 20
_LENGTH: Final = struct.Struct("<I")


class OnnxWorker:
    """An Inference port over a child process.

    load starts a fresh child, whatever became of the last one; infer kills a child that misses the deadline or talks
    nonsense, so that after a ModelDown only load helps.
    """

    def __init__(
        self, manifest_path: Path, deadline_s: float = 0.5, *, load_deadline_s: float = _LOAD_DEADLINE_S
    ) -> None:
        self._manifest_path = manifest_path.resolve()
        self._deadline_s = deadline_s
        self._load_deadline_s = load_deadline_s
        self._manifest: Manifest | None = None
        self._child: asyncio.subprocess.Process | None = None

    @property
    def pid(self) -> int | None:
        """The child's process id, None where there is none."""
        return None if self._child is None else self._child.pid

    async def load(self) -> None:
        """Start the child, which checks hash and golden vectors. Raises ModelRefused (final) or ModelDown."""
        await self.close()
        try:
            self._manifest = load_manifest(self._manifest_path)
        except ConfigError as exc:
            raise ModelRefused(str(exc)) from exc
        try:
            self._child = await asyncio.create_subprocess_exec(
                sys.executable,
                "-m",
                "drivers.onnx_worker",
                str(self._manifest_path),
                cwd=ROOT,
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
            )
        except OSError as exc:
            raise ModelDown(f"inference process cannot start: {exc}") from exc
        greeting = await self._ask(None, self._load_deadline_s)
        try:
            refused = str(json.loads(greeting)["refused"])
        except (ValueError, KeyError, TypeError) as exc:
            await self.close()
            raise ModelDown(f"inference process greeted with {greeting[:40]!r}") from exc
        if refused:
            await self.close()
            raise ModelRefused(refused)

    async def infer(self, window: Float32s) -> Float32s:
        """Return the model's output as the manifest's shape. Raises ModelDown within the deadline."""
        if self._child is None or self._manifest is None:
            raise ModelDown("inference process is not running")
        if window.shape != self._manifest.input_shape or window.dtype != np.float32:
            raise ModelDown(f"window is {window.dtype}{window.shape}, the model takes {self._manifest.input_shape}")
        answer = await self._ask(window.tobytes(), self._deadline_s)
        shape = self._manifest.output_shape
        if len(answer) != 4 * shape[0] * shape[1]:
            await self.close()
            raise ModelDown(f"inference process answered {len(answer)} bytes, not an output of shape {shape}")
        output = np.frombuffer(answer, np.float32).reshape(shape)
        if not np.isfinite(output).all():
            await self.close()
            raise ModelDown("model answered with numbers that are not finite")
        return output

    async def close(self) -> None:
        """Kill the child, if there is one, and wait for its end."""
        child, self._child = self._child, None
        if child is None:
            return
        with contextlib.suppress(ProcessLookupError):
            child.kill()
        if child.stdin is not None:
            child.stdin.close()
        await asyncio.wait_for(child.wait(), _END_DEADLINE_S)

    async def _ask(self, payload: bytes | None, deadline_s: float) -> bytes:
        """Send a message, if any, and wait for one. Kills the child and raises ModelDown where that fails."""
        child = self._child
        if child is None or child.stdin is None or child.stdout is None:
            raise ModelDown("inference process is not running")
        try:
            async with asyncio.timeout(deadline_s):
                if payload is not None:
                    child.stdin.write(_LENGTH.pack(len(payload)) + payload)
                    await child.stdin.drain()
                (size,) = _LENGTH.unpack(await child.stdout.readexactly(_LENGTH.size))
                if size <= _MESSAGE_MAX:
                    return await child.stdout.readexactly(size)
                reason = f"inference process announced {size} bytes"
        except TimeoutError:
            reason = f"inference process gave no answer within {deadline_s:g} s"
        except (asyncio.IncompleteReadError, ConnectionError):
            reason = "inference process died"
            with contextlib.suppress(TimeoutError):
                # Killing a child that is dead already would collect it behind asyncio's back, and lose its exit status.
                await asyncio.wait_for(child.wait(), _DEATH_DEADLINE_S)
        except asyncio.CancelledError:
            await self.close()  # half a conversation cannot be taken up again
            raise
        await self.close()
        if reason.endswith("died"):
            reason += f" (exit status {child.returncode})"
        raise ModelDown(reason)


# ---- the child -----------------------------------------------------------------------------------------------------


def main(argv: list[str]) -> int:
    """Serve one model on stdin and stdout until stdin ends."""
    session, refused = None, ""
    try:
        manifest = load_manifest(Path(argv[0]))
        session = _open_model(manifest, Path(argv[0]).parent / manifest.file)
    except (ConfigError, ModelRefused) as exc:
        refused = str(exc)
    _write(sys.stdout.buffer, json.dumps({"refused": refused}).encode())
    if session is None:
        return 1
    while (payload := _read(sys.stdin.buffer)) is not None:
        window = np.frombuffer(payload, np.float32).reshape(manifest.input_shape)
        _write(sys.stdout.buffer, _run(session, window).tobytes())
    return 0


def _open_model(manifest: Manifest, path: Path) -> Any:
    """Load the session and hold it to its manifest. Raises ModelRefused naming what differs."""
    try:
        blob = path.read_bytes()
    except OSError as exc:
        raise ModelRefused(f"{path}: cannot be read: {exc.strerror}") from exc
    digest = hashlib.sha256(blob).hexdigest()
    if digest != manifest.sha256:
        raise ModelRefused(f"{path}: sha256 is {digest}, the manifest says {manifest.sha256}")
    import onnxruntime  # noqa: PLC0415  # slow, and nothing for the parent to import
    from onnxruntime.capi import onnxruntime_pybind11_state as failures  # noqa: PLC0415  # the same

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 3
    try:
        session = onnxruntime.InferenceSession(blob, options, providers=["CPUExecutionProvider"])
    except (failures.Fail, failures.InvalidGraph, failures.InvalidProtobuf, failures.NotImplemented) as exc:
        raise ModelRefused(f"{path}: not a model: {exc}") from exc
    shapes = session.get_inputs()[0].shape, session.get_outputs()[0].shape
    if shapes != (list(manifest.input_shape), list(manifest.output_shape)):
        wanted = f"{manifest.input_shape} and {manifest.output_shape}"
        raise ModelRefused(f"{path}: input and output have shapes {shapes}, the manifest says {wanted}")
    for number, golden in enumerate(manifest.golden):
        output = _run(session, np.array(golden.input, np.float32).reshape(manifest.input_shape))
        wrong = np.abs(output[0] - np.array(golden.output, np.float32)).max()
        if not wrong <= manifest.golden_tolerance:
            raise ModelRefused(f"{path}: golden vector {number} is off by {wrong:.3g}")
    return session


def _run(session: Any, window: Float32s) -> Float32s:
    (output,) = session.run(None, {session.get_inputs()[0].name: window})
    return np.asarray(output, np.float32)


def _read(stream: BinaryIO) -> bytes | None:
    """The next message, None at the end."""
    head = stream.read(_LENGTH.size)
    if len(head) < _LENGTH.size:
        return None
    return stream.read(_LENGTH.unpack(head)[0])


def _write(stream: BinaryIO, payload: bytes) -> None:
    stream.write(_LENGTH.pack(len(payload)) + payload)
    stream.flush()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
