import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.core import vss
from agent.core.paths import QUALITY
from agent.core.signals import Quality, Samples, SignalCatalog, SignalSpec
from agent.core.toml import load_toml
from agent.decode.quality import Cross, Ledger, Plausibility, QualityRules, Rule

S = 1_000_000_000
SOC = vss.STATE_OF_CHARGE
V, N, X = (int(kind) for kind in (Quality.VALID, Quality.IMPLAUSIBLE, Quality.SENTINEL))


def samples(*rows: tuple[float, int, float], quality: int = 0) -> Samples:
    return Samples(
        np.array([round(t * S) for t, _, _ in rows], np.int64),
        np.array([n for _, n, _ in rows], np.int32),
        np.array([v for _, _, v in rows], np.float64),
        np.full(len(rows), quality, np.uint8),
    )


def judge(rules: QualityRules, path: str, *values: float, step_s: float = 1.0) -> list[int]:
    plausibility = Plausibility(SignalCatalog([SignalSpec(path)]), rules)
    judged = plausibility.judge(samples(*((n * step_s, 0, v) for n, v in enumerate(values))))
    return [int(kind) for kind in judged.quality]


def test_a_state_of_charge_that_jumps_is_not_believed() -> None:
    rules = load_toml(QUALITY, QualityRules)
    assert judge(rules, SOC, 81, 81, 16.5, 81, 80.5) == [V, V, N, V, V]
    assert judge(rules, SOC, 81, 127, 81) == [V, N, V]


def test_a_new_level_that_stays_is_believed_after_three() -> None:
    rules = load_toml(QUALITY, QualityRules)
    assert judge(rules, SOC, 80, 50, 50, 50, 50, 50) == [V, N, N, N, V, V]
    assert judge(rules, SOC, 80, 50, 20, 70, 0, 50, 20) == [V, N, N, N, N, N, N]


def test_a_crash_stays_valid_and_a_leap_upwards_does_not() -> None:
    rules = load_toml(QUALITY, QualityRules)
    assert judge(rules, vss.SPEED, 100, 100, 0, 0, step_s=0.02) == [V, V, V, V]
    assert judge(rules, vss.SPEED, 20, 255, 20, step_s=0.1) == [V, N, V]


def test_sentinels_and_range_of_a_path() -> None:
    rules = QualityRules(rules=[Rule(path="Vehicle.X", minimum=-40, maximum=100, sentinels=[-40.0, 87.0])])
    assert judge(rules, "Vehicle.X", -40, 20, 87, 101) == [X, V, X, N]


def test_the_profile_comes_over_the_defaults() -> None:
    catalog = SignalCatalog([SignalSpec(SOC)])
    mine = QualityRules(rules=[Rule(path=SOC, maximum=90)])
    plausibility = Plausibility(catalog, load_toml(QUALITY, QualityRules), mine)
    assert plausibility.judge(samples((0, 0, 95.0), (1, 0, 20.0), (2, 0, 85.0))).quality.tolist() == [N, V, V]


def test_satellites_that_disagree_with_the_wheels_for_long_are_doubted() -> None:
    catalog = SignalCatalog([SignalSpec(vss.SPEED), SignalSpec(vss.GNSS_SPEED)])
    plausibility = Plausibility(
        catalog, QualityRules(cross=[Cross(trusted=vss.SPEED, doubted=vss.GNSS_SPEED, limit=10)])
    )
    seen = []
    for t in range(40):
        gnss = 0.0 if 5 <= t < 25 else 51.0
        judged = plausibility.judge(samples((t, 0, 50.0), (t + 0.5, 1, gnss)))
        assert judged.quality[0] == V
        seen.append(judged.quality[1])
    assert seen == [V] * 15 + [N] * 10 + [V] * 15
    alone = Plausibility(catalog, load_toml(QUALITY, QualityRules))
    assert set(alone.judge(samples(*((t, 1, 30.0) for t in range(30)))).quality) == {V}


def test_it_never_makes_a_value_better_and_leaves_others_alone() -> None:
    catalog = SignalCatalog([SignalSpec(SOC), SignalSpec("Vehicle.Y")])
    plausibility = Plausibility(catalog, load_toml(QUALITY, QualityRules))
    bad = samples((0, 0, 50.0), (0, 1, 1e9), quality=Quality.SENTINEL)
    assert plausibility.judge(bad) is bad
    other = samples((1, 1, 1e9))
    assert plausibility.judge(other) is other


@given(st.lists(st.tuples(st.integers(0, 1), st.floats(-10, 300, width=32)), max_size=60), st.integers(1, 20))
def test_any_split_gives_the_same(values: list[tuple[int, float]], size: int) -> None:
    rules = load_toml(QUALITY, QualityRules)
    catalog = SignalCatalog([SignalSpec(vss.SPEED), SignalSpec(vss.GNSS_SPEED)])
    rows = [(n * 0.5, number, value) for n, (number, value) in enumerate(values)]
    whole = Plausibility(catalog, rules).judge(samples(*rows)).quality.tolist()
    pieces = Plausibility(catalog, rules)
    split = [q for n in range(0, len(rows), size) for q in pieces.judge(samples(*rows[n : n + size])).quality.tolist()]
    assert split == whole


def test_a_rule_that_contradicts_itself_is_refused() -> None:
    with pytest.raises(ValueError, match="is not below"):
        Rule(path="Vehicle.X", minimum=2, maximum=1)


def test_the_account() -> None:
    catalog = SignalCatalog(
        [SignalSpec("Vehicle.A"), SignalSpec("Vehicle.B", stale_after_s=5.0), SignalSpec("Vehicle.C")]
    )
    ledger = Ledger(catalog)
    ledger.add(samples((0, 0, 1.0), (1, 1, 1.0), (2, 0, 2.0)))
    ledger.add(samples((3, 1, 1.0), quality=Quality.IMPLAUSIBLE))
    catalog.add(SignalSpec("Vehicle.D"))
    ledger.add(samples((4, 3, 1.0)))
    assert ledger.report(6 * S, {1: "obd:x"}) == {
        "Vehicle.A": {"valid": 2, "quality": "stale", "age_s": 4.0, "source": "bus"},
        "Vehicle.B": {"valid": 1, "implausible": 1, "quality": "implausible", "age_s": 3.0, "source": "obd:x"},
        "Vehicle.D": {"valid": 1, "quality": "valid", "age_s": 2.0, "source": "bus"},
    }
