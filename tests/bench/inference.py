"""The models in their child process: time a question, memory, and what one child for all of them saves.

Questions come one by one with 5 ms between them, as a child that sleeps in between would get them; each is timed from
the agent's call to the checked answer. Beside it the same sessions in this process, without any isolation: what the
child costs. The peer of the memory is one child for each model, in proportional set size, so that pages which children
share count once.
"""

import asyncio
import time
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from agent.core.errors import AgentError
from agent.core.manifest import AnyManifest, load_manifest
from agent.core.paths import MODELS
from drivers.onnx_child import open_model
from drivers.onnx_child import run as run_session
from drivers.onnx_worker import OnnxWorker

_ROUNDS: Final = 500
_APART_S: Final = 0.005


def run() -> dict[str, object]:
    """The bars: p99 5 ms a question, 150 MB."""
    return {"name": "inference", **asyncio.run(measure())}


async def measure() -> dict[str, object]:
    """ratio_memory: of one child a model over ours."""
    manifests = [load_manifest(path) for path in sorted(MODELS.glob("*.toml"))]
    together, took_ms = await _ask_all(manifests)
    sessions = [(manifest, open_model(manifest, MODELS / manifest.file)) for manifest in manifests]
    alone_ms = [_time_ms(manifest, session) for _ in range(_ROUNDS) for manifest, session in sessions]
    p50_ms, p99_ms = np.percentile(took_ms, [50, 99])
    return {
        "models": len(manifests),
        "questions": len(took_ms),
        "p50_ms": round(float(p50_ms), 3),
        "p99_ms": round(float(p99_ms), 3),
        "in_process_p50_ms": round(float(np.median(alone_ms)), 3),
        "child_rss_mb": round(together["Rss"] / 1000, 1),
        "child_pss_mb": round(together["Pss"] / 1000, 1),
        "ratio_memory": round(await _apart_kb(manifests) / together["Pss"], 2),
    }


async def _ask_all(manifests: list[AnyManifest]) -> tuple[dict[str, int], list[float]]:
    worker = await _load(manifests)
    took_ms = []
    for _ in range(_ROUNDS):
        for manifest in manifests:
            inputs = _inputs(manifest)
            begun = time.perf_counter()
            await worker.infer(manifest.name, inputs)
            took_ms.append((time.perf_counter() - begun) * 1000)
            await asyncio.sleep(_APART_S)
    memory = _memory_kb(worker.pid)
    await worker.close()
    return memory, took_ms


async def _apart_kb(manifests: list[AnyManifest]) -> int:
    workers = [await _load([manifest]) for manifest in manifests]
    for worker, manifest in zip(workers, manifests, strict=True):
        await worker.infer(manifest.name, _inputs(manifest))
    total = sum(_memory_kb(worker.pid)["Pss"] for worker in workers)
    for worker in workers:
        await worker.close()
    return total


async def _load(manifests: list[AnyManifest]) -> OnnxWorker:
    worker = OnnxWorker()
    refused = await worker.load([manifest.name for manifest in manifests])
    if refused:
        raise AgentError(f"bench inference: {refused}")
    return worker


def _memory_kb(pid: int | None) -> dict[str, int]:
    """Rss and Pss, in kB of 1024 bytes."""
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="ascii").splitlines()[1:]
    return {line.split(":")[0]: int(line.split()[1]) for line in lines}


def _time_ms(manifest: AnyManifest, session: Any) -> float:
    inputs = _inputs(manifest)
    begun = time.perf_counter()
    run_session(session, inputs, manifest)
    return (time.perf_counter() - begun) * 1000


def _inputs(manifest: AnyManifest) -> npt.NDArray[np.float32]:
    return np.array(manifest.golden[0].input, np.float32).reshape(manifest.input_shape)
