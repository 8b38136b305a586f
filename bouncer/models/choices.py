"""Owns the words that some columns take; beside the tables, which take long to import, for the grammar of commands."""

from __future__ import annotations

AUTH_METHODS = ("none", "nickserv", "sasl-plain", "sasl-scram", "sasl-external")
MESSAGE_TYPES = (
    "privmsg", "action", "notice", "tagmsg", "join", "part", "quit",
    "kick", "nick", "topic", "mode", "invite", "server",
)  # fmt: skip
SEARCHABLE_TYPES = ("privmsg", "action", "notice", "topic")  # what the view `searchable_messages` shows
NOTIFICATION_REASONS = ("highlight", "dm", "invite", "message")
NOTIFY_LEVELS = ("all", "mentions", "none")
DETACH_TRIGGERS = ("message", "highlight", "none", "default")
