"""Administration by words: admins made and unmade, invitations, backups, and who did it in the audit trail."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bouncer.service.bouncerserv import BouncerServ

if TYPE_CHECKING:
    from bouncer.models.main import User
    from bouncer.service import Service


async def test_an_admin_does_it_all_by_words_and_the_trail_names_them(service: Service, alice: User, bob: User) -> None:
    serv = BouncerServ(service)
    assert await serv.handle(alice.id, "user promote bob", server=None) == ["bob is an admin"]
    assert await serv.handle(bob.id, "user demote alice", server=None) == ["alice is no admin"]
    assert "only admin" in " ".join(await serv.handle(bob.id, "user demote bob", server=None))
    link = (await serv.handle(bob.id, "user invite for carol", server=None))[0]
    token = link.partition("/invite/")[2].split()[0]
    assert await service.invites.valid(token)
    assert await serv.handle(bob.id, "user no-totp alice", server=None) == ["alice signs in by the password alone"]
    assert "whole" in " ".join(await serv.handle(bob.id, "bouncer backup", server=None))
    assert "no bouncer is running" in " ".join(await serv.handle(bob.id, "bouncer broadcast hello", server=None))
    trail = [(entry.actor, entry.action, entry.subject) for entry in await service.audit.list()]
    assert ("alice", "made an admin", "bob") in trail
    assert ("bob", "no longer an admin", "alice") in trail
    assert ("bob", "invitation made", "") in trail
    assert ("command line", "user added", "alice") in trail
