"""What the tests on real recordings measured: one table per data set at the end of the run."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Protocol


class Figures(Protocol):
    """The fixture `figures`: call it with what was measured, and with the bar it is held against, if any."""

    def __call__(self, data_set: str, name: str, value: object, bar: object = "") -> None: ...


@dataclass(frozen=True, slots=True)
class Figure:
    data_set: str
    name: str
    value: object
    bar: object = ""


def render(figures: Iterable[Figure]) -> Iterator[str]:
    """The lines of the tables, data sets in alphabetical order, figures in the order in which they were measured."""
    tables: dict[str, list[tuple[str, str, str]]] = {}
    for figure in figures:
        table = tables.setdefault(figure.data_set, [(figure.data_set, "value", "bar")])
        table.append((f"  {figure.name}", _text(figure.value), _text(figure.bar)))
    every = [cells for table in tables.values() for cells in table]
    name_width, value_width = (max((len(cells[column]) for cells in every), default=0) for column in (0, 1))
    for data_set in sorted(tables):
        for name, value, bar in tables[data_set]:
            yield f"{name:<{name_width}}  {value:>{value_width}}  {bar}".rstrip()


def _text(value: object) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)
