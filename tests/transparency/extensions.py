"""Scripts as in `sessions`, for what IRCv3 has added."""

from __future__ import annotations


def _lines(reference: str, target: str, *lines: str, tags: str = "", command: str = "PRIVMSG") -> str:
    """A multiline batch, sent at once; a line that begins with `+` goes on with the one before."""
    said = []
    for line in lines:
        concat = ";draft/multiline-concat" if line[:1] == "+" else ""
        said.append(f"@batch={reference}{concat} {command} {target} :{line.removeprefix('+')}")
    return " && ".join([f"{tags}BATCH +{reference} draft/multiline {target}", *said, f"BATCH -{reference}"])


EXTENSIONS: dict[str, str] = {
    "setname": """
        friend: JOIN #room
        me: JOIN #room
        friend: SETNAME :A New Name
        me: SETNAME :My New Name
        me: SETNAME
        me: WHOIS alice
        me: SETNAME :Somebody at the keyboard
    """,
    "account-host": """
        friend: JOIN #room
        me: JOIN #room
        friend: LOGIN freddy
        friend: PRIVMSG #room :with an account
        friend: PART #room
        friend: JOIN #room
        friend: SETHOST cloak.example
        friend: PRIVMSG #room :with another host
        me: LOGIN alison
        me: SETHOST veiled.example
        me: PRIVMSG #room :hidden
        friend: LOGIN
        me: LOGIN
        friend: SETHOST host.test
        me: SETHOST host.test
        me: REGISTER * * secret
        me: REGISTER
        me: LOGIN
    """,
    "extended-monitor": """
        me: MONITOR + friend
        friend: AWAY :not here
        friend: AWAY
        friend: LOGIN freddy
        friend: SETHOST cloak.example
        friend: SETNAME :Another
        friend: LOGIN
        friend: SETHOST host.test
        me: MONITOR - friend
    """,
    "redact": """
        me: JOIN #room
        friend: JOIN #room
        friend: PRIVMSG #room :said too soon
        friend: REDACT #room {msgid} :sorry
        me: PRIVMSG #room :me too
        friend: PRIVMSG #room :offending
        me: REDACT #room {msgid} :not here
        me: REDACT #room nosuchid :what
        me: REDACT #nowhere nosuchid
        me: REDACT #room
        me: PRIVMSG friend :private
        friend: PRIVMSG alice :private too
        me: REDACT friend {msgid}
        friend: REDACT alice {msgid} :gone
    """,
    "rename": """
        me: JOIN #old
        friend: JOIN #old
        me: TOPIC #old :kept
        me: RENAME #old #new :better
        friend: PRIVMSG #new :nice
        me: PRIVMSG #new :is it not
        friend: RENAME #new #mine
        me: RENAME #nowhere #new
        me: RENAME #new
        friend: JOIN #taken
        me: RENAME #new #taken :x
        me: MODE #new +o friend
        friend: RENAME #new #old :back
        me: NAMES #old
    """,
    "metadata": """
        me: JOIN #room
        friend: JOIN #room
        me: METADATA * SUB avatar url
        me: METADATA * SUBS
        friend: METADATA * SUB avatar url
        me: METADATA * SET avatar :http://a.example/x.png
        friend: METADATA * SET avatar :http://b.example/y.png
        me: METADATA friend GET avatar nothing
        me: METADATA #room SET url :http://room.example
        friend: METADATA #room SET url :x
        me: METADATA #room LIST
        me: METADATA #room SYNC
        me: METADATA nobody LIST
        me: METADATA * SET b%d :x
        me: METADATA * BOGUS
        me: METADATA *
        me: METADATA * SET avatar
        me: METADATA #room CLEAR
        me: METADATA * UNSUB avatar url
        friend: METADATA * SET avatar
        friend: METADATA * UNSUB avatar url
    """,
    "multiline": f"""
        me: JOIN #room
        friend: JOIN #room
        other: JOIN #room
        other: PRIVMSG #room :before
        friend: {_lines("1", "#room", "one", "two")}
        me: {_lines("1", "#room", "three", "", "+four")}
        me: {_lines("2", "friend", "five", "six")}
        friend: {_lines("x", "alice", "seven", "+eight", command="NOTICE")}
        me: {_lines("3", "#room", "nine", "ten", tags="@+draft/reply=abc ")}
        me: BATCH +4 draft/multiline #room && @batch=4 PRIVMSG #room :a && @batch=4 PRIVMSG #other :b && BATCH -4
        me: {_lines("5", "nobody", "a")}
    """,
    "labels-of-talk": """
        me: JOIN #room
        friend: JOIN #room
        me: PRIVMSG #room :one && PRIVMSG #room :one && PRIVMSG friend :one
        me: NOTICE friend :two
        me: @+x=y TAGMSG #room
        me: PRIVMSG alice :myself
        me: PRIVMSG nobody :three
        me: NOTICE nobody :three
        me: PONG nothing
        me: PING nothing
    """,
}
