import typing
from pathlib import Path

import pytest

from agent.core.best_time import Now
from agent.core.config import Consent
from agent.core.errors import InputError, StoreError
from agent.core.events import Purpose
from agent.core.terms import Terms
from agent.privacy.consent import Consents
from agent.privacy.notices import PURPOSES
from drivers.state_file import FileConsentStore
from tests.held_state import HeldState

DAY_NS = 86_400 * 10**9
VERSIONS: dict[Purpose, int] = dict.fromkeys(PURPOSES, 3)


class Time:
    """Both clocks of a box."""

    def __init__(self) -> None:
        self.utc_ns = 1_790_000_000 * 10**9
        self.t_ns = 0
        self.known = True

    def now(self) -> Now:
        return Now(floor_ns=0, wall_ns=self.utc_ns) if self.known else Now(floor_ns=0)


class Box:
    def __init__(self, *purposes: Purpose, place: typing.Literal["none", "area", "exact"] = "none") -> None:
        self.time, self.store = Time(), HeldState()
        self.first = Consent(purposes=list(purposes), crash_position=place)
        self.boot()

    def boot(self, versions: dict[Purpose, int] = VERSIONS) -> None:
        self.consents = Consents(
            self.first, versions, store=self.store, time=self.time, monotonic_ns=lambda: self.time.t_ns
        )
        self.ended = self.consents.start()

    def purposes(self) -> set[Purpose]:
        return {purpose for purpose in PURPOSES if self.consents.agreed().allows(purpose)}


def test_nothing_is_agreed_to_by_itself() -> None:
    box = Box()
    assert box.consents.agreed().grounds == {"rights"}
    assert {box.consents.standing(purpose).why for purpose in PURPOSES} == {"never_asked"}


def test_paper_has_the_first_word_and_the_driver_the_last() -> None:
    box = Box("claims", "safety", place="area")
    assert box.purposes() == {"claims", "safety"}
    assert box.consents.agreed().places["claims"] == "area"
    (changed,) = box.consents.revoke(["claims"], by="voice")
    assert (changed.of_purpose, changed.granted, changed.by, changed.why) == ("claims", False, "voice", "chosen")
    assert box.purposes() == {"safety"}
    box.boot()
    assert box.purposes() == {"safety"}, "whatever config says"


def test_a_refusal_before_anything_was_asked_stays_and_is_no_event() -> None:
    box = Box()
    assert box.consents.revoke(["service"], by="page") == []
    box.first = Consent(purposes=["service"])
    box.boot()
    assert box.purposes() == set()


def test_what_is_taken_back_together_is_one_write() -> None:
    """A power cut leaves no half of it, and the loop does not wait for a sync of each."""
    box = Box("claims", "service")
    assert box.store.saves == 0
    changed = box.consents.revoke([*PURPOSES, "claims"], by="voice")
    assert [each.of_purpose for each in changed] == ["claims", "service"]
    assert box.store.saves == 1
    box.consents.look()
    assert box.store.saves == 1, "nothing has changed"
    box.boot()
    assert box.purposes() == set()
    assert set(box.consents.unswept()) == set(PURPOSES)


def test_a_consent_runs_out() -> None:
    box = Box()
    granted = box.consents.grant("service", Terms(notice=3, days=2), by="page")
    assert granted.until_ns == box.time.utc_ns + 2 * DAY_NS
    box.time.utc_ns += 2 * DAY_NS - 1
    assert box.consents.look() == []
    box.time.utc_ns += 1
    (ended,) = box.consents.look()
    assert (ended.granted, ended.by, ended.why) == (False, "box", "expired")
    assert box.purposes() == set()
    box.time.utc_ns -= 3 * DAY_NS
    box.boot()
    assert box.purposes() == set(), "a clock that goes back revives nothing"


def test_where_nobody_knows_the_time_nothing_runs_out() -> None:
    box = Box()
    box.consents.grant("service", Terms(notice=3, days=1), by="page")
    box.time.known = False
    box.boot()
    assert box.purposes() == {"service"}
    box.time.known = True
    box.time.utc_ns += DAY_NS
    assert [event.why for event in box.consents.look()] == ["expired"]


def test_a_consent_for_one_trip_ends_with_it_or_with_the_start() -> None:
    box = Box()
    box.consents.grant("ubi_score", Terms(notice=3, trip_only=True), by="voice")
    assert box.consents.agreed().grounds >= {"ubi_score", "ubi_detail"}
    assert [event.why for event in box.consents.end_trip()] == ["trip_ended"]
    assert box.purposes() == set()
    box.consents.grant("ubi_score", Terms(notice=3, trip_only=True), by="voice")
    box.boot()
    assert [event.why for event in box.ended] == ["trip_ended"]
    assert box.purposes() == set()


def test_score_only_leaves_the_detail_in_the_car() -> None:
    box = Box()
    box.consents.grant("ubi_score", Terms(notice=3, score_only=True), by="page")
    assert box.consents.agreed().grounds == {"rights", "ubi_score"}


def test_a_changed_notice_asks_anew() -> None:
    box = Box("diagnostics")
    box.consents.grant("claims", Terms(notice=3, place="exact"), by="page")
    box.boot(VERSIONS | {"claims": 4})
    assert [(event.of_purpose, event.why) for event in box.ended] == [("claims", "notice_changed")]
    assert box.purposes() == {"diagnostics"}
    with pytest.raises(InputError, match="notice 3 was shown, but 4 holds now"):
        box.consents.grant("claims", Terms(notice=3), by="page")


@pytest.mark.parametrize(
    ("purpose", "options", "reason"),
    [
        ("claims", {"days": 0}, "1 to 1826 days"),
        ("claims", {"days": 1827}, "1 to 1826 days"),
        ("claims", {"score_only": True}, "only ubi_score"),
        ("service", {"place": "area"}, "tells no place"),
    ],
)
def test_what_cannot_be_agreed_to_is_refused_and_changes_nothing(
    purpose: Purpose, options: dict[str, typing.Any], reason: str
) -> None:
    box = Box()
    with pytest.raises(InputError, match=reason):
        box.consents.grant(purpose, Terms(notice=3, **options), by="command")
    assert box.purposes() == set()
    assert box.store.state == b""


@pytest.mark.parametrize("damage", [b"{", b"{}", b'{"v":2,"choices":{}}', b'{"v":1,"choices":{"claims":{}}}'])
def test_choices_that_cannot_be_read_count_as_refused_for_good(damage: bytes) -> None:
    box = Box("claims", "safety")
    box.store.state = damage
    box.boot()
    assert box.purposes() == set()
    box.consents.grant("safety", Terms(notice=3), by="page")
    box.boot()
    assert box.purposes() == {"safety"}


def test_a_choice_that_the_disk_refuses_holds_and_is_kept_later() -> None:
    box = Box("claims")
    box.store.refuses = True
    box.consents.revoke(["claims"], by="page")
    assert box.purposes() == set()
    box.store.refuses = False
    box.consents.look()
    box.boot()
    assert box.purposes() == set()


def test_nobody_agreed_to_what_was_before() -> None:
    box = Box()
    box.time.t_ns = 50
    box.consents.grant("service", Terms(notice=3), by="page")
    assert box.consents.agreed().since == {"service": 50}
    box.time.t_ns = 60
    box.consents.grant("service", Terms(notice=3, days=10), by="page")  # renewed: it was in force all along
    assert box.consents.agreed().since == {"service": 50}


def test_the_file_keeps_it_and_says_where_it_cannot(tmp_path: Path) -> None:
    store = FileConsentStore(tmp_path / "data")
    assert store.load() == b""
    store.save(b"chosen")
    assert store.load() == b"chosen"
    (tmp_path / "data" / "consent.state").unlink()
    (tmp_path / "data" / "consent.state").mkdir()
    with pytest.raises(StoreError, match=r"consent\.state"):
        store.load()
    with pytest.raises(StoreError, match=r"consent\.state"):
        store.save(b"x")


def test_a_revocation_made_while_an_earlier_one_is_carried_out_is_not_taken_for_done() -> None:
    consents = Consents(Consent(purposes=["service"]), VERSIONS, store=None, time=Time(), monotonic_ns=lambda: 1)
    consents.revoke(["service"], by="page")
    earlier = consents.unswept()
    consents.grant("service", Terms(notice=3), by="page")
    consents.revoke(["service"], by="page")
    consents.mark_swept(earlier)
    assert set(consents.unswept()) == {"service"}
    consents.mark_swept(consents.unswept())
    assert not consents.unswept()


def test_days_that_were_agreed_to_before_the_clock_was_set_count_from_then() -> None:
    """Not from the first day that this software believes in: a consent of today would have run out at once."""
    box = Box()
    box.time.known = False
    event = box.consents.grant("claims", Terms(notice=3, days=30), by="page")
    assert (event.granted, event.until_ns) == (True, None)
    assert box.consents.look() == []
    box.boot()
    assert (box.ended, box.purposes()) == ([], {"claims"})
    box.time.known = True
    (dated,) = box.consents.look()
    assert (dated.granted, dated.until_ns) == (True, box.time.utc_ns + 30 * DAY_NS)
    assert box.consents.look() == []
    box.boot()
    box.time.utc_ns += 30 * DAY_NS
    (ended,) = box.consents.look()
    assert (ended.granted, ended.why) == (False, "expired")
