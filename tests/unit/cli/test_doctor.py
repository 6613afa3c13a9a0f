from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from agent.cli.main import main
from agent.core.keys import public_pem
from drivers.keystore import FileKeystore

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
