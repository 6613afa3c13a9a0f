"""The Merkle tree over a day's records: RFC 6962, 2.1 over their SHA-256 digests. Pure.

leaf = SHA-256(00 | digest), node = SHA-256(01 | left | right); leaves in ascending order of the digests, each once. So
the root depends on which records there are and on nothing else: not on workers, databases or the order of arrival.
"""

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

from agent.core.errors import SealError

_PATH_MAX: Final = 64


@dataclass(frozen=True, slots=True)
class Inclusion:
    """Shows that a digest is the leaf `index` of the tree over `count`: the siblings from the leaf to the root."""

    index: int
    count: int
    path: tuple[bytes, ...]


def merkle_root(digests: Iterable[bytes]) -> bytes:
    """Root over digests in ascending order; SHA-256 of nothing for none. Memory grows with the height only."""
    stack: list[tuple[int, bytes]] = []  # height and root of perfect subtrees, left to right
    for digest in digests:
        height, node = 0, _leaf(digest)
        while stack and stack[-1][0] == height:
            node = _node(stack.pop()[1], node)
            height += 1
        stack.append((height, node))
    if not stack:
        return hashlib.sha256().digest()
    _, root = stack.pop()
    while stack:
        root = _node(stack.pop()[1], root)
    return root


def prove(digests: Sequence[bytes], digest: bytes) -> Inclusion:
    """Path of one of the digests, which are in ascending order. Raises SealError where it is not among them."""
    if any(one >= other for one, other in pairwise(digests)):
        raise ValueError("digests out of order")
    try:
        index = digests.index(digest)
    except ValueError as exc:
        raise SealError("the record is not in the day's tree") from exc
    return Inclusion(index, len(digests), tuple(_path(digests, index)))


def included_root(digest: bytes, inclusion: Inclusion) -> bytes:
    """Root that the path leads to (RFC 9162, 2.1.3.2). Raises SealError where it fits no tree of this size."""
    place, last = inclusion.index, inclusion.count - 1
    if not 0 <= place <= last or len(inclusion.path) > _PATH_MAX:
        raise SealError("the path fits no tree of this size")
    node = _leaf(digest)
    for sibling in inclusion.path:
        if last == 0:
            raise SealError("the path is too long for the tree")
        if place % 2 or place == last:
            node = _node(sibling, node)
            while not place % 2 and place:
                place, last = place // 2, last // 2
        else:
            node = _node(node, sibling)
        place, last = place // 2, last // 2
    if last:
        raise SealError("the path is too short for the tree")
    return node


def _path(digests: Sequence[bytes], index: int) -> list[bytes]:
    """PATH(m, D[n]) of RFC 6962, 2.1.1: from the leaf to the root."""
    count = len(digests)
    if count == 1:
        return []
    split = 1 << (count - 1).bit_length() - 1
    left, right = digests[:split], digests[split:]
    if index < split:
        return [*_path(left, index), merkle_root(right)]
    return [*_path(right, index - split), merkle_root(left)]


def _leaf(digest: bytes) -> bytes:
    return hashlib.sha256(b"\x00" + digest).digest()


def _node(left: bytes, right: bytes) -> bytes:
    return hashlib.sha256(b"\x01" + left + right).digest()
