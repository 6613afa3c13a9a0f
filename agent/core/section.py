"""What every table of a TOML file of ours is made of."""

from typing import Annotated

import msgspec
from msgspec import Meta

Name = Annotated[str, Meta(pattern=r"^[A-Za-z0-9._-]{1,64}$")]
NameOrNone = Annotated[str, Meta(pattern=r"^[A-Za-z0-9._-]{0,64}$")]
Positive = Annotated[float, Meta(gt=0)]


class Section(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A table of the config file."""
