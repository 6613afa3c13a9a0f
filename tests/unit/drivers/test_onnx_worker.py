import hashlib
import os
import shutil
import signal
from collections.abc import AsyncIterator
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from agent.core.errors import ModelDown, ModelRefused
from agent.core.manifest import load_manifest
from agent.core.paths import MODELS
from drivers.onnx_worker import OnnxWorker


@pytest.fixture
def manifest(tmp_path: Path) -> Path:
    for name in ("drive.toml", "drive.onnx"):
        shutil.copy(MODELS / name, tmp_path / name)
    return tmp_path / "drive.toml"


@pytest.fixture
async def worker(manifest: Path) -> AsyncIterator[OnnxWorker]:
    worker = OnnxWorker(manifest, 5.0)
    await worker.load()
    yield worker
    await worker.close()


def _window() -> npt.NDArray[np.float32]:
    return np.array(load_manifest(MODELS / "drive.toml").golden[0].input, np.float32).reshape(1, 20, 4)


def _edit(manifest: Path, old: str, new: str) -> None:
    text = manifest.read_text()
    assert old in text
    manifest.write_text(text.replace(old, new, 1))


async def test_a_golden_window_gives_its_golden_output(worker: OnnxWorker) -> None:
    golden = load_manifest(MODELS / "drive.toml").golden[0]
    output = await worker.infer(_window())
    assert output.shape == (1, 4)
    np.testing.assert_allclose(output[0], golden.output, atol=1e-3)


async def test_a_killed_child_is_down_and_load_brings_it_back(worker: OnnxWorker) -> None:
    assert worker.pid is not None
    os.kill(worker.pid, signal.SIGKILL)
    with pytest.raises(ModelDown, match=r"died \(exit status -9\)"):
        await worker.infer(_window())
    with pytest.raises(ModelDown, match="not running"):
        await worker.infer(_window())
    await worker.load()
    assert (await worker.infer(_window())).shape == (1, 4)


async def test_a_hung_child_is_killed_at_the_deadline(manifest: Path) -> None:
    worker = OnnxWorker(manifest, 0.05)
    await worker.load()
    pid = worker.pid
    assert pid is not None
    os.kill(pid, signal.SIGSTOP)
    with pytest.raises(ModelDown, match=r"no answer within 0\.05 s"):
        await worker.infer(_window())
    assert worker.pid is None
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


async def test_a_child_that_hangs_while_loading_is_down(manifest: Path) -> None:
    worker = OnnxWorker(manifest, 1.0, load_deadline_s=0.0)
    with pytest.raises(ModelDown, match="no answer within 0 s"):
        await worker.load()
    assert worker.pid is None


async def test_another_file_than_the_manifests_is_refused(manifest: Path) -> None:
    with (manifest.parent / "drive.onnx").open("ab") as file:
        file.write(b"\0")
    with pytest.raises(ModelRefused, match=r"sha256 is .* the manifest says"):
        await OnnxWorker(manifest).load()


async def test_a_wrong_golden_output_is_refused_by_number(manifest: Path) -> None:
    golden = load_manifest(manifest).golden[1]
    _edit(manifest, f"output = [{golden.output[0]!r}", f"output = [{golden.output[0] + 0.5!r}")
    with pytest.raises(ModelRefused, match=r"golden vector 1 is off by 0\.5"):
        await OnnxWorker(manifest).load()


async def test_a_model_of_another_shape_is_refused(manifest: Path) -> None:
    _halve(manifest)
    with pytest.raises(ModelRefused, match="shapes"):
        await OnnxWorker(manifest).load()


async def test_a_golden_vector_that_does_not_fit_the_manifest_is_refused(manifest: Path) -> None:
    _edit(manifest, "steps = 20", "steps = 21")
    with pytest.raises(ModelRefused, match="golden vector 0 does not have the model's shape"):
        await OnnxWorker(manifest).load()


async def test_what_is_no_model_is_refused(manifest: Path) -> None:
    digest = hashlib.sha256(b"garbage").hexdigest()
    (manifest.parent / "drive.onnx").write_bytes(b"garbage")
    _edit(manifest, load_manifest(manifest).sha256, digest)
    with pytest.raises(ModelRefused, match="not a model"):
        await OnnxWorker(manifest).load()


async def test_a_missing_model_and_a_missing_manifest_are_refused(manifest: Path) -> None:
    (manifest.parent / "drive.onnx").unlink()
    with pytest.raises(ModelRefused, match=r"drive\.onnx: cannot be read"):
        await OnnxWorker(manifest).load()
    with pytest.raises(ModelRefused, match=r"none\.toml: cannot be read"):
        await OnnxWorker(manifest.parent / "none.toml").load()


async def test_a_window_of_another_shape_never_reaches_the_child(worker: OnnxWorker) -> None:
    with pytest.raises(ModelDown, match=r"the model takes \(1, 20, 4\)"):
        await worker.infer(np.zeros((1, 19, 4), np.float32))
    assert (await worker.infer(_window())).shape == (1, 4)


async def test_numbers_that_are_not_finite_count_as_down(worker: OnnxWorker) -> None:
    with pytest.raises(ModelDown, match="not finite"):
        await worker.infer(np.full((1, 20, 4), np.nan, np.float32))
    assert worker.pid is None


async def test_closing_twice_is_fine(worker: OnnxWorker) -> None:
    await worker.close()
    await worker.close()
    assert worker.pid is None


def _halve(manifest: Path) -> None:
    """Half the steps, golden vectors too."""
    lines = manifest.read_text().replace("steps = 20", "steps = 10", 1).splitlines()
    for number, line in enumerate(lines):
        if line.startswith("input = ["):
            lines[number] = ", ".join(line.split(", ")[:40]) + "]"
    manifest.write_text("\n".join(lines))
