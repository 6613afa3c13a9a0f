"""Whatever one thing is done to a chain, the first record concerned is named."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.core.errors import InputError
from agent.core.records import SealedRecord, build_envelope, parse_envelope
from agent.store.chain import split_envelopes, verify_chain
from tests.unit.store.kit import make_chain

counts = st.integers(6, 24)


def two_boots(count: int) -> list[SealedRecord]:
    first = make_chain(count // 2)
    return first + make_chain(count - count // 2, boot=2, after=first[-1].digest)


def envelopes(records: list[SealedRecord]) -> list[bytes]:
    return [record.payload for record in records]


@given(counts)
def test_a_whole_chain_is_sound(count: int) -> None:
    report = verify_chain(envelopes(two_boots(count)))
    assert (report.records, report.boots, report.restarts, report.finding) == (count, 2, 1, None)


@given(counts, st.data())
def test_a_deleted_record_is_named(count: int, data: st.DataObject) -> None:
    records = two_boots(count)
    index = data.draw(st.integers(1, count - 2))
    deleted = records.pop(index)
    finding = verify_chain(envelopes(records)).finding
    assert finding is not None
    assert (finding.fault, finding.index, finding.position) == ("deleted", index, deleted.position)


@given(counts, st.data())
def test_a_repeated_record_is_named(count: int, data: st.DataObject) -> None:
    records = two_boots(count)
    source = data.draw(st.integers(0, count - 1))
    target = data.draw(st.integers(source + 1, count))
    records.insert(target, records[source])
    finding = verify_chain(envelopes(records)).finding
    assert finding is not None
    assert finding.fault == "inserted"
    assert finding.index in {target, target - 1}


@given(counts, st.data())
def test_a_forged_record_is_named(count: int, data: st.DataObject) -> None:
    records = make_chain(count)
    index = data.draw(st.integers(1, count - 2))
    forged = make_chain(1, after=records[index - 1].digest, first=index + 1, size=99)
    finding = verify_chain(envelopes(records[:index] + forged + records[index:])).finding
    assert finding is not None
    assert (finding.fault, finding.index) == ("inserted", index)


@given(counts, st.data())
def test_two_records_that_changed_places_are_named(count: int, data: st.DataObject) -> None:
    records = two_boots(count)
    one = data.draw(st.integers(1, count - 2))
    other = data.draw(st.integers(one + 1, count - 1))
    records[one], records[other] = records[other], records[one]
    finding = verify_chain(envelopes(records)).finding
    assert finding is not None
    assert (finding.fault, finding.index) == ("reordered", one)


@given(counts, st.data())
def test_an_altered_record_is_named(count: int, data: st.DataObject) -> None:
    records = make_chain(count)
    index = data.draw(st.integers(0, count - 3))
    header, content = parse_envelope(records[index].payload)
    altered = envelopes(records)
    altered[index] = build_envelope(header, content + b"!")
    finding = verify_chain(altered).finding
    assert finding is not None
    assert (finding.fault, finding.index, finding.position) == ("altered", index, records[index].position)


@given(counts, st.data())
def test_an_altered_link_is_named(count: int, data: st.DataObject) -> None:
    records = make_chain(count)
    index = data.draw(st.integers(1, count - 2))
    wrong = make_chain(1, after=b"\7" * 32, first=index + 1)[0]
    records[index] = wrong
    finding = verify_chain(envelopes(records)).finding
    assert finding is not None
    assert (finding.fault, finding.index) == ("altered", index)


@pytest.mark.parametrize("cut", [1, 5])
def test_a_lost_end_of_a_boot_is_named(cut: int) -> None:
    first = make_chain(8)
    second = make_chain(3, boot=2, after=first[-1].digest)
    finding = verify_chain(envelopes(first[:-cut] + second)).finding
    assert finding is not None
    assert (finding.fault, finding.position) == ("deleted", first[-cut].position)


def test_a_new_chain_is_a_restart_and_no_fault() -> None:
    report = verify_chain(envelopes(make_chain(3) + make_chain(2, boot=2)))
    assert (report.restarts, report.finding) == (2, None)


def test_another_devices_record_is_named() -> None:
    records = make_chain(4)
    header, content = parse_envelope(records[2].payload)
    fields = {name: getattr(header, name) for name in header.__struct_fields__}
    stranger = build_envelope(type(header)(**{**fields, "device": "car-2"}), content)
    finding = verify_chain([records[0].payload, records[1].payload, stranger, records[3].payload]).finding
    assert finding is not None
    assert str(finding) == "record 3 (boot 1, sequence 3) inserted: of device car-2"


@given(st.integers(0, 12), st.integers(1, 300))
def test_a_sequence_of_envelopes_splits_where_it_was_joined(count: int, size: int) -> None:
    parts = envelopes(make_chain(count, size=size))
    assert list(split_envelopes(b"".join(parts))) == parts


@given(st.integers(1, 300))
def test_a_cut_sequence_is_refused_with_its_place(cut: int) -> None:
    parts = envelopes(make_chain(3, size=300))
    split = split_envelopes(b"".join(parts)[:-cut])
    assert [next(split), next(split)] == parts[:2]
    with pytest.raises(InputError, match=f"byte {len(parts[0]) + len(parts[1])}: CBOR is cut"):
        next(split)
