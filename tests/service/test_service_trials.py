"""Trials obey the rules for outgoing connections and come one at a time."""

from __future__ import annotations

import asyncio
import socket
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from bouncer import tasks
from bouncer.config import Outbound
from bouncer.errors import InvalidError, RefusedError
from tests.support.network import ScriptedNetwork

if TYPE_CHECKING:
    from bouncer.models.main import User
    from bouncer.service import Service
    from tests.support.network import Peer


def denying(service: Service) -> None:
    service.configure(replace(service.config, outbound=Outbound(private="deny")))


async def gone(peer: Peer) -> bool:
    """False when the peer's connection has ended, True for one more line of it."""
    try:
        await peer.line()
    except EOFError:
        return False
    return True


async def test_an_address_that_is_not_allowed_is_not_tried(service: Service, bob: User) -> None:
    denying(service)
    async with ScriptedNetwork() as network:
        for act in (service.trials.run, service.trials.certificate):
            with pytest.raises(InvalidError):
                await act(bob.id, {"address": "127.0.0.1", "port": str(network.port), "tls": False})
            with pytest.raises(InvalidError):
                await act(bob.id, {"address": "localhost", "port": str(network.port), "tls": False})
        assert network.connections == []


async def test_a_name_that_leads_to_a_forbidden_address_is_not_connected_to(service: Service, bob: User) -> None:
    denying(service)
    async with ScriptedNetwork() as network:
        place = {"address": socket.gethostname(), "port": str(network.port), "tls": False}
        report = await service.trials.run(bob.id, place)
        assert not report.worked
        assert network.connections == []


async def test_one_person_tries_one_thing_at_a_time(service: Service, alice: User, bob: User) -> None:
    async with ScriptedNetwork() as network:
        fields = {"address": "127.0.0.1", "port": str(network.port), "tls": False}
        running = tasks.spawn(service.trials.run(bob.id, fields, trusted=True), name="trial of a test")
        peer = await network.accept()
        with pytest.raises(RefusedError, match="another test"):
            await service.trials.run(bob.id, fields, trusted=True)
        other = tasks.spawn(service.trials.run(alice.id, fields, trusted=True), name="trial of a test")
        second = await network.accept()
        for one in (peer, second):
            await one.welcome()
            one.hang_up()
        assert (await running).worked
        assert (await other).worked


async def test_a_trial_that_is_given_up_leaves_no_connection(service: Service, bob: User) -> None:
    async with ScriptedNetwork() as network:
        fields = {"address": "127.0.0.1", "port": str(network.port), "tls": False}
        running = tasks.spawn(service.trials.run(bob.id, fields, trusted=True), name="trial of a test")
        peer = await network.accept()
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running
        async with asyncio.timeout(10):
            while await gone(peer):
                pass
