"""What the panel does the other doors do too: every POST has its words, or a reason why there are none."""

from __future__ import annotations

from pathlib import Path

from bouncer.service.parser import command_line, irc_commands
from web.routes import ROUTES

DOC = Path(__file__).parents[2] / "docs" / "panel.md"
NOT_BY_WORDS = {
    # nobody yet to ask, or the password is asked for again
    "session.create", "session.delete", "invite.accept", "account.confirm.create", "account.password.update",
    "account.email", "account.totp.create", "account.totp.delete", "account.codes.create", "account.delete",
    # every IRC client does it
    "channel.say", "conversation.say", "server.say", "channel.read", "conversation.read",
}  # fmt: skip
"""`docs/panel.md` says why."""
LINE_ONLY = {"account.export.create": "tenant export"}
WORDS = {
    "account.sessions.delete": "browser end", "account.session.delete": "browser end", "client.update": "client forget",
    "client.delete": "client disconnect", "token.create": "token create", "token.delete": "token revoke",
    "certificate.create": "certfp enrol", "certificate.delete": "certfp revoke", "server.create": "server add",
    "server.trial.create": "server test", "server.trial": "server certificate", "server.update": "server update",
    "server.delete": "server delete", "server.connect": "server connect", "server.disconnect": "server disconnect",
    "server.certificate.create": "certfp generate", "server.certificate.delete": "certfp remove",
    "channel.create": "channel join", "channel.update": "channel update", "channel.delete": "channel part",
    "channel.notify": "channel update", "notifications.read": "notify read", "notification.read": "notify read",
    "notifications.rules": "notify rules", "history.rules.update": "history keep",
    "history.deletion.create": "history clear", "history.work.stop": "history stop",
    "history.work.resume": "history resume", "history.space.create": "history compact",
    "admin.user.create": "user add", "admin.user.update": "user limits", "admin.user.password": "user passwd",
    "admin.user.access": "user enable", "admin.user.access.delete": "user disable",
    "admin.user.factor.delete": "user no-totp", "admin.user.delete": "user delete",
    "admin.invite.create": "user invite", "admin.invite.delete": "user uninvite",
    "admin.broadcast": "bouncer broadcast", "admin.backup.create": "bouncer backup",
    "admin.backup.check": "bouncer verify",
}  # fmt: skip


def test_every_post_of_the_panel_has_its_words() -> None:
    posts = {str(route.kwargs["name"]) for route in ROUTES if route.method == "POST"}
    assert posts == NOT_BY_WORDS | set(WORDS) | set(LINE_ONLY)


def test_the_words_are_there_on_irc_and_on_the_command_line() -> None:
    line, irc = command_line(), irc_commands(admin=True)
    for words in {*WORDS.values(), *LINE_ONLY.values()}:
        noun, verb = words.split()
        assert verb in line.choices_of("noun")[noun].choices_of("verb"), words
        assert words in LINE_ONLY.values() or verb in irc.choices_of("noun")[noun].choices_of("verb"), words


def test_the_table_of_the_docs_names_them() -> None:
    table = DOC.read_text("utf-8").partition("## Three doors")[2].partition("## Beside others")[0]
    for words in {*WORDS.values(), *LINE_ONLY.values()}:
        noun, verb = words.split()
        row = [line for line in table.splitlines() if f"`{noun} " in line and f"{verb}`" in line]
        assert row, words
