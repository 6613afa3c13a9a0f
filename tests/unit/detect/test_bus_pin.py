import msgspec
import numpy as np
import pytest

from agent.core.errors import ConfigError
from agent.core.habits_manifest import GoldenFrames, golden_frames, load_habits_manifest
from agent.core.paths import HABITS
from agent.decode.profile import load_pin, load_pinned
from agent.detect.bus import Finding
from agent.detect.bus_pin import check_pin, watch_of

STATE = load_pinned("simcar.habits")
MANIFEST = load_habits_manifest(HABITS / "simcar.toml")


def test_the_shipped_habits_are_what_their_manifest_says() -> None:
    check_pin(MANIFEST, STATE)
    assert load_pin("simcar.habits") == MANIFEST
    honest, spoilt = (set(golden.findings) for golden in MANIFEST.golden)
    assert honest == {0}
    assert {Finding.UNKNOWN, Finding.HELD} <= spoilt
    assert any(finding & Finding.PAYLOAD for finding in spoilt)
    assert any(finding & Finding.EARLY for finding in spoilt)


def test_other_habits_are_refused_by_their_hash() -> None:
    with pytest.raises(ConfigError, match=r"simcar\.habits: sha256 is .* the manifest says"):
        check_pin(MANIFEST, STATE + b"\0")


def test_habits_that_judge_otherwise_are_refused_by_the_frame() -> None:
    golden = MANIFEST.golden[1]
    findings = [*golden.findings[:-1], golden.findings[-1] ^ Finding.EARLY]
    other = msgspec.structs.replace(MANIFEST, golden=[GoldenFrames(frames=golden.frames, findings=findings)])
    with pytest.raises(ConfigError, match=rf"golden frames 0: frame {len(findings) - 1} is judged otherwise"):
        check_pin(other, STATE)


def test_habits_of_an_owner_have_no_manifest() -> None:
    assert load_pin("") is None
    assert load_pin("/nonexistent/my-car.habits") is None
    with pytest.raises(ConfigError, match="damaged"):
        watch_of(b"nothing")


def test_golden_frames_read_back_as_they_were() -> None:
    batch = MANIFEST.golden[0].batch()
    assert golden_frames(batch, np.array(MANIFEST.golden[0].findings, np.uint8)) == MANIFEST.golden[0]
    with pytest.raises(ValueError, match="2 frames have 1 findings"):
        GoldenFrames(frames=["0 1 00", "1 80000001 ff"], findings=[0])
