"""Owns putting the nouns of the command layer together; each noun does its own work."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING

from bouncer.service.attention import Attention
from bouncer.service.audit import Audit
from bouncer.service.backups import Backups
from bouncer.service.bouncerserv import BouncerServ
from bouncer.service.caretaker import Caretaker
from bouncer.service.certificates import Certificates
from bouncer.service.channels import Channels
from bouncer.service.clients import Clients
from bouncer.service.downloads import Downloads
from bouncer.service.figures import Figures
from bouncer.service.files import TenantFiles
from bouncer.service.histories import Histories
from bouncer.service.house import House
from bouncer.service.invites import Invites
from bouncer.service.retention import Retention
from bouncer.service.second_factor import SecondFactors
from bouncer.service.servers import Servers
from bouncer.service.sessions import Sessions
from bouncer.service.talk import Talk
from bouncer.service.tokens import Tokens
from bouncer.service.trials import Trials
from bouncer.service.upkeep import Upkeep
from bouncer.service.users import Users

if TYPE_CHECKING:
    from bouncer.config import Config
    from bouncer.database import MainDatabase
    from bouncer.service.live import Live
    from bouncer.tenant import Tenants


class Service:
    """Everything a person can ask for, by noun: `users`, `servers`, `channels`, `tenants` (their files).

    `clients` are the programs they attach, `histories` what is stored of what was said, with the notifications.
    `second_factors` are the codes of a sign-in to the panel, `sessions` the browsers that are signed in.
    `invites` lead to accounts, `audit` is who did what.
    `house` and `backups` are of the whole installation, for admins.
    `retention` is how long messages are kept, `upkeep` the work of deleting them, `caretaker` looks after all files.
    `downloads` are the files people take their data away in.
    `figures` are what is counted for pictures. `trials` connect to a network without anything being stored.
    `talk` is for words of a person who sits at no client, `attention` is what they want to be told of.
    `tokens` and `certificates` are what lets clients in beside the password.
    `live` is the supervisor, or `live.Offline()` for commands on the files of a stopped bouncer. `close` when done.
    """

    def __init__(self, config: Config, main: MainDatabase, tenants: Tenants, live: Live) -> None:
        self.config = config
        self.main = main
        self.live = live
        self.audit = Audit(main)
        self.users = Users(main, tenants, live, config.storage.first_password, self.audit)
        self.second_factors = SecondFactors(main, self.users.throttle, live, self.audit)
        self.invites = Invites(main, self.users, self.audit)
        self.sessions = Sessions(main)
        self.servers = Servers(config, self.users, live)
        self.trials = Trials(self.servers)
        self.channels = Channels(live)
        self.clients = Clients(live)
        self.histories = Histories(live)
        self.retention = Retention(config, live)
        self.upkeep = Upkeep(self.retention, live, self._messages_gone)
        self.caretaker = Caretaker(config, self.users, self.retention, self.upkeep, live)
        self.talk = Talk(live, lambda: self.bouncerserv)
        self.attention = Attention(live)
        self.figures = Figures()
        self.tenants = TenantFiles(self.users, tenants, live, self.second_factors.encrypt_anew)
        self.house = House(config, self.users, tenants, live, self.second_factors, self.audit)
        self.backups = Backups(config, self.users, self.tenants, self.audit)
        self.downloads = Downloads(self.tenants, config.storage.path / "downloads")
        self.users.on_delete += [self.downloads.forget, self.upkeep.forget, self.caretaker.forget]
        self.tokens = Tokens(main, self.users, live)
        self.certificates = Certificates(main, live)

    @cached_property
    def bouncerserv(self) -> BouncerServ:
        """The layer by words; its grammar takes a moment to put together."""
        return BouncerServ(self)

    def configure(self, config: Config) -> None:
        """Follow a configuration that was read again."""
        self.config = config
        self.servers.config = self.house.config = self.retention.config = self.caretaker.config = config

    def _messages_gone(self, user_id: int) -> None:
        self.figures.forget(user_id)

    def close(self) -> None:
        """End the threads that hash passwords."""
        self.users.close()
