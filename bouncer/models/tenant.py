"""Owns the tables of one person's file; rows of the main database are never referred to from here.

Times are integers, ms UTC. Names that IRC compares have a `folded` twin (by the network's CASEMAPPING) for look-ups.
There are no relationships: nothing loads lazily, a join is written where it is meant.
"""

from __future__ import annotations

from sqlalchemy import CheckConstraint, ForeignKey, Index, MetaData, String, Text, UniqueConstraint, text
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from bouncer.clock import now_ms
from bouncer.models.choices import AUTH_METHODS, DETACH_TRIGGERS, NOTIFY_LEVELS
from bouncer.models.types import NAMING, Encrypted, flag, secret_words, words

_DETACHED_RULES = ("relay_detached", "reattach_on", "detach_on")


class TenantBase(DeclarativeBase):
    """The base of every table in a tenant's file.

    A row belongs to the tenant whose session it was in, or in whose block it was made. Two rows are equal when they
    are the same object (a session holds one per identity), so rows of two tenants never are, whatever their ids.
    """

    metadata = MetaData(naming_convention=NAMING)

    @property
    def tenant_id(self) -> str | None:
        """The tenant this row belongs to; None for one made outside any tenant and never added."""
        return self.__dict__.get("_tenant")


class Server(TenantBase):
    """An IRC network this user is configured on, and what was last known of it."""

    __tablename__ = "servers"
    __table_args__ = (
        CheckConstraint(f"auth_method IN ({', '.join(map(repr, AUTH_METHODS))})", name="auth_method"),
        {"sqlite_autoincrement": True},
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(32, collation="NOCASE"), unique=True)
    address: Mapped[str]
    port: Mapped[int]
    tls: Mapped[bool] = flag(default=True)
    tls_verify: Mapped[bool] = flag(default=True)
    tls_fingerprint: Mapped[str | None]
    nickname: Mapped[str]
    alternatives: Mapped[str] = words()  # separated by blanks
    username: Mapped[str] = words()
    realname: Mapped[str] = words()
    password: Mapped[str | None] = mapped_column(Encrypted())
    auth_method: Mapped[str] = words("none")
    auth_account: Mapped[str | None]
    auth_password: Mapped[str | None] = mapped_column(Encrypted())
    client_certificate: Mapped[str | None] = mapped_column(Encrypted())  # PEM, key and certificate
    auth_required: Mapped[bool] = flag(default=False)
    connect_commands: Mapped[str] = secret_words()  # passwords for services stand in them
    flood_burst: Mapped[int | None]
    flood_interval_ms: Mapped[int | None]
    keep_nick: Mapped[bool] = flag(default=True)
    quit_message: Mapped[str] = words()
    enabled: Mapped[bool] = flag(default=True)
    trusted: Mapped[bool] = flag(default=False)  # added by an admin: may be at a private address
    known_nick: Mapped[str] = words()
    known_isupport: Mapped[str] = words("{}")  # JSON object
    fallbacks: Mapped[str] = words()  # more addresses, `host port` a line, tried in turn
    known_caps: Mapped[str] = words("{}")  # JSON object, name -> value: what the network last granted us
    known_server: Mapped[str] = words()  # the server's own name, from 001
    auto_away: Mapped[bool] = flag(default=True)
    away_message: Mapped[str] = words()  # of auto-away
    regain_command: Mapped[str] = secret_words()  # a line to services with {nick} in it
    encoding: Mapped[str] = words()  # of bytes that are no UTF-8; '' is cp1252
    keep_days: Mapped[int | None]  # how long messages are kept; 0 for ever, None as the user's rule says
    created_at: Mapped[int] = mapped_column(default=now_ms)
    updated_at: Mapped[int] = mapped_column(default=now_ms, onupdate=now_ms)


class Channel(TenantBase):
    """A channel the user is in, wants to be in, or has history of."""

    __tablename__ = "channels"
    __table_args__ = (
        UniqueConstraint("server_id", "folded"),
        *(
            CheckConstraint(f"{name} IN ({', '.join(map(repr, DETACH_TRIGGERS))})", name=name)
            for name in _DETACHED_RULES
        ),
        CheckConstraint(f"notify IN ({', '.join(map(repr, NOTIFY_LEVELS))})", name="notify"),
        {"sqlite_autoincrement": True},
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    server_id: Mapped[int] = mapped_column(ForeignKey("servers.id", ondelete="CASCADE"))
    name: Mapped[str]
    folded: Mapped[str]
    key: Mapped[str | None] = mapped_column(Encrypted())
    auto_join: Mapped[bool] = flag(default=False)
    joined: Mapped[bool] = flag(default=False)
    detached: Mapped[bool] = flag(default=False)
    topic: Mapped[str | None] = mapped_column(Text())
    topic_by: Mapped[str | None]
    topic_at: Mapped[int | None]
    join_error: Mapped[str | None]
    relay_detached: Mapped[str] = words("default")  # which messages of a detached channel are shown all the same
    reattach_on: Mapped[str] = words("default")
    detach_on: Mapped[str] = words("default")
    detach_after_s: Mapped[int | None]
    notify: Mapped[str] = words("mentions")  # which of its messages want attention
    keep_days: Mapped[int | None]  # as of the server, whose rule it overrides


class Conversation(TenantBase):
    """The direct messages with one nick."""

    __tablename__ = "conversations"
    __table_args__ = (UniqueConstraint("server_id", "folded"), {"sqlite_autoincrement": True})

    id: Mapped[int] = mapped_column(primary_key=True)
    server_id: Mapped[int] = mapped_column(ForeignKey("servers.id", ondelete="CASCADE"))
    nick: Mapped[str]
    folded: Mapped[str]
    keep_days: Mapped[int | None]  # as of a channel


class ChannelUser(TenantBase):
    """One nick on a channel as last known; `modes` are letters, the highest first (`ov`)."""

    __tablename__ = "channel_users"
    __table_args__ = {"sqlite_with_rowid": False}  # noqa: RUF012 - SQLAlchemy's own spelling

    channel_id: Mapped[int] = mapped_column(ForeignKey("channels.id", ondelete="CASCADE"), primary_key=True)
    folded: Mapped[str] = mapped_column(primary_key=True)
    nickname: Mapped[str]
    modes: Mapped[str] = words()


class Message(TenantBase):
    """One line of history. A channel's has `channel_id`, a direct one `conversation_id`, the server's own neither."""

    __tablename__ = "messages"
    __table_args__ = (
        Index("ix_messages_channel", "channel_id", "time", "id", sqlite_where=text("channel_id IS NOT NULL")),
        Index(
            "ix_messages_conversation",
            "conversation_id",
            "time",
            "id",
            sqlite_where=text("conversation_id IS NOT NULL"),
        ),
        Index(
            "ix_messages_server",
            "server_id",
            "time",
            "id",
            sqlite_where=text("channel_id IS NULL AND conversation_id IS NULL"),
        ),
        Index("ix_messages_msgid", "msgid"),
        {"sqlite_autoincrement": True},
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    server_id: Mapped[int] = mapped_column(ForeignKey("servers.id", ondelete="CASCADE"))
    channel_id: Mapped[int | None] = mapped_column(ForeignKey("channels.id", ondelete="CASCADE"))
    conversation_id: Mapped[int | None] = mapped_column(ForeignKey("conversations.id", ondelete="CASCADE"))
    target: Mapped[str] = words()  # the channel or the other nick as spelled; '' for the server itself
    sender: Mapped[str] = words()  # nick!user@host as seen
    message_type: Mapped[str]
    content: Mapped[str] = words()
    tags: Mapped[str | None] = mapped_column(Text())  # JSON object
    msgid: Mapped[str]
    time: Mapped[int]
    own: Mapped[bool] = flag(default=False)
    redacted: Mapped[str | None] = mapped_column(Text())  # "nick!user@host reason"; the content is gone then


class Notification(TenantBase):
    """A message that wants the user's attention, and when it got it."""

    __tablename__ = "notifications"
    __table_args__ = (
        Index("ix_notifications_unread", "created_at", sqlite_where=text("read_at IS NULL")),
        {"sqlite_autoincrement": True},
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    message_id: Mapped[int] = mapped_column(ForeignKey("messages.id", ondelete="CASCADE"), index=True)
    reason: Mapped[str]
    created_at: Mapped[int] = mapped_column(default=now_ms)
    read_at: Mapped[int | None]


class DeliveryReceipt(TenantBase):
    """The last message a client of this name has acknowledged."""

    __tablename__ = "delivery_receipts"

    server_id: Mapped[int] = mapped_column(ForeignKey("servers.id", ondelete="CASCADE"), primary_key=True)
    client: Mapped[str] = mapped_column(primary_key=True)
    message_id: Mapped[int]
    updated_at: Mapped[int] = mapped_column(default=now_ms, onupdate=now_ms)


class ServerEvent(TenantBase):
    """One entry of a server's lifecycle log: connected, identified, disconnected and why."""

    __tablename__ = "server_events"
    __table_args__ = (Index("ix_server_events_server_id_time", "server_id", "time"), {"sqlite_autoincrement": True})

    id: Mapped[int] = mapped_column(primary_key=True)
    server_id: Mapped[int] = mapped_column(ForeignKey("servers.id", ondelete="CASCADE"))
    time: Mapped[int] = mapped_column(default=now_ms)
    kind: Mapped[str]
    detail: Mapped[str] = words()


class ReadMarker(TenantBase):
    """How far the user has read in a channel or conversation; it only ever moves forward."""

    __tablename__ = "read_markers"

    server_id: Mapped[int] = mapped_column(ForeignKey("servers.id", ondelete="CASCADE"), primary_key=True)
    folded: Mapped[str] = mapped_column(primary_key=True)
    name: Mapped[str]
    time: Mapped[int]
    updated_at: Mapped[int] = mapped_column(default=now_ms, onupdate=now_ms)


class MetadataValue(TenantBase):
    """One key of draft/metadata-2 that the user set on a target of a network that keeps none itself."""

    __tablename__ = "metadata"

    server_id: Mapped[int] = mapped_column(ForeignKey("servers.id", ondelete="CASCADE"), primary_key=True)
    folded: Mapped[str] = mapped_column(primary_key=True)
    key: Mapped[str] = mapped_column(primary_key=True)
    value: Mapped[str] = mapped_column(Text())
    updated_at: Mapped[int] = mapped_column(default=now_ms, onupdate=now_ms)


class Preference(TenantBase):
    """What the user prefers, by name; see `bouncer.service.attention`."""

    __tablename__ = "preferences"

    name: Mapped[str] = mapped_column(primary_key=True)
    value: Mapped[str] = mapped_column(Text())


class ClientName(TenantBase):
    """Settings of the clients that log in under one name."""

    __tablename__ = "clients"

    name: Mapped[str] = mapped_column(primary_key=True)
    text_timestamps: Mapped[bool] = flag(default=False)
    created_at: Mapped[int] = mapped_column(default=now_ms)
    last_seen_at: Mapped[int | None]
    address: Mapped[str] = words()


class MessageDay(TenantBase):
    """How many messages up to `MessageCounting.upto` a buffer has of one day (UTC), and bytes of text in them.

    0 stands for no channel, or no conversation. Triggers take off what is deleted or changed.
    """

    __tablename__ = "message_days"
    __table_args__ = {"sqlite_with_rowid": False}  # noqa: RUF012 - SQLAlchemy's own spelling

    server_id: Mapped[int] = mapped_column(ForeignKey("servers.id", ondelete="CASCADE"), primary_key=True)
    channel_id: Mapped[int] = mapped_column(primary_key=True)
    conversation_id: Mapped[int] = mapped_column(primary_key=True)
    day: Mapped[int] = mapped_column(primary_key=True)  # since 1970
    messages: Mapped[int]
    bytes: Mapped[int]


class MessageCounting(TenantBase):
    """The one row that says up to which message's id `MessageDay` has counted."""

    __tablename__ = "message_counting"

    id: Mapped[int] = mapped_column(primary_key=True)
    upto: Mapped[int]


class UpkeepJob(TenantBase):
    """Work on much history: what it is about, how far it is, how it ended. See `bouncer.service.upkeep`."""

    __tablename__ = "upkeep_jobs"
    __table_args__ = {"sqlite_autoincrement": True}  # noqa: RUF012 - SQLAlchemy's own spelling

    id: Mapped[int] = mapped_column(primary_key=True)
    kind: Mapped[str]  # rules, range, quota, space
    state: Mapped[str]  # running, stopped, done, failed
    phase: Mapped[str]  # messages, index, space
    server_id: Mapped[int | None]  # what it is about; all of it where there is none
    channel_id: Mapped[int | None]
    conversation_id: Mapped[int | None]
    after: Mapped[int | None]  # ms, from that moment on
    before: Mapped[int | None]  # ms, up to that moment
    upto: Mapped[int]  # the newest message when it was asked for
    done: Mapped[int] = mapped_column(default=0, server_default="0")
    total: Mapped[int] = mapped_column(default=0, server_default="0")
    freed: Mapped[int] = mapped_column(default=0, server_default="0")  # bytes given back to the file system
    begun_at: Mapped[int] = mapped_column(default=now_ms)
    ended_at: Mapped[int | None]
    note: Mapped[str] = words()  # why it failed, or what could not be done
