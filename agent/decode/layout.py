"""What a frame holds, and how multiplexers change it: a message becomes a small decision graph of nodes.

A node lists the fields certain at that point. A node with a selector goes on to the node of the selector's value, or to
its default where the value is unknown; a node without one is a virtual message.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from agent.core.errors import InputError
from agent.core.frames import DATA_SIZE
from agent.decode.profile import Condition

NODES_MAX: Final = 65_536  # virtual messages of one message
SELECTOR_BITS_MAX: Final = 32


@dataclass(frozen=True, slots=True, kw_only=True)
class Field:
    """One value in a payload: where its bits lie and what they mean.

    first_bit counts from byte 0; little endian: position of the least significant bit, bits of a byte from its least
    significant; big endian: position of the most significant bit, bits of a byte from its most significant.
    number is its place in the catalog, -1 for what only gates or selects.
    """

    label: str
    first_bit: int
    length: int
    big_endian: bool = False
    signed: bool = False
    is_float: bool = False
    scale: float = 1.0
    offset: float = 0.0
    number: int = -1
    minimum: float | None = None
    maximum: float | None = None
    sentinels: tuple[int, ...] = ()
    gates: tuple[Condition, ...] = ()

    def __post_init__(self) -> None:
        if not 1 <= self.length <= 64:
            raise InputError(f"{self.label}: {self.length} bits; a signal has 1 to 64")
        if self.first_bit < 0 or self.last_byte >= DATA_SIZE:
            raise InputError(f"{self.label}: its bits reach beyond the {DATA_SIZE} bytes of a CAN FD frame")
        if self.is_float and self.length not in {16, 32, 64}:
            raise InputError(f"{self.label}: a float of {self.length} bits; only 16, 32 and 64 exist")

    @property
    def first_byte(self) -> int:
        """Lowest byte it touches."""
        return self.first_bit // 8

    @property
    def last_byte(self) -> int:
        """Highest byte it touches."""
        return (self.first_bit + self.length - 1) // 8


@dataclass(frozen=True, slots=True)
class Node:
    """One state of deciding what a frame holds. gates[i] is the field that condition i reads."""

    fields: tuple[Field, ...]
    gates: tuple[tuple[Field, Condition], ...] = ()
    selector: Field | None = None
    cases: Mapping[int, int] = field(default_factory=dict)
    default: int = 0


@dataclass(frozen=True, slots=True)
class Part:
    """A signal of a message as its multiplexing sees it.

    geometry reads it in the message's own unit (for gates and selectors); outputs are the values wanted from it.
    parent is the multiplexer it hangs from, with the selector values for which it is there.
    """

    name: str
    geometry: Field
    outputs: tuple[Field, ...] = ()
    parent: str | None = None
    ids: frozenset[int] = frozenset()


class Graph:
    """All nodes of all messages; node 0 holds nothing. roots maps a frame's key to the node it starts from."""

    def __init__(self) -> None:
        self.nodes: list[Node] = [Node(())]
        self.roots: dict[int, int] = {}

    def add(self, node: Node) -> int:
        """Return the new node's number."""
        self.nodes.append(node)
        return len(self.nodes) - 1


def add_message(graph: Graph, name: str, parts: Sequence[Part]) -> int:
    """Add the nodes of one message and return its root.

    Raises InputError for multiplexing that cannot be decoded, and for a wanted signal that no frame can give because
    its gates are never in the same frame.
    """
    builder = _Builder(graph, name, parts)
    root = builder.build(frozenset(part.name for part in parts if part.parent is None))
    for part in parts:
        for output in part.outputs:
            if output not in builder.placed:
                gates = ", ".join(gate.signal for gate in output.gates)
                raise InputError(f"{output.label}: no frame holds it together with its gates ({gates})")
    return root


class _Builder:
    """Unrolls the multiplexers of one message."""

    def __init__(self, graph: Graph, message: str, parts: Sequence[Part]) -> None:
        self.placed: set[Field] = set()
        self._graph = graph
        self._message = message
        self._parts = {part.name: part for part in parts}
        self._children: dict[str, list[Part]] = {}
        for part in parts:
            if part.parent is not None:
                self._children.setdefault(part.parent, []).append(part)
        needed = {part.name for part in parts if part.outputs}
        needed |= {gate.signal for part in parts for output in part.outputs for gate in output.gates}
        self._relevant = set(self._ancestors(self._parts[name].parent for name in needed))
        self._known: dict[tuple[frozenset[str], tuple[str, ...]], int] = {}

    def build(self, active: frozenset[str]) -> int:
        """Node of a message of which these signals are certain."""
        return self._build(active, tuple(sorted(active & self._relevant)))

    def _ancestors(self, parents: Iterable[str | None]) -> Iterable[str]:
        for parent in parents:
            seen = set()
            name = parent
            while name is not None:
                if name not in self._parts or name in seen:
                    raise InputError(f"{self._message}: a signal hangs from {name}, which is no multiplexer above it")
                seen.add(name)
                name = self._parts[name].parent
            yield from seen

    def _build(self, active: frozenset[str], pending: tuple[str, ...]) -> int:
        key = (active, pending)
        if key in self._known:
            return self._known[key]
        if len(self._known) >= NODES_MAX:
            raise InputError(f"{self._message}: its multiplexers give more than {NODES_MAX} layouts")
        fields, gates = self._contents(active)
        if not pending:
            self.placed.update(fields)
            node = Node(fields, gates)
        else:
            node = self._branch(active, pending, Node(fields, gates))
        self._known[key] = self._graph.add(node)
        return self._known[key]

    def _branch(self, active: frozenset[str], pending: tuple[str, ...], node: Node) -> Node:
        selector = self._parts[pending[0]].geometry
        if selector.is_float or selector.length > SELECTOR_BITS_MAX:
            raise InputError(f"{selector.label}: a multiplexer must be an integer of up to {SELECTOR_BITS_MAX} bits")
        shown: dict[int, list[str]] = {}
        for child in self._children[pending[0]]:
            for value in child.ids:
                shown.setdefault(value, []).append(child.name)
        layouts: dict[tuple[str, ...], int] = {}  # ranges of thousands of values share few layouts
        cases = {}
        for value, names in shown.items():
            key = tuple(names)
            if key not in layouts:
                rest = (*pending[1:], *sorted(self._relevant.intersection(key)))
                layouts[key] = self._build(active.union(key), rest)
            cases[value] = layouts[key]
        return Node(node.fields, node.gates, selector, cases, self._build(active, pending[1:]))

    def _contents(self, active: frozenset[str]) -> tuple[tuple[Field, ...], tuple[tuple[Field, Condition], ...]]:
        """Values that these signals give, and the gates they need; a value whose gates are not here is not given."""
        fields = []
        gates: dict[Condition, Field] = {}
        for name in sorted(active):
            for output in self._parts[name].outputs:
                if all(gate.signal in active for gate in output.gates):
                    fields.append(output)
                    gates.update((gate, self._parts[gate.signal].geometry) for gate in output.gates)
        if len(gates) > 64:
            raise InputError(f"{self._message}: {len(gates)} different gates; 64 is the limit")
        return tuple(fields), tuple((geometry, condition) for condition, geometry in gates.items())
