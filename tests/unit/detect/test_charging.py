import numpy as np
import pytest

from agent.core import vss
from agent.core.events import ChargeSession, ChargingFault, Event
from agent.core.signals import Series
from agent.detect.charging import ChargingDetector
from agent.detect.health import ChargeSegments
from tests.unit.detect.feed import LIMITS, NS, Floats, Recording, run, series
from tests.unit.detect.test_cells import make_row

VOLT = 350.0


def _charge(
    kw: Floats, *, step_s: float = 1.0, cable: bool = True, soc: Floats | None = None, more: Recording | None = None
) -> tuple[list[ChargeSession], list[ChargingFault]]:
    """A standing car that takes kw; the cable is in while it does."""
    t_s = np.arange(len(kw)) * step_s
    recording: dict[str, Series] = {
        vss.PACK_CURRENT: series(t_s, kw * 1000 / VOLT),
        vss.PACK_VOLTAGE: series(t_s, VOLT),
        vss.SPEED: series(t_s, 0.0),
        vss.STATE_OF_CHARGE: series(t_s, np.full(len(t_s), 50.0) if soc is None else soc),
        vss.PACK_TEMPERATURE_MAX: series(t_s, 28.0),
    }
    if cable:
        plugged = np.zeros(len(t_s))
        taking = np.flatnonzero(kw)
        plugged[taking[0] : taking[-1] + 1] = 1.0
        recording[vss.CABLE_CONNECTED] = series(t_s, plugged)
    events: list[Event] = run(ChargingDetector(LIMITS), {**recording, **(more or {})}, window_s=17)
    sessions = [event for event in events if isinstance(event, ChargeSession)]
    return sessions, [event for event in events if isinstance(event, ChargingFault)]


def _kw(*parts: tuple[int, float]) -> Floats:
    return np.concatenate([np.full(seconds, kw) for seconds, kw in parts])


@pytest.mark.parametrize(("kw", "mode"), [(6.6, "ac"), (11.0, "unknown"), (60.0, "dc")])
def test_a_session_has_its_energy_and_its_kind(kw: float, mode: str) -> None:
    ((session,), faults) = _charge(_kw((60, 0), (3600, kw), (60, 0)))
    assert faults == []
    assert session.mode == mode
    assert session.energy_kwh == pytest.approx(kw, rel=0.002)
    assert session.charge_ah == pytest.approx(kw * 1000 / VOLT, rel=0.002)
    assert (session.started_ns, session.t_ns, session.ended) == (60 * NS, 3660 * NS, "unplugged")
    assert (session.interrupted, session.tapered, session.power_max_kw) == (0, False, kw)


def test_braking_is_no_charge_and_current_alone_is_one() -> None:
    t_s = np.arange(0, 600, 1.0)
    braking = {vss.PACK_CURRENT: series(t_s, 80.0), vss.SPEED: series(t_s, 40.0), vss.PACK_VOLTAGE: series(t_s, VOLT)}
    assert run(ChargingDetector(LIMITS), braking, window_s=9) == []
    ((session,), _) = _charge(_kw((60, 0), (1800, 6.0), (1000, 0)), cable=False)
    assert (session.started_ns, session.ended) == (60 * NS, "stopped")
    ((session,), _) = _charge(_kw((60, 0), (1800, 6.0)), cable=False)
    assert session.ended == "data_ended"


def test_logs_of_half_a_minute_do() -> None:
    ((session,), _) = _charge(_kw((4, 0), (120, 7.0), (40, 0)), step_s=30.0, cable=False)
    assert session.energy_kwh == pytest.approx(7.0, rel=0.02)


def test_a_taper_a_full_pack_and_a_pause_are_told() -> None:
    kw = np.concatenate([np.full(1800, 50.0), np.linspace(50, 10, 1200), np.zeros(60)])
    soc = np.concatenate([np.linspace(40, 100, 3000), np.full(60, 100.0)])
    ((session,), faults) = _charge(kw, soc=soc)
    assert (session.tapered, session.ended, session.interrupted, faults) == (True, "full", 0, [])
    ((session,), _) = _charge(_kw((10, 0), (600, 6.6), (120, 0), (600, 6.6), (30, 0)))
    assert session.interrupted == 1
    ((session,), _) = _charge(
        _kw((10, 0), (600, 60.0), (120, 0)), more={vss.CABLE_CONNECTED: series([9.0, 725.0], [1.0, 0.0])}
    )
    assert (session.interrupted, session.ended) == (0, "unplugged"), "stopped, then unplugged: nothing broke off"


def test_faults_of_charger_and_grid_are_told_once_each_time() -> None:
    kw = _kw((10, 0), (600, 6.6), (120, 0), (600, 6.6), (120, 0), (600, 6.6), (30, 0))
    t_s = np.arange(len(kw), dtype=np.float64)
    state = series(t_s, np.where(kw > 0, 2, np.where((t_s > 600) & (t_s < 1950), 4, 0)))
    _, faults = _charge(kw, more={vss.CHARGER_STATE: state})
    assert [(fault.fault, fault.t_ns) for fault in faults] == [("charger", 610 * NS), ("charger", 1330 * NS)]
    grid = series(t_s, np.where(kw > 0, 221.0, np.where((t_s > 600) & (t_s < 1950), 170.0, 0.0)))
    _, faults = _charge(kw, more={vss.GRID_VOLTAGE: grid})
    assert [(fault.fault, fault.t_ns, fault.grid_v) for fault in faults] == [
        ("grid", 610 * NS, 170.0),
        ("grid", 1330 * NS, 170.0),
    ]
    sag = series(t_s, np.where((t_s > 300) & (t_s < 400), 200.0, 221.0))
    assert _charge(kw, more={vss.GRID_VOLTAGE: sag})[1] == []


def test_slow_for_no_reason() -> None:
    kw = _kw((10, 0), (900, 50.0), (1500, 12.0), (30, 0))
    _, faults = _charge(kw)
    assert [fault.fault for fault in faults] == ["slow"]
    _, faults = _charge(kw, soc=np.full(len(kw), 85.0))  # every charger slows down there
    assert faults == []


def test_current_without_a_cable_is_a_plug_under_load() -> None:
    t_s = np.arange(0, 120, 0.5)
    kw = np.where(t_s < 100, 6.6, 0.0)
    cable = series(t_s, np.where(t_s < 60, 1.0, 0.0))
    _, faults = _charge(kw, step_s=0.5, more={vss.CABLE_CONNECTED: cable})
    assert [fault.fault for fault in faults] == ["plug"]


def test_capacity_comes_with_an_interval_that_holds_the_truth() -> None:
    rng, segments = np.random.default_rng(4), ChargeSegments()
    assert segments.capacity() is None
    for charge in range(12):
        soc = 30.0
        for minute in range(200):
            row = make_row((charge * 1000 + minute) * 60, np.full(24, 3.8), ampere=20.0)
            ah = 20 * minute / 60
            soc = round(30 + 100 * ah / 92 + rng.normal(0, 0.3))
            segments.feed(row.__class__(row.t_ns, row.volt, row.celsius, row.ampere, soc, row.pack_v, row.speed))
    found = segments.capacity()
    assert found is not None
    assert found.segments == 11  # the last one has not ended
    assert found.low_ah <= 92 <= found.high_ah
    assert found.high_ah - found.low_ah < 5


@pytest.mark.parametrize("charges", [3, 6, 12, 36])
def test_nine_intervals_in_ten_hold_the_truth_where_the_state_of_charge_is_off_by_one_percent(charges: int) -> None:
    rng, held = np.random.default_rng(charges), 0
    for _ in range(400):
        scale = 1 + 0.01 * rng.standard_normal()  # the same in all charges of a car
        start, gained = rng.uniform(10, 40, charges), rng.uniform(25, 55, charges)
        shown = [np.round(soc * scale + rng.normal(0, 0.5, charges)) for soc in (start, start + gained)]
        found = ChargeSegments((100 * gained / (shown[1] - shown[0])).tolist()).capacity()
        assert found is not None
        held += found.low_ah <= 100 <= found.high_ah
    assert 0.85 <= held / 400 <= 0.96
