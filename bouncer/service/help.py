"""Owns what BouncerServ says to `help`; a test holds it to the grammar."""

from __future__ import annotations

PASSWORDS = "Passwords you type here are also in your client's log; the panel and the command line take them unseen."
ADMIN = frozenset({"user"})
"""Nouns that are there for admins only."""
HELP = {
    "server": (
        "server status [NAME] - how your networks are doing",
        "server list - all of them in a table",
        "server add NAME ADDRESS [--port N] [--no-tls] [--nick N] [--join '#a,#b key'] [--password VALUE] [--disabled]",
        "  also: --no-tls-verify, --tls-fingerprint SHA256, --username U, --realname R, --alternatives NICKS",
        "  --fallback 'HOST PORT' (again for more), --connect-command LINE (again for more; `WAIT 5` waits 5 s)",
        "  --no-keep-nick, --regain-command 'PRIVMSG NickServ :REGAIN {nick}', --no-auto-away, --away-message WORDS",
        "  --encoding NAME, --quit-message WORDS, --flood-burst LINES, --flood-interval-ms MS",
        "  with an account: --sasl-plain, --sasl-scram or --nickserv ACCOUNT, each with --account-password VALUE",
        "  or --sasl-external, which makes a certificate and shows its fingerprint; --auth-required: never without it",
        "server update [NAME] - the same options, and --rename NAME, --address ADDRESS, --no-auth, --no-password",
        "server connect [NAME], server disconnect [NAME], server delete NAME --yes",
        "Without NAME the network you are attached to is meant. " + PASSWORDS,
    ),
    "channel": (
        "channel list - channels of the network you are attached to",
        "channel join CHANNEL [KEY] - now, and after each connecting",
        "channel part CHANNEL [REASON] - and do not join again; the history stays",
        "channel update CHANNEL [--detached | --no-detached] [--key KEY | --no-key] - detached: joined, but not shown",
        "  --relay-detached, --reattach-on, --detach-on message|highlight|none|default, --detach-after 30m|never",
        "--server NAME means another of your networks.",
    ),
    "user": (
        "user list, user add NAME [--admin] [--password VALUE], user passwd NAME [--password VALUE]",
        "user enable NAME, user disable NAME, user delete NAME --yes, user limits NAME [--servers N] [--disk MB]",
        "Without --password a one-time one is made and shown. " + PASSWORDS,
    ),
}
