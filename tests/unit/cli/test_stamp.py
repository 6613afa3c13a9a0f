"""A day's root, stamped by an authority that openssl plays on loopback."""

import shutil
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from agent.cli.evidence import Trust, judge
from agent.cli.evidence_export import export
from agent.cli.evidence_sources import from_database
from agent.cli.main import main
from agent.cli.stamp import check_stamp, read_stamp, request_stamp
from agent.core.errors import InputError, LinkDown, SealError
from agent.core.keys import parse_certificates
from agent.core.records import Position
from agent.store.evidence import DAY_ROOT, PAGES, STAMP, unpack
from tests.unit.cli.insurer import CRASH, Insurer, hire_insurer

CONFIG = """
[req]
distinguished_name = dn
[dn]
[ca]
basicConstraints = critical,CA:TRUE
keyUsage = critical,keyCertSign
subjectKeyIdentifier = hash
[tsa]
basicConstraints = critical,CA:FALSE
keyUsage = critical,digitalSignature
extendedKeyUsage = critical,timeStamping
subjectKeyIdentifier = hash
authorityKeyIdentifier = keyid
[tsa_default]
serial = serial
default_policy = 1.2.3.4.1
digests = sha256
signer_digest = sha256
ess_cert_id_alg = sha256
"""

Answer = Callable[[bytes], tuple[bytes, str]]


def openssl(folder: Path, *args: str) -> None:
    subprocess.run(["openssl", *args], cwd=folder, check=True, capture_output=True, timeout=60)


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Path:
    if shutil.which("openssl") is None:
        pytest.skip("openssl plays the authority, and is not installed")
    folder = tmp_path_factory.mktemp("tsa")
    (folder / "tsa.cnf").write_text(CONFIG)
    (folder / "serial").write_text("01\n")
    for name in ("ca", "tsa"):
        openssl(folder, "genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256", "-out", f"{name}.key")
    request = ["req", "-config", "tsa.cnf", "-new", "-key"]
    openssl(folder, *request, "ca.key", "-x509", "-extensions", "ca", "-subj", "/CN=Stamp CA", "-out", "ca.pem")
    openssl(folder, *request, "tsa.key", "-subj", "/CN=Stamp Authority", "-out", "tsa.csr")
    sign = ["x509", "-req", "-in", "tsa.csr", "-CA", "ca.pem", "-CAkey", "ca.key", "-extfile", "tsa.cnf"]
    openssl(folder, *sign, "-extensions", "tsa", "-out", "tsa.pem")
    return folder


def stamp(folder: Path, query: bytes) -> tuple[bytes, str]:
    (folder / "query.tsq").write_bytes(query)
    reply = ["ts", "-reply", "-config", "tsa.cnf", "-section", "tsa_default", "-queryfile", "query.tsq"]
    openssl(folder, *reply, "-signer", "tsa.pem", "-inkey", "tsa.key", "-out", "reply.tsr")
    return (folder / "reply.tsr").read_bytes(), "application/timestamp-reply"


def always(answer: tuple[bytes, str], _: bytes) -> tuple[bytes, str]:
    return answer


@contextmanager
def serving(answer: Answer) -> Iterator[str]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            blob, kind = answer(self.rfile.read(int(self.headers["Content-Length"])))
            self.send_response(200)
            self.send_header("Content-Type", kind)
            self.end_headers()
            self.wfile.write(blob)

        def log_message(self, *_: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}/"
        finally:
            server.shutdown()
            thread.join()


@pytest.fixture(scope="module")
def insurer(tmp_path_factory: pytest.TempPathFactory) -> Insurer:
    return hire_insurer(tmp_path_factory.mktemp("insurer"))


def test_a_days_root_is_stamped_and_the_bundle_says_so(
    authority: Path, insurer: Insurer, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    roots = tmp_path / "roots"
    with serving(lambda query: stamp(authority, query)) as url:
        day = ["evidence", "root", str(roots), "--day", "2026-09-21", "--tsa", url]
        rest = ["--database", str(insurer.database), "--keys", str(insurer.directory)]
        assert main([*day, *rest]) == 0
        first = {path.name: path.read_bytes() for path in roots.iterdir()}
        assert main([*day, *rest]) == 0
    assert {path.name: path.read_bytes() for path in roots.iterdir()} == first
    assert sorted(first) == ["2026-09-21.cose", "2026-09-21.tsr"]
    assert "12 records, root" in capsys.readouterr().out

    bundle = export(
        from_database(str(insurer.database), insurer.directory, "car-1", roots=roots), Position(1, CRASH), around_s=60.0
    )
    files = unpack(bundle)
    assert (files[DAY_ROOT], files[STAMP]) == (first["2026-09-21.cose"], first["2026-09-21.tsr"])
    assert "权威时间戳" in files[PAGES["zh"]].decode()
    trust = Trust(stamp_authorities=parse_certificates((authority / "ca.pem").read_bytes()))
    _, manifest, notes = judge(bundle, trust)
    assert manifest.stamped_ns == read_stamp(files[STAMP])
    assert not any("stamp" in note for note in notes)
    assert any("stamp" in note for note in judge(bundle, Trust())[2])


def test_only_the_authoritys_stamp_on_these_bytes_is_good(authority: Path) -> None:
    with serving(lambda query: stamp(authority, query)) as url:
        blob = request_stamp(b"a root", url)
    roots = parse_certificates((authority / "ca.pem").read_bytes())
    assert check_stamp(blob, b"a root", roots) == read_stamp(blob)
    with pytest.raises(SealError, match="not good: Mismatch"):
        check_stamp(blob, b"another root", roots)
    openssl(authority, "req", "-config", "tsa.cnf", "-new", "-x509", "-extensions", "ca", "-subj", "/CN=Stamp CA",
            "-key", "tsa.key", "-out", "other.pem")  # fmt: skip
    with pytest.raises(SealError, match="not good"):
        check_stamp(blob, b"a root", parse_certificates((authority / "other.pem").read_bytes()))
    for nonsense in (b"", b"\x30\x03\x02\x01\x00", blob[:-1]):
        with pytest.raises(SealError, match=r"not a time stamp|refused"):
            read_stamp(nonsense)


def test_an_authority_that_misbehaves_is_named(authority: Path) -> None:
    with serving(lambda query: stamp(authority, query)) as url:
        other = request_stamp(b"another root", url)
    for answer, reason in (
        ((other, "application/timestamp-reply"), "answers another request"),
        ((b"<html>sign in</html>", "text/html"), "answered with text/html"),
        ((b"\x30\x05\x30\x03\x02\x01\x02", "application/timestamp-reply"), "refused|not a time stamp"),
    ):
        with serving(partial(always, answer)) as url, pytest.raises(SealError, match=reason):
            request_stamp(b"a root", url)
    with pytest.raises(LinkDown, match=r"127\.0\.0\.1"):
        request_stamp(b"a root", url)
    with pytest.raises(InputError, match="not an http"):
        request_stamp(b"a root", "file:///etc/passwd")


def test_a_missing_library_is_told_when_it_is_needed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "rfc3161_client", None)
    with pytest.raises(InputError, match=r"pip install 'outrider\[timestamp\]'"):
        read_stamp(b"")


def test_a_day_that_is_not_over_has_no_root_yet(insurer: Insurer, tmp_path: Path) -> None:
    rest = ["--database", str(insurer.database), "--keys", str(insurer.directory)]
    for day in ("2999-01-01", "1999-01-01", "yesterday"):
        assert main(["evidence", "root", str(tmp_path), "--day", day, *rest]) == 2
    assert not list(tmp_path.iterdir())
