"""Fixtures of the simulators' tests."""

from collections.abc import Callable, Sequence

import pytest

from simulators.__main__ import main


@pytest.fixture
def refusal(capsys: pytest.CaptureFixture[str]) -> Callable[[Sequence[str]], str]:
    """What `python -m simulators ARGUMENTS` says in one line as it refuses with exit code 2."""

    def run(arguments: Sequence[str]) -> str:
        try:
            code = main(arguments)
        except SystemExit as exc:
            code = int(exc.code or 0)
        assert code == 2
        error = capsys.readouterr().err
        assert error.count("\n") == 1
        return error

    return run
