"""An hour of telemetry of a real drive fits a thin link."""

from pathlib import Path

import pytest

from tests.bench import telemetry
from tests.interop.figures import Figures

pytestmark = pytest.mark.interop


def test_an_hour_of_twelve_signals_takes_less_than_24_kb_sealed(shared_data: Path, figures: Figures) -> None:
    found = telemetry.measure(shared_data / "canedge_mf4")
    figures("canedge_mf4", "sealed telemetry in kB an hour, 12 signals at 1 Hz", found["kb_per_hour"], "<= 24")
    figures("canedge_mf4", "the same as JSON + zstd, unsealed", found["kb_per_hour_json_zstd"], "-")
    assert float(str(found["kb_per_hour"])) <= 24
    assert int(str(found["values"])) > 0.9 * 12 * float(str(found["seconds"]))
