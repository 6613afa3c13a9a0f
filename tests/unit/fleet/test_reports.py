"""What the operator reads of a push must be the answer to this very bundle."""

import hashlib
import stat
from pathlib import Path

import pytest

from agent.core.events import ConfigApplied, ConfigRejected, Event
from agent.core.records import GENESIS
from agent.remote.apply import nameless
from agent.store.seal import Sealer
from fleet.__main__ import main
from fleet.receiver.intake import Intake
from fleet.receiver.keys import ReceiverKeys
from fleet.receiver.sqlite import SqliteStore
from fleet.reports import find_report, newest_ns
from tests.unit.store import kit
from tests.unit.store.kit import KEYS

FIRST, SECOND = b"the first bundle", b"another one of the same name"


def applied(blob: bytes) -> ConfigApplied:
    return ConfigApplied(t_ns=1, bundle="good-10", config_version=10, sha256=hashlib.sha256(blob).hexdigest())


def rejected(bundle: str) -> ConfigRejected:
    return ConfigRejected(t_ns=2, bundle=bundle, reason="older: version 10, running 10")


def told(directory: Path, *events: Event) -> SqliteStore:
    """A receiver's store that holds these events, received at 1 ns, 2 ns, ..."""
    keys = ReceiverKeys.create(directory / "keys")
    keys.register("car-1", KEYS.device.public_key)
    store = SqliteStore(directory / "received.db")
    times = iter(range(1, 100))
    intake = Intake(keys, store, now_ns=lambda: next(times))
    sealer = Sealer(KEYS.device, [keys.encryption_key.public_key()])
    for record in kit.seal_chain(list(events), boot=1, after=GENESIS, wall_offset_ns=None, sealer=sealer):
        assert intake.take([record.payload])[0].status == "accepted"
    return store


def test_a_name_used_again_does_not_borrow_the_earlier_bundles_success(tmp_path: Path) -> None:
    store = told(tmp_path, applied(FIRST))
    assert find_report(store, "good-10", SECOND, since_ns=newest_ns(store)) is None
    found = find_report(store, "good-10", FIRST)
    assert found is not None
    assert found.applied


def test_an_earlier_refusal_of_the_same_name_is_no_answer(tmp_path: Path) -> None:
    store = told(tmp_path, rejected("good-10"))
    assert find_report(store, "good-10", SECOND, since_ns=newest_ns(store)) is None
    found = find_report(store, "good-10", SECOND, since_ns=0)
    assert found is not None
    assert "older" in found.text


def test_a_bundle_without_a_believable_name_is_found_by_its_hash(tmp_path: Path) -> None:
    store = told(tmp_path, rejected(nameless(FIRST)))
    found = find_report(store, "good-10", FIRST, vehicle="car-1", since_ns=newest_ns(store))
    assert found is not None
    assert not found.applied
    assert find_report(store, "good-10", FIRST, vehicle="car-2") is None


def test_what_the_insurer_has_opened_is_for_his_eyes_only(tmp_path: Path) -> None:
    told(tmp_path, applied(FIRST)).close()
    assert stat.S_IMODE((tmp_path / "received.db").stat().st_mode) == 0o600


@pytest.mark.parametrize(
    "argument", [["--vehicle", "a/b#"], ["--group", "one two"], ["--vehicle", "a", "--valid-days", "nan"]]
)
def test_a_push_that_cannot_be_meant_is_refused_in_one_line(
    argument: list[str], capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["push", str(tmp_path / "c.toml"), *argument, "--key", "k", "--link", "l"])
    assert ended.value.code == 2
    assert "is no n" in capsys.readouterr().err
