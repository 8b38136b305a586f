"""Accounts of a network with services: logged in by SASL, seen by others, logged out and in again."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.transparency.differences import unexplained
from tests.transparency.setting import SECRET

if TYPE_CHECKING:
    from tests.transparency.conftest import Played

ACCOUNTS = f"""
    friend: JOIN #room
    me: JOIN #room
    me: WHOIS alice
    me: WHO #room %na
    me: PRIVMSG #room :with an account
    friend: PRIVMSG NickServ :IDENTIFY alice {SECRET}
    me: WHOIS friend
    friend: PRIVMSG #room :with the same
    friend: PART #room
    friend: JOIN #room
    friend: PRIVMSG NickServ :LOGOUT
    me: PRIVMSG NickServ :INFO nobody
    me: PRIVMSG NickServ :LOGOUT
    me: PRIVMSG #room :without one
    me: PRIVMSG NickServ :IDENTIFY wrong
    me: PRIVMSG NickServ :IDENTIFY {SECRET}
    me: WHOIS alice
    me: WHOIS NickServ
    me: PRIVMSG NickServ@services.test :NONSENSE
"""


@pytest.mark.parametrize("kind", ["all", "labels", "old"])
def test_an_account_is_the_same_behind_the_bouncer(played: Played, kind: str) -> None:
    done = played.run(played.on("services").play(kind, ACCOUNTS))
    assert not any(line.startswith("SILENCE") for line in done.direct), done.direct[-3:]
    assert any(" 330 alice alice alice :" in line for line in done.direct)
    found = unexplained("services", kind, "services", done.direct, done.behind)
    assert not found, "\n" + "\n".join(found)
