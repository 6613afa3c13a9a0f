from pathlib import Path

import msgspec
import numpy as np
import pytest

from agent.core import vss
from agent.core.errors import ConfigError
from agent.core.events import Anomaly
from agent.core.manifest import Golden, WindowManifest, load_window_manifest
from agent.core.model_card import Card, Metric
from agent.core.model_inputs import Gate, ModelInput, Output
from agent.core.paths import MODELS
from agent.core.signals import Series
from agent.detect.anomaly import AnomalyWatch
from tests.unit.detect.feed import NS, Recording, series, windows

MANIFEST = WindowManifest(
    name="tiny",
    version=3,
    file="tiny.onnx",
    sha256="0" * 64,
    opset=17,
    rate_hz=2.0,
    steps=4,
    threshold=2.0,
    persistence=3,
    gap_min_s=60,
    golden_tolerance=1e-3,
    profiles=["simcar"],
    card=Card(
        does="tests",
        how="tests",
        trained_on="nothing",
        threshold_from="nothing",
        rebuilt_by="nobody",
        measured_on="nothing",
        metrics=[Metric(what="nothing", value="0")],
        limits=["all"],
    ),
    inputs=[
        ModelInput(path=vss.SPEED, unit="km/h", mean=50.0, scale=10.0, age_max_s=1.0),
        ModelInput(path=vss.ENGINE_SPEED, unit="rpm", mean=1000.0, scale=500.0, age_max_s=1.0),
    ],
    outputs=[
        Output(fault="sensor_implausible", signal=vss.SPEED),
        Output(fault="misfire", signal=vss.ENGINE_SPEED),
    ],
    golden=[Golden(input=[0.0] * 8, output=[0.0, 0.0])],
)
ENGINE = msgspec.structs.replace(
    MANIFEST,
    gate=Gate(signal=vss.ENGINE_SPEED, least=400.0, pause_max_s=3.0, moves=vss.SPEED, moves_above=30.0),
    inputs=[
        *MANIFEST.inputs,
        ModelInput(path=vss.THROTTLE, unit="percent", mean=20.0, scale=10.0, age_max_s=1.0, optional=True),
    ],
    golden=[Golden(input=[0.0] * 16, output=[0.0, 0.0])],
)


NOTHING = np.zeros(MANIFEST.input_shape, np.float32)


def _recording(end_s: float = 20.0) -> Recording:
    t_s = np.arange(0, end_s, 0.1)
    return {vss.SPEED: series(t_s, 50 + t_s), vss.ENGINE_SPEED: series(t_s + 0.03, 1000 + 100 * t_s)}


def _collected(
    recording: Recording, cuts_ns: list[int], manifest: WindowManifest = MANIFEST
) -> dict[int, list[list[float]]]:
    """Each due window by the instant of its newest row."""
    watch = AnomalyWatch(manifest)
    found = {}
    for window in windows(recording, cuts_ns):
        due = watch.collect(window)
        if due is not None:
            assert due.dtype == np.float32
            assert due.shape == manifest.input_shape
            found[window.t_ns // NS] = due[0].round(4).tolist()
    return found


def test_rows_lie_on_the_grid_and_are_scaled() -> None:
    found = _collected(_recording(), [k * NS // 10 for k in range(200)])
    assert sorted(found) == list(range(2, 20))
    speeds = [row[0] for row in found[10]]
    assert speeds == pytest.approx([0.85, 0.9, 0.95, 1.0], abs=0.001)
    engine = [row[1] for row in found[10]]
    assert engine == pytest.approx([100 * (t - 0.07) / 500 for t in (8.5, 9.0, 9.5, 10.0)], abs=0.01)


def test_windows_of_any_width_give_the_same_model_windows() -> None:
    fine = _collected(_recording(), [k * NS // 50 for k in range(1000)])
    coarse = _collected(_recording(), [k * NS for k in range(20)])
    assert coarse == {second: fine[second] for second in coarse}


def test_a_missing_or_old_signal_starts_the_window_anew() -> None:
    recording = dict(_recording())
    rpm = recording[vss.ENGINE_SPEED]
    heard = (rpm.t_ns < 5 * NS) | (rpm.t_ns > 9 * NS)
    recording[vss.ENGINE_SPEED] = Series(rpm.t_ns[heard], rpm.value[heard])
    found = _collected(recording, [k * NS // 10 for k in range(200)])
    assert sorted(found) == [2, 3, 4, 5, *range(11, 20)]
    del recording[vss.ENGINE_SPEED]
    assert _collected(recording, [k * NS // 10 for k in range(200)]) == {}


SECONDS = [k * NS // 10 for k in range(200)]


def _driven(kmh: float, *, rpm: np.ndarray | None = None) -> Recording:
    t_s = np.arange(0, 20, 0.1)
    turning = np.full(len(t_s), 1500.0) if rpm is None else rpm
    return {vss.SPEED: series(t_s, np.full(len(t_s), kmh)), vss.ENGINE_SPEED: series(t_s, turning)}


def test_an_optional_signal_that_is_not_told_is_nothing_and_a_column_says_so() -> None:
    found = _collected(_driven(50.0), SECONDS, ENGINE)
    assert found[10] == [[0.0, 1.0, 0.0, 0.0]] * 4
    t_s = np.arange(0, 10.5, 0.5)
    told = {**_driven(50.0), vss.THROTTLE: series(t_s, np.full(len(t_s), 40.0))}
    found = _collected(told, SECONDS, ENGINE)
    assert found[10] == [[0.0, 1.0, 2.0, 1.0]] * 4
    assert [row[2:] for row in found[12]] == [[2.0, 1.0], [2.0, 1.0], [0.0, 0.0], [0.0, 0.0]]


def test_seconds_without_the_engine_are_left_out_and_a_long_rest_begins_anew() -> None:
    t_s = np.arange(0, 20, 0.1)
    short = _driven(0.0, rpm=np.where((t_s >= 6) & (t_s < 8), 0.0, 1500.0))
    found = _collected(short, SECONDS, ENGINE)
    assert sorted(found) == [2, 3, 4, 5, *range(8, 20)]
    assert found[8] == [[-5.0, 1.0, 0.0, 0.0]] * 4
    long = _driven(0.0, rpm=np.where((t_s >= 6) & (t_s < 12), 0.0, 1500.0))
    assert sorted(_collected(long, SECONDS, ENGINE)) == [2, 3, 4, 5, *range(14, 20)]


def test_a_car_that_drives_without_its_engine_is_judged_no_more() -> None:
    t_s = np.arange(0, 20, 0.1)
    hybrid = _driven(50.0, rpm=np.where((t_s >= 6) & (t_s < 7), 0.0, 1500.0))
    assert sorted(_collected(hybrid, SECONDS, ENGINE)) == [2, 3, 4, 5]


def test_a_gate_on_a_signal_that_may_be_missing_is_refused() -> None:
    gate = Gate(signal=vss.THROTTLE, least=1.0, pause_max_s=3.0, moves=vss.SPEED, moves_above=30.0)
    with pytest.raises(ValueError, match="not optional"):
        msgspec.structs.replace(ENGINE, gate=gate)


def _judged(scores: list[float], watch: AnomalyWatch | None = None) -> list[tuple[int, Anomaly]]:
    watch = watch or AnomalyWatch(MANIFEST)
    found = []
    for second, score in enumerate(scores):
        for event in watch.judge(NOTHING, np.array([[0.1, score]], np.float32), second * NS):
            assert isinstance(event, Anomaly)
            found.append((second, event))
    return found


def test_only_persistence_is_worth_an_event() -> None:
    assert _judged([3.0, 3.0, 1.0, 3.0, 3.0, 1.9, 3.0]) == []
    ((second, event),) = _judged([1.0, 3.0, 3.0, 2.5, 3.0])
    assert second == 3
    assert event == Anomaly(
        t_ns=3 * NS, model="tiny-3", score=2.5, threshold=2.0, signal=vss.ENGINE_SPEED, fault="misfire"
    )


def test_persistence_is_that_of_one_output_and_the_highest_is_told() -> None:
    watch = AnomalyWatch(MANIFEST)
    both = np.array([[3.0, 2.5]], np.float32)
    first, second = np.array([[3.0, 0.0]], np.float32), np.array([[0.0, 3.0]], np.float32)
    assert [watch.judge(NOTHING, x, 0) for x in (first, second, first, second)] == [[]] * 4
    watch = AnomalyWatch(MANIFEST)
    (event,) = [event for second in range(3) for event in watch.judge(NOTHING, both, second * NS)]
    assert isinstance(event, Anomaly)
    assert (event.fault, event.signal) == ("sensor_implausible", vss.SPEED)


def test_an_output_may_count_only_where_its_signal_was_high_enough() -> None:
    outputs = [msgspec.structs.replace(MANIFEST.outputs[0], least=70.0), MANIFEST.outputs[1]]
    manifest = msgspec.structs.replace(MANIFEST, outputs=outputs, persistence=1)
    score = np.array([[3.0, 0.0]], np.float32)
    slow, fast = NOTHING.copy(), NOTHING.copy()
    fast[0, :, 0] = 2.0  # 70 km/h
    slow[0, 1:, 0] = 2.0
    assert AnomalyWatch(manifest).judge(slow, score, 0) == []
    assert len(AnomalyWatch(manifest).judge(fast, score, 0)) == 1
    with pytest.raises(ValueError, match="counts from a value on"):
        msgspec.structs.replace(ENGINE, outputs=[Output(fault="a", signal=vss.THROTTLE, least=1.0), outputs[1]])


def test_after_an_event_there_is_quiet() -> None:
    assert [second for second, _ in _judged([3.0] * 130)] == [2, 62, 122]


def test_the_shipped_manifest_is_sound() -> None:
    manifest = load_window_manifest(MODELS / "drive.toml")
    assert manifest.input_shape == (1, 240, 12 + 9)
    assert manifest.output_shape == (1, len(manifest.outputs)) == (1, 10)
    assert manifest.gate is not None
    assert (MODELS / manifest.file).is_file()
    assert (MODELS / "drive.md").is_file()


def test_a_manifest_with_a_wrong_golden_shape_or_an_unknown_key_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="golden vector 0"):
        msgspec.structs.replace(MANIFEST, steps=5)
    text = (MODELS / "drive.toml").read_text()
    path = tmp_path / "m.toml"
    path.write_text("colour = 1\n" + text)
    with pytest.raises(ConfigError, match="unknown key colour"):
        load_window_manifest(path)
    path.write_text(text.replace('file = "drive.onnx"', 'file = "../drive.onnx"'))
    with pytest.raises(ConfigError, match="file"):
        load_window_manifest(path)
