"""A sealed record is opened as it was sealed, or refused with a reason."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.core.errors import SealError
from agent.store.unseal import open_record
from tests.unit.store.kit import KEYS, braking, seal_chain

RECORD = seal_chain([braking()])[0].payload


@given(st.integers(0, len(RECORD) * 8 - 1), st.sampled_from(["insurer", "owner"]))
@settings(max_examples=400)
def test_any_flipped_bit_is_refused(bit: int, who: str) -> None:
    flipped = bytearray(RECORD)
    flipped[bit // 8] ^= 1 << bit % 8
    with pytest.raises(SealError):
        open_record(bytes(flipped), getattr(KEYS, who), KEYS.device_public)


@given(st.integers(0, len(RECORD) - 1), st.binary(max_size=20))
def test_any_cut_or_lengthened_record_is_refused(cut: int, more: bytes) -> None:
    for changed in (RECORD[:cut], RECORD[:cut] + more + RECORD[cut:]):
        if changed != RECORD:
            with pytest.raises(SealError):
                open_record(changed, KEYS.insurer, KEYS.device_public)


@given(st.binary(max_size=300))
def test_noise_is_refused(noise: bytes) -> None:
    with pytest.raises(SealError):
        open_record(noise, KEYS.insurer, KEYS.device_public)
