"""Cloud logs of real cars through the agent's own path. `python -m tests.eval battery` has both, and the bars."""

from pathlib import Path

import pytest

from tests.eval.battery import Told, score, watch_log

pytestmark = pytest.mark.interop


def test_the_weak_cell_is_named_weeks_before_the_bms_and_nobody_else_is(shared_data: Path) -> None:
    car2 = watch_log(shared_data / "ev_battery_cloud_logs" / "car2_processed.zip")
    found = score(Told(), car2)
    assert car2.bms_days == {"2019-05-10", "2019-06-17", "2019-07-15", "2019-08-03"}
    assert found["car2_stop_now_outside_bms_days"] == 0
    assert found["car2_first_cell"] == "V_82"
    assert isinstance(found["car2_first_advice_day"], int)
    assert found["car2_first_advice_day"] <= 21
    assert "2019-07-01" < str(found["car2_escalated_on"]) < "2019-07-15"
    assert found["car2_other_cells_named"] in {0, 1}
