"""`python -m bouncer` and the `bouncer` command."""

from __future__ import annotations

import sys

from bouncer.cli.main import main

__all__ = ["main"]

if __name__ == "__main__":
    sys.exit(main())
