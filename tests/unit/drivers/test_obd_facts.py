from collections import Counter

import pytest

from agent.proto import obd
from agent.proto.elm327 import Reply
from agent.proto.elm327_lines import EcuMessage, Status
from drivers.obd_facts import FactReader

VIN = "LRDTESTCAR0000007"


class Memory:
    """A cache of one run."""

    def __init__(self) -> None:
        self.known: dict[str, frozenset[int]] = {}

    def load(self, vin: str) -> frozenset[int] | None:
        return self.known.get(vin)

    def save(self, vin: str, pids: frozenset[int]) -> None:
        self.known[vin] = pids


@pytest.mark.parametrize("lost", [set(), {0x20}, {0x40}])
async def test_what_the_car_supports_is_not_remembered_while_a_question_stays_open(lost: set[int]) -> None:
    supported = {0x0C, 0x20, 0x2F, 0x40, 0x42}

    async def ask(request: bytes) -> Reply:
        if request[1] in lost:
            return Reply(request.hex(), Status.NO_DATA)
        answer = b"\x41" + request[1:] + obd.encode_supported(request[1], supported)
        return Reply(request.hex(), Status.OK, (EcuMessage(0x7E8, answer),))

    memory = Memory()
    reader = FactReader(ask, (), Counter())
    found = await reader.supported_pids(frozenset({0x0C, 0x20}), VIN, memory)
    assert (found == supported) == (not lost)
    assert memory.known == ({} if lost else {VIN: found})
