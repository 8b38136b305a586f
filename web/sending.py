"""Owns what was sent a moment ago, so that a form that is sent twice says it once."""

from __future__ import annotations

import hashlib
from collections import OrderedDict

from aiohttp import web

MAX_REMEMBERED = 2_000


class Sent:
    """Marks of forms that were sent, over all users, the oldest forgotten first."""

    def __init__(self) -> None:
        self._marks: OrderedDict[bytes, None] = OrderedDict()

    def first(self, user_id: int, nonce: str, text: str) -> bool:
        """Whether this has not been sent before; without a nonce it never has."""
        if not nonce:
            return True
        mark = _mark(user_id, nonce, text)
        if mark in self._marks:
            return False
        self._marks[mark] = None
        if len(self._marks) > MAX_REMEMBERED:
            self._marks.popitem(last=False)
        return True

    def forget(self, user_id: int, nonce: str, text: str) -> None:
        """It was refused: it may be sent again."""
        self._marks.pop(_mark(user_id, nonce, text), None)


def _mark(user_id: int, nonce: str, text: str) -> bytes:
    whole = "\0".join((str(user_id), nonce[:100], text))
    return hashlib.blake2b(whole.encode("utf-8", "replace"), digest_size=16).digest()


SENT = web.AppKey("sent", Sent)
