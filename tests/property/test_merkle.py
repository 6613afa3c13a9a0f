"""The day's tree: every record has a path to the root, and nothing else has."""

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.core.errors import SealError
from agent.store.merkle import Inclusion, included_root, merkle_root, prove

digests = st.integers(1, 70).map(lambda count: sorted(hashlib.sha256(bytes([n])).digest() for n in range(count)))


def plain_root(leaves: list[bytes]) -> bytes:
    """MTH of RFC 6962, 2.1, as it stands there."""
    if len(leaves) == 1:
        return hashlib.sha256(b"\0" + leaves[0]).digest()
    split = 1
    while split * 2 < len(leaves):
        split *= 2
    return hashlib.sha256(b"\1" + plain_root(leaves[:split]) + plain_root(leaves[split:])).digest()


@given(digests)
def test_the_root_is_that_of_the_standard(leaves: list[bytes]) -> None:
    assert merkle_root(iter(leaves)) == plain_root(leaves)


@given(digests, st.data())
def test_every_record_has_a_path_to_the_root(leaves: list[bytes], data: st.DataObject) -> None:
    digest = data.draw(st.sampled_from(leaves))
    inclusion = prove(leaves, digest)
    assert len(inclusion.path) <= (len(leaves) - 1).bit_length()
    assert included_root(digest, inclusion) == plain_root(leaves)


@given(digests, st.data())
def test_a_changed_path_leads_elsewhere(leaves: list[bytes], data: st.DataObject) -> None:
    digest = data.draw(st.sampled_from(leaves))
    proof = prove(leaves, digest)
    changed = [
        Inclusion(data.draw(st.integers(0, 80)), data.draw(st.integers(0, 80)), proof.path),
        Inclusion(proof.index, proof.count, (*proof.path, bytes(32))),
        Inclusion(proof.index, proof.count, proof.path[:-1]),
        Inclusion(proof.index, proof.count, tuple(bytes(32) for _ in proof.path)),
    ]
    for other in changed:
        # index and count are the statement's and the prover's word: only a path of another shape or hash can be told
        if other == proof or (other.path == proof.path and _shape(other) == _shape(proof)):
            continue
        try:
            assert included_root(digest, other) != plain_root(leaves)
        except SealError:
            continue
    with pytest.raises(SealError, match="not in the day's tree"):
        prove(leaves, bytes(32))


def _shape(inclusion: Inclusion) -> list[bool] | None:
    """On which side each sibling stands."""
    place, last, sides = inclusion.index, inclusion.count - 1, []
    if not 0 <= place <= last:
        return None
    while last:
        if place % 2 or place < last:
            sides.append(bool(place % 2))
        place, last = place // 2, last // 2
    return sides


def test_no_records_have_the_root_of_the_standard() -> None:
    assert merkle_root([]) == hashlib.sha256().digest()


def test_an_inner_node_is_no_record() -> None:
    leaves = sorted(hashlib.sha256(bytes([n])).digest() for n in range(4))
    inner = hashlib.sha256(b"\0" + leaves[0]).digest() + hashlib.sha256(b"\0" + leaves[1]).digest()
    proof = prove(leaves, leaves[0])
    assert included_root(inner, Inclusion(0, 2, proof.path[1:])) != plain_root(leaves)
