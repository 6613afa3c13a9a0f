"""What the evaluation of recordings counts, on events made up for it; the recordings themselves are under interop."""

from pathlib import Path

import pytest

from agent.core.events import Collision
from tests.eval import __main__ as command
from tests.eval import collision
from tests.eval.crash_test import IMPACT_S, Verdict
from tests.eval.drives import Scooter


def _told(at_s: float, delta_v_kmh: float) -> Collision:
    return Collision(
        t_ns=round(at_s * 1e9),
        delta_v_kmh=abs(delta_v_kmh),
        delta_v_longitudinal_kmh=delta_v_kmh,
        duration_ms=100,
        peak_mps2=300,
        stationary=False,
    )


def test_a_crash_test_counts_once_and_at_its_time() -> None:
    right = Verdict("093", 400, 200.0, (_told(IMPACT_S + 0.01, -63.7),), -66.0)
    assert right.collision is not None
    assert right.error_pct == pytest.approx(2.0)
    twice = Verdict("093", 400, 200.0, (_told(IMPACT_S, -63.7), _told(IMPACT_S + 0.2, -9)), -66.0)
    early = Verdict("093", 400, 200.0, (_told(IMPACT_S - 1, -63.7),), -66.0)
    assert twice.collision is None
    assert early.collision is None
    assert early.error_pct == 100.0


def test_a_staged_crash_is_found_once_however_often_it_is_told() -> None:
    ride = Scooter(staged=((_told(58, 9), _told(58.3, 8)), ()), outside=(_told(30, 9),), seconds=107.0)
    assert (ride.found, ride.false) == (1, 1)


def test_without_recordings_it_says_where_it_looked(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(collision, "DATA", tmp_path / "nowhere")
    assert collision.main(["--json"]) == 1
    assert str(tmp_path / "nowhere") in capsys.readouterr().err


def test_an_unknown_evaluation_is_refused(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr("sys.argv", ["eval", "nonsense"])
    assert command.main() == 2
    assert "collision" in capsys.readouterr().err
