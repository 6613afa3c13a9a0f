"""Consent through the whole agent: taken back offline, nothing of it is collected a second later."""

from pathlib import Path

import pytest

from agent.core.events import HarshDriving, Purpose, TripEnded
from agent.core.privacy_events import ConsentChanged
from agent.core.terms import Terms
from agent.privacy.door import Grant, Revoke
from agent.store.chain import Admission, admissions_of, verify_chain
from agent.store.unseal import open_record
from tests.scenario.consent_car import NS, car, room
from tests.unit.store.kit import KEYS


async def test_revocation_stops_collection_within_a_second_offline(tmp_path: Path) -> None:
    async with car(tmp_path, "service") as one:
        await one.drive(10)
        one.leave(Revoke(purposes=["service"]))
        revoked_ns = one.clock.monotonic_ns()
        await one.drive(10)
    told = await one.events()
    assert [event for event in told if event.purpose == "service"] == [], "nor does what waited unsent leave"
    late = [event for event in told if event.purpose == "service" and event.t_ns > revoked_ns + NS]
    assert late == []
    assert len([event for event in one.happened if event.purpose == "service" and event.t_ns > revoked_ns + NS]) > 30
    (proof,) = [event for event in told if isinstance(event, ConsentChanged)]
    assert (proof.of_purpose, proof.granted, proof.by) == ("service", False, "command")
    assert proof.t_ns <= revoked_ns + NS


async def test_what_was_revoked_while_the_agent_was_off_is_revoked_before_anything_is_told(tmp_path: Path) -> None:
    async with car(tmp_path, "service") as one:
        pass
    one.leave(Revoke(purposes=["service"]))
    async with car(tmp_path, "service") as one:
        await one.drive(3)
    assert [event.kind for event in await one.events()] == ["consent_changed"]


async def test_consent_given_on_the_way_covers_only_what_comes(tmp_path: Path) -> None:
    async with car(tmp_path) as one:
        await one.drive(3)
        one.leave(Grant(purpose="service", notice=1))
        await one.clock.advance(1.0)
        granted_ns = max(event.t_ns for event in one.happened if isinstance(event, ConsentChanged))
        one.codes.change(granted_ns - 1)
        await one.drive(3)
    told = [event for event in await one.events() if event.purpose == "service"]
    assert len(told) >= 12
    assert min(event.t_ns for event in told) > granted_ns


@pytest.mark.parametrize("purpose", ["service", "diagnostics"])
async def test_a_consent_that_runs_out_ends_collection_but_not_what_was_collected(
    tmp_path: Path, purpose: Purpose
) -> None:
    async with car(tmp_path) as one:
        one.leave(Grant(purpose=purpose, notice=1, days=1))
        await one.drive(3)
        one.clock.jump_wall(86_400)
        await one.clock.advance(1.0)
        ended_ns = one.clock.monotonic_ns()
        await one.drive(3)
    told = await one.events()
    changes = [event.why for event in told if isinstance(event, ConsentChanged)]
    assert changes == ["chosen", "expired"]
    assert [event for event in told if event.purpose == purpose and event.t_ns > ended_ns] == []
    assert bool([event for event in told if event.purpose == purpose]) == (purpose == "service")


async def test_the_gap_that_a_revocation_leaves_is_explained(tmp_path: Path) -> None:
    async with car(tmp_path, "service", "diagnostics") as one:
        await one.drive(5)
        one.leave(Revoke(purposes=["service"]))
        await one.drive(2)
    records = await one.records()
    admissions: list[Admission] = []

    def check(envelope: bytes) -> None:
        _, told = open_record(envelope, KEYS.insurer, KEYS.device_public)
        admissions.extend(admissions_of(told))

    report = verify_chain([record.payload for record in records], check=check, admissions=admissions)
    assert report.finding is None
    assert report.admitted >= 20
    assert [event.kind for event in await one.events()] == [
        "agent_started",
        "consent_changed",
        "records_erased",
        "agent_stopped",
    ]


async def test_a_consent_for_one_trip_covers_the_trips_own_end(tmp_path: Path) -> None:
    async with room(tmp_path) as (privacy, _, events):
        privacy.grant("ubi_score", Terms(notice=1, trip_only=True, score_only=True), by="voice")
        braking = HarshDriving(t_ns=1, maneuver="braking", peak_mps2=5, duration_s=1)
        trip = TripEnded(t_ns=2, started_ns=0, duration_s=600, distance_m=9000, speed_max_kmh=60)
        assert privacy.egress.admit(braking) is None, "a score has no manoeuvres"
        assert privacy.egress.admit(trip) == trip
        privacy.on_event(trip)
        assert privacy.egress.admit(trip) is None
        changes = [(event.granted, event.why) for event in events if isinstance(event, ConsentChanged)]
        assert changes == [(True, "chosen"), (False, "trip_ended")]
        assert privacy.summary() == {"agreed": [], "erasures_undone": 0, "erasures_overdue": 0}
