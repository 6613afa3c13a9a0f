"""Blocks of ASAM MDF 4.x files: links, structure and data.

Every address and size in a file is checked before it is used, and every chain of blocks is followed only as long as it
leads somewhere new.
"""

import struct
import zlib
from collections.abc import Callable, Iterator
from typing import IO, Final

import numpy as np

STRUCTURE_BYTES_MAX: Final = 1 << 20
_HEADER: Final = struct.Struct("<4s4xQQ")  # id, length, number of links
_UNZIPPED_BYTES_MAX: Final = 64 << 20  # writers stay at 4 MiB
_LINKS_MIN: Final = {b"##HD": 1, b"##DG": 3, b"##CG": 2, b"##CN": 6, b"##DL": 1, b"##HL": 1}


class DamagedFileError(Exception):
    """The file contradicts itself or ends too early."""


def read_data(
    file: IO[bytes], address: int, count_bad: Callable[[str], None], *, open_end: bool, read_bytes: int
) -> Iterator[bytes]:
    """Content of a data block or of a list of them, at most read_bytes at a time where it is not zipped.

    open_end: a block without length goes on to the end of the file. Raises DamagedFileError.
    """
    if address and peek(file, address) == b"##HL":
        address = read_block(file, address, b"##HL")[0][0]
    if not address or peek(file, address) != b"##DL":
        if address:
            yield from _read_one(file, address, count_bad, open_end=open_end, read_bytes=read_bytes)
        return
    for _, links, _ in follow(file, address, b"##DL"):
        for link in filter(None, links[1:]):
            yield from _read_one(file, link, count_bad, open_end=open_end, read_bytes=read_bytes)


def _read_one(
    file: IO[bytes], address: int, count_bad: Callable[[str], None], *, open_end: bool, read_bytes: int
) -> Iterator[bytes]:
    seek(file, address)
    head = file.read(_HEADER.size)
    if len(head) < _HEADER.size:
        count_bad(f"byte {address}")
        return
    kind, length, _ = _HEADER.unpack(head)
    left = length - _HEADER.size
    if kind == b"##DZ":
        content = _unzip(file.read(max(0, min(left, _UNZIPPED_BYTES_MAX))))
        if content is None:
            count_bad(f"byte {address}")
        else:
            yield content
        return
    if kind not in (b"##DT", b"##SD", b"##RD"):
        raise DamagedFileError(f"{kind!r} instead of data at byte {address}")
    endless = open_end and left <= 0
    position = address + _HEADER.size
    while endless or left > 0:
        seek(file, position)  # between two reads somebody else may have moved on
        content = file.read(read_bytes if endless else min(left, read_bytes))
        if not content:
            if not endless:
                count_bad(f"byte {position}")
            return
        position += len(content)
        left -= len(content)
        yield content


def _unzip(body: bytes) -> bytes | None:
    """Content of a DZ block, None if damaged. Zip type 1 has its bytes transposed in rows of `columns`."""
    if len(body) < 24:
        return None
    zip_type, columns, size, _ = struct.unpack_from("<2xBxIQQ", body)
    if size > _UNZIPPED_BYTES_MAX:
        return None
    try:
        content = zlib.decompressobj().decompress(body[24:], size)
    except zlib.error:
        return None
    if len(content) != size:
        return None
    if zip_type == 1 and columns:
        rows = size // columns
        matrix = np.frombuffer(content, np.uint8, rows * columns).reshape(columns, rows)
        content = matrix.T.tobytes() + content[rows * columns :]
    return content


def follow(file: IO[bytes], address: int, kind: bytes) -> Iterator[tuple[int, tuple[int, ...], bytes]]:
    """(address, links, data) of a chain of blocks whose first link is the next one. Raises DamagedFileError."""
    seen = set()
    while address:
        if address in seen:
            raise DamagedFileError(f"blocks in a circle at byte {address}")
        seen.add(address)
        links, data = read_block(file, address, kind)
        yield address, links, data
        address = links[0]


def read_block(file: IO[bytes], address: int, kind: bytes) -> tuple[tuple[int, ...], bytes]:
    """Links and data of a structure block. Raises DamagedFileError where it is not one of the kind."""
    seek(file, address)
    head = file.read(_HEADER.size)
    if len(head) < _HEADER.size:
        raise DamagedFileError(f"ends before byte {address}, where {kind.decode()} should be")
    found, length, count = _HEADER.unpack(head)
    links_bytes = count * 8
    if found != kind or not _HEADER.size + links_bytes <= length <= STRUCTURE_BYTES_MAX:
        raise DamagedFileError(f"no {kind.decode()} at byte {address}")
    body = file.read(length - _HEADER.size)
    if len(body) < length - _HEADER.size or count < _LINKS_MIN.get(kind, 0):
        raise DamagedFileError(f"incomplete {kind.decode()} at byte {address}")
    return struct.unpack_from(f"<{count}Q", body), body[links_bytes:]


def peek(file: IO[bytes], address: int) -> bytes:
    """Kind of the block at address, b"" beyond the end. Raises DamagedFileError."""
    seek(file, address)
    return file.read(4)


def seek(file: IO[bytes], address: int) -> None:
    """Go to address. Raises DamagedFileError where no file can have one."""
    if address >= 1 << 63:
        raise DamagedFileError(f"a link to byte {address:#x}")
    file.seek(address)


def at_least(data: bytes, size: int) -> bytes:
    """Pass data on if it has that many bytes. Raises DamagedFileError."""
    if len(data) < size:
        raise DamagedFileError("a block that is too short")
    return data
