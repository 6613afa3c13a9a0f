from agent.core import vss
from simulators.clock import ManualClock
from simulators.supply import SimulatedSupply
from simulators.world import load_scenario, simulate


def test_the_box_sees_its_battery_run_flat_while_the_bus_sleeps() -> None:
    drive = simulate(load_scenario("battery_12v_flat"), 7)
    source = SimulatedSupply(drive, ManualClock())
    assert [spec.path for spec in source.specs] == [vss.LOW_VOLTAGE]
    asleep = source.t_ns > drive.sleep_ns
    assert asleep.sum() > 100
    volts = source.values[:, 0]
    assert volts[~asleep].min() > 13
    (flat,) = [truth.t_ns for truth in drive.truth if truth.details.get("alarm") == "flat"]
    assert abs(int(source.t_ns[volts < 11.8][0]) - flat) < 2_000_000_000
