import numpy as np
import pytest

from agent.core.manifest import load_sequence_manifest
from agent.core.paths import MODELS
from agent.detect.cell_features import FEATURES, STEPS
from agent.detect.cell_scores import CellScores, drift_of
from drivers.onnx_child import open_model, run
from models.battery_figures import auroc, measure, persistent, sick_by_day
from models.battery_packs import KINDS, Pack, Told, live_through, packs_of
from models.train_battery import WATCHED, evened, main
from simulators.packs import Life


@pytest.fixture(scope="module")
def told() -> Told:
    """A weak cell's first twelve days, a row a minute."""
    found = live_through(Life("weak_cell", 4_000_000, 12, 60.0))
    assert found is not None
    return found


def _charge(steps: np.ndarray) -> np.ndarray:
    """A net that knows a weak cell by its newest day's charge."""
    weak = steps[:, -1, FEATURES.index("charge")] < -2.0
    p = np.zeros((len(steps), len(KINDS)))
    p[:, 0], p[:, 1] = np.where(weak, 0.03, 0.99), np.where(weak, 0.97, 0.01)
    return p


def test_the_shipped_model_knows_the_agents_features_and_loads() -> None:
    manifest = load_sequence_manifest(MODELS / "battery.toml")
    assert CellScores.knows(manifest)
    assert tuple(manifest.kinds) == KINDS
    assert (manifest.profiles, manifest.persistence) == ([], 3)
    assert manifest.threshold >= 0.9
    session = open_model(manifest, MODELS / manifest.file)  # its golden vectors come out
    assert len(manifest.golden) == len(KINDS)
    steps = np.zeros((STEPS, len(FEATURES)))
    steps[:, [FEATURES.index("at_rest"), FEATURES.index("under_load")]] = 1
    assert run(session, manifest.scaled(steps), manifest)[0, 0] > 0.9  # a cell that is as all others are


def test_a_life_is_told_by_what_was_true_of_it(told: Told) -> None:
    assert (told.kind, told.seed) == ("weak_cell", 4_000_000)
    packs = packs_of(told)
    assert len(packs) >= 4
    first, other = packs[:2]
    assert first.cell == other.cell == told.cell
    assert not np.allclose(first.history.features, other.history.features)
    ages = range(len(first.history.numbers))
    assert told.cell is not None
    truths = [first.truth(told.cell, before=age) for age in reversed(ages)]
    assert truths == sorted(truths, key=["healthy", None, "weak_cell"].index)  # one after the other
    assert set(truths) == {"healthy", None, "weak_cell"}
    assert {first.truth((told.cell + 1) % 32, before=age) for age in ages} == {"healthy"}
    again = packs_of(told)
    assert all((a.history.features == b.history.features).all() for a, b in zip(packs, again, strict=True))


def test_a_joint_belongs_to_both_its_cells(told: Told) -> None:
    joint = Pack(packs_of(told)[0].history, "contact_resistance", 7)
    assert [joint.truth(cell) for cell in (5, 6, 7, 8, 9)] == ["healthy", None, "contact_resistance", None, "healthy"]


def test_a_healthy_life_is_also_one_with_a_cell_that_lacks_charge() -> None:
    found = live_through(Life("healthy", 4_000_001, 8, 60.0))
    assert found is not None
    kinds = [pack.kind for pack in packs_of(found)]
    assert kinds.count("healthy") == kinds.count("weak_cell") == len(kinds) / 2
    for pack in packs_of(found):
        if pack.kind == "weak_cell" and pack.fault_day < 0:
            assert pack.cell is not None
            assert pack.history.features[-1, pack.cell, 0] < -2.0
            assert pack.truth(pack.cell) == "weak_cell"


def test_figures_are_those_of_a_small_example(told: Told) -> None:
    pack = packs_of(told)[0]
    sick = sick_by_day(pack, _charge)
    assert sick.shape == (len(pack.history.numbers) - 2, 32)
    levels = persistent(sick, 3)
    assert int(levels.argmax()) == told.cell
    assert persistent(sick[:2], 3).tolist() == [0.0] * 32
    manifest = load_sequence_manifest(MODELS / "battery.toml")
    healthy = Pack(pack.history, "healthy")
    metrics = {metric.what: metric.value for metric in measure([pack, healthy], _charge, manifest)}
    assert metrics["healthy packs with a cell over the threshold"] in {"0 of 1", "1 of 1"}
    assert auroc([0.9, 0.5], [0.5, 0.1]) == pytest.approx(0.875)


def test_weights_give_healthy_cells_half() -> None:
    kind = np.array([0] * 6 + [1, 2, 2, 3, 4])
    weights = evened(kind)
    assert weights.mean() == pytest.approx(1.0)
    assert weights[kind == 0].sum() == pytest.approx(len(kind) / 2)
    assert weights[kind == 2].sum() == pytest.approx(weights[kind == 1].sum())


def test_the_packs_own_training_values_have_hardly_drifted(told: Told) -> None:
    manifest = load_sequence_manifest(MODELS / "battery.toml")
    psi = drift_of(manifest, packs_of(told)[0].history)
    assert set(psi) == set(WATCHED) <= set(FEATURES)
    assert manifest.steps == STEPS
    assert psi["ohm_sigmas"] < manifest.drift_psi


def test_without_the_log_training_says_what_it_wants(
    tmp_path_factory: pytest.TempPathFactory, capsys: pytest.CaptureFixture[str]
) -> None:
    nowhere = tmp_path_factory.mktemp("logs")
    assert main(["--logs", str(nowhere)]) == 2
    assert "car1_processed.zip" in capsys.readouterr().err
