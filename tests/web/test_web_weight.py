"""What the first visit to each page costs to load: the page and everything it asks for, as it is sent."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from bouncer import tenant
from tests.web.panelkit import PASSWORD, Browser, message
from tests.web.test_web_accessible import addresses, furnished

if TYPE_CHECKING:
    from tests.web.panelkit import Installation

MOST_BYTES = 150_000
LOADED = re.compile(r'(?:src|href)="(/static/[^"]+)"')


async def weight(person: Browser, path: str, known: dict[str, int]) -> int:
    """Bytes of a page with its styles, scripts and pictures; `known` are those of files that were asked for before."""
    answer = await person.get(path)
    if answer.status == 303:
        return 0  # it leads to a page that is weighed by itself
    assert answer.status == 200, path
    files = set(LOADED.findall(answer.text))
    for file in files - known.keys():
        loaded = await person.get(file)
        assert loaded.status == 200, file
        known[file] = int(loaded.headers["Content-Length"])
    return int(answer.headers["Content-Length"]) + sum(known[file] for file in files)


async def test_no_first_visit_loads_more_than_150_kb(installation: Installation) -> None:
    """Also of a conversation whose page is full of long lines with links and colours."""
    user, ids = await furnished(installation)
    async with tenant.switch(user.id), tenant.session() as session:
        for number in range(100):
            text = f"line {number}, \x02bold\x02 and \x0304red\x03: https://example.org/{number} {'and so on ' * 12}"
            session.add(message(ids["servers"], text, channel_id=ids["channels"], sender=f"nick{number % 9}!u@h"))
        await session.commit()
    person, known = Browser(installation.url), dict[str, int]()
    try:
        await person.sign_in("ada", PASSWORD)
        heavy = {path: await weight(person, path, known) for path in addresses(ids)}
        stranger = Browser(installation.url)
        try:
            heavy["/session/new"] = await weight(stranger, "/session/new", known)
        finally:
            await stranger.close()
    finally:
        await person.close()
    assert known, "files are asked for"
    assert max(heavy.values()) == heavy[f"/channels/{ids['channels']}/messages"]
    assert {path: size for path, size in heavy.items() if size > MOST_BYTES} == {}


async def test_files_are_packed_for_who_takes_that_and_pages_are_not(alice: Browser) -> None:
    page = await alice.get("/servers", headers={"Accept-Encoding": "gzip"})
    assert "Content-Encoding" not in page.headers
    (address,) = set(re.findall(r'href="(/static/panel.css[^"]*)"', page.text))
    plain, packed = [await alice.get(address, headers={"Accept-Encoding": way}) for way in ("identity", "gzip")]
    assert plain.text == packed.text
    assert int(packed.headers["Content-Length"]) < int(plain.headers["Content-Length"]) / 2
    assert packed.headers["Vary"] == "Accept-Encoding"
    assert "Content-Encoding" not in plain.headers
