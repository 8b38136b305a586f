"""A channel with people in it, and what alice's clients are shown of what is said there; owns no client."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from tests.support.clients import quits, sees, until

if TYPE_CHECKING:
    from tests.support.clients import Shown
    from tests.support.daemon import Bouncer
    from tests.support.person import Person

ACKNOWLEDGED = (
    "SELECT 1 FROM delivery_receipts r WHERE r.client = ? AND r.message_id >= (SELECT max(id) FROM messages "
    "WHERE message_type = 'privmsg')"
)
BOB = ("NICK bob", "USER b 0 * :b")


@dataclass
class Den:
    """#den and its people: alice with one client or several, each known to the bouncer by its name, and bob."""

    bouncer: Bouncer
    bob: Person
    clients: tuple[Shown, ...]
    said: list[tuple[str, str]] = field(default_factory=list)
    """Each word that was said, all different, and the buffer it belongs to on alice's side."""

    async def attach(self) -> None:
        for client in self.clients:
            client.start()
        for client in self.clients:
            await sees(client, "#den")

    async def leave(self, client: Shown) -> None:
        """Go when what was said so far is known to have arrived."""
        await until(
            lambda: self.bouncer.rows(ACKNOWLEDGED, client.name), lambda: f"no receipt: {receipts(self.bouncer)}"
        )
        await quits(client)

    async def alice_says(self, client: Shown, when: str) -> None:
        """A word to the channel and one to bob."""
        word, whisper = f"{when}-by-{client.name}", f"{when}-whispered-by-{client.name}"
        client.do(f"/msg #den {word}")
        assert "alice!" in await self.bob.until(f"PRIVMSG #den :{word}")
        client.do(f"/msg bob {whisper}")
        assert "alice!" in await self.bob.until(f"PRIVMSG bob :{whisper}")
        self.said += [(word, "#den"), (whisper, "bob")]

    async def bob_says(self, when: str) -> None:
        word, whisper = f"{when}-by-bob", f"{when}-whispered-by-bob"
        self.bob.send(f"PRIVMSG #den :{word}", f"PRIVMSG alice :{whisper}")
        await self.bob.barrier()
        self.said += [(word, "#den"), (whisper, "bob")]

    async def stored(self) -> None:
        """All that was said is in the file, once, where it belongs."""
        for word, buffer in self.said:
            await until(lambda word=word: self.rows(word), lambda word=word: f"{word} is not stored")  # type: ignore[misc]  # bound at once
            assert self.rows(word) == [(buffer, "bob" not in word.split("-"))], word

    def rows(self, word: str) -> list[tuple[object, ...]]:
        return self.bouncer.rows("SELECT target, own FROM messages WHERE content = ?", word)

    async def shown(self, *clients: Shown) -> None:
        """Each of them, or of all, has been shown each word, ever, exactly once."""
        for client in clients or self.clients:
            for word, _ in self.said:
                await sees(client, word)
            shown = client.shown()
            assert {word: shown.count(word) for word, _ in self.said if shown.count(word) != 1} == {}, shown


async def story(den: Den) -> None:
    """Talk, leave one after the other, be talked to, come back, talk: each client is shown each word once."""
    await den.attach()
    for client in den.clients:
        await den.alice_says(client, "early")
    await den.bob_says("early")
    await den.shown()

    first, *others = den.clients
    await den.leave(first)
    for client in others:
        await den.alice_says(client, "alone")
    await den.bob_says("alone")
    await den.shown(*others)
    for client in others:
        await den.leave(client)
    for number in range(3):
        await den.bob_says(f"missed{number}")
    await den.stored()

    await den.attach()
    await den.shown()
    await den.bob_says("late")  # live comes after the playback: nothing of it is still on its way
    for client in den.clients:
        await den.alice_says(client, "late")
    await den.shown()
    await den.stored()


def receipts(bouncer: Bouncer) -> object:
    sql = "SELECT client, message_id, (SELECT max(id) FROM messages) FROM delivery_receipts"
    return bouncer.rows(sql), bouncer.log.read_text(encoding="utf-8")[-3000:]
