import os
import time
from datetime import timedelta
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from agent.cli.main import main
from agent.core.keys import public_pem
from agent.core.records import Range
from agent.link.wire import encode_receipt
from drivers.keystore import FileKeystore
from simulators.pki import Authority

CONFIG = """
profile = "simcar"
[[buses]]
interface = "virtual"
channel = "doctor"
[device]
id = "box-1"
key = "{folder}/device.pem"
[voice]
enabled = false
[store]
directory = "{folder}"
[trust]
insurer_encryption_key = "{folder}/insurer.pem"
[consent]
purposes = ["claims"]
"""


@pytest.fixture
def config(tmp_path: Path) -> Path:
    FileKeystore.create(tmp_path / "device.pem", "box-1")
    (tmp_path / "insurer.pem").write_bytes(public_pem(X25519PrivateKey.generate().public_key()))
    path = tmp_path / "box.toml"
    path.write_text(CONFIG.format(folder=tmp_path))
    return path


def examine(config: Path, capsys: pytest.CaptureFixture[str]) -> tuple[int, list[str]]:
    code = main(["doctor", "--config", str(config)])
    lines = " ".join(capsys.readouterr().out.split("\n"))
    return code, [
        line.strip() for line in lines.replace("bad  ", "|bad ").replace("good ", "|good ").split("|") if line
    ]


def test_names_every_key_that_is_missing_or_unreadable(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = config.read_text().replace("insurer.pem", "gone.pem")
    config.write_text(text)
    code, lines = examine(config, capsys)
    bad = [line for line in lines if line.startswith("bad")]
    assert code == 1
    assert any("gone.pem" in line for line in bad)
    assert any("trust.insurer_receipt_key: none" in line for line in bad)
    assert not any("profile" in line for line in bad)


def test_says_that_without_consent_nothing_leaves(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config.write_text(config.read_text().replace('["claims"]', "[]"))
    code, lines = examine(config, capsys)
    assert code == 1
    assert any(line.startswith("bad consent") for line in lines)


def test_a_key_that_others_may_read_is_bad(config: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "device.pem").chmod(0o644)
    code, lines = examine(config, capsys)
    assert code == 1
    assert any(line.startswith("bad device key") for line in lines)


def add_link(config: Path, *, ahead_days: int = 0) -> None:
    """All keys, and a broker that does not answer; the newest signed time is so far ahead."""
    tmp_path = config.parent
    insurer = Ed25519PrivateKey.generate()
    (tmp_path / "receipt.pem").write_bytes(public_pem(insurer.public_key()))
    (tmp_path / "operator.pem").write_bytes(public_pem(insurer.public_key()))
    owner = tmp_path / "owner.pem"
    owner.write_bytes(public_pem(X25519PrivateKey.generate().public_key()))
    authority = Authority(tmp_path / "pki", valid=timedelta(days=32))
    identity = authority.issue_client("box-1")
    signed_ns = time.time_ns() + ahead_days * 86_400 * 10**9
    receipt = encode_receipt("box-1", [Range(1, 1, 1, bytes(32))], received_ns=signed_ns, sign=insurer.sign)
    (tmp_path / "newest.receipt").write_bytes(receipt)
    text = config.read_text().replace(
        "[consent]",
        f"""insurer_receipt_key = "{tmp_path}/receipt.pem"
owner_encryption_key = "{owner}"
operator_key = "{tmp_path}/operator.pem"
[link]
host = "127.0.0.1"
port = 1
ca = "{authority.certificate}"
certificate = "{identity.certificate}"
key = "{identity.key}"
[consent]""",
    )
    config.write_text(text)


@pytest.mark.parametrize(
    ("ahead_days", "says"),
    [(0, "good link.certificate: ends 20"), (10, "days: renew it"), (40, "the broker will refuse us")],
)
def test_says_when_the_links_certificate_ends_by_signed_time_too(
    config: Path, capsys: pytest.CaptureFixture[str], ahead_days: int, says: str
) -> None:
    add_link(config, ahead_days=ahead_days)
    code, lines = examine(config, capsys)
    assert code == 1
    assert any(says in line for line in lines), lines
    assert any("connection refused" in line for line in lines)


@pytest.mark.parametrize(
    ("hearing", "says"),
    [
        ('source = "file"\n', "good button:event7: opens"),
        ("", "bad hearing.button: with hearing.source"),
    ],
)
def test_a_button_is_opened_and_needs_ears(
    config: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, hearing: str, says: str
) -> None:
    add_link(config)
    os.mkfifo(config.parent / "event7")
    text = config.read_text().replace("[voice]\nenabled = false", '[hearing]\nbutton = "{folder}/event7"\n{hearing}')
    config.write_text(text.replace("{folder}", str(config.parent)).replace("{hearing}", hearing))
    monkeypatch.setattr("agent.cli.doctor_voice.shutil.which", str)
    _, lines = examine(config, capsys)
    assert any(line.startswith(says) for line in lines), lines


def test_a_button_that_is_not_there_is_named(
    config: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    add_link(config)
    button = '[hearing]\nsource = "file"\nbutton = "/dev/input/nosuch"\n'
    config.write_text(config.read_text().replace("[voice]\nenabled = false\n", button))
    monkeypatch.setattr("agent.cli.doctor_voice.shutil.which", str)
    code, lines = examine(config, capsys)
    assert code == 1
    assert any("/dev/input/nosuch: No such file or directory" in line for line in lines), lines


def program(folder: Path, name: str, body: str) -> None:
    folder.mkdir(exist_ok=True)
    path = folder / name
    path.write_text(f"#!/bin/sh\n{body}\n")
    path.chmod(0o755)


@pytest.fixture
def speaking(config: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A box that is to speak, with espeak-ng and nothing else."""
    add_link(config)
    config.write_text(config.read_text().replace("[voice]\nenabled = false\n", ""))
    program(config.parent / "bin", "espeak-ng", "exit 0")
    monkeypatch.setenv("PATH", f"{config.parent}/bin")
    return config


def test_a_voice_without_a_player_is_bad(speaking: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, lines = examine(speaking, capsys)
    assert code == 1
    assert "good voice" in lines
    assert any(line.startswith("bad voice: aplay (alsa-utils) is not installed") for line in lines), lines


@pytest.mark.parametrize(
    ("body", "says"),
    [
        ('while read -r _; do :; done; echo "$@" >ARGUMENTS', "good sounding.device plughw:1,0: opens"),
        (
            "echo 'aplay: main: audio open error: No such device' >&2; exit 1",
            "bad sounding.device: no sound on plughw:1,0",
        ),
    ],
)
def test_the_card_is_tried_with_silence(
    speaking: Path, capsys: pytest.CaptureFixture[str], body: str, says: str
) -> None:
    speaking.write_text(speaking.read_text() + '[sounding]\ndevice = "plughw:1,0"\n')
    program(speaking.parent / "bin", "aplay", body.replace("ARGUMENTS", f"{speaking.parent}/arguments"))
    _, lines = examine(speaking, capsys)
    assert "good aplay" in lines
    assert any(line.startswith(says) for line in lines), lines
    if says.startswith("good"):
        assert (speaking.parent / "arguments").read_text() == "-q -D plughw:1,0 -t wav -\n"


VITS = 'kind = "vits"\nmodel = "m.onnx"\ntokens = "m.onnx"\n'


@pytest.mark.parametrize(
    ("keys", "manifest", "says"),
    [
        ('[sounding]\nvoice_zh = "FOLDER"', None, "bad sounding.voice_zh: FOLDER/sherpa.toml: cannot be read: No such"),
        (
            '[sounding]\nvoice_en = "FOLDER"',
            VITS.replace("m.o", "n.o"),
            "bad sounding.voice_en: FOLDER/sherpa.toml: n.onnx: there is no",
        ),
        (
            '[sounding]\nvoice_zh = "FOLDER"',
            VITS.replace("vits", "paraformer"),
            "bad sounding.voice_zh: FOLDER: a paraformer model hears",
        ),
        ('[sounding]\nvoice_zh = "FOLDER"', VITS, "bad sounding.voice_zh: FOLDER: the package sherpa-onnx is not"),
        (
            '[hearing]\nsource = "file"\nsentences = "FOLDER"',
            VITS,
            "bad hearing.sentences: FOLDER: a vits model speaks",
        ),
    ],
)
def test_a_folder_of_a_model_is_looked_into(
    speaking: Path, capsys: pytest.CaptureFixture[str], keys: str, manifest: str | None, says: str
) -> None:
    folder = speaking.parent / "model"
    speaking.write_text(speaking.read_text() + keys.replace("FOLDER", str(folder)) + "\n")
    if manifest:
        folder.mkdir()
        (folder / "sherpa.toml").write_text(manifest)
        (folder / "m.onnx").write_bytes(b"")
    code, lines = examine(speaking, capsys)
    assert code == 1
    told = says.replace("FOLDER", str(folder)).replace(" ", "")  # the console breaks lines where it likes
    assert any(line.replace(" ", "").startswith(told) for line in lines), lines


def test_a_language_with_a_voice_of_its_own_needs_no_espeak(
    speaking: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = speaking.parent / "model"
    folder.mkdir()
    (folder / "sherpa.toml").write_text(VITS)
    (folder / "m.onnx").write_bytes(b"")
    speaking.write_text(speaking.read_text() + f'[sounding]\nvoice_zh = "{folder}"\n')
    (speaking.parent / "bin" / "espeak-ng").unlink()
    monkeypatch.setattr("agent.cli.doctor_voice.find_spec", lambda _: True)
    _, lines = examine(speaking, capsys)
    assert any(line.startswith("good sounding.voice_zh") for line in lines), lines
    assert not any("espeak-ng" in line for line in lines)
