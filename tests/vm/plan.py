"""Where the checks run. Pure.

Two parts. BUS asks for AF_CAN and root, and lives in a network namespace of its own: it changes nothing here and leaves
nothing. MACHINE installs, upgrades and purges the package, starts services and sets the clock: it is for a machine that
nobody minds, so it runs here only when asked to.

OUTRIDER_VM unset: BUS here where that is possible, all else in the guest. guest: all in the guest. direct: all here.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

BUS: Final = "bus"
MACHINE: Final = "machine"
WISHES: Final = ("", "guest", "direct")


class CannotRun(Exception):
    """Says what this machine lacks for what was wished."""


@dataclass(frozen=True, slots=True)
class Here:
    """What speaks against running each part on this machine; nothing, if it can."""

    bus: Sequence[str] = ()
    machine: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class Plan:
    """Parts by place, and why it is this one, for people."""

    here: Sequence[str]
    guest: Sequence[str]
    reason: str


def make_plan(wish: str, here: Here) -> Plan:
    """Raise CannotRun where the wish cannot be met."""
    if wish not in WISHES:
        raise CannotRun(f"OUTRIDER_VM={wish}: guest or direct")
    if wish == "direct":
        missing = [*here.bus, *here.machine]
        if missing:
            raise CannotRun(f"OUTRIDER_VM=direct: this machine will not do: {'; '.join(missing)}")
        return Plan([MACHINE, BUS], [], "all checks run on this machine, as OUTRIDER_VM=direct asks")
    if wish == "guest":
        return Plan([], [MACHINE, BUS], "all checks run in the guest, as OUTRIDER_VM=guest asks")
    if here.bus:
        return Plan([], [MACHINE, BUS], f"all checks run in the guest; here: {'; '.join(here.bus)}")
    return Plan([BUS], [MACHINE], "checks of the bus run on this machine, those that install the package in the guest")
