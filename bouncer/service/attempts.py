"""Owns what surrounds the check of a secret: the throttle is asked before and told after, its delays are waited for."""

from __future__ import annotations

import asyncio
import contextlib
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from bouncer.clock import now_ms
from bouncer.errors import RefusedError
from bouncer.throttle import Outcome

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from bouncer.models.main import User
    from bouncer.throttle import Throttle


class Admitted(NamedTuple):
    """Who was let in, not by the password: `credential` as in `ClientInfo`, `client` the name it is for."""

    user: User
    credential: str
    client: str


@dataclass(slots=True)
class Verdict:
    """How the attempt ends; it counts as not looked at until somebody says more."""

    outcome: Outcome = Outcome.UNDECIDED


@contextlib.asynccontextmanager
async def attempt(throttle: Throttle, who: str, address: str) -> AsyncIterator[Verdict]:
    """One try of somebody to be `who` from `address`; raises RefusedError while too many have failed."""
    decision = throttle.begin(who, address, now_ms())
    if decision.refuse_ms:
        raise RefusedError(f"too many attempts, wait {math.ceil(decision.refuse_ms / 1000)} s")
    verdict = Verdict()
    try:
        if decision.delay_ms:
            await asyncio.sleep(decision.delay_ms / 1000)
        yield verdict
    finally:
        throttle.finish(who, address, verdict.outcome, now_ms())
