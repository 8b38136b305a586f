"""Owns the grammar of what hangs on a user or a server: clients, passwords of theirs, certificates, history, away."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from bouncer.service.argparser import on_server, verb

if TYPE_CHECKING:
    from bouncer.service.argparser import Subparsers

ON_OFF = ("on", "off")
NAMELESS = "`-` for clients that have no name"
PATIENCE_S = 2.0
"""How long a client waits for the end of long work before it is told that it goes on."""
SASL_METHODS = ("plain", "scram", "external", "nickserv")


def clients(verbs: Subparsers, *, irc: bool = False) -> None:
    """`client`: the programs a user attaches."""
    listing = verb(verbs, "list", "clients that are attached, and those that were", irc=irc, user=True)
    disconnect = verb(verbs, "disconnect", "send a client away", irc=irc, user=True)
    disconnect.add_argument("client", metavar="ID|NAME", help=NAMELESS)
    forget = verb(verbs, "forget", "treat a client name as new when it comes again", irc=irc, user=True)
    forget.add_argument("client", metavar="NAME", help=NAMELESS)
    timestamps = verb(verbs, "timestamps", "put the time into the text of what is played back", irc=irc, user=True)
    timestamps.add_argument("client", metavar="NAME", help=NAMELESS)
    timestamps.add_argument("state", metavar="on|off", choices=ON_OFF)
    if not irc:
        listing.add_argument("--json", action="store_true")


def tokens(verbs: Subparsers, *, irc: bool = False) -> None:
    """`token`: app passwords."""
    listing = verb(verbs, "list", "app passwords, without themselves", irc=irc, user=True)
    create = verb(verbs, "create", "make an app password for a client; it is shown once", irc=irc, user=True)
    create.add_argument("name", metavar="NAME", nargs="?", default="", help="the client it is for; any without")
    revoke = verb(verbs, "revoke", "end an app password and who came in with it", irc=irc, user=True)
    revoke.add_argument("token", metavar="ID|NAME")
    if not irc:
        listing.add_argument("--json", action="store_true")


def browsers(verbs: Subparsers, *, irc: bool = False) -> None:
    """`browser`: those that are signed in to the panel."""
    verb(verbs, "list", "where you are signed in to the panel", irc=irc, user=True)
    end = verb(verbs, "end", "sign a browser out, or all of them", irc=irc, user=True)
    end.add_argument("browser", metavar="ID|all")


def certfp(verbs: Subparsers, *, irc: bool = False) -> None:
    """`certfp`: the certificate shown to a network, and those that clients log in with."""
    generate = verb(verbs, "generate", "make a certificate to be known by on a network", irc=irc, user=True)
    show = verb(verbs, "show", "the certificate shown to a network, and how to enrol it there", irc=irc, user=True)
    remove = verb(verbs, "remove", "show the network no certificate any more", irc=irc, user=True)
    for parser in (generate, show, remove):
        on_server(parser, irc=irc)
    generate.add_argument("--anew", action="store_true", help="in place of the one that is there")
    enrol = verb(verbs, "enrol", "let a client of yours log in here by its certificate", irc=irc, user=True)
    words = "SHA-256 or SHA-512 in hex" + ("; without it the one this client shows" if irc else "")
    enrol.add_argument("fingerprint", metavar="FINGERPRINT", nargs="?" if irc else None, default="", help=words)
    enrol.add_argument("--name", metavar="NAME", default="", help="what to call it in the list")
    verb(verbs, "list", "certificates that let a client in here", irc=irc, user=True)
    revoke = verb(verbs, "revoke", "let nobody in with that certificate any more", irc=irc, user=True)
    revoke.add_argument("certificate", metavar="ID|FINGERPRINT")


def sasl(verbs: Subparsers, *, irc: bool = False) -> None:
    """`sasl`: how one logs in to a network."""
    status = verb(verbs, "status", "how you log in, and whether it worked", irc=irc, user=True)
    on_server(status, irc=irc, needed=False)
    set_ = verb(verbs, "set", "log in this way from now on", irc=irc, user=True)
    off = verb(verbs, "off", "do not log in", irc=irc, user=True)
    for parser in (set_, off):
        on_server(parser, irc=irc)
    set_.add_argument("method", metavar="|".join(SASL_METHODS), choices=SASL_METHODS)
    set_.add_argument("account", metavar="ACCOUNT", nargs="?")
    set_.add_argument("--require", action="store_true", help="stay away from the network when it fails")
    if irc:
        set_.add_argument("--password", metavar="VALUE")
    else:
        set_.add_argument("--secrets-stdin", action="store_true", help="the account's password is one line of stdin")


def history(verbs: Subparsers, *, irc: bool = False) -> None:
    """`history`: what is stored."""
    search = verb(verbs, "search", "messages with all these words (or `begin*`), the newest", irc=irc, user=True)
    on_server(search, irc=irc, needed=False)
    search.add_argument("--in", dest="buffer", metavar="CHANNEL|NICK", default="")
    search.add_argument("--from", dest="sender", metavar="NICK", default="")
    search.add_argument("--since", metavar="DAY", help="such as 2026-11-23, UTC; that day too")
    search.add_argument("--until", metavar="DAY", help="that day too")
    search.add_argument("--limit", metavar="N", default="20")
    search.add_argument("words", metavar="WORD", nargs="+")
    verb(verbs, "sizes", "how much there is", irc=irc, user=True)
    verb(verbs, "retention", "how long messages are kept", irc=irc, user=True)
    keep = verb(verbs, "keep", "keep messages for so long from now on", irc=irc, user=True)
    keep.add_argument("days", metavar="DAYS|forever|default")
    keep.add_argument("--server", metavar="NAME", help="those of one network only")
    keep.add_argument("--in", dest="buffer", metavar="CHANNEL|NICK", help="those of one channel or person only")
    clear = verb(verbs, "clear", "delete what was said; without --yes it says what would go", irc=irc, user=True)
    if irc:
        clear.add_argument("--server", metavar="NAME")
    else:
        clear.add_argument("server", metavar="SERVER", nargs="?")
    clear.add_argument("buffer", metavar="CHANNEL|NICK", nargs="?")
    clear.add_argument("--everything", action="store_true", help="all of the network; all there is where none is named")
    clear.add_argument("--since", metavar="DAY", help="such as 2026-11-23, UTC; that day too")
    clear.add_argument("--until", metavar="DAY", help="that day too")
    work = verb(verbs, "work", "what is being deleted, and how far that is", irc=irc, user=True)
    space = verb(verbs, "compact", "give free space in your file back to the disk", irc=irc, user=True)
    for name, words in (("stop", "stop deleting"), ("resume", "go on deleting")):
        verb(verbs, name, words, irc=irc, user=True).add_argument("job", metavar="ID")
    for parser in (keep, clear):
        parser.add_argument("--yes", action="store_true", help="do it; without it nothing but a preview")
    for parser in (keep, clear, space):
        parser.set_defaults(patience_s=PATIENCE_S if irc else None)
    if not irc:
        work.add_argument("--json", action="store_true")


def notify(verbs: Subparsers, *, irc: bool = False) -> None:
    """`notify`: what wants the user's attention."""
    listing = verb(verbs, "list", "highlights, direct messages, invitations", irc=irc, user=True)
    listing.add_argument("--all", action="store_true", help="also those that have been read")
    rules = verb(verbs, "rules", "what calls you in a channel; with options it is changed", irc=irc, user=True)
    rules.add_argument("--nick", action=argparse.BooleanOptionalAction, default=None, help="your own nick")
    words = rules.add_mutually_exclusive_group()
    words.add_argument("--word", dest="words", action="append", metavar="PHRASE", help="again for more; all there are")
    words.add_argument("--no-words", dest="words", action="store_const", const=[])
    read = verb(verbs, "read", "mark a notification, or all, as read", irc=irc, user=True)
    read.add_argument("which", metavar="ID|all")


def away(verbs: Subparsers, *, irc: bool = False) -> None:
    """`away`: while no client is attached."""
    show = verb(verbs, "show", "whether you are away when no client is attached", irc=irc, user=True)
    on_server(show, irc=irc, needed=False)
    message = verb(verbs, "message", "what others see then; without words the usual", irc=irc, user=True)
    auto = verb(verbs, "auto", "be away when no client is attached, or not", irc=irc, user=True)
    for parser in (message, auto):
        on_server(parser, irc=irc)
    message.add_argument("words", metavar="WORDS", nargs="*")
    auto.add_argument("state", metavar="on|off", choices=ON_OFF)


def bouncer(verbs: Subparsers, *, irc: bool = False) -> None:
    """`bouncer`: the whole of it, for the operator and admins."""
    status = verb(verbs, "status", "how the bouncer is doing", irc=irc)
    verb(verbs, "broadcast", "tell every attached client", irc=irc).add_argument("words", metavar="WORDS", nargs="+")
    verb(verbs, "reload", "read the configuration again", irc=irc)
    audit = verb(verbs, "audit", "who did what to accounts and the installation, the newest last", irc=irc)
    audit.add_argument("--limit", metavar="N", default="20")
    verb(verbs, "listeners", "where clients come in, and until when the certificate counts", irc=irc)
    verb(verbs, "backups", "those that are there", irc=irc)
    check = verb(verbs, "verify", "look for damage in a backup", irc=irc)
    check.add_argument("backup", metavar="NAME")
    verb(verbs, "backup", "copy everybody's files into the storage folder, and check the copies", irc=irc)
    if not irc:
        status.add_argument("--json", action="store_true")
