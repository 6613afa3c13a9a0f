"""Figures of the tests on real recordings, printed after the run; skipped tests say why, without -rs."""

from collections import Counter

import pytest

from tests.interop.figures import Figure, Figures, render

_MEASURED = pytest.StashKey[list[Figure]]()


@pytest.fixture
def figures(request: pytest.FixtureRequest) -> Figures:
    """figures("nmea_logs", "fixes equal to gpsd's", 931, "all 931") puts a line into the table of its data set."""
    measured = request.config.stash.setdefault(_MEASURED, [])

    def measure(data_set: str, name: str, value: object, bar: object = "") -> None:
        measured.append(Figure(data_set, name, value, bar))

    return measure


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    measured = config.stash.get(_MEASURED, [])
    skipped = Counter(
        report.longrepr[2].removeprefix("Skipped: ")
        for report in terminalreporter.stats.get("skipped", [])
        if report.nodeid.startswith("tests/interop/") and isinstance(report.longrepr, tuple)
    )
    if not measured and not skipped:
        return
    terminalreporter.write_sep("=", "recordings and programs made by others")
    for line in render(measured):
        terminalreporter.write_line(line)
    for reason, count in skipped.items():
        terminalreporter.write_line(f"{count} skipped: {reason}")
