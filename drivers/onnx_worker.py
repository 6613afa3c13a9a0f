"""ONNX inference in a child process: a wheel that dies with SIGILL, hangs or eats the memory takes nothing with it.

One child serves all models, since onnxruntime is most of its memory. `drivers.onnx_child` is the child.
"""

import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt

from agent.core.errors import ConfigError, ModelDown
from agent.core.manifest import AnyManifest, load_manifest
from agent.core.paths import MODELS
from drivers.model_child import ModelChild

Float32s = npt.NDArray[np.float32]

_LOAD_DEADLINE_S: Final = 20.0  # importing onnxruntime alone takes seconds on an SD card
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
        self._served: dict[str, tuple[int, AnyManifest]] = {}
        self._child = ModelChild("inference process", command)

    @property
    def pid(self) -> int | None:
        """The child's process id, None where there is none."""
        return self._child.pid

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
        await self._child.start([str(self._folder / f"{model}.toml") for model in manifests])
        greeting = await self._child.ask(None, self._load_deadline_s)
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
        if not self._child.running or model not in self._served:
            raise ModelDown(f"inference process does not serve {model}")
        place, manifest = self._served[model]
        if inputs.shape != manifest.input_shape or inputs.dtype != np.float32:
            raise ModelDown(f"input is {inputs.dtype}{inputs.shape}, {model} takes {manifest.input_shape}")
        answer = await self._child.ask(bytes([place]) + inputs.tobytes(), self._deadline_s)
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
        return await self._child.ended()

    async def close(self) -> None:
        """Kill the child, if there is one, and wait for its end."""
        await self._kill("")

    async def _kill(self, reason: str) -> None:
        self._served = {}
        await self._child.kill(reason)
