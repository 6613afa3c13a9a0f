"""Databases made by others, with random payloads, against cantools."""

import math
from pathlib import Path

import numpy as np
import pytest
from cantools.database import DecodeError

from agent.core.frames import EXTENDED, Frame, batch_of
from agent.core.signals import SignalCatalog
from agent.decode.dbc import load_dbc
from agent.decode.decode import decode_batch
from agent.decode.profile import Profile
from agent.decode.table import build_table
from tests.interop.figures import Figures

pytestmark = pytest.mark.interop

FILES = [
    "can_log_formats/LeafPowertrainBus.dbc",
    "can_log_formats/ThinkCity.dbc",
    "can_log_formats/bms.dbc",
    "canedge_mf4/CSS-Electronics-SAE-J1939-DEMO.dbc",
    "canedge_mf4/canmod-gps.dbc",
    "canedge_mf4/tp_j1939.dbc",
    "canedge_mf4/tp_uds.dbc",
    "canedge_mf4/tp_uds_nissan.dbc",
    "kona_ev_can/dbc/comp_can.dbc",
]


@pytest.mark.parametrize("name", FILES)
def test_equal_to_cantools(shared_data: Path, figures: Figures, name: str) -> None:
    catalog = SignalCatalog()
    table = build_table(Profile(name="all"), [shared_data / name], catalog)
    rng = np.random.default_rng(3)
    messages = [message for message in load_dbc(shared_data / name).messages if message.signals] * 20
    payloads = [rng.bytes(message.length) for message in messages]
    frames = [
        Frame(place, message.frame_id, payload, EXTENDED if message.is_extended_frame else 0)
        for place, (message, payload) in enumerate(zip(messages, payloads, strict=True))
    ]
    decoded = decode_batch(table, batch_of(frames))
    assert decoded.decoded == len(frames)
    got: dict[int, dict[str, float]] = {}
    samples = decoded.samples
    for t_ns, number, value in zip(samples.t_ns.tolist(), samples.signal.tolist(), samples.value.tolist(), strict=True):
        got.setdefault(t_ns, {})[catalog.specs[number].path] = value
    compared = 0
    for place, (message, payload) in enumerate(zip(messages, payloads, strict=True)):
        try:
            expected = message.decode_simple(payload, decode_choices=False)
        except DecodeError:  # a selector's value that the DBC does not know
            continue
        named = {f"{message.name}.{signal}": float(value) for signal, value in expected.items()}  # type: ignore[arg-type] # numbers: choices are off
        assert set(named) == set(got[place])
        for path, value in named.items():
            assert math.isclose(value, got[place][path], rel_tol=1e-15), path
        compared += len(named)
    folder, _, file = name.partition("/")
    figures(folder, f"{file}, random payloads: values as cantools", compared, "all" if compared else "none was hit")
    assert compared or "uds" in name  # random bytes rarely hit the one service that these two describe
