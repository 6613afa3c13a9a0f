"""The evaluation itself: what it plans, counts and claims."""

import json
from pathlib import Path

import pytest

from agent.core.events import Collision
from simulators.blows import HELD_OUT, KINDS, TUNING, Blow
from tests.eval import collision, judges
from tests.eval.collision_report import summarise
from tests.eval.collision_sweep import SMALL, USUAL, plan
from tests.eval.scenes import Job, Row, run_many
from tests.eval.statistics import percentile, poisson_upper, weighted_upper, within


def _row(kind: str, *events: Collision, blow: Blow | None = None, seed: int = 0) -> Row:
    return Row(Job(kind, seed), blow, None, 0.0, clipped=False, events=events)


def _told(t_ns: int, delta_v_kmh: float) -> Collision:
    return Collision(t_ns=t_ns, delta_v_kmh=delta_v_kmh, duration_ms=100, peak_mps2=50, stationary=False, pdof_deg=10)


def test_no_alarm_bounds_the_rate_by_three() -> None:
    assert poisson_upper(0) == pytest.approx(2.996, abs=0.001)
    assert poisson_upper(1) == pytest.approx(4.744, abs=0.001)
    assert poisson_upper(10) == pytest.approx(16.962, abs=0.001)


def test_a_bound_of_unlike_hours_takes_the_fewest_for_what_was_not_seen() -> None:
    assert weighted_upper([(0, 10.0), (0, 0.1)]) == pytest.approx(29.96, abs=0.01)
    assert weighted_upper([(4, 2.0), (3, 2.0)]) == pytest.approx(2 * poisson_upper(7), rel=1e-6)
    assert 29.96 < weighted_upper([(0, 10.0), (2, 0.05)]) < 31
    assert weighted_upper([(1, 10.0), (0, 0.1)]) == pytest.approx(47.4, abs=0.1)


def test_shares_of_nothing_are_unknown() -> None:
    assert percentile([], 0.5) is None
    assert within([], 1.0) is None
    assert percentile([3, 1, 2, 4], 0.5) == 3
    assert within([1.0, 2.0, 3.0, 4.0], 3.0) == 0.75


def test_a_plan_draws_every_class_from_the_seeds_it_may_use() -> None:
    for tuning, seeds in ((False, HELD_OUT), (True, TUNING)):
        jobs = plan(SMALL, tuning=tuning)
        assert {job.kind for job in jobs} == {*KINDS, "commute"}
        assert all(job.seed in seeds for job in jobs if job.kind != "commute")
    potholes = [job for job in plan(USUAL) if job.kind == "pothole"]
    assert len(potholes) == 3 * USUAL.hours
    assert {job.rate_hz for job in potholes} == {400, 100}


def test_a_collision_counts_only_at_the_time_of_the_blow() -> None:
    blow = Blow(4_000_000_000, 20.0, 0.0, 100.0, "haversine", parked=False)
    on_time, late = _told(4_010_000_000, 21.0), _told(4_900_000_000, 21.0)
    summary = summarise([_row("crash", on_time, blow=blow), _row("crash", late, blow=blow)], lambda _: True)
    assert summary["crash"]["rate_hz"] == {"400": [0.5, 2]}
    assert summary["errors"]["all"]["delta_v_pct_p95"] == pytest.approx(5.0)


def test_false_alarms_are_counted_by_class_and_by_the_hours_they_stand_for() -> None:
    rows = [_row("pothole", seed=n) for n in range(29)] + [_row("pothole", _told(1, 9.0), seed=29)]
    summary = summarise(rows, lambda _: True)
    entry = summary["false_alarms"]["classes"]["pothole"]
    assert (entry["false"], entry["hours"], entry["per_10000_h"]) == (1, 10, 1000.0)
    assert entry["upper_95_per_10000_h"] == pytest.approx(4744, abs=1)
    assert summary["confusion"]["pothole"] == {"nothing": 29, "collision": 1}
    assert summarise(rows, lambda event: event.delta_v_kmh > 10)["false_alarms"]["all"]["false"] == 0


def test_without_a_model_the_rules_judge_alone(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(judges, "MODELS", tmp_path)
    known = judges.judges()
    assert list(known) == ["rules"]
    assert known["rules"](_told(0, 9.0))


def test_the_sweep_tells_one_json_object(capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["--sweep", "--small", "--tuning", "--jobs", "1", "--hours", "1", "--only", "jack", "--json"]
    assert collision.main(arguments) == 0
    told = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert told["seeds"] == "tuning"
    assert told["rules"]["false_alarms"]["classes"]["jack"]["scenes"] == SMALL.rare


@pytest.mark.parametrize("arguments", [["--only", "nonsense"], ["--hours", "0"], ["--jobs", "0"]])
def test_what_cannot_be_asked_is_refused(arguments: list[str]) -> None:
    with pytest.raises(SystemExit) as refused:
        collision.main(["--sweep", *arguments])
    assert refused.value.code == 2


def test_most_drawn_collisions_are_found_and_a_rough_road_is_none() -> None:
    crashes = run_many([Job("crash", TUNING.start + n) for n in range(20)])
    assert sum(row.found() is not None for row in crashes) >= 19
    roads = run_many([Job(kind, TUNING.start + n) for kind in ("pothole", "kerb", "cobbles") for n in range(5)])
    assert not any(row.collisions() for row in roads)
