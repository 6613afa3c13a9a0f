"""Causes are ranked by points that anybody can add up."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.core import vss
from agent.diagnosis.engine import Findings, Repair, Verdict, diagnose, frame_figures, points_of
from agent.diagnosis.knowledge import load_knowledge

KNOWLEDGE = load_knowledge()
LEAN_FRAME = frame_figures({vss.SHORT_TERM_FUEL_TRIM: 9.4, vss.LONG_TERM_FUEL_TRIM: 14.1, vss.ENGINE_SPEED: 790.0})


def verdict(*codes: str, **known: object) -> Verdict:
    (found,) = diagnose(KNOWLEDGE, codes, Findings(codes=frozenset(codes), **known))  # type: ignore[arg-type]
    return found


def seen(found: Verdict, cause: str) -> dict[str, int]:
    ranked = next(one for one in found.causes if one.cause.id == cause)
    return {one.condition.id: points_of(one) for one in ranked.evidence}


def test_lean_after_a_change_of_spark_plugs_is_a_leak_that_came_with_it() -> None:
    trends = {"trim_idle_excess": 11.0, "trim_load_excess": -11.0, "trim_change": 21.0}
    found = verdict("P0171", frame=LEAN_FRAME, trends=trends, repairs=[Repair("spark_plugs", days_ago=5)])
    assert [one.cause.id for one in found.causes[:2]] == ["intake_leak", "connector_loose"]
    assert seen(found, "intake_leak") == {"intake_opened": 4, "trim_frozen": 2, "worse_at_idle": 3, "sudden": 1}
    assert found.causes[0].points == 3 + 10
    assert found.drive == "to_a_garage"
    words = [one.words("en") for one in found.causes[0].evidence]
    assert "the mixture was corrected by 23.5 % when the code was set" in words


def test_lean_under_load_alone_is_the_fuel() -> None:
    trends = {"trim_idle_excess": -14.0, "trim_load_excess": 14.0}
    assert verdict("P0171", frame=LEAN_FRAME, trends=trends).causes[0].cause.id == "fuel_supply"


def test_an_old_repair_says_nothing() -> None:
    new, old = (verdict("P0171", repairs=[Repair("spark_plugs", km_ago=km)]) for km in (200.0, 30_000.0))
    assert "intake_opened" in seen(new, "intake_leak")
    assert seen(old, "intake_leak") == {}


@pytest.mark.parametrize(("repair", "recent"), [
    (Repair("x"), True),
    (Repair("x", days_ago=20), True),
    (Repair("x", days_ago=200), False),
    (Repair("x", days_ago=200, km_ago=50), True),
    (Repair("x", days_ago=2, km_ago=50_000), False),
    (Repair("x", days_ago=-3), False),
])  # fmt: skip
def test_distance_counts_before_the_date(repair: Repair, recent: bool) -> None:  # noqa: FBT001
    assert repair.recent is recent


def test_nothing_known_leaves_how_common_causes_are() -> None:
    found = verdict("P0301")
    assert [(one.cause.id, one.points) for one in found.causes] == [("spark_plug", 4), ("ignition_coil", 4)]


def test_codes_of_one_group_have_one_verdict_and_strangers_come_last() -> None:
    codes = ["P1234", "P0171", "P0301", "P0174"]
    found = diagnose(KNOWLEDGE, codes, Findings(codes=frozenset(codes)))
    assert [one.codes for one in found] == [("P0171", "P0174"), ("P0301",), ("P1234",)]
    assert found[2].causes == ()
    assert found[2].drive == "to_a_garage"
    assert found[1].causes[0].cause.id == "lean_misfire"


def test_an_engine_that_boils_goes_no_further() -> None:
    assert verdict("P0128").drive == "go_on"
    hot = verdict("P0128", frame={"coolant": 121.0})
    assert hot.drive == "stop_now"
    assert [one.words("en") for one in hot.limits] == ["the coolant was at 121 degrees"]
    assert verdict("P0171", advice=frozenset({"overheating"})).drive == "stop_now"


def test_the_high_voltage_system_stops_the_car() -> None:
    assert verdict("P0A0A").drive == "stop_now"
    assert verdict("P0A0A").causes[0].cause.id == "plug_open"
    assert verdict("P0AA6").causes[0].cause.id == "insulation_lost"


def test_a_frame_at_idle_tells_the_vacuum() -> None:
    idle = {vss.ENGINE_SPEED: 790.0, vss.SPEED: 0.0, vss.MANIFOLD_PRESSURE: 55.0}
    assert frame_figures(idle)["idle_map"] == 55.0
    assert "idle_map" not in frame_figures({**idle, vss.SPEED: 50.0})
    assert "idle_map" not in frame_figures({vss.MANIFOLD_PRESSURE: 55.0})
    assert "low_vacuum" in seen(verdict("P0171", frame=frame_figures(idle)), "intake_leak")


figures = st.dictionaries(st.sampled_from(["trim_total", "coolant", "load", "speed", "voltage"]), st.floats(-200, 200))


@given(
    st.lists(st.sampled_from([*KNOWLEDGE.codes, "P3FFF"]), min_size=1, max_size=6),
    figures,
    st.dictionaries(st.sampled_from(["trim_idle_excess", "trim_change", "trim_size"]), st.floats(-60, 60)),
    st.lists(st.builds(Repair, st.sampled_from([*KNOWLEDGE.repairs]))),
)
def test_points_are_the_sum_of_what_is_shown(
    codes: list[str], frame: dict[str, float], trends: dict[str, float], repairs: list[Repair]
) -> None:
    findings = Findings(codes=frozenset(codes), frame=frame, trends=trends, repairs=repairs)
    verdicts = diagnose(KNOWLEDGE, codes, findings)
    assert sorted(code for one in verdicts for code in one.codes) == sorted(set(codes))
    for one in verdicts:
        for ranked in one.causes:
            assert ranked.points == ranked.cause.points + sum(map(points_of, ranked.evidence))
        assert [r.points for r in one.causes] == sorted((r.points for r in one.causes), reverse=True)
        assert one.causes or one.codes == tuple(code for code in dict.fromkeys(codes) if code not in KNOWLEDGE.codes)
