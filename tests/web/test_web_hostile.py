"""What a stranger, or a person with bad intentions, may send to the panel without getting anything for it."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from bouncer import tenant, vault
from bouncer.events import ClientInfo, ServerState
from bouncer.models.main import Session
from bouncer.models.tenant import Channel, ChannelUser, Conversation, Notification, ServerEvent
from tests.support import browser
from tests.web.panelkit import PASSWORD, message
from tests.web.test_web_accessible import addresses, furnished
from web.context import MAX_FIELDS, STRANGERS_BYTES

if TYPE_CHECKING:
    from tests.web.panelkit import Browser, Installation

FORM = "application/x-www-form-urlencoded"


@pytest.mark.parametrize(
    ("body", "kind", "status"),
    [
        pytest.param(b"a&" * (MAX_FIELDS + 1), FORM, 400, id="fields"),
        pytest.param(b"name=" + b"x" * STRANGERS_BYTES, FORM, 413, id="large"),
        pytest.param(b"name=a-" + b"b99" * 5000, f"{FORM}; charset=punycode", 415, id="codec"),
        pytest.param(b"--b\r\n\r\nx\r\n--b--\r\n", "multipart/form-data; boundary=b", 415, id="parts"),
    ],
)
async def test_reading_a_strangers_form_costs_next_to_nothing(
    anonymous: Browser, body: bytes, kind: str, status: int
) -> None:
    began = time.process_time()
    answer = await anonymous.request("POST", "/session", data=body, headers={"Content-Type": kind})
    assert answer.status == status
    assert time.process_time() - began < 0.5


async def test_what_the_vault_encrypted_elsewhere_is_not_opened_by_the_page_of_the_second_factor(
    installation: Installation, alice: Browser
) -> None:
    stolen = vault.encrypt("hunter2 of bob")
    answer = await alice.post("/account/totp", {"sealed": stolen, "code": "123456"})
    assert (answer.status, answer.location) == (303, "/account/totp")
    bob = await installation.user("bob")
    of_bob = vault.encrypt(f"totp {bob.id} JBSWY3DPEHPK3PXP")
    assert (await alice.post("/account/totp", {"sealed": of_bob, "code": "123456"})).status == 303


LONG = "W" * 10_000
EVIL = f"\u202e\u2066\x02\x0304,05<img src=x onerror=document.title='taken'>\"'{LONG}"
OUT_OF_SIGHT = """
() => {
    const width = document.documentElement.clientWidth;
    if (document.documentElement.scrollWidth <= width) return [];
    const out = [...document.body.querySelectorAll("*")].filter((e) => e.getBoundingClientRect().right > width + 1);
    return ["the page", ...out.slice(0, 5).map((e) => `${e.tagName} ${e.className}`)];
}
"""


async def hostile(installation: Installation) -> dict[str, int]:
    """Everything that others can write into somebody's pages is written as badly as it can be; the ids."""
    user, ids = await furnished(installation)
    call, live = installation.service, installation.live
    one = ids["servers"]
    up = ServerState("connected", nickname=EVIL, identified=EVIL, connected_since=1, tls=EVIL, tls_issuer=f"O={EVIL}")
    live.states[user.id][one] = replace(up, tls_fingerprint="ab" * 32, tls_expires=1, tls_checked="not")
    for server_id in set(live.states[user.id]) - {one}:
        live.states[user.id][server_id] = ServerState("failed", error=EVIL, attempt=3, next_attempt_s=42)
    live.here[user.id] = [ClientInfo(1, EVIL, EVIL, EVIL, True, 1, (EVIL, "batch"), EVIL, 1)]
    async with tenant.switch(user.id), tenant.session() as session:
        channel = await session.get_one(Channel, ids["channels"])
        channel.name, channel.topic, channel.topic_by, channel.join_error = f"#{EVIL}", EVIL, EVIL, EVIL
        talk = await session.get_one(Conversation, ids["conversations"])
        talk.nick = EVIL
        session.add(ChannelUser(channel_id=channel.id, folded="evil", nickname=EVIL, modes="o"))
        for number, kind in enumerate(("failed", "disconnected", "motd", EVIL)):
            session.add(ServerEvent(server_id=one, kind=kind, detail=EVIL, time=number + 1))
        for buffer in ({"channel_id": channel.id}, {"conversation_id": talk.id}):
            line = message(one, EVIL, sender=f"{EVIL}!u@{EVIL}", target=EVIL, **buffer)
            session.add(line)
            await session.flush()
            session.add(Notification(message_id=line.id, reason="highlight"))
        await session.commit()
    async with installation.main.session() as session:
        session.add(Session(token_hash="x", user_id=user.id, expires_at=9**15, address=EVIL[:60], agent=EVIL))
        await session.commit()
    await call.invites.create(EVIL)
    await call.audit.note(EVIL[:200], detail=EVIL)
    return ids


async def test_what_others_write_neither_runs_nor_breaks_the_layout_of_a_small_phone(
    installation: Installation,
) -> None:
    ids = await hostile(installation)
    found = []
    async with (
        browser.chromium() as started,
        browser.signed_in(started, installation.url, "ada", PASSWORD, width=360) as page,
    ):
        for path in [*addresses(ids), "/search?q=w*", f"/search?nick={'x' * 400}", "/notifications?all=1"]:
            answer = await page.goto(path)
            assert answer is not None
            assert answer.status == 200, path
            if answer.headers["content-type"].startswith("text/html") and await page.locator("main").count():
                wide = await page.evaluate(OUT_OF_SIGHT)
                found += [f"{path}: {wide}"] if wide else []
                found += [f"{path}: obeyed"] if await page.title() == "taken" else []
    assert found == []
