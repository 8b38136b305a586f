"""Passwords in commands of the settings: a network that sends our words back has them neither stored nor shown."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bouncer import tenant

if TYPE_CHECKING:
    from tests.support.house import House
    from tests.support.network import ScriptedNetwork

CAPS = ("echo-message", "server-time", "message-tags", "batch", "labeled-response")


async def test_the_echo_of_a_connect_command_is_neither_stored_nor_shown(
    house: House, network: ScriptedNetwork
) -> None:
    number = await house.user("alice")
    fields = {
        "name": "net", "address": network.host, "port": str(network.port), "tls": False, "nickname": "alice",
        "connect_commands": "/msg Q AUTH alice command-door\nPRIVMSG #open :hello all\nNOTICE Q :a b door-notice",
        "regain_command": "/msg NickServ REGAIN {nick} regain-door",
    }  # fmt: skip
    await house.supervisor.service.servers.add(number, fields, trusted=True)
    peer = await network.accept()
    await peer.welcome(caps=CAPS, taken=["alice"])
    said = [("NickServ", "REGAIN alice regain-door"), ("Q", "AUTH alice command-door"), ("#open", "hello all")]
    for target, text in said:
        assert (await peer.expect("PRIVMSG", target)).param(1) == text
        await peer.send(f":{peer.mask} PRIVMSG {target} :{text}")
    await peer.expect("NOTICE", "Q", "a b door-notice")
    await peer.send(f":{peer.mask} NOTICE Q :a b door-notice", f":{peer.mask} PRIVMSG Q :AUTH is a word")
    await peer.send(":friend!f@h PRIVMSG Q_ :who says door", f":{peer.mask} PRIVMSG Q :AUTH alice command-door")
    await peer.barrier()
    client = await house.client("alice/net@new", caps="echo-message server-time message-tags batch")
    lines = await client.until(" PRIVMSG Q :AUTH alice command-door")
    kept = [line.rpartition(" :")[2] for line in lines if " PRIVMSG " in line or " NOTICE Q " in line]
    assert sorted(kept) == ["AUTH alice command-door", "AUTH is a word", "hello all", "who says door"], "once each"
    assert b"regain-door" not in tenant.path(number).read_bytes()
