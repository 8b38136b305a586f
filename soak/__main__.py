"""Long trials of the bouncer as a process: `python -m soak NAME [options]`; each prints its figures, exit 1 on a fault.

Without a name all of them, one after the other. `python -m soak --help` names them, `python -m soak NAME --help` their
options.
"""

from __future__ import annotations

import argparse
import sys

from soak import crowd, hostile, kill, storage

SCENARIOS = {"crowd": crowd, "hostile": hostile, "kill": kill, "storage": storage}
"""Name -> module with `options(parser)` and `run(args) -> exit code`."""


def main() -> int:
    """Run what was asked for; the worst of the exit codes."""
    parser = argparse.ArgumentParser(prog="python -m soak")
    names = parser.add_subparsers(dest="name", metavar="NAME")
    for name, module in SCENARIOS.items():
        module.options(names.add_parser(name, help=(module.__doc__ or "").splitlines()[0]))
    args = parser.parse_args()
    if args.name is not None:
        return int(SCENARIOS[args.name].run(args))
    codes = []
    for name, module in SCENARIOS.items():
        print(f"-- {name}", flush=True)
        codes.append(int(module.run(parser.parse_args([name]))))
    return max(codes)


if __name__ == "__main__":
    sys.exit(main())
