"""A real car's bus with attacks put in, by others. `python -m tests.eval bus` has more."""

from pathlib import Path

import pytest

from agent.core.errors import InputError
from models.bus_figures import read_recording
from tests.eval.bus import measure

pytestmark = pytest.mark.interop


def test_attacks_are_found_and_the_clean_half_is_believed(shared_data: Path) -> None:
    found = measure(shared_data / "can_attacks_volvo_v40")
    assert found["clean_fpr"] <= 0.001
    assert min(found["f1"].values()) >= 0.95
    assert 0.6 < found["baselines"]["dos"]["id_bigram"] < 0.7  # as published of this rule: the split is the same
    assert found["baselines"]["id_fuzzing"]["unknown_id"] == 1.0
    assert found["made"]["masquerade_old_payload"]["recall"] >= 0.95
    assert found["restless_identifiers"] < found["identifiers"] / 2  # of the others it cannot be seen: docs say so


def test_what_is_no_recording_is_named(tmp_path: Path) -> None:
    path = tmp_path / "clean.zip"
    path.write_bytes(b"nothing")
    with pytest.raises(InputError, match=r"clean\.zip: not a recording of this kind"):
        read_recording(path)
