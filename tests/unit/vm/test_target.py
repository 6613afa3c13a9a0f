"""Where the checks of the package run; that they pass there is for ./run test-vm to say."""

import os
import shutil
from pathlib import Path

import pytest

from tests.vm.direct import HERE, Direct, run_in
from tests.vm.here import look
from tests.vm.plan import BUS, MACHINE, CannotRun, Here, Plan, make_plan

ALL = [MACHINE, BUS]
CAPABLE = Here()
DEVELOPERS = Here(machine=["/etc/outrider is there already, and would be lost"])
WITHOUT_CAN = Here(bus=["this kernel has no AF_CAN"])


@pytest.mark.parametrize(
    ("wish", "here", "parts_here", "parts_in_guest"),
    [
        ("", WITHOUT_CAN, [], ALL),
        ("", CAPABLE, [BUS], [MACHINE]),
        ("", DEVELOPERS, [BUS], [MACHINE]),
        ("guest", CAPABLE, [], ALL),
        ("direct", CAPABLE, ALL, []),
    ],
)
def test_what_would_change_a_machine_runs_there_only_when_asked_to(
    wish: str, here: Here, parts_here: list[str], parts_in_guest: list[str]
) -> None:
    plan = make_plan(wish, here)
    assert (list(plan.here), list(plan.guest)) == (parts_here, parts_in_guest)


def test_the_reason_names_what_is_missing() -> None:
    assert "no AF_CAN" in make_plan("", WITHOUT_CAN).reason


@pytest.mark.parametrize(
    ("wish", "here", "words"),
    [
        ("direct", WITHOUT_CAN, "no AF_CAN"),
        ("direct", DEVELOPERS, "/etc/outrider"),
        ("Direct", CAPABLE, "guest or direct"),
    ],
)
def test_a_wish_that_cannot_be_met_is_refused_with_the_reason(wish: str, here: Here, words: str) -> None:
    with pytest.raises(CannotRun, match=words):
        make_plan(wish, here)


def test_looking_at_this_machine_gives_a_plan() -> None:
    plan = make_plan("", look())
    assert isinstance(plan, Plan)
    assert sorted([*plan.here, *plan.guest]) == sorted(ALL)


JOB = """#!/bin/sh
cd "$(dirname "$0")/in" || exit 9
[ "$(cat word)" = "$WANTED" ] && [ -f vm/checks.py ] && [ -x "$OUTRIDER_PYTHON" ] || exit 8
echo "$$ $(wc -l </proc/net/dev)" >"$TOLD"
exit 3
"""


def run_job(tmp_path: Path, *, apart: bool) -> list[int]:
    job, word, told = tmp_path / "job.sh", tmp_path / "word", tmp_path / "told"
    job.write_text(JOB)
    word.write_text("hello")
    target = Direct(apart=apart, environment={"WANTED": "hello", "TOLD": str(told)})
    assert run_in(target, job, [HERE, word], limit_s=60) == 3
    return [int(number) for number in told.read_text().split()]


def test_a_job_finds_its_files_and_its_status_comes_back(tmp_path: Path) -> None:
    pid, lines = run_job(tmp_path, apart=False)
    assert pid > 1
    assert lines == len(Path("/proc/net/dev").read_text().splitlines())


@pytest.mark.skipif(os.geteuid() != 0 or shutil.which("unshare") is None, reason="namespaces are made by root")
def test_a_job_apart_sees_no_interface_of_this_machine_and_leaves_no_process(tmp_path: Path) -> None:
    pid, lines = run_job(tmp_path, apart=True)
    assert pid == 1, "with the first process of its namespace all others end"
    assert lines == 3, "two lines of heading, and a loopback of its own"
