import logging
from pathlib import Path

import pytest

from agent.core.errors import InputError
from agent.decode.dbc import load_dbc

GOOD = 'BO_ 265 VCU: 8 XXX\n SG_ Value : 0|8@1+ (1,0) [0|0] "" XXX\n'
HEAD = 'VERSION ""\n\nBS_:\n\nBU_: XXX\n\n'


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ('VERSION ""\n\nNS_ :\n  NS_DESC_\n\n' + GOOD, "line 6: no BS_ and no BU_ section"),
        (HEAD + GOOD + 'VAL_ 265 Nothing 0 "a" ;\nVAL_ 999 Value 0 "a" ;\nBO_ 4096 LONG: 8 XXX\n', "VAL_ of Nothing"),
        (HEAD + GOOD + '\nBO_ 4096 LONG: 8 XXX\n SG_ A : 0|8@1+ (1,0) [0|0] "" XXX\n', "line 10: message LONG"),
        (HEAD + GOOD + '\nBO_ 3758096385 HUGE: 8 XXX\n SG_ A : 0|8@1+ (1,0) [0|0] "" XXX\n', "above 29 bits: left out"),
    ],
)
def test_a_harmless_fault_is_told_and_the_rest_loads(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, text: str, says: str
) -> None:
    path = tmp_path / "field.dbc"
    path.write_text(text)
    with caplog.at_level(logging.WARNING):
        messages = {message.name: message for message in load_dbc(path).messages}
    assert says in caplog.text
    assert str(path) in caplog.text
    assert messages["VCU"].frame_id == 265
    assert "HUGE" not in messages
    if "LONG" in messages:
        assert messages["LONG"].is_extended_frame


def test_a_fault_that_matters_names_the_line(tmp_path: Path) -> None:
    path = tmp_path / "broken.dbc"
    path.write_text(HEAD + "BO_ 265 VCU: 8 XXX\n SG_ Value : 0|8@1+ (1 0) [0|0] nonsense\n")
    with pytest.raises(InputError, match=r"broken\.dbc:8: not a usable DBC"):
        load_dbc(path)


@pytest.mark.interop
@pytest.mark.parametrize(("name", "messages"), [("pcan", 107), ("bcan", 7), ("ccan", 2), ("comp_can", 5)])
def test_the_public_kona_files_load(shared_data: Path, name: str, messages: int) -> None:
    assert len(load_dbc(shared_data / "kona_ev_can" / "dbc" / f"{name}.dbc").messages) == messages
