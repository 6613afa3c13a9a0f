"""ONNX inference in a child process: a wheel that dies with SIGILL, hangs or eats the memory takes nothing with it.

One child serves all models, since onnxruntime is most of its memory. `drivers.onnx_child` is the child.
"""

import asyncio
import contextlib
import json
import os
import signal
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt

from agent.core.errors import ConfigError, ModelDown
from agent.core.manifest import AnyManifest, load_manifest
from agent.core.paths import MODELS, ROOT
from drivers.onnx_child import LENGTH

Float32s = npt.NDArray[np.float32]

_LOAD_DEADLINE_S: Final = 20.0  # importing onnxruntime alone takes seconds on an SD card
_END_DEADLINE_S: Final = 2.0
_DEATH_DEADLINE_S: Final = 0.2
_MESSAGE_MAX: Final = 1 << 20
_CHILD: Final = (sys.executable, "-m", "drivers.onnx_child")


class OnnxWorker:
    """An Inference port over a child process.

    load starts a fresh child, whatever became of the last one; infer kills a child that misses the deadline or talks
    nonsense, so that after a ModelDown only load helps. Questions wait for each other. command is the child's, without
    the manifests.
    """

    def __init__(
        self,
        deadline_s: float = 0.5,
        *,
        folder: Path = MODELS,
        load_deadline_s: float = _LOAD_DEADLINE_S,
        command: Sequence[str] = _CHILD,
    ) -> None:
        self._folder = folder.resolve()
        self._deadline_s = deadline_s
        self._load_deadline_s = load_deadline_s
        self._command = command
        self._served: dict[str, tuple[int, AnyManifest]] = {}
        self._child: asyncio.subprocess.Process | None = None
        self._reason = ""
        self._line = asyncio.Lock()

    @property
    def pid(self) -> int | None:
        """The child's process id, None where there is none."""
        return None if self._child is None else self._child.pid

    async def load(self, models: Sequence[str]) -> Mapping[str, str]:
        """Start the child, which checks hashes and golden vectors; why models are refused, by name."""
        await self.close()
        refused: dict[str, str] = {}
        manifests: dict[str, AnyManifest] = {}
        for model in models:
            try:
                manifests[model] = load_manifest(self._folder / f"{model}.toml")
            except ConfigError as exc:
                refused[model] = str(exc)
        if not manifests:
            return refused
        await self._start(list(manifests))
        greeting = await self._ask(None, self._load_deadline_s)
        try:
            refused |= {str(model): str(why) for model, why in json.loads(greeting)["refused"].items()}
        except (ValueError, KeyError, TypeError, AttributeError) as exc:
            reason = f"inference process greeted with {greeting[:40]!r}"
            await self._kill(reason)
            raise ModelDown(reason) from exc
        self._served = {model: (place, manifests[model]) for place, model in enumerate(manifests)}
        for model in refused:
            self._served.pop(model, None)
        if not self._served:
            await self.close()
        return refused

    async def infer(self, model: str, inputs: Float32s) -> Float32s:
        """Return the model's output as its manifest's shape. Raises ModelDown within the deadline."""
        if self._child is None or model not in self._served:
            raise ModelDown(f"inference process does not serve {model}")
        place, manifest = self._served[model]
        if inputs.shape != manifest.input_shape or inputs.dtype != np.float32:
            raise ModelDown(f"input is {inputs.dtype}{inputs.shape}, {model} takes {manifest.input_shape}")
        answer = await self._ask(bytes([place]) + inputs.tobytes(), self._deadline_s)
        shape = manifest.output_shape
        if len(answer) != 4 * shape[0] * shape[1]:
            reason = f"inference process answered {len(answer)} bytes, not an output of shape {shape}"
        else:
            output = np.frombuffer(answer, np.float32).reshape(shape)
            if np.isfinite(output).all():
                return output
            reason = f"{model} answered with numbers that are not finite"
        await self._kill(reason)
        raise ModelDown(reason)

    async def ended(self) -> str:
        """Return when the child has ended, and why; at once where there is none."""
        child = self._child
        if child is not None:
            status = await child.wait()
            self._reason = self._reason or f"inference process died (exit status {status})"
        return self._reason

    async def close(self) -> None:
        """Kill the child, if there is one, and wait for its end."""
        await self._kill("")

    async def _start(self, models: Sequence[str]) -> None:
        paths = [str(self._folder / f"{model}.toml") for model in models]
        try:
            self._child = await asyncio.create_subprocess_exec(
                *self._command, *paths, cwd=ROOT, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE
            )
        except OSError as exc:
            raise ModelDown(f"inference process cannot start: {exc}") from exc

    async def _kill(self, reason: str) -> None:
        child, self._child = self._child, None
        self._served = {}
        self._reason = reason
        if child is None:
            return
        if child.returncode is None:
            # child.kill() would collect a child that is dead already behind asyncio's back, and lose its exit status.
            with contextlib.suppress(ProcessLookupError):
                os.kill(child.pid, signal.SIGKILL)
        if child.stdin is not None:
            child.stdin.close()
        await asyncio.wait_for(child.wait(), _END_DEADLINE_S)

    async def _ask(self, payload: bytes | None, deadline_s: float) -> bytes:
        """Send a message, if any, and wait for one. Kills the child and raises ModelDown where that fails."""
        async with self._line:
            return await self._converse(payload, deadline_s)

    async def _converse(self, payload: bytes | None, deadline_s: float) -> bytes:
        child = self._child
        if child is None or child.stdin is None or child.stdout is None:
            raise ModelDown("inference process is not running")
        try:
            async with asyncio.timeout(deadline_s):
                if payload is not None:
                    child.stdin.write(LENGTH.pack(len(payload)) + payload)
                    await child.stdin.drain()
                (size,) = LENGTH.unpack(await child.stdout.readexactly(LENGTH.size))
                if size <= _MESSAGE_MAX:
                    return await child.stdout.readexactly(size)
                reason = f"inference process announced {size} bytes"
        except TimeoutError:
            reason = f"inference process gave no answer within {deadline_s:g} s"
        except (asyncio.IncompleteReadError, ConnectionError):
            reason = "inference process died"
            with contextlib.suppress(TimeoutError):
                status = await asyncio.wait_for(child.wait(), _DEATH_DEADLINE_S)
                reason += f" (exit status {status})"
        except asyncio.CancelledError:
            await self.close()  # half a conversation cannot be taken up again
            raise
        await self._kill(reason)
        raise ModelDown(reason)
