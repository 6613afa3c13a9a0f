"""The pieces that inline SVG is put together from; what is written is escaped. Pure."""

import math
from collections.abc import Sequence
from html import escape


def svg(width: int, height: int, parts: Sequence[str]) -> str:
    """The whole picture; it shrinks where there is less room."""
    return f'<svg viewBox="0 0 {width} {height}" width="{width}" height="{height}" role="img">{"".join(parts)}</svg>'


def text(x: float, y: float, words: str, anchor: str = "start", css: str = "") -> str:
    """A line of words. anchor: start, middle, end."""
    style = f' class="{css}"' if css else ""
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}"{style}>{escape(words)}</text>'


def rect(x: float, y: float, wide: float, high: float, css: str, title: str) -> str:
    """A box; title is what a pointer on it shows."""
    return (
        f'<rect class="{css}" x="{x:.1f}" y="{y:.1f}" width="{wide:.1f}" height="{high:.1f}">'
        f"<title>{escape(title)}</title></rect>"
    )


def line(x1: float, y1: float, x2: float, y2: float, css: str) -> str:
    """A straight line."""
    return f'<line class="{css}" x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}"/>'


def round_up(value: float) -> float:
    """The next of 1, 2, 4, 5, 10 times a power of ten."""
    scale = 10.0 ** math.floor(math.log10(value))
    return next(step * scale for step in (1, 2, 4, 5, 10) if step * scale >= value * (1 - 1e-9))
