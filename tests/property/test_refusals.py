"""A small run of `./run fuzz --mutations`: nothing forged goes through, nothing crashes."""

from tests.fuzz import refusals
from tests.fuzz.refusals import Row, run


def test_altered_envelopes_receipts_and_bundles_are_refused_with_a_reason() -> None:
    rows, _ = run(1500, seed=11)
    assert sum(row.mutations for row in rows) == 1500
    assert not [(row.name, row.crashes[:1], row.accepted) for row in rows if row.bad]
    for row in rows:
        assert row.accepted + sum(row.reasons.values()) == row.mutations
        assert len(row.reasons) >= 4
        assert "" not in row.reasons


def test_what_goes_through_or_crashes_is_counted() -> None:
    row = Row("planted", must_refuse=True)
    kind = refusals._Kind("planted", [b""], lambda data: None if data else 1 / 0)
    refusals._try(kind, row, b"x")
    assert (row.accepted, row.bad) == (1, True)
    refusals._try(kind, row, b"")
    assert row.crashes == ["ZeroDivisionError: division by zero on "]
