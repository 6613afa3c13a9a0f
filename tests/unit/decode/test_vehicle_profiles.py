import json
from pathlib import Path

import pytest

from agent.cli.main import main
from agent.cli.schema import schema_of
from agent.core import vss
from agent.core.config import Detect
from agent.core.frames import EXTENDED, Frame, FrameBatch, batch_of
from agent.core.paths import VEHICLES
from agent.core.signals import SignalCatalog
from agent.decode.profile import load_profile
from agent.decode.table import build_table
from agent.pipeline import Pipeline
from agent.proto.did import DidDecoder, DidSpec
from agent.proto.guard import check_request
from agent.proto.isotp import encode_frames
from agent.proto.schedule import Schedule


def pipeline_of(name: str) -> Pipeline:
    return Pipeline(load_profile(name), [], limits=Detect(), on_events=lambda _: None, on_window=lambda _: None)


def frames_of(reply: int, message: bytes) -> FrameBatch:
    return batch_of([Frame(t, reply, data) for t, data in enumerate(encode_frames(message))])


@pytest.mark.parametrize("name", sorted({file.stem for file in VEHICLES.glob("*.toml")} - {"canedge"}))
def test_every_shipped_profile_builds_and_asks_for_reads_only(name: str) -> None:
    profile = load_profile(name)
    catalog = SignalCatalog()
    build_table(profile, [], catalog)
    DidDecoder(profile.dids, catalog)
    schedule = Schedule(profile.polls)
    for _ in range(50):
        request = schedule.take(0)
        if request is not None:
            check_request(request.data)
    asked = {(poll.ecu, poll.did) for poll in profile.polls if poll.did is not None}
    assert {(spec.reply - 8, spec.did) for spec in profile.dids} == asked


def test_a_kona_answer_over_many_frames_becomes_cells() -> None:
    pipeline = pipeline_of("hyundai_kona_ev")
    cells = bytes([0x62, 0x01, 0x03]) + bytes(4) + bytes([181] * 30 + [0, 255])
    pipeline.on_frames(frames_of(0x7EC, cells))
    assert pipeline.latest()[vss.cell_voltage(32)] == pytest.approx(3.62)
    assert pipeline.latest()[vss.cell_voltage(61)] == pytest.approx(3.62)
    assert vss.cell_voltage(62) not in pipeline.latest()
    assert pipeline.counts.quality == {"valid": 30, "sentinel": 2}


def test_an_e_up_discharges_with_a_negative_current() -> None:
    pipeline = pipeline_of("vw_e_up")
    for did, raw in ((0x1E3B, 1400), (0x1E3D, 2044 - 80), (0x1E33, 15_000)):
        pipeline.on_frames(frames_of(0x7ED, bytes([0x62]) + did.to_bytes(2, "big") + raw.to_bytes(2, "big")))
    latest = pipeline.latest()
    assert (latest[vss.PACK_VOLTAGE], latest[vss.PACK_CURRENT]) == (350.0, -20.0)
    assert latest[vss.CELL_VOLTAGE_MAX] == pytest.approx(3.662, abs=1e-3)


def test_answers_that_are_short_broken_or_unknown_are_counted() -> None:
    spec = DidSpec(reply=0x7EC, did=0x0101, path="Vehicle.X{}", count=3, bit_start=8, signed=True)
    decoder = DidDecoder([spec], SignalCatalog())
    assert decoder.frames(frames_of(0x7EC, b"\x62\x01\x02\x00")) is None
    assert decoder.frames(frames_of(0x7EB, b"\x62\x01\x01\x00")) is None
    assert decoder.frames(batch_of([Frame(0, 0x7EC, b"\x05\x62\x01")])) is None
    short = decoder.frames(frames_of(0x7EC, b"\x62\x01\x01\x00\xff\x02"))
    assert short is not None
    assert short.value.tolist() == [-1.0, 2.0]
    assert (decoder.messages, decoder.unknown, decoder.bad) == (2, 1, 2)
    with pytest.raises(ValueError, match="row of signals"):
        DidSpec(reply=0x7EC, did=1, path="Vehicle.X", count=2)


@pytest.mark.parametrize("identifier", [0x0CF00400, 0x18F00417, 0x00F004FE])
def test_j1939_is_heard_whoever_speaks(identifier: int) -> None:
    pipeline = pipeline_of("j1939")
    engine = Frame(0, identifier, bytes([0xFF, 0xFF, 0x7D, 0x40, 0x1F, 0xFF, 0xFF, 0xFF]), EXTENDED)
    nothing = Frame(1, 0x18FEF100, bytes([0xFF] * 8), EXTENDED)
    other = Frame(2, 0x0400, bytes(8))
    pipeline.on_frames(batch_of([engine, nothing, other] * 20))
    assert pipeline.latest() == {vss.ENGINE_SPEED: 1000.0}
    assert pipeline.counts.quality == {"valid": 20, "sentinel": 20}
    assert pipeline.counts.unknown == 20


def test_the_schemas_are_json_and_name_every_table() -> None:
    config, profile = schema_of("config"), schema_of("profile")
    assert json.loads(json.dumps(config, allow_nan=False)) == config
    assert {"dongle", "listen_only", "consent"} <= set(config["$defs"]["Config"]["properties"])
    assert {"signals", "polls", "dids", "checks", "quality"} <= set(profile["$defs"]["Profile"]["properties"])
    assert profile["$defs"]["Profile"]["additionalProperties"] is False


def test_profile_check_tells_what_it_decodes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    log = tmp_path / "drive.log"
    lines = [f"(1.{n:06}) can0 7E8#03410D{n:02X}" for n in range(40)] + ["(2.000000) can0 123#00"]
    log.write_text("\n".join(lines) + "\n")
    assert main(["profile", "check", "generic", str(log), "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["identifiers"]["7E8"] == {"frames": 40, "decoded": 40, "unknown": 0, "bad": 0}
    assert report["identifiers"]["123"]["unknown"] == 1
    assert report["signals"][vss.SPEED] == {"valid": 40}
    assert main(["profile", "check", "generic", str(log)]) == 0
    assert "40 of 41 frames decoded" in capsys.readouterr().out
    assert main(["profile", "check", "j1939", str(log), "--json"]) == 1
    assert main(["config", "schema", "--of", "profile"]) == 0
