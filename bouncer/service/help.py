"""Owns what BouncerServ says to `help`; a test holds it to the grammar."""

from __future__ import annotations

PASSWORDS = "Passwords you type here are also in your client's log; the panel and the command line take them unseen."
ADMIN = frozenset({"user", "bouncer"})
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
        "server add libera (or oftc, hackint, …) - a known network needs no ADDRESS",
        "server test [NAME] [the same options, --address ADDRESS] - connect, log in and leave; nothing is stored",
        "server certificate [NAME] [--address ADDRESS] [--port N] - what the network shows, to pin it",
        "server clone NAME NEW [the same options] - another one like it, without its secrets",
        "server log [NAME] [--limit N] - what happened to the connection",
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
        "  --notify all|mentions|none - what of it calls you; --auto-join, --no-auto-join",
        "--server NAME means another of your networks.",
    ),
    "client": (
        "client list - programs that are attached, and names that were here",
        "client disconnect ID|NAME - send one away",
        "client forget NAME - when it comes again, it is new",
        "client timestamps NAME on|off - times in the text of what is played back to it",
    ),
    "token": (
        "token create [NAME] - an app password for the client NAME (the part after @ in its login), shown once",
        "token list - without the passwords; token revoke ID|NAME",
    ),
    "browser": ("browser list - where you are signed in to the panel; browser end ID|all - sign out there",),
    "certfp": (
        "certfp generate [--anew] - make a certificate for a network to know you by; then tell its services",
        "certfp show - its fingerprint and the command for services; certfp remove",
        "certfp enrol [FINGERPRINT] [--name NAME] - let a client log in here by its certificate (by default this one)",
        "certfp list, certfp revoke ID|FINGERPRINT - those certificates",
        "--server NAME means another of your networks.",
    ),
    "sasl": (
        "sasl status - how you log in to your networks, and whether it worked",
        "sasl set plain|scram|nickserv ACCOUNT --password VALUE, sasl set external [ACCOUNT] - add --require for never",
        "  being connected without",
        "sasl off",
        "--server NAME means another of your networks. " + PASSWORDS,
    ),
    "history": (
        "history search WORD… [--in CHANNEL|NICK] [--from NICK] [--since DAY] [--until DAY] [--limit N]",
        "  all words have to be there; `begin*` is all that begins so; a day is 2026-11-23",
        "history sizes - how much is stored; history retention - how long",
        "history keep DAYS|forever|default [--server NAME] [--in CHANNEL|NICK] - without --yes it says what would go",
        "history clear CHANNEL|NICK [--since DAY] [--until DAY] - delete it; without --yes it says what would go",
        "  history clear --everything [--server NAME] - all of a network, or all there is",
        "history work - what is being deleted; history stop ID, history resume ID; history compact - free space back",
        "--server NAME means another of your networks.",
    ),
    "notify": (
        "notify list [--all] - highlights, direct messages and invitations that are new",
        "notify read ID|all",
        "notify rules [--nick | --no-nick] [--word PHRASE (again for more) | --no-words] - what calls you in channels",
    ),
    "away": (
        "away show - what others see while no client of yours is attached",
        "away message [WORDS] - without words the usual; away auto on|off",
        "--server NAME means another of your networks.",
    ),
    "user": (
        "user list, user add NAME [--admin] [--email ADDRESS] [--password VALUE], user email NAME ADDRESS|none",
        "user passwd NAME [--password VALUE] [--keep-clients]",
        "user enable NAME, user disable NAME, user delete NAME --yes, user limits NAME [--servers N] [--disk MB]",
        "user promote NAME, user demote NAME - admin or not; user invite [WORDS] - a link; user no-totp NAME",
        "user invites - links that can be used; user uninvite ID",
        "Without --password a one-time one is made and shown. " + PASSWORDS,
    ),
    "bouncer": (
        "bouncer status - how all of it is doing; bouncer broadcast WORDS - tell every client",
        "bouncer reload - read the configuration again; bouncer listeners - where clients come in",
        "bouncer backup - copy and check all files; bouncer backups - those there are; bouncer verify NAME",
        "bouncer audit [--limit N] - who did what to accounts and the installation",
    ),
}
