"""Every parser of what comes from outside, by name. None may raise anything but what it documents."""

from typing import Final

from tests.fuzz.crash import CRASH
from tests.fuzz.protocols import PROTOCOLS
from tests.fuzz.sealed import SEALED
from tests.fuzz.target import Target

TARGETS: Final[dict[str, Target]] = {target.name: target for target in (*PROTOCOLS, *SEALED, *CRASH)}
