"""One target under atheris: `python -m fuzz.worker NAME [libFuzzer's own arguments]`, run by `python -m fuzz`."""

from __future__ import annotations

import logging
import sys

import atheris


def main() -> None:
    """Instrument what is ours, then fuzz until libFuzzer has had its time or has found a crash."""
    name, arguments = sys.argv[1], sys.argv[2:]
    with atheris.instrument_imports(include=["bouncer", "web"]):
        from fuzz.targets import TARGETS  # noqa: PLC0415 - imported here, it is instrumented
    logging.getLogger("bouncer").propagate = False  # odd lines are logged, millions of them
    logging.getLogger("bouncer").addHandler(logging.NullHandler())
    atheris.Setup([name, *arguments], TARGETS[name].run)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
