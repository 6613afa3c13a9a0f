"""Tables, lists and figures of an HTML report. Pure."""

from collections.abc import Iterable, Sequence
from html import escape
from typing import Final

_LIST_MAX: Final = 1000  # rows of a list: a browser still opens it
_OPEN_MAX: Final = 40  # a longer list starts folded


class Code(str):
    """A cell to be copied into a shell."""

    __slots__ = ()


class Bad(str):
    """A cell that should be nothing."""

    __slots__ = ()


def bad(count: int) -> str:
    """A count that should be nothing, marked where it is not."""
    return Bad(count) if count else "0"


def listing(title: str, heads: Sequence[str], cells: Sequence[Sequence[object]]) -> str:
    """A section with a list, folded where it is long. The first two columns and the last are words."""
    if not cells:
        return f"<h2>{title}</h2><p>None.</p>"
    more = f"<p>{len(cells) - _LIST_MAX:,} more are left out.</p>" if len(cells) > _LIST_MAX else ""
    rows = table(heads, cells[:_LIST_MAX], text=2, text_last=True) + more
    opened = " open" if len(cells) <= _OPEN_MAX else ""
    return f"<h2>{title}</h2><details{opened}><summary>{len(cells):,} in all</summary>{rows}</details>"


def table(heads: Sequence[str], rows: Iterable[Sequence[object]], *, text: int, text_last: bool = False) -> str:
    """Cells are shown by str. The first `text` columns are words, with text_last the last one too, the rest numbers."""
    words = {*range(text), *([len(heads) - 1] if text_last else [])}

    def cell(tag: str, column: int, value: object) -> str:
        css = [*(["text"] if column in words else []), *(["bad"] if isinstance(value, Bad) else [])]
        content = f"<code>{escape(value)}</code>" if isinstance(value, Code) else escape(str(value))
        kind = f' class="{" ".join(css)}"' if css else ""
        return f"<{tag}{kind}>{content}</{tag}>"

    head = "".join(cell("th", n, value) for n, value in enumerate(heads))
    body = "".join("<tr>" + "".join(cell("td", n, value) for n, value in enumerate(row)) + "</tr>\n" for row in rows)
    return f'<div class="scroll"><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>'


def figure(title: str, svg: str, note: str) -> str:
    """A section with one plot."""
    caption = f"<figcaption>{escape(note)}</figcaption>" if note else ""
    return f"<h2>{title}</h2><figure>{svg}{caption}</figure>"


def shorten(names: Sequence[str]) -> str:
    """The first six, and how many more."""
    return ", ".join(names[:6]) + (f" and {len(names) - 6} more" if len(names) > 6 else "")


def seconds(value: float) -> str:
    """With the unit that suits it: 200 ms, 3.9 s, 2.1 min, 1.5 h."""
    if abs(value) < 0.9995:
        return f"{value * 1000:.0f} ms"
    for least, size, unit in ((99.95, 1, "s"), (5997, 60, "min"), (float("inf"), 3600, "h")):
        if abs(value) < least:
            return f"{value / size:.1f}".removesuffix(".0") + f" {unit}"
    return "never"
