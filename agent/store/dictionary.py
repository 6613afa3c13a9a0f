"""The zstd dictionaries that sealed content is compressed with. A frame names its own by the Dictionary_ID of RFC 8878.

A new dictionary is a new file under a new number: records sealed with an old one lie on insurers' disks for years.
models/train_dictionary.py makes them.
"""

from functools import cache
from typing import Final

import zstandard

from agent.core.errors import SealError
from agent.core.paths import DICTIONARIES

ID_FIRST: Final = 32_768  # RFC 8878, 3.1.1.1.3: from here to 2**31 - 1 ids are free for private use
ID_CURRENT: Final = 32_770


@cache
def load_dictionary(number: int) -> zstandard.ZstdCompressionDict:
    """Return a shipped dictionary by its number. Raises SealError for one that this software does not have."""
    path = DICTIONARIES / f"events-{number}.dict"
    try:
        data = path.read_bytes()
    except FileNotFoundError as exc:
        raise SealError(f"content needs the zstd dictionary {number}, which this software does not have") from exc
    return zstandard.ZstdCompressionDict(data, dict_type=zstandard.DICT_TYPE_FULLDICT)
