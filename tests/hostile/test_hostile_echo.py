"""Passwords in commands of the settings: a network that sends our words back has them neither stored nor shown."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from bouncer import tenant

if TYPE_CHECKING:
    from tests.support.house import House
    from tests.support.network import ScriptedNetwork

LONG = f"LOGIN long-door {'x' * 474}"
CUT_OFF = 12
"""Bytes that the network has no room for when it puts our mask before them."""
SAID = re.compile(r":(\w+)![^ ]+ [A-Z]+ ([^ ]+) :(.*)$")
CAPS = ("echo-message", "server-time", "message-tags", "batch", "labeled-response")


async def test_the_echo_of_a_connect_command_is_neither_stored_nor_shown(
    house: House, network: ScriptedNetwork
) -> None:
    number = await house.user("alice")
    fields = {
        "name": "net", "address": network.host, "port": str(network.port), "tls": False, "nickname": "alice",
        "connect_commands": "/msg Q AUTH alice command-door\nPRIVMSG #open :hello all\nNOTICE Q :a b door-notice\n"
        f"/msg Q {LONG}",
        "regain_command": "/msg NickServ REGAIN {nick} regain-door",
    }  # fmt: skip
    await house.supervisor.service.servers.add(number, fields, trusted=True)
    peer = await network.accept()
    await peer.welcome(caps=CAPS, taken=["alice"])
    said = [("NickServ", "REGAIN alice regain-door"), ("Q", "AUTH alice command-door"), ("#open", "hello all")]
    near = [("Q", "AUTH alice"), ("R", "AUTH alice command-door")]
    """A beginning of what was said, and the same to somebody else: said by somebody, so kept."""
    for target, text in said:
        await peer.send(*(f":{peer.mask} PRIVMSG {who} :{words}" for who, words in near if text == said[1][1]))
        assert (await peer.expect("PRIVMSG", target)).param(1) == text
        await peer.send(f":friend!f@h PRIVMSG {target} :{text}", f":{peer.mask} PRIVMSG {target} :{text}")
    await peer.expect("NOTICE", "Q", "a b door-notice")
    await peer.send(f":{peer.mask} NOTICE Q :a b door-notice")
    assert (await peer.expect("PRIVMSG", "Q")).param(1) == LONG
    await peer.send(f":{peer.mask} PRIVMSG Q :AUTH is a word", f":{peer.mask} PRIVMSG Q :{LONG[:-CUT_OFF]}")
    await peer.send(":friend!f@h PRIVMSG Q_ :who says door", f":{peer.mask} PRIVMSG Q :AUTH alice command-door")
    await peer.barrier()
    client = await house.client("alice/net@new", caps="echo-message server-time message-tags batch")
    lines = await client.until(f"{peer.mask} PRIVMSG Q :AUTH alice command-door")
    lines += await client.barrier()
    kept = [SAID.search(line) for line in lines if " PRIVMSG " in line or " NOTICE Q " in line]
    assert sorted(found.groups() for found in kept if found) == [
        ("alice_", "#open", "hello all"), ("alice_", "Q", "AUTH alice"), ("alice_", "Q", "AUTH alice command-door"),
        ("alice_", "Q", "AUTH is a word"), ("alice_", "R", "AUTH alice command-door"),
        ("friend", "#open", "hello all"),
        *(("friend", "alice_", text) for text in (said[1][1], said[0][1], "who says door")),
    ], "once each"  # fmt: skip
    await house.supervisor.flush(number)
    path = tenant.path(number)
    stored = path.read_bytes() + path.with_name(f"{path.name}-wal").read_bytes()
    assert b"who says door" in stored
    assert b"long-door" not in stored
