from __future__ import annotations

from hypothesis import example, given
from hypothesis import strategies as st

from bouncer.errors import MalformedLineError
from bouncer.irc.applied import ISUPPORT, MOTD_END, NUMERIC, OTHER, Applied
from bouncer.irc.casemap import ASCII
from bouncer.irc.message import Message
from bouncer.irc.state import NetworkState


def apply(state: NetworkState, *lines: str) -> Applied:
    applied = OTHER
    for line in lines:
        applied = state.apply(Message.parse(line.encode("utf-8", "surrogateescape")), 5000)
    return applied


def on_channel() -> NetworkState:
    state = NetworkState("wanted")
    apply(
        state,
        ":s 001 Me :Welcome to the Net Me!ident@my.host",
        ":s 005 Me PREFIX=(ohv)@%+ CHANMODES=beI,k,l,imnst STATUSMSG=@+ :are supported",
        ":Me!ident@my.host JOIN #Chan",
        ":s 332 Me #chan :the topic",
        ":s 333 Me #chan bob!b@h 1700000000",
        ":s 353 Me = #chan :@Me %+Bob!b@h alice",
        ":s 366 Me #chan :End of /NAMES list.",
    )
    return state


def members(state: NetworkState, channel: str = "#chan") -> dict[str, str]:
    return dict(state.channels[channel].members)


def test_registration_and_names_give_the_whole_picture() -> None:
    state = on_channel()
    assert state.registered
    assert state.mask == "Me!ident@my.host"
    channel = state.channels["#CHAN"]
    assert (channel.name, channel.topic, channel.topic_by, channel.topic_at, channel.names_complete) == (
        "#Chan", "the topic", "bob!b@h", 1_700_000_000_000, True,
    )  # fmt: skip
    assert members(state) == {"Me": "o", "Bob": "hv", "alice": ""}
    assert dict(state.users) == {"Me": "ident@my.host", "Bob": "b@h", "alice": ""}


def test_names_bring_those_who_are_news_and_no_one_twice() -> None:
    state = NetworkState("me")
    applied = apply(state, ":me!u@h JOIN #a", ":s 353 me @ #a :@me x")
    assert (applied.kind, applied.target, applied.channels) == ("names", "#a", ("#a",))
    assert applied.members == (("me", "o"), ("x", ""))
    assert apply(state, ":s 366 me #a :End") is NUMERIC
    assert apply(state, ":s 353 me @ #a :@me x") is NUMERIC
    assert apply(state, ":s 353 me @ #a :@me +x y").members == (("x", "v"), ("y", ""))


def test_names_asked_again_lose_nothing() -> None:
    state = on_channel()
    apply(state, ":s 353 Me = #chan :@Me %Bob", ":s 366 Me #chan :End", ":s 366 Me #chan :End")
    assert members(state) == {"Me": "o", "Bob": "hv", "alice": ""}
    apply(state, ":s 353 Me = #chan :@Bob", ":s 366 Me #chan :End")
    assert members(state)["Bob"] == "o"
    assert apply(state, ":s 353 Me = #elsewhere :@Bob") is NUMERIC
    assert apply(state, ":s 366 Me #elsewhere :End") is NUMERIC


def test_messages_find_their_buffer() -> None:
    state = on_channel()
    said = apply(state, ":Bob!b@h2 PRIVMSG #CHAN :hi")
    assert (said.kind, said.target, said.is_channel, said.own, said.text, said.nick) == (
        "privmsg", "#Chan", True, False, "hi", "Bob",
    )  # fmt: skip
    assert state.users["bob"] == "b@h2"
    said = apply(state, ":Bob!b@h NOTICE me :hi")
    assert (said.kind, said.target, said.is_channel, said.channels) == ("notice", "Bob", False, ())
    said = apply(state, ":ME!b@h PRIVMSG Carol :hi")
    assert (said.target, said.own) == ("Carol", True)
    said = apply(state, ":Me!b@h PRIVMSG Me :to myself")
    assert (said.target, said.own) == ("Me", True)
    assert apply(state, ":s NOTICE * :*** Looking up").target == ""
    assert apply(state, "NOTICE AUTH :*** Looking up").target == ""
    assert apply(state, ":irc.example NOTICE Me :hello").target == ""
    assert apply(state, ":Bob!b@h PRIVMSG @#chan :ops only").target == "#Chan"
    assert apply(state, ":Bob!b@h PRIVMSG #other :x").channels == ("#other",)
    assert apply(state, ":Bob!b@h TAGMSG #chan").kind == "tagmsg"
    assert apply(state, ":Bob!b@h PRIVMSG") is OTHER
    assert not apply(NetworkState(), "NOTICE AUTH :x").own


def test_actions_are_told_from_other_ctcp() -> None:
    state = on_channel()
    action = apply(state, ":Bob!b@h PRIVMSG #chan :\x01ACTION waves at you\x01")
    assert (action.kind, action.text) == ("action", "waves at you")
    assert apply(state, ":Bob!b@h PRIVMSG #chan :\x01ACTION\x01").text == ""
    ctcp = apply(state, ":Bob!b@h PRIVMSG Me :\x01VERSION\x01")
    assert (ctcp.kind, ctcp.text) == ("ctcp", "\x01VERSION\x01")
    assert apply(state, ":Bob!b@h NOTICE Me :\x01ACTION no\x01").kind == "ctcp"


def test_people_come_and_go() -> None:
    state = on_channel()
    joined = apply(state, ":carol!c@h JOIN #chan acct :Real")
    assert (joined.kind, joined.nick, joined.target, joined.own) == ("join", "carol", "#Chan", False)
    assert state.users["carol"] == "c@h"
    left = apply(state, ":carol!c@h PART #chan :bye")
    assert (left.kind, left.text) == ("part", "bye")
    assert "carol" not in state.users
    kicked = apply(state, ":Me!u@h KICK #chan BOB :out")
    assert (kicked.kind, kicked.nick, kicked.own, kicked.me, kicked.text) == ("kick", "Bob", True, False, "out")
    assert members(state) == {"Me": "o", "alice": ""}
    assert apply(state, ":x!y@z PART #nowhere") is OTHER
    assert apply(state, ":x!y@z KICK #nowhere Me") is OTHER
    assert apply(state, ":x!y@z JOIN #nowhere") is OTHER


def test_quit_and_nick_name_every_common_channel_as_it_was_before() -> None:
    state = on_channel()
    apply(state, ":Me!u@h JOIN #two,#three", ":Bob!b@h JOIN #two")
    renamed = apply(state, ":bob!b@h NICK Robert")
    assert (renamed.kind, renamed.nick, renamed.channels, renamed.me) == ("nick", "Robert", ("#Chan", "#two"), False)
    assert members(state)["Robert"] == "hv"
    assert state.users["robert"] == "b@h"
    gone = apply(state, ":robert!b@h QUIT :Ping timeout")
    assert (gone.kind, gone.text, gone.channels) == ("quit", "Ping timeout", ("#Chan", "#two"))
    assert "Robert" not in state.users
    assert apply(state, ":stranger!b@h QUIT :x").channels == ()
    mine = apply(state, ":Me!u@h NICK Me2")
    assert (mine.own, mine.me, mine.channels, state.nick) == (True, True, ("#Chan", "#two", "#three"), "Me2")
    assert apply(state, ":Me2!u@h QUIT").channels == ("#Chan", "#two", "#three")
    assert len(state.channels) == 0
    assert apply(state, "NICK x") is OTHER


def test_leaving_a_channel_forgets_whom_we_no_longer_see() -> None:
    state = on_channel()
    apply(state, ":Me!u@h JOIN #two", ":Bob!b@h JOIN #two")
    part = apply(state, ":Me!u@h PART #chan")
    assert (part.own, part.me, part.channels) == (True, True, ("#Chan",))
    assert sorted(state.users) == ["Bob", "Me"]
    kick = apply(state, ":Bob!b@h KICK #two me")
    assert (kick.own, kick.me) == (False, True)
    assert len(state.users) == len(state.channels) == 0


def test_joining_again_without_leaving_begins_anew() -> None:
    state = on_channel()
    apply(state, ":Me!u@h JOIN #chan")
    assert members(state) == {"Me": ""}
    assert state.channels["#chan"].topic == ""


def test_topics() -> None:
    state = on_channel()
    changed = apply(state, ":Bob!b@h TOPIC #chan :new one")
    assert (changed.kind, changed.text, changed.nick) == ("topic", "new one", "Bob")
    channel = state.channels["#chan"]
    assert (channel.topic_by, channel.topic_at) == ("Bob!b@h", 5000)
    assert apply(state, ":s 332 Me #chan :told").kind == "topic-is"
    assert apply(state, ":s 331 Me #chan :No topic").text == ""
    assert (channel.topic, channel.topic_at) == ("", 0)
    apply(state, ":s 333 Me #chan bob nonsense")
    assert channel.topic_at == 0
    assert apply(state, ":s 332 Me #other :x") is NUMERIC
    assert apply(state, ":x TOPIC #other :x") is OTHER


def test_channel_modes_and_the_roster() -> None:
    state = on_channel()
    mode = apply(state, ":Bob!b@h MODE #chan +vol-h+b Alice Me 5 bob *!*@x")
    assert (mode.kind, mode.text, mode.roster) == (
        "mode",
        "+vol-h+b Alice Me 5 bob *!*@x",
        (("#Chan", "alice", "v"), ("#Chan", "Bob", "v")),
    )
    assert state.channels["#chan"].modes == {"l": "5"}
    apply(state, ":s 324 Me #chan +ntk key", ":s 329 Me #chan 1600000000")
    assert state.channels["#chan"].mode_params() == ["+ntk", "key"]
    assert state.channels["#chan"].created_at == 1_600_000_000_000
    apply(state, ":Bob!b@h MODE #chan -k *")
    assert state.channels["#chan"].modes == {"n": None, "t": None}
    assert apply(state, ":Bob!b@h MODE #other +n") is OTHER


def test_our_own_modes_host_and_away() -> None:
    state = on_channel()
    mode = apply(state, ":Me MODE Me :+iwx")
    assert (mode.kind, mode.target, mode.me, mode.own) == ("mode", "", True, True)
    apply(state, ":Me MODE Me -x+z")
    assert state.umodes == "iwz"
    apply(state, ":s 221 Me +i", ":s 396 Me new.host :is now your hidden host")
    assert (state.umodes, state.host) == ("i", "new.host")
    apply(state, ":s 396 Me u2@cloak :is now your hidden host")
    assert state.mask == "Me!u2@cloak"
    apply(state, ":s 306 Me :away")
    away = [state.away]
    apply(state, ":s 305 Me :back")
    away.append(state.away)
    apply(state, ":Me!u@h AWAY :gone")
    assert [*away, state.away] == [True, False, True]


def test_news_of_people() -> None:
    state = on_channel()
    moved = apply(state, ":Bob!b@h CHGHOST new newer.host")
    assert (moved.kind, moved.channels) == ("chghost", ("#Chan",))
    assert state.users["bob"] == "new@newer.host"
    assert apply(state, ":Bob!b@h CHGHOST new") is OTHER
    apply(state, ":Me!u@h CHGHOST mine my.vhost", ":s 352 Me #chan al al.host s alice H :0 Alice")
    assert state.mask == "Me!mine@my.vhost"
    assert state.users["alice"] == "al@al.host"
    assert apply(state, ":Bob!b@h AWAY :lunch").text == "lunch"
    assert apply(state, ":Bob!b@h ACCOUNT bob").kind == "account"
    assert apply(state, ":Bob!b@h SETNAME :Bob B").kind == "setname"
    invited = apply(state, ":Bob!b@h INVITE Me #secret")
    assert (invited.kind, invited.me, invited.target, invited.text) == ("invite", True, "", "#secret")
    other = apply(state, ":Bob!b@h INVITE dave #chan")
    assert (other.me, other.target, other.is_channel) == (False, "#Chan", True)


def test_another_casemapping_takes_over_what_is_known() -> None:
    state = NetworkState("me")
    apply(state, ":me!u@h JOIN #a[", ":s 005 me CASEMAPPING=ascii :are supported")
    assert state.channels.casemap is ASCII
    assert "#A[" in state.channels
    assert "#a{" not in state.channels
    assert state.channels["#a["].members.casemap is ASCII


def test_signals_for_the_connection() -> None:
    state = NetworkState("me")
    assert apply(state, ":s 005 me NETWORK=x :are supported") is ISUPPORT
    assert apply(state, ":s 376 me :End of MOTD") is MOTD_END
    assert apply(state, ":s 422 me :No MOTD") is MOTD_END
    assert apply(state, ":s 311 me x y z * :real") is NUMERIC
    assert apply(state, "WALLOPS :x") is OTHER


def test_a_reset_forgets_the_connection_and_keeps_what_the_network_is_like() -> None:
    state = on_channel()
    state.reset()
    assert len(state.channels) == len(state.users) == 0
    assert (state.nick, state.registered, state.isupport.prefix[0]) == ("Me", False, "ohv")


def check(state: NetworkState) -> None:
    """Whom we know is exactly whom we share a channel with."""
    seen = {nick for channel in state.channels.values() for nick in channel.members.folded()}
    assert seen == state.users.folded()
    for channel in state.channels.values():
        assert state.nick in channel.members
    assert state._roster._members == sum(len(channel.members) for channel in state.channels.values())


NICKS = st.sampled_from(["Me", "me", "bob", "BOB", "carol", "d[ave"])
CHANNELS = st.sampled_from(["#a", "#A", "#b", "#c[", "#none"])
EVENTS = st.one_of(
    st.builds(":{}!u@h JOIN {}".format, NICKS, CHANNELS),
    st.builds(":{}!u@h PART {}".format, NICKS, CHANNELS),
    st.builds(":{}!u@h QUIT".format, NICKS),
    st.builds(":{}!u@h NICK {}".format, st.sampled_from(["bob", "carol", "d{ave"]), st.sampled_from(["x", "Bob", "y"])),
    st.builds(":x!u@h KICK {} {}".format, CHANNELS, NICKS),
    st.builds(":x!u@h MODE {} +o-v {} {}".format, CHANNELS, NICKS, NICKS),
    st.builds(":s 353 Me = {} :@{} +{}".format, CHANNELS, NICKS, NICKS),
    st.builds(":s 366 Me {} :End".format, CHANNELS),
    st.builds(":s 005 Me CASEMAPPING={} :x".format, st.sampled_from(["ascii", "rfc1459", "rfc1459-strict"])),
)


@given(st.lists(EVENTS, max_size=60))
@example([":Me!u@h JOIN #a", ":bob!u@h JOIN #a", ":Me!u@h JOIN #a"])
@example([":Me!u@h JOIN #a", ":Me!u@h JOIN #b", ":bob!u@h JOIN #a", ":bob!u@h JOIN #b", ":bob!u@h QUIT"])
@example([":Me!u@h JOIN #a", ":bob!u@h JOIN #a", ":x!u@h JOIN #a", ":bob!u@h NICK x"])
@example([":Me!u@h JOIN #a", ":bob!u@h JOIN #a", ":bob!u@h NICK Bob"])
def test_whatever_happens_we_know_exactly_whom_we_share_a_channel_with(events: list[str]) -> None:
    state = NetworkState("Me")
    for event in events:
        apply(state, event)
        check(state)


COMMANDS = [command.encode() for command in NetworkState._HANDLERS]


@given(st.lists(st.tuples(st.sampled_from(COMMANDS), st.lists(st.binary(max_size=12), max_size=6)), max_size=20))
def test_odd_lines_never_raise(lines: list[tuple[bytes, list[bytes]]]) -> None:
    state = on_channel()
    for command, params in lines:
        for source in (b":Me!u@h ", b":bob ", b""):
            try:
                message = Message.parse(source + command + b" " + b" ".join(params))
            except MalformedLineError:
                continue
            state.apply(message)
