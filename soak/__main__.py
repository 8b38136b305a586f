"""Long trials of the bouncer as a process: `python -m soak NAME [options]`; each prints its figures, exit 1 on a fault.

`python -m soak --help` names them, `python -m soak NAME --help` their options.
"""

from __future__ import annotations

import argparse
import sys

from soak import kill

SCENARIOS = {"kill": kill}
"""Name -> module with `options(parser)` and `run(args) -> exit code`."""


def main() -> int:
    """Run what was asked for."""
    parser = argparse.ArgumentParser(prog="python -m soak")
    names = parser.add_subparsers(dest="name", required=True, metavar="NAME")
    for name, module in SCENARIOS.items():
        module.options(names.add_parser(name, help=(module.__doc__ or "").splitlines()[0]))
    args = parser.parse_args()
    return int(SCENARIOS[args.name].run(args))


if __name__ == "__main__":
    sys.exit(main())
