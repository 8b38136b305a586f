"""Owns what a command is given: its words, its secrets, where it answers, and who asks; does nothing itself."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from bouncer.errors import UsageError

if TYPE_CHECKING:
    import argparse
    from collections.abc import Mapping

    from bouncer.models.main import User
    from bouncer.service.facade import Service


class Output(Protocol):
    """Where answers go."""

    def line(self, text: str) -> None:
        """One line, shown when it comes."""

    def progress(self, done: int, total: int, what: str) -> None:
        """`done` of `total` things, the last being `what`."""


@dataclass(frozen=True, slots=True)
class Request:
    """One command: its words, its secrets by field, where it answers, and whether an admin or the operator asks.

    `confirmed`: who asks has shown who they are; a client on IRC may be let in by an app password alone.
    """

    service: Service
    args: argparse.Namespace
    output: Output
    secrets: Mapping[str, str] = field(default_factory=dict)
    trusted: bool = True
    confirmed: bool = True
    certificate: bytes | None = None
    """The certificate (DER) that the asking client shows."""

    async def user(self) -> User:
        """The user that is named."""
        return await self.service.users.get(str(self.args.user))

    async def server(self) -> tuple[User, int]:
        """The user and the id of the server that are named."""
        user = await self.user()
        return user, (await self.service.servers.by_name(user.id, self.args.server)).id

    def number(self, name: str, most: int) -> int:
        """The option `--name` as a whole number from 1 to `most`; raises UsageError."""
        text = str(getattr(self.args, name))
        if not (text.isascii() and text.isdecimal() and len(text) < 10 and 1 <= int(text) <= most):
            raise UsageError(f"--{name} is a number from 1 to {most}")
        return int(text)

    def say(self, *lines: str) -> None:
        """Answer."""
        for line in lines:
            self.output.line(line)

    def say_json(self, value: object) -> None:
        """Answer a script."""
        self.output.line(json.dumps(value, ensure_ascii=False, indent=2))


Table = dict[tuple[str, str], Callable[[Request], Awaitable[None]]]
"""What to do by noun and verb."""
