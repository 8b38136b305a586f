"""The command layer: one set of functions behind the command line, BouncerServ and the panel; owns no connection."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bouncer.service.channels import Channels
from bouncer.service.servers import Servers
from bouncer.service.users import Users

if TYPE_CHECKING:
    from bouncer.config import Config
    from bouncer.database import MainDatabase
    from bouncer.service.live import Live
    from bouncer.tenant import Tenants

__all__ = ["Service"]


class Service:
    """Everything a person can ask for, by noun: `users`, `servers`, `channels`.

    `live` is the supervisor, or `live.Offline()` for commands on the files of a stopped bouncer. `close` when done.
    """

    def __init__(self, config: Config, main: MainDatabase, tenants: Tenants, live: Live) -> None:
        self.config = config
        self.main = main
        self.live = live
        self.users = Users(main, tenants, live)
        self.servers = Servers(config, self.users, live)
        self.channels = Channels(live)

    def configure(self, config: Config) -> None:
        """Follow a configuration that was read again."""
        self.config = config
        self.servers.config = config

    def close(self) -> None:
        """End the threads that hash passwords."""
        self.users.close()
