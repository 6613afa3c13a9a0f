import pytest

from agent.core import vss
from agent.proto.ignition import LEASE_NS, WAKES_MAX, Ignition

S = 1_000_000_000


def volts(ignition: Ignition, begin_s: float, end_s: float, value: float, *, step_s: float = 0.5) -> None:
    t_s = begin_s
    while t_s < end_s:
        ignition.observe_voltage(value, round(t_s * S))
        t_s += step_s


def test_a_strong_sign_lasts_for_the_lease_and_no_longer() -> None:
    ignition = Ignition()
    assert not ignition.is_on(0)
    ignition.observe(vss.ENGINE_SPEED, 800, 5 * S)
    assert ignition.is_on(5 * S + LEASE_NS - 1)
    assert not ignition.is_on(5 * S + LEASE_NS)
    assert LEASE_NS < S


@pytest.mark.parametrize(
    ("path", "value"),
    [(vss.ENGINE_SPEED, 0.0), (vss.SPEED, 0.0), (vss.LOW_VOLTAGE_STATE, 0.0), (vss.GNSS_SPEED, 80.0),
     (vss.LOW_VOLTAGE_STATE, 9.0), (vss.ENGINE_SPEED, float("nan")), (vss.COOLANT_TEMPERATURE, 90.0),
     (vss.LOW_VOLTAGE, 12.6)],
)  # fmt: skip
def test_what_says_nothing(path: str, value: float) -> None:
    ignition = Ignition()
    ignition.observe(path, value, S)
    assert not ignition.is_on(S)


@pytest.mark.parametrize("state", [1, 2, 3])
def test_the_cars_own_off_ends_a_lease_at_once(state: int) -> None:
    ignition = Ignition()
    ignition.observe(vss.LOW_VOLTAGE_STATE, 4, S)
    assert ignition.is_on(S + 1)
    ignition.observe(vss.LOW_VOLTAGE_STATE, state, S + 1)
    assert not ignition.is_on(S + 1)


def test_an_ignition_pin_that_was_never_off_is_not_believed() -> None:
    ignition = Ignition()
    assert ignition.observe_adapter(["ATIGN", "ON"], S)
    assert not ignition.is_on(S)
    assert ignition.observe_adapter(["OFF"], 2 * S)
    assert ignition.observe_adapter(["ON"], 3 * S)
    assert ignition.is_on(3 * S)
    assert not ignition.observe_adapter(["?"], 4 * S)


def test_a_supply_that_falls_is_off_within_the_lease_though_still_high() -> None:
    ignition = Ignition()
    volts(ignition, 0, 20, 14.2)
    assert ignition.is_on(20 * S - 1)
    volts(ignition, 20, 60, 13.4)
    assert ignition.on_until_ns == 19_500_000_000 + LEASE_NS
    volts(ignition, 60, 600, 13.0)
    assert not ignition.is_on(599 * S)


def test_a_supply_that_rises_is_on_and_one_that_rests_high_only_after_a_while() -> None:
    ignition = Ignition()
    volts(ignition, 0, 10, 12.5)
    assert not ignition.is_on(10 * S)
    volts(ignition, 10, 11, 14.0)
    assert ignition.is_on(11 * S)
    steady = Ignition()
    steady.observe_pin(on=False, t_ns=0)
    volts(steady, 1, 50, 13.8)
    assert not steady.is_on(50 * S)
    volts(steady, 50, 63, 13.8)
    assert steady.is_on(63 * S)
    sinking = Ignition()
    sinking.observe_pin(on=False, t_ns=0)
    for second in range(1, 120):
        sinking.observe_voltage(14.0 - second * 0.004, second * S)
    assert not sinking.is_on(120 * S)


def test_a_gap_without_signs_is_no_wake_where_nothing_fell() -> None:
    ignition = Ignition()
    for start in range(0, 600, 60):
        for half in range(4):
            ignition.observe_speed(5.0, start * S + half * S // 2)
            ignition.observe_voltage(14.1, start * S + half * S // 2)
        volts(ignition, start + 2, start + 30, 14.1)
        assert ignition.is_on((start + 29) * S)
    assert ignition.wake_loops == 0


def test_a_car_that_wakes_without_ever_moving_is_left_alone_longer_each_time() -> None:
    ignition = Ignition()
    t_s, locks = 0, []
    for _ in range(200):
        volts(ignition, t_s, t_s + 20, 12.4)
        before = ignition.wake_loops
        volts(ignition, t_s + 20, t_s + 40, 14.0)
        if ignition.wake_loops > before:
            assert ignition.locked_until_ns is not None
            locks.append(round((ignition.locked_until_ns / S - t_s) / 3600))
            assert not ignition.is_on((t_s + 39) * S)
        t_s += 600
    assert locks[:3] == [1, 2, 4]
    ignition.observe(vss.SPEED, 30.0, t_s * S)
    assert ignition.is_on(t_s * S)
    assert not ignition.is_locked(t_s * S)
    assert WAKES_MAX == 3


def test_movement_unlocks_but_is_no_sign_of_the_ignition() -> None:
    ignition = Ignition()
    ignition._lock(0)
    ignition.observe(vss.GNSS_SPEED, 40.0, S)
    assert not ignition.is_locked(S)
    assert not ignition.is_on(S)


def test_a_charger_is_taken_for_a_driver_for_half_an_hour_at_most() -> None:
    ignition = Ignition()
    for tenth in range(30):
        ignition.observe_engine(900, tenth * S // 10)
        ignition.observe_voltage(13.8, tenth * S // 10)
    volts(ignition, 3, 4 * 3600, 13.8)
    assert ignition.on_until_ns is not None
    assert 1800 <= ignition.on_until_ns / S < 1805
    volts(ignition, 4 * 3600, 4 * 3600 + 60, 12.9)
    volts(ignition, 4 * 3600 + 60, 4 * 3600 + 70, 14.2)
    assert ignition.is_on((4 * 3600 + 70) * S)


def test_a_supply_that_comes_down_as_a_lock_ends_is_no_rise() -> None:
    ignition = Ignition()
    ignition._lock(0)
    volts(ignition, 0, 60, 12.1)
    volts(ignition, 60, 3600, 14.4)
    assert not ignition.is_on(3600 * S)
    volts(ignition, 3600, 3700, 13.4)
    assert ignition.on_until_ns is None
    volts(ignition, 3700, 3702, 14.2)
    assert ignition.is_on(3702 * S)


def test_a_converter_that_tops_the_battery_up_is_asked_along_for_two_minutes_at_most() -> None:
    ignition = Ignition()
    volts(ignition, 0, 60, 12.4)
    volts(ignition, 60, 3600, 14.0)
    assert ignition.on_until_ns is not None
    assert 170 < ignition.on_until_ns / S < 190


def test_where_only_the_supply_has_spoken_it_dozes_until_the_car_moves() -> None:
    ignition = Ignition()
    volts(ignition, 0, 10, 12.4)
    volts(ignition, 10, 14, 14.0)
    assert not ignition.dozes(14 * S)
    volts(ignition, 14, 20, 14.0)
    assert ignition.dozes(20 * S)
    ignition.observe_engine(0.0, 20 * S)
    ignition.observe_speed(0.0, 20 * S)
    assert ignition.dozes(20 * S)
    ignition.observe_speed(3.0, 20 * S)
    assert not ignition.dozes(20 * S)
    volts(ignition, 20, 60, 14.0)
    assert not ignition.dozes(59 * S)
    assert ignition.is_on(59 * S)


def test_a_supply_that_is_up_is_not_believed_where_nobody_in_the_car_answers() -> None:
    ignition = Ignition()
    volts(ignition, 0, 10, 12.4)
    for second in range(10, 40):
        ignition.observe_voltage(14.0, second * S)
        if second >= 12:
            ignition.observe_silence(second * S)
    assert ignition.on_until_ns == 16 * S + LEASE_NS
    volts(ignition, 40, 100, 12.4)
    volts(ignition, 100, 102, 14.0)
    assert ignition.is_on(102 * S)


def test_single_silences_and_those_of_a_car_that_moved_say_nothing() -> None:
    ignition = Ignition()
    volts(ignition, 0, 10, 12.4)
    for second in range(10, 100):
        ignition.observe_voltage(14.0, second * S)
        ignition.observe_silence(second * S)
        if second % 4 == 0:
            ignition.observe_answer()
    assert ignition.is_on(99 * S)
    ignition.observe_speed(5.0, 100 * S)
    for second in range(100, 200):
        ignition.observe_voltage(14.0, second * S)
        ignition.observe_silence(second * S)
    assert ignition.is_on(199 * S)


@pytest.mark.parametrize("crank_s", [30, 200])
def test_an_engine_that_is_started_while_a_charger_holds_the_supply_up_is_noticed(crank_s: int) -> None:
    ignition = Ignition()
    volts(ignition, 0, 10, 12.4)
    for second in range(10, crank_s):
        ignition.observe_voltage(14.0, second * S)
        if second >= 12:
            ignition.observe_silence(second * S)
    assert not ignition.is_on(crank_s * S)
    ignition.observe_voltage(9.6, crank_s * S)  # one look is all that the starter lasts
    volts(ignition, crank_s + 1, crank_s + 70, 14.3, step_s=1.0)
    assert ignition.is_on((crank_s + 69) * S)
    assert ignition.wake_loops == 0
