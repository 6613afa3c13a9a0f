"""Identifiers of diagnostics on CAN: who is asked at which, and who answers with which."""

from typing import Annotated, Final

from msgspec import Meta

FUNCTIONAL: Final = 0x7DF  # whoever knows the answer

EcuId = Annotated[int, Meta(ge=0x700, le=0x18DAFFF1)]


def is_wide(can_id: int) -> bool:
    """Whether an identifier has 29 bits."""
    return can_id > 0x7FF


def is_request_id(can_id: int) -> bool:
    """Whether diagnostics may be asked at it: 700-7FF, 18DAxxF1, 18DBxxF1 (ISO 15765-4), 17FC00xx (as VW has it)."""
    if not is_wide(can_id):
        return can_id >= 0x700
    return can_id & ~0x0001FF00 == 0x18DA00F1 or can_id & ~0xFF == 0x17FC0000


def is_functional(can_id: int) -> bool:
    """Whether whoever knows the answer is asked at it: 7DF, 18DBxxF1."""
    return can_id == FUNCTIONAL or can_id & ~0xFF00 == 0x18DB00F1


def is_obd_reply(can_id: int) -> bool:
    """Whether ECUs answer OBD with it: 7E8-7EF, 18DAF1xx. Adapters show these by themselves."""
    return 0x7E8 <= can_id <= 0x7EF or can_id & ~0xFF == 0x18DAF100


def reply_of(ecu: int) -> int | None:
    """What an ECU answers with, where a rule says so: 7E4 -> 7EC, 18DA10F1 -> 18DAF110, 17FC007B -> 17FE007B."""
    if 0x7E0 <= ecu <= 0x7E7:
        return ecu + 8
    if ecu & ~0xFF00 == 0x18DA00F1:
        return 0x18DAF100 | ecu >> 8 & 0xFF
    return ecu + 0x20000 if ecu & ~0xFF == 0x17FC0000 else None


def is_reply_to(reply: int, ecu: int) -> bool:
    """Whether a profile may say that this ECU answers so: of the same width, and no identifier of a request."""
    if is_wide(ecu):
        return reply == reply_of(ecu)
    return 0x700 <= reply <= 0x7FF and reply not in {ecu, FUNCTIONAL}
