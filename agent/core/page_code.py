"""The local page's address and pairing code, as the running agent leaves them for `outrider page`."""

from pathlib import Path

import msgspec


class PageCode(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """address: for a browser; code: good once, for ten minutes."""

    address: str
    code: str


def code_path(directory: str) -> Path:
    """Where it lies in the store directory; of no other file's stem, which its fresh copy would be taken for."""
    return Path(directory) / "pairing.code"
