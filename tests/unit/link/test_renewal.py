"""The box tells in time that its own certificate ends, by whatever it knows of the date."""

import logging
import os
from datetime import UTC, datetime
from pathlib import Path

import pytest

from agent.core.best_time import EARLIEST_NS, Now
from agent.core.errors import InputError
from agent.link.renewal import DAY_NS, RENEW_WITHIN_NS, Renewal, judge_end, read_end_ns
from simulators.pki import VALID, Authority

REAL_NS = int(datetime.now(UTC).timestamp()) * 10**9


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path / "pki")


def test_the_end_of_a_certificate_is_read(authority: Authority, tmp_path: Path) -> None:
    end_ns = read_end_ns(authority.issue_client("car1").certificate)
    assert abs(end_ns - REAL_NS - VALID.days * DAY_NS) < DAY_NS
    (tmp_path / "junk").write_bytes(b"junk")
    with pytest.raises(InputError, match="junk: not a certificate in PEM"):
        read_end_ns(tmp_path / "junk")
    with pytest.raises(InputError, match="none: No such file"):
        read_end_ns(tmp_path / "none")


@pytest.mark.parametrize(
    ("left_ns", "good", "text"),
    [
        (RENEW_WITHIN_NS, True, "ends 2026-10-21"),
        (RENEW_WITHIN_NS - 1, False, "ends 2026-10-21, in 29 days: renew it"),
        (0, False, "ended 2026-10-21: the broker will refuse us"),
    ],
)
def test_a_certificate_is_told_of_before_it_ends(left_ns: int, text: str, *, good: bool) -> None:
    end_ns = 1_792_592_000 * 10**9
    assert judge_end(end_ns, Now(floor_ns=EARLIEST_NS, wall_ns=end_ns - left_ns)) == (good, text)
    assert judge_end(end_ns, Now(floor_ns=end_ns - left_ns)) == (good, text)


def test_it_is_logged_once_and_a_new_file_is_seen(
    authority: Authority, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "link.pem"
    path.write_bytes(authority.issue_client("car1", expired=True).certificate.read_bytes())
    renewal = Renewal(path, lambda: Now(floor_ns=EARLIEST_NS, wall_ns=REAL_NS - 10 * DAY_NS))
    with caplog.at_level(logging.WARNING):
        for _ in range(3):
            good, text = renewal.look()
            assert not good
            assert text.endswith(" days: renew it")
        assert len(caplog.records) == 1
        path.write_bytes(authority.issue_client("car1").certificate.read_bytes())
        os.utime(path, ns=(1, 1))
        assert renewal.look()[0]
        path.unlink()
        assert renewal.look() == (False, f"{path}: No such file or directory")
    assert [record.message.split(":")[0] for record in caplog.records] == ["link.certificate"] * 2
