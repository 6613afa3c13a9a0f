import numpy as np
import pytest

from agent.core import vss
from agent.core.frames import EXTENDED, Frame, batch_of
from agent.core.signals import Quality, SignalCatalog
from agent.decode.compiler import compile_graph
from agent.decode.decode import decode_large
from agent.decode.layout import Graph
from agent.decode.obd_frames import add_obd
from agent.proto.obd import PidSpec

PIDS = [
    PidSpec(pid=0x0D, path="Vehicle.Speed", unit="km/h", maximum=200),
    PidSpec(pid=0x0C, path="Vehicle.Powertrain.CombustionEngine.Speed", bit_length=16, scale=0.25),
    PidSpec(pid=0x41, path="Vehicle.Byte4", bit_start=24, bit_length=8),
    PidSpec(pid=0x41, path="Vehicle.Bit0", bit_length=1),
    PidSpec(pid=0x42, path="Vehicle.Long", bit_start=40, bit_length=8),
    PidSpec(service=9, pid=0x02, path="Vehicle.Other"),
]


def decode(*frames: Frame, without: tuple[str, ...] = ()) -> tuple[dict[str, float], tuple[int, int, int], list[int]]:
    graph, catalog = Graph(), SignalCatalog()
    add_obd(graph, PIDS, catalog, without=without)
    table = compile_graph(graph)
    decoded, small = decode_large(table, batch_of(frames)), table.small.decode(batch_of(frames))
    for column in ("t_ns", "signal", "value", "quality"):
        np.testing.assert_array_equal(getattr(decoded.samples, column), getattr(small.samples, column))
    counts = (decoded.decoded, decoded.unknown, decoded.bad)
    assert counts == (small.decoded, small.unknown, small.bad)
    samples = decoded.samples
    found = {catalog.specs[number].path: value for number, value in zip(samples.signal, samples.value, strict=True)}
    return found, counts, samples.quality.tolist()


@pytest.mark.parametrize(("can_id", "flags"), [(0x7E8, 0), (0x7EF, 0), (0x18DAF110, EXTENDED), (0x18DAF1FF, EXTENDED)])
def test_every_ecu_may_answer(can_id: int, flags: int) -> None:
    found, counts, _ = decode(Frame(0, can_id, bytes.fromhex("03410D3700000000"), flags))
    assert found == {vss.SPEED: 55.0}
    assert counts == (1, 0, 0)


def test_values_of_one_pid() -> None:
    assert decode(Frame(0, 0x7E8, bytes.fromhex("04410C1AF8AAAAAA")))[0] == {vss.ENGINE_SPEED: 1726.0}
    found, _, _ = decode(Frame(0, 0x7E8, bytes.fromhex("0641418000001255")))
    assert found == {"Vehicle.Byte4": 0x12, "Vehicle.Bit0": 1.0}


def test_the_length_byte_says_which_data_are_there() -> None:
    assert decode(Frame(0, 0x7E8, bytes.fromhex("03410C1AF8AAAAAA")))[0] == {}
    assert decode(Frame(0, 0x7E8, bytes.fromhex("0341418000001255")))[0] == {"Vehicle.Bit0": 1.0}


def test_a_frame_cut_short_is_bad() -> None:
    _, counts, _ = decode(Frame(0, 0x7E8, bytes.fromhex("04410C1A")))
    assert counts == (0, 0, 1)
    _, counts, _ = decode(Frame(0, 0x7E8, bytes.fromhex("04")))
    assert counts == (0, 0, 1)


@pytest.mark.parametrize(
    "data",
    [
        "037F011200000000",  # a refusal
        "100B410D37000000",  # a first frame
        "21410D3700000000",  # a consecutive frame
        "03490D3700000000",  # another service
        "0341990000000000",  # a PID that is not in the table
        "0241020000000000",
        "0741421122334455",  # its signal lies beyond a single frame
    ],
)
def test_what_is_no_single_answer_of_service_01(data: str) -> None:
    found, counts, _ = decode(Frame(0, 0x7E8, bytes.fromhex(data)))
    assert found == {}
    assert counts == (0, 1, 0)


def test_requests_are_not_answers() -> None:
    assert decode(Frame(0, 0x7DF, bytes.fromhex("02010D0000000000")))[0] == {}
    assert decode(Frame(0, 0x7E0, bytes.fromhex("03410D3700000000")))[0] == {}
    assert decode(Frame(0, 0x7E8, bytes.fromhex("03410D3700000000"), EXTENDED))[0] == {}


def test_implausible_and_mapped_elsewhere() -> None:
    frame = Frame(0, 0x7E8, bytes.fromhex("03410DFF00000000"))
    assert decode(frame)[2] == [Quality.IMPLAUSIBLE]
    assert decode(frame, without=(vss.SPEED,))[0] == {}
