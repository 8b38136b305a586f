"""`[storage] synchronous` reaches every connection that writes; what it is good for `python -m soak storage` tries."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from sqlalchemy import text

from bouncer import config, tenant, vault
from bouncer.cli.parts import open_storage

if TYPE_CHECKING:
    from pathlib import Path

PRAGMA = "PRAGMA synchronous"


@pytest.mark.parametrize(("words", "level"), [("", 1), ('[storage]\nsynchronous = "full"', 2)])
async def test_every_writing_connection_syncs_as_the_configuration_says(tmp_path: Path, words: str, level: int) -> None:
    file = tmp_path / "bouncer.toml"
    file.write_text(words, encoding="utf-8")
    main, tenants = await open_storage(config.load(file))
    try:
        async with main.session() as unit:
            assert await unit.scalar(text(PRAGMA)) == level
        await tenants.create(1)
        async with tenant.switch(1), tenant.session() as unit:
            assert await unit.scalar(text(PRAGMA)) == level
        lease = tenants.try_lease("1")
        assert lease is not None
        found = await tenants.call(
            tenants.worker_index("1"), lambda: lease.connection_sync().execute(PRAGMA).fetchone()
        )
        lease.release()
        assert found == (level,)
    finally:
        tenant.install(None)
        vault.install(None)
        await tenants.close()
        await main.close()
