"""Records that a full disk let go, as the device admits, are no deletion; one more than that is."""

from collections.abc import Sequence

from hypothesis import given
from hypothesis import strategies as st

from agent.core.events import ErasureRequested, RecordsErased, RecordsShed
from agent.core.records import GENESIS, Position, SealedRecord
from agent.store.chain import Admission, admissions_of, verify_chain
from agent.store.unseal import open_record
from tests.unit.store.kit import KEYS, braking, make_chain, seal_chain


def check(records: Sequence[SealedRecord], admissions: Sequence[Admission]) -> tuple[str | None, int]:
    report = verify_chain([record.payload for record in records], admissions=admissions)
    return None if report.finding is None else report.finding.fault, report.admitted


@given(data=st.data())
def test_what_was_let_go_is_no_deletion_and_one_more_is(data: st.DataObject) -> None:
    chain = make_chain(20)
    gone = data.draw(st.sets(st.integers(2, 18), min_size=1, max_size=12))
    first, last = min(gone), max(gone)
    kept = [record for record in chain if record.sequence not in gone]
    cut = data.draw(st.integers(first, last))
    parts = [{n for n in gone if n < cut}, {n for n in gone if n >= cut}]
    admissions = [Admission(len(part), Position(1, min(part)), Position(1, max(part))) for part in parts if part]
    admissions = data.draw(st.permutations(admissions))
    assert check(kept, admissions) == (None, len(gone))
    other = data.draw(st.integers(2, 19).filter(lambda n: n not in gone))
    less = [record for record in kept if record.sequence != other]
    assert check(less, admissions)[0] == "deleted"
    assert check(kept, [])[0] == "deleted"


def test_what_is_missing_elsewhere_is_not_explained() -> None:
    chain = make_chain(10)
    admissions = [Admission(5, Position(1, 5), Position(1, 6))]
    assert check(chain[:1] + chain[2:], admissions) == ("deleted", 0)
    assert check(chain[:3] + chain[4:], admissions) == ("deleted", 0)
    assert check(chain[:4] + chain[7:], admissions) == ("deleted", 0)


def test_where_a_boot_ended_the_finding_stays_and_hints_at_what_the_device_says() -> None:
    first = make_chain(6)
    second = make_chain(4, boot=2, after=first[-1].digest)
    left = [record.payload for record in first[:4] + second[2:]]
    report = verify_chain(left, admissions=[Admission(4, Position(1, 5), Position(2, 2))])
    assert report.finding is not None
    assert "the device says that records went, or should go, around here" in report.finding.detail
    far = verify_chain(left, admissions=[Admission(4, Position(7, 5), Position(7, 9))])
    assert far.finding is not None
    assert "full disk" not in far.finding.detail


def test_the_admission_is_what_the_device_has_signed() -> None:
    shed = RecordsShed(
        t_ns=5,
        of_priority=3,
        records=2,
        size_bytes=900,
        first_boot=1,
        first_sequence=2,
        first_ns=1,
        last_boot=1,
        last_sequence=3,
        last_ns=2,
    )
    records = seal_chain([braking(1), braking(2), braking(3), braking(4), shed], after=GENESIS)
    told = [open_record(record.payload, KEYS.owner, KEYS.device_public)[1] for record in records]
    assert [admissions_of(each) for each in told] == [[]] * 4 + [[Admission(2, Position(1, 2), Position(1, 3))]]


def test_what_an_owner_erased_is_explained_also_where_a_boot_ended() -> None:
    first = make_chain(6)
    second = make_chain(4, boot=2, after=first[-1].digest)
    left = [record.payload for record in first[:4] + second]
    admitted = Admission(2, Position(1, 5), Position(1, 6), first[5].digest)
    report = verify_chain(left, admissions=[admitted])
    assert (report.finding, report.admitted) == (None, 2)
    wrong = Admission(2, Position(1, 5), Position(1, 6), bytes(32))
    assert verify_chain(left, admissions=[wrong]).finding is not None


def test_an_erasure_explains_no_more_than_it_names() -> None:
    records = make_chain(10)
    left = [record.payload for record in records[:3] + records[7:]]
    told = RecordsErased(
        t_ns=1,
        request="",
        of_purposes=["claims"],
        records=[2, 2],
        boots=[1, 1],
        firsts=[4, 6],
        lasts=[5, 7],
        digests=[records[4].digest, records[6].digest],
    )
    (sealed,) = seal_chain([told])
    _, opened = open_record(sealed.payload, KEYS.insurer, KEYS.device_public)
    report = verify_chain(left, admissions=admissions_of(opened))
    assert (report.finding, report.admitted) == (None, 4)
    less = verify_chain(left, admissions=admissions_of(opened)[:1])
    assert less.finding is not None
    assert less.finding.fault == "deleted"


def test_that_an_owner_asked_for_an_erasure_is_a_hint_and_explains_nothing() -> None:
    records = make_chain(10)
    left = [record.payload for record in records[:3] + records[7:]]
    asked = ErasureRequested(
        t_ns=1,
        request="r",
        boot=1,
        of_purposes=[],
        from_ns=None,
        until_ns=None,
        asked_ns=None,
        deadline_ns=None,
        by="page",
    )
    (sealed,) = seal_chain([asked], first=11)
    _, opened = open_record(sealed.payload, KEYS.insurer, KEYS.device_public)
    shed_elsewhere = Admission(9, Position(1, 20), Position(1, 40))
    report = verify_chain(left, admissions=[*admissions_of(opened), shed_elsewhere])
    assert report.finding is not None
    assert "or should go" in report.finding.detail
