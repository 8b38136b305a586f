"""How fast the bouncer is: each scenario several times, one table of medians with what all runs lie between.

    python -m benchmarks [NAME ...] [--runs N] [--ways WAY ...]

Bouncer, network and clients are processes of their own, with flood limits off. A run in which a message is lost,
doubled, reordered, in another's file, not stored or not in the index ends with an error and gives no figure.
"""

from __future__ import annotations

import argparse
import functools
from typing import TYPE_CHECKING

from benchmarks import beside, deep, flood, growth, many, reading, tenants

if TYPE_CHECKING:
    from collections.abc import Callable

    from benchmarks.house import Figure

SCENARIOS: dict[str, Callable[[int], list[Figure]]] = {
    "flood": functools.partial(flood.talk, 1),
    "flood-tagged": functools.partial(flood.talk, 1, tags=True),
    "flood-5": functools.partial(flood.talk, 5),
    "flood-20": functools.partial(flood.talk, 20),
    "no-store": flood.no_store,
    "chathistory": reading.chathistory,
    "playback": reading.playback,
    "attach": reading.attach,
    "state": reading.state,
    "deep": deep.deep,
    "tenants": tenants.tenants,
    "memory": many.memory,
    "start": many.start,
    "znc-memory": many.znc_memory,
    "growth": growth.growth,
}


def main() -> None:
    """Run what was asked for, and print as it comes."""
    known = [*beside.SCENARIOS, *SCENARIOS]
    parser = argparse.ArgumentParser(prog="python -m benchmarks")
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"any of {', '.join(known)}; all of them if none")
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--ways", nargs="+", choices=beside.WAYS, default=beside.WAYS, help="what is put beside ours")
    args = parser.parse_args()
    if unknown := set(args.names) - set(known):
        parser.error(f"there is no {', '.join(sorted(unknown))}; there are {', '.join(known)}")
    print(f"{'figure':<66} {'target':>12} {'median':>10}   range of {args.runs} runs", flush=True)
    for name in args.names or known:
        if name in SCENARIOS:
            lines = [figure.line() for figure in SCENARIOS[name](args.runs)]
        else:
            lines = [beside_us.line() for beside_us in beside.SCENARIOS[name](args.runs, args.ways)]
        print("\n".join(lines), flush=True)


if __name__ == "__main__":
    main()
