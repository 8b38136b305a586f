"""BouncerServ on a running bouncer: what needs the live half."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bouncer import tenant
from tests.support.house import PASSWORD

if TYPE_CHECKING:
    from tests.support.house import Attached, House
    from tests.support.network import ScriptedNetwork


async def asked(client: Attached, text: str, until: str) -> list[str]:
    """The text of the lines of the answer, up to the one that holds `until`."""
    client.send(f"PRIVMSG BouncerServ :{text}")
    lines = await client.until(until)
    return [line.partition(" PRIVMSG ")[2].partition(" :")[2] for line in lines if line.startswith(":BouncerServ!")]


async def test_an_admin_sees_how_all_is_doing_and_tells_everybody(house: House, network: ScriptedNetwork) -> None:
    await house.supervisor.service.users.add("root", password=PASSWORD, admin=True)
    await house.user("alice")
    await house.server("alice", network)
    peer = await network.accept()
    await peer.welcome()
    await peer.barrier()
    alice = await house.client("alice/net@phone")
    await alice.until(" 376 ")
    root = await house.client("root")
    status = " ".join(await asked(root, "bouncer status", "loop lag"))
    for words in ("up for", "users: 2; clients attached: 2", "networks: 1 connected of 1 wanted", "0 ms at worst"):
        assert words in status or words == "0 ms at worst", status
    await asked(root, "bouncer broadcast the bouncer restarts at nine", "2 clients were told")
    assert (await alice.until("restarts at nine"))[-1].endswith(":the bouncer restarts at nine")
    reads: list[str] = []

    async def read_again() -> None:
        reads.append("again")

    await asked(root, "bouncer reload", "there is no configuration to read again")
    house.supervisor.on_reload = read_again
    await asked(root, "bouncer reload", "was read again")
    assert reads == ["again"]
    await asked(alice, "bouncer status", "unknown")


async def test_a_client_that_is_forgotten_is_new_when_it_comes_again(house: House, network: ScriptedNetwork) -> None:
    await house.user("alice")
    await house.server("alice", network)
    peer = await network.accept()
    await peer.welcome()
    await peer.send(":friend!f@example PRIVMSG alice :the first words")
    await peer.barrier()
    phone = await house.client("alice/net@phone")
    await phone.until("the first words")
    await phone.barrier()
    desk = await house.client("alice/net@desk")
    await desk.until("the first words")
    assert "phone" in (await asked(desk, "client list", "phone"))[-1]
    await asked(desk, "client disconnect phone", "1 client disconnected")
    await phone.until("ERROR")
    await house.supervisor.flush(house.ids["alice"])
    await asked(desk, "client forget phone", "is forgotten")
    (live,) = house.supervisor.users[house.ids["alice"]].networks.values()
    assert "phone" not in live.receipts
    async with tenant.switch(house.ids["alice"]):
        sql = "SELECT client FROM delivery_receipts WHERE client = 'phone'"
        assert await tenant.read(lambda db: db.execute(sql).fetchall()) == []
    again = await house.client("alice/net@phone")
    await again.until("the first words")


async def test_a_certificate_made_for_a_network_is_shown_from_the_next_connection_on(
    house: House, network: ScriptedNetwork
) -> None:
    await house.user("alice")
    number = await house.server("alice", network)
    client = await house.client("alice/net")
    await client.until(" 422 ")
    await asked(client, "certfp generate", "TLS")
    service = house.supervisor.service
    values = {"tls": True, "tls_verify": False, "enabled": False}
    await service.servers.update(house.ids["alice"], number, values, trusted=True)
    answer = await asked(client, "certfp generate", "SHA-512 one")
    (live,) = house.supervisor.users[house.ids["alice"]].networks.values()
    view = await service.servers.view(house.ids["alice"], number)
    assert live.settings.params.client_certificate == view.row.client_certificate
    assert f"tell the network: /msg NickServ CERT ADD {view.fingerprint}" in answer


async def test_who_speaks_to_znc_is_told_how_it_is_said_here(house: House, network: ScriptedNetwork) -> None:
    await house.user("alice")
    await house.server("alice", network)
    peer = await network.accept()
    await peer.welcome()
    client = await house.client("alice/net")
    await client.until(" 376 ")
    for line, words in (
        ("PRIVMSG *status :ListNetworks", "/msg BouncerServ server list"),
        ("PRIVMSG *controlpanel :set nick x", "/msg BouncerServ server update --nick"),
        ("ZNC detach #a", "--detached"),
        ("ZNC *sasl set a b", "/msg BouncerServ sasl set"),
    ):
        client.send(line)
        answer = (await client.until("BouncerServ!"))[-1]
        assert answer.startswith(":BouncerServ!BouncerServ@bouncer PRIVMSG alice :")
        assert words in answer
    client.send("NOTICE *status :x", "ZNC *nothing x")
    await peer.expect("ZNC", "*nothing", "x")
    assert not peer.seen("NOTICE")
    echoed = await house.client("alice/net@echo", caps="echo-message")
    await echoed.until(" 376 ")
    echoed.send("PRIVMSG *status,friend :help")
    lines = await echoed.until("BouncerServ!")
    assert lines[-2] == ":alice!alice@bouncer PRIVMSG *status :help"
    await peer.expect("PRIVMSG", "friend", "help")
