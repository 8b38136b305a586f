"""Every exception this project raises on purpose; owns no behaviour.

BouncerError
├── ConfigError                     the configuration file or an option is wrong (exit 2)
├── ProtocolError                   a peer broke the rules of IRC
│   ├── MalformedLineError          a line without a command
│   └── LineTooLongError            a line over the limit
├── UnsafeLineError                 we were about to write CR, LF or NUL inside a line
├── ConnectError                    an upstream connection could not be made or kept
├── TenantError
│   ├── NoTenantError               a tenant query outside `tenant.switch`
│   │   └── TenantScopeClosedError  the block this task was started in has ended
│   ├── WrongTenantError            one tenant's data or session used in another
│   ├── TenantExistsError
│   ├── TenantDoesNotExistError
│   ├── BadTenantIdError            an id that could not be a file name of ours
│   ├── TenantBusyError             still in use when the deadline passed
│   └── TenantSchemaError           the file is newer than this program, or not a tenant file
├── MainStorageError                the installation's own database is newer than this program, damaged or locked
├── VaultError                      a secret could not be read with the key at hand
└── CommandError                    what a person asked for cannot be done; the words are for them
    ├── UsageError                  the command itself is not written as it has to be (exit 2)
    ├── InvalidError                fields that do not validate, each with its words
    │   └── ElsewhereError          stored secrets would go to another place than before
    ├── NotFoundError
    ├── ConflictError               the name is taken
    └── RefusedError                not allowed, or not while things are as they are
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


class BouncerError(Exception):
    """The root: whatever we raise on purpose is one of these."""


class ConfigError(BouncerError):
    """The configuration cannot be used; the message names file, key and reason."""


class ProtocolError(BouncerError):
    """A peer sent what IRC does not allow."""


class MalformedLineError(ProtocolError):
    """A line in which no command can be found."""


class LineTooLongError(ProtocolError):
    """A line over the limit; `complete` holds the lines (bytes) that ended before it."""

    def __init__(self, limit: int, complete: Sequence[bytes] = ()) -> None:
        super().__init__(f"line longer than {limit} bytes")
        self.limit = limit
        self.complete = list(complete)


class UnsafeLineError(BouncerError):
    """A line of ours would have carried CR, LF, NUL or a parameter that cannot be written."""


class ConnectError(BouncerError):
    """An upstream could not be reached or let us in; the message is for the user.

    `permanent`: trying again without a change of settings would not help.
    """

    def __init__(self, message: str, *, permanent: bool = False) -> None:
        super().__init__(message)
        self.permanent = permanent


class TenantError(BouncerError):
    """Something is wrong between a query and the file it should go to."""


class NoTenantError(TenantError):
    """A tenant query was made outside `async with tenant.switch(user)`."""


class TenantScopeClosedError(NoTenantError):
    """This task was started inside a switch that has ended since."""


class WrongTenantError(TenantError):
    """A row, session or connection of one tenant was used in another."""


class TenantExistsError(TenantError):
    """There is a file for this user already."""


class TenantDoesNotExistError(TenantError):
    """There is no (complete) file for this user."""


class BadTenantIdError(TenantError, ValueError):
    """An id that is not one of ours and will not be made into a path."""


class TenantBusyError(TenantError):
    """The tenant was still in use when the deadline passed."""


class TenantSchemaError(TenantError):
    """The file was written by a newer version, or is no tenant file."""


class MainStorageError(BouncerError):
    """The installation's own database cannot be used; the message is one sentence that names it."""


class VaultError(BouncerError):
    """A stored secret cannot be decrypted with the keys at hand."""


class CommandError(BouncerError):
    """A request that cannot be done; `str()` is one sentence for the person who asked."""


class UsageError(CommandError):
    """A command that is not one, or lacks or has too many words; says what to type instead."""


class InvalidError(CommandError):
    """Fields that do not validate: `fields` maps each field's name to its words."""

    def __init__(self, fields: Mapping[str, str]) -> None:
        super().__init__("; ".join(f"{name}: {words}" for name, words in fields.items()))
        self.fields = dict(fields)


class ElsewhereError(InvalidError):
    """Stored secrets would go to another place: `fields` names them. Who proves who they are may do it all the same."""


class NotFoundError(CommandError):
    """What was named is not there, or not this user's."""


class ConflictError(CommandError):
    """The name is taken."""


class RefusedError(CommandError):
    """Not allowed, or not while things are as they are."""
