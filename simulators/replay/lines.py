"""Text logs line by line: bounded memory whatever is in the file, broken lines counted and never fatal."""

import codecs
from collections.abc import Iterator
from pathlib import Path
from typing import Final, Protocol

from agent.core.frames import FrameBatch
from simulators.replay.report import Report
from simulators.replay.rows import Row, batch_from_rows

_CHUNK_CHARS: Final = 1 << 20  # some 20,000 lines: a batch takes about 60 ms to parse
_LINE_CHARS_MAX: Final = 4096  # the longest real line, CAN FD in ASC, has some 400


class LineParser(Protocol):
    """What is particular to one text format. A parser keeps what the headers said, so one reads one file."""

    def parse(self, line: str) -> Row | None:
        """One stripped, non-empty line -> its frame; None for a header, comment or event. Raises ValueError."""
        ...

    def wall_ns(self, t_ns: int) -> int | None:
        """UTC of a row's raw time, None where the log does not say."""
        ...


def read_lines(path: Path, parser: LineParser, report: Report) -> Iterator[FrameBatch]:
    """Batches with raw times. Raises OSError."""
    number = 0
    for lines in _read_chunks(path):
        rows: list[Row] = []
        for line in lines:
            number += 1
            if not line:
                continue
            try:
                row = parser.parse(line)
            except ValueError:
                report.count_bad(f"line {number}")
                continue
            if row is not None:
                rows.append(row)
        if rows:
            yield batch_from_rows(rows)


def split_lines(data: bytes) -> list[str]:
    """Stripped lines of a piece of a file, in the encoding that its first bytes tell."""
    return [line.strip() for line in data.decode(find_encoding(data), errors="replace").splitlines()]


def find_encoding(head: bytes) -> str:
    """By byte order mark. Logs are ASCII; Latin-1 takes every byte, so that damage costs a line and not the file."""
    if head.startswith(codecs.BOM_UTF8):
        return "utf-8-sig"
    if head.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return "utf-16"
    return "latin-1"


def _read_chunks(path: Path) -> Iterator[list[str]]:
    """Lists of stripped lines. Lines beyond all reason are cut short: their rest is dropped, they fail to parse."""
    with path.open("rb") as file:
        encoding = find_encoding(file.read(4))
    with path.open(encoding=encoding, errors="replace", newline=None) as file:
        tail = ""
        while text := file.read(_CHUNK_CHARS):
            lines = (tail + text).split("\n")
            tail = lines.pop()[: _LINE_CHARS_MAX + 1]
            yield [line[: _LINE_CHARS_MAX + 1].strip() for line in lines]
        if tail:
            yield [tail.strip()]
