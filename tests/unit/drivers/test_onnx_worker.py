import asyncio
import hashlib
import os
import re
import shutil
import signal
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from agent.core.errors import ModelDown
from agent.core.manifest import load_manifest
from agent.core.paths import MODELS
from drivers.onnx_worker import OnnxWorker

# A child that greets as it should and then, at the first question, does what is put in for {}.
BAD_CHILD = """
import os, resource, signal, struct, sys, time
greeting = b'{{"refused": {{}}}}'
sys.stdout.buffer.write(struct.pack("<I", len(greeting)) + greeting)
sys.stdout.buffer.flush()
sys.stdin.buffer.read(4)
def answer(payload):
    sys.stdout.buffer.write(payload)
    sys.stdout.buffer.flush()
    time.sleep(60)
{}
"""
SHAPE = (1, 240, 21)
OUT_OF_MEMORY = "resource.setrlimit(resource.RLIMIT_DATA, (1 << 26, 1 << 26))\nhoard = bytearray(1 << 28)"


@pytest.fixture
def manifest(tmp_path: Path) -> Path:
    for name in ("drive.toml", "drive.onnx"):
        shutil.copy(MODELS / name, tmp_path / name)
    return tmp_path / "drive.toml"


@pytest.fixture
async def worker(manifest: Path) -> AsyncIterator[OnnxWorker]:
    worker = OnnxWorker(5.0, folder=manifest.parent)
    assert await worker.load(["drive"]) == {}
    yield worker
    await worker.close()


def _window() -> npt.NDArray[np.float32]:
    return np.array(load_manifest(MODELS / "drive.toml").golden[0].input, np.float32).reshape(SHAPE)


def _edit(manifest: Path, old: str, new: str) -> None:
    text = manifest.read_text()
    assert old in text
    manifest.write_text(text.replace(old, new, 1))


async def test_a_golden_window_gives_its_golden_output(worker: OnnxWorker) -> None:
    golden = load_manifest(MODELS / "drive.toml").golden[0]
    output = await worker.infer("drive", _window())
    assert output.shape == (1, 10)
    np.testing.assert_allclose(output[0], golden.output, atol=1e-3)


async def test_a_killed_child_is_down_and_load_brings_it_back(worker: OnnxWorker) -> None:
    assert worker.pid is not None
    os.kill(worker.pid, signal.SIGKILL)
    with pytest.raises(ModelDown, match=r"died \(exit status -9\)"):
        await worker.infer("drive", _window())
    with pytest.raises(ModelDown, match="does not serve drive"):
        await worker.infer("drive", _window())
    await worker.load(["drive"])
    assert (await worker.infer("drive", _window())).shape == (1, 10)


async def test_a_hung_child_is_killed_at_the_deadline(manifest: Path) -> None:
    worker = OnnxWorker(0.05, folder=manifest.parent)
    await worker.load(["drive"])
    pid = worker.pid
    assert pid is not None
    os.kill(pid, signal.SIGSTOP)
    with pytest.raises(ModelDown, match=r"no answer within 0\.05 s"):
        await worker.infer("drive", _window())
    assert worker.pid is None
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


async def test_a_child_that_hangs_while_loading_is_down(manifest: Path) -> None:
    worker = OnnxWorker(folder=manifest.parent, load_deadline_s=0.0)
    with pytest.raises(ModelDown, match="no answer within 0 s"):
        await worker.load(["drive"])
    assert worker.pid is None


async def test_another_file_than_the_manifests_is_refused(manifest: Path) -> None:
    with (manifest.parent / "drive.onnx").open("ab") as file:
        file.write(b"\0")
    assert re.search(r"sha256 is .* the manifest says", await _refused(manifest))


async def test_a_wrong_golden_output_is_refused_by_number(manifest: Path) -> None:
    golden = load_manifest(manifest).golden[1]
    _edit(manifest, f"output = {golden.output!r}", f"output = {[golden.output[0] + 0.5, *golden.output[1:]]!r}")
    assert re.search(r"golden vector 1 is off by 0\.5", await _refused(manifest))


async def test_a_model_of_another_shape_is_refused(manifest: Path) -> None:
    _halve(manifest)
    assert re.search("shapes", await _refused(manifest))


async def test_a_golden_vector_that_does_not_fit_the_manifest_is_refused(manifest: Path) -> None:
    _edit(manifest, "steps = 240", "steps = 241")
    assert re.search("golden vector 0 does not have the model's shape", await _refused(manifest))


async def test_what_is_no_model_is_refused(manifest: Path) -> None:
    digest = hashlib.sha256(b"garbage").hexdigest()
    (manifest.parent / "drive.onnx").write_bytes(b"garbage")
    _edit(manifest, load_manifest(manifest).sha256, digest)
    assert re.search("not a model", await _refused(manifest))


async def test_a_missing_model_and_a_missing_manifest_are_refused(manifest: Path) -> None:
    (manifest.parent / "drive.onnx").unlink()
    assert re.search(r"drive\.onnx: cannot be read", await _refused(manifest))
    assert "none.toml: cannot be read" in (await OnnxWorker(folder=manifest.parent).load(["none"]))["none"]


async def test_a_window_of_another_shape_never_reaches_the_child(worker: OnnxWorker) -> None:
    with pytest.raises(ModelDown, match=r"drive takes \(1, 240, 21\)"):
        await worker.infer("drive", np.zeros((1, 239, 21), np.float32))
    assert (await worker.infer("drive", _window())).shape == (1, 10)


async def test_numbers_that_are_not_finite_count_as_down(worker: OnnxWorker) -> None:
    with pytest.raises(ModelDown, match="not finite"):
        await worker.infer("drive", np.full(SHAPE, np.nan, np.float32))
    assert worker.pid is None


async def test_closing_twice_is_fine(worker: OnnxWorker) -> None:
    await worker.close()
    await worker.close()
    assert worker.pid is None


@pytest.mark.parametrize(
    ("deed", "reason"),
    [
        ("os.kill(os.getpid(), signal.SIGKILL)", r"died \(exit status -9\)"),
        ("os.kill(os.getpid(), signal.SIGILL)", r"died \(exit status -4\)"),
        (OUT_OF_MEMORY, r"died \(exit status 1\)"),
        ("time.sleep(60)", r"no answer within 0\.3 s"),
        ("answer(struct.pack('<I', 3) + b'abc')", r"answered 3 bytes, not an output of shape \(1, 10\)"),
        ("answer(struct.pack('<I', 40) + b'\\xff' * 40)", "not finite"),
        ("answer(b'garbage garbage garbage')", "announced 1651663207 bytes"),
        ("answer(struct.pack('<I', 40) + b'\\0' * 5)", r"no answer within 0\.3 s"),
    ],
)
async def test_a_child_that_fails_is_down_and_gone_within_its_deadline(manifest: Path, deed: str, reason: str) -> None:
    command = (sys.executable, "-c", BAD_CHILD.format(deed))
    worker = OnnxWorker(0.3, folder=manifest.parent, command=command)
    assert await worker.load(["drive"]) == {}
    pid = worker.pid
    assert pid is not None
    with pytest.raises(ModelDown, match=reason):
        await worker.infer("drive", _window())
    assert re.search(reason, await worker.ended())
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


@pytest.mark.parametrize("greeting", ["hello", "[]", '{"refused": 1}'])
async def test_a_child_that_greets_with_garbage_is_down(manifest: Path, greeting: str) -> None:
    code = f"import struct, sys; sys.stdout.buffer.write(struct.pack('<I', {len(greeting)}) + {greeting.encode()!r})"
    worker = OnnxWorker(folder=manifest.parent, command=(sys.executable, "-c", code))
    with pytest.raises(ModelDown, match="greeted with"):
        await worker.load(["drive"])
    assert worker.pid is None


async def test_a_child_that_cannot_start_is_down(manifest: Path) -> None:
    worker = OnnxWorker(folder=manifest.parent, command=("/nonexistent/python",))
    with pytest.raises(ModelDown, match="cannot start"):
        await worker.load(["drive"])


async def test_the_end_of_an_idle_child_is_told(worker: OnnxWorker) -> None:
    ended = asyncio.create_task(worker.ended())
    await asyncio.sleep(0)
    assert not ended.done()
    assert worker.pid is not None
    os.kill(worker.pid, signal.SIGILL)
    assert await ended == "inference process died (exit status -4)"


async def test_one_child_serves_several_models_and_refuses_others_by_name(manifest: Path) -> None:
    for suffix in (".toml", ".onnx"):
        for name in ("second", "spoilt"):
            shutil.copy(manifest.with_suffix(suffix), manifest.with_name(name).with_suffix(suffix))
    for name in ("second", "spoilt"):
        _edit(manifest.with_name(f"{name}.toml"), 'file = "drive.onnx"', f'file = "{name}.onnx"')
    (manifest.parent / "spoilt.onnx").write_bytes(b"")
    worker = OnnxWorker(5.0, folder=manifest.parent)
    refused = await worker.load(["none", "spoilt", "drive", "second"])
    assert sorted(refused) == ["none", "spoilt"]
    assert "sha256 is" in refused["spoilt"]
    first, second = await asyncio.gather(worker.infer("drive", _window()), worker.infer("second", 2 * _window()))
    assert not np.array_equal(first, second)
    np.testing.assert_array_equal(second, await worker.infer("second", 2 * _window()))
    with pytest.raises(ModelDown, match="does not serve spoilt"):
        await worker.infer("spoilt", _window())
    await worker.close()


async def test_the_child_offers_itself_to_a_kernel_short_of_memory(worker: OnnxWorker) -> None:
    about = Path(f"/proc/{worker.pid}")
    assert (about / "oom_score_adj").read_text() == "1000\n"
    assert re.search(r"Max data size +536870912 ", (about / "limits").read_text())


async def _refused(manifest: Path) -> str:
    worker = OnnxWorker(folder=manifest.parent)
    refused = await worker.load(["drive"])
    assert worker.pid is None
    return refused["drive"]


def _halve(manifest: Path) -> None:
    """Half the steps, golden vectors too."""
    lines = manifest.read_text().replace("steps = 240", "steps = 120", 1).splitlines()
    for number, line in enumerate(lines):
        if line.startswith("input = ["):
            lines[number] = ", ".join(line.split(", ")[: 120 * 21]) + "]"
    manifest.write_text("\n".join(lines))
