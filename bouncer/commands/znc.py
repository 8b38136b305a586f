"""Owns answering clients that speak to ZNC's *status and modules: BouncerServ says how it is said here."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bouncer.service.znc import is_znc, znc_hint

if TYPE_CHECKING:
    from bouncer.commands.table import Session

__all__ = ["SERVICE_MASK", "hint", "is_znc"]

SERVICE_MASK = "BouncerServ!BouncerServ@bouncer"


def hint(session: Session, text: str, module: str = "*status") -> None:
    """Say how to ask here for what `text` asks of that module."""
    for line in znc_hint(text, module):
        session.answer.reply("PRIVMSG", session.client.nick, line, source=SERVICE_MASK)
