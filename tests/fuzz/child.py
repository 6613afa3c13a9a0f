"""`python -m tests.fuzz.child NAME CORPUS [LIBFUZZER ARGS]`: one target under atheris; __main__ starts it."""

import importlib
import sys

import atheris  # type: ignore[import-untyped,import-not-found,unused-ignore]  # optional


def main() -> None:
    """Never returns: libFuzzer ends the process."""
    name, *arguments = sys.argv[1:]
    with atheris.instrument_imports(include=["agent"]):
        target = importlib.import_module("tests.fuzz.targets").TARGETS[name]

    def run(data: bytes) -> None:
        try:
            target.run(data)
        except BaseException as exc:
            sys.stderr.write(f"FINDING {type(exc).__name__} on {data.hex()}\n")
            raise

    atheris.Setup([name, *arguments], run)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
