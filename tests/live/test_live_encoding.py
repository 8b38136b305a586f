"""Bytes that are no UTF-8 are read in the server's encoding for the file."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import select

from bouncer import tenant
from bouncer.models.tenant import Message

if TYPE_CHECKING:
    from tests.live.conftest import House
    from tests.support.network import ScriptedNetwork


async def test_old_bytes_are_stored_as_the_servers_encoding_reads_them(house: House, network: ScriptedNetwork) -> None:
    user_id = await house.user("alice")
    server_id = await house.server("alice", network)
    peer = await network.accept()
    await peer.welcome()
    await peer.barrier()
    service = house.supervisor.service
    await peer.send(b":bob!b@h PRIVMSG alice :caf\xe9 \x80")
    await peer.barrier()
    await service.servers.update(user_id, server_id, {"encoding": "koi8-r"}, trusted=True)
    await peer.send(b":bob!b@h PRIVMSG alice :\xf0\xd2\xc9\xd7\xc5\xd4")
    await peer.barrier()
    await house.supervisor.flush(user_id)
    async with tenant.switch(user_id), tenant.session() as session:
        stored = (await session.scalars(select(Message.content).order_by(Message.id))).all()
    assert stored == ["café €", "Привет"]
