"""`python -m tests.fuzz NAME --seconds N`: fuzz one parser with coverage as the guide.

With atheris installed (libFuzzer; x86-64 Linux), that does it; else the small engine of guided.py. Findings are
printed as hex; `--input HEX` runs one again. The exit code is 1 where there was one.
"""

import argparse
import re
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Final

from tests.fuzz import guided
from tests.fuzz.count import refuse
from tests.fuzz.targets import TARGETS

_GRACE_S: Final = 120
_MARK: Final = "FINDING "


def main() -> int:
    """Run the target asked for; without a name, all of them one after another."""
    parser = argparse.ArgumentParser(prog="fuzz", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"one or more of: {', '.join(TARGETS)}")
    parser.add_argument("--seconds", type=int, default=60, help="for each target (default 60)")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--engine", choices=("atheris", "guided"), help="default: atheris where it is installed")
    parser.add_argument("--input", metavar="HEX", help="run one input instead")
    parser.add_argument("--mutations", type=int, metavar="N", help="count refusals of altered sealed things instead")
    arguments = parser.parse_args()
    if arguments.mutations is not None:
        return refuse(arguments.mutations, arguments.seed)
    for name in arguments.names:
        if name not in TARGETS:
            parser.error(f"there is no target {name}; known: {', '.join(TARGETS)}")
    names = arguments.names or list(TARGETS)
    if arguments.input is not None:
        for name in names:
            TARGETS[name].run(bytes.fromhex(arguments.input))
        return 0
    engine = arguments.engine or ("atheris" if _has_atheris() else "guided")
    findings = [_fuzz(name, engine, arguments.seconds, arguments.seed) for name in names]
    return int(any(findings))


def _has_atheris() -> bool:
    return subprocess.run([sys.executable, "-c", "import atheris"], capture_output=True, check=False).returncode == 0


def _fuzz(name: str, engine: str, seconds: int, seed: int) -> bool:
    if engine == "guided":
        report = guided.fuzz(TARGETS[name], seconds=seconds, seed=seed)
        _print(name, engine, report.executions, report.seconds, report.covered, report.finding)
        return report.finding is not None
    return _fuzz_atheris(name, seconds, seed)


def _fuzz_atheris(name: str, seconds: int, seed: int) -> bool:
    """In a process of its own, because libFuzzer ends the one it runs in."""
    with tempfile.TemporaryDirectory(prefix="fuzz-") as corpus:
        for number, data in enumerate(TARGETS[name].seeds):
            Path(corpus, f"seed{number}").write_bytes(data)
        child = [sys.executable, "-m", "tests.fuzz.child", name, corpus, f"-max_total_time={seconds}", f"-seed={seed}"]
        child += [f"-max_len={guided.SIZE_MAX}", f"-artifact_prefix={corpus}/", "-timeout=20", "-rss_limit_mb=2048"]
        done = subprocess.run(child, capture_output=True, text=True, check=False, timeout=seconds + _GRACE_S)
    said = done.stdout + done.stderr
    runs = re.search(r"Done (\d+) runs in (\d+) second", said)
    covered = re.findall(r"cov: (\d+)", said)
    finding = re.search(rf"{_MARK}(.*)", said)
    if runs is None and finding is None:
        raise SystemExit(f"fuzz {name}: atheris ended with {done.returncode}\n{said[-4000:]}")
    if finding is not None:
        sys.stdout.write(said[-4000:])
    count, took = (int(runs[1]), int(runs[2])) if runs else (0, seconds)
    _print(name, "atheris", count, took, int(covered[-1]) if covered else 0, finding[1] if finding else None)
    return finding is not None


def _print(name: str, engine: str, executions: int, seconds: float, covered: int, finding: str | None) -> None:
    what = "places" if engine == "atheris" else "lines"
    ending = "no finding" if finding is None else f"FINDING: {finding}"
    sys.stdout.write(f"{name}: {executions} executions in {seconds:.0f} s, {covered} {what} ({engine}): {ending}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
