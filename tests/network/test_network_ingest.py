"""What a line of a network means for the file: rows and changes, by kind."""

from __future__ import annotations

import json

import pytest

from bouncer import journal_sql as sql
from bouncer.irc import roster
from bouncer.irc.message import Message
from bouncer.irc.state import NetworkState
from bouncer.journal import Batch, MessageRow, ignore_release
from bouncer.network.ingest import Ingest, _json

SERVER = 7


class File:
    """What came of lines: their rows and the statements."""

    def __init__(self, encoding: str = "") -> None:
        self.state = NetworkState("me")
        self.ingest = Ingest(SERVER, self.state, encoding)
        self.feed(":irc.test 001 me :hi", ":irc.test 005 me STATUSMSG=@+ CHANTYPES=# PREFIX=(ov)@+ :are")
        self.feed(":me!u@h JOIN #Room", ":irc.test 353 me = #Room :me @Friend", ":irc.test 366 me #Room :End")

    def feed(self, *lines: str | bytes, msgid: str = "id") -> Batch:
        batch = Batch(ignore_release)
        for line in lines:
            msg = Message.parse(line.encode() if isinstance(line, str) else line)
            old = msg.nick
            done = self.state.apply(msg, 5)
            self.ingest.add(batch, msg, done, 5, msgid)
            if done.kind == "nick":
                self.ingest.renamed(batch, done, old)
        return batch


def row(batch: Batch) -> MessageRow:
    (only,) = batch.rows
    return only


@pytest.mark.parametrize(
    ("line", "buffer", "folded", "kind", "content", "notify"),
    [
        (":Friend!f@h PRIVMSG #ROOM :hi", "channel", "#room", "privmsg", "hi", ""),
        (":Friend!f@h PRIVMSG @#room :hi me", "channel", "#room", "privmsg", "hi me", "highlight"),
        (
            ":Friend!f@h PRIVMSG #room :\x01ACTION waves at Me\x01",
            "channel",
            "#room",
            "action",
            "waves at Me",
            "highlight",
        ),
        (":Friend!f@h NOTICE #room :me too", "channel", "#room", "notice", "me too", "highlight"),
        (":Friend!f@h PRIVMSG me :psst", "conversation", "friend", "privmsg", "psst", "dm"),
        (":Friend!f@h NOTICE me :psst", "conversation", "friend", "notice", "psst", ""),
        (":me!u@h PRIVMSG Friend :psst me", "conversation", "friend", "privmsg", "psst me", ""),
        (":irc.test NOTICE me :restarting", "", "", "notice", "restarting", ""),
        (":irc.test NOTICE * :restarting", "", "", "notice", "restarting", ""),
        (":Friend!f@h TOPIC #room :new", "channel", "#room", "topic", "new", ""),
        (":Friend!f@h PART #room :bye", "channel", "#room", "part", "bye", ""),
        (":Friend!f@h QUIT :gone", "channel", "#room", "quit", "gone", ""),
        (":Friend!f@h MODE #room +v me", "channel", "#room", "mode", "+v me", ""),
        (":Friend!f@h NICK pal", "channel", "#room", "nick", "pal", ""),
        (":Friend!f@h KICK #room me :out", "channel", "#room", "kick", "me out", ""),
        (":Friend!f@h INVITE me #other", "", "", "invite", "#other", "invite"),
    ],
)
def test_a_line_is_a_row_in_its_place(
    line: str, buffer: str, folded: str, kind: str, content: str, notify: str
) -> None:
    found = row(File().feed(line))
    assert (found.buffer, found.folded, found.message_type, found.content, found.notify) == (
        buffer, folded, kind, content, notify,
    )  # fmt: skip
    assert (found.server_id, found.time, found.msgid, found.tags) == (SERVER, 5, "id", None)
    assert found.own == line.startswith(":me!")


@pytest.mark.parametrize(
    "line",
    [
        ":Friend!f@h PRIVMSG #room :\x01VERSION\x01",
        ":Friend!f@h TAGMSG #room",
        "@+typing=active :Friend!f@h TAGMSG #room",
        ":me MODE me :+i",
        ":Friend!f@h AWAY :lunch",
        ":Friend!f@h ACCOUNT f",
        ":stranger!s@h QUIT :bye",
        ":stranger!s@h NICK other",
        ":irc.test 372 me :- words",
        ":irc.test 999 me :never heard of",
        "UNHEARD of",
        "PRIVMSG",
        ":x PRIVMSG",
        ":Friend!f@h JOIN",
    ],
)
def test_what_is_nobodys_history_is_no_row(line: str) -> None:
    assert File().feed(line).rows == []


def test_tags_are_kept_but_for_those_with_a_column() -> None:
    line = (
        "@time=2026-01-02T03:04:05.678Z;msgid=x;batch=b;label=l;account=f;+draft/reply=a\\sb :F!f@h PRIVMSG #room :hi"
    )
    assert json.loads(row(File().feed(line)).tags or "") == {"account": "f", "+draft/reply": "a b"}
    assert row(File().feed("@+draft/react=x :F!f@h TAGMSG #room")).message_type == "tagmsg"


def test_bytes_that_are_no_utf8_are_read_as_the_row_says() -> None:
    line = b":Friend!f@h PRIVMSG #room :caf\xe9 \xa4"
    assert row(File().feed(line)).content == "café ¤"
    assert row(File("iso-8859-15").feed(line)).content == "café €"


def test_words_to_ourselves_are_kept_once() -> None:
    file = File()
    assert len(file.feed(":me!u@h PRIVMSG me :note", ":me!u@h PRIVMSG me :note", msgid="a").rows) == 1
    assert len(file.feed(":me!u@h PRIVMSG me :note", msgid="b").rows) == 1


def test_a_join_of_ours_saves_the_channel_and_a_part_forgets_it() -> None:
    file = File()
    joined = [change.sql for change in file.feed(":me!u@h JOIN #other").changes]
    assert joined[:2] == [sql.CHANNEL_JOINED, sql.ROSTER_CLEAR]
    assert [change.sql for change in file.feed(":me!u@h PART #other").changes] == [sql.CHANNEL_PARTED, sql.ROSTER_CLEAR]
    kicked = file.feed(":Friend!f@h KICK #room me :out").changes
    assert [change.sql for change in kicked] == [sql.CHANNEL_LEFT, sql.ROSTER_CLEAR], "still wanted"


def test_rosters_follow_people() -> None:
    file = File()
    batch = file.feed(
        ":Friend!f@h NICK pal", ":third!t@h JOIN #room", ":pal!f@h MODE #room +v third", ":third!t@h QUIT :x"
    )
    where = (SERVER, "#room")
    assert [(change.sql, change.params) for change in batch.changes] == [
        (sql.ROSTER_REMOVE, (*where, "friend")),
        (sql.ROSTER_PUT, ("pal", "pal", "o", *where)),
        (sql.ROSTER_PUT, ("third", "third", "", *where)),
        (sql.ROSTER_PUT, ("third", "third", "v", *where)),
        (sql.ROSTER_REMOVE, (*where, "third")),
    ]


def test_of_names_only_the_news_is_written() -> None:
    file = File()
    where = (SERVER, "#room")
    (change,) = file.feed(":irc.test 353 me = #Room :me @Friend new", ":irc.test 366 me #Room :End").changes
    assert change == (sql.ROSTER_PUT, [("new", "new", "", *where)])
    again = file.feed(":irc.test 353 me = #Room :me @Friend new", ":irc.test 366 me #Room :End")
    assert again.changes == []


def test_who_there_is_no_room_for_is_not_written(monkeypatch: pytest.MonkeyPatch) -> None:
    file = File()
    monkeypatch.setattr(roster, "MAX_USERS", 2)
    batch = file.feed(":third!t@h JOIN #room")
    assert (batch.changes, row(batch).message_type) == ([], "join")


def test_a_statement_with_many_parameters_counts_as_many() -> None:
    batch = File().feed(":irc.test 353 me = #Room :a b c", ":Friend!f@h PART #room")
    assert batch.statements == 4


def test_tags_are_remembered_while_they_are_short() -> None:
    file = File()
    before = _json.cache_info().currsize
    line = f"@{';'.join(f'+x{number}={number}' for number in range(200))} :Friend!f@h PRIVMSG #room :hi"
    assert len(json.loads(row(file.feed(line)).tags or "")) == 200
    assert _json.cache_info().currsize == before


def test_a_new_name_moves_what_belongs_to_the_channel() -> None:
    changes = File().feed(":irc.test RENAME #room #hall :x").changes
    assert [change.sql for change in changes] == [
        sql.CHANNEL_TAKEN_OVER, sql.CHANNEL_MADE_ROOM, sql.CHANNEL_RENAMED, sql.MARKER_RENAMED, sql.METADATA_RENAMED,
    ]  # fmt: skip
    spelled = File().feed(":irc.test RENAME #room #ROOM :x").changes
    assert spelled[0].sql == sql.CHANNEL_RENAMED


def test_a_redaction_names_the_buffer_it_is_in() -> None:
    file = File()
    for line, folded in (
        (":Friend!f@h REDACT #ROOM id :why", "#room"),
        (":Friend!f@h REDACT me id :why", "friend"),
        (":me!u@h REDACT Friend id :why", "friend"),
    ):
        change = file.feed(line).changes[0]
        assert change.sql == sql.REDACT
        assert folded in change.params
