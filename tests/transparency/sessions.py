"""What is said on each network: one script for each family of commands, in the form `stage` plays.

What a network does not have is asked of it all the same: then its refusal is what has to come through.
"""

from __future__ import annotations

from tests.transparency.extensions import EXTENSIONS

SESSIONS: dict[str, str] = {
    "join-part": """
        me: JOIN #room
        friend: JOIN #room
        friend: PART #room :that is all
        friend: JOIN #room
        me: PART #room :good  bye
        me: PART #room
        me: JOIN #one,#two
        me: PART #one,#two :both
        me: JOIN #Room
        me: PART #rOOM
        me: JOIN
        me: JOIN nochannel
        me: JOIN #one && JOIN #one
        me: JOIN 0
        me: PART #nowhere
    """,
    "join-refused": """
        friend: JOIN #keyed
        friend: MODE #keyed +k sesame
        me: JOIN #keyed
        me: JOIN #keyed wrong
        me: JOIN #keyed sesame
        me: PART #keyed
        friend: JOIN #closed
        friend: MODE #closed +i
        me: JOIN #closed
        friend: INVITE alice #closed
        me: JOIN #closed
        friend: JOIN #full
        friend: MODE #full +l 1
        me: JOIN #full,#closed
        friend: JOIN #banned
        friend: MODE #banned +b alice!*@*
        me: JOIN #banned
    """,
    "privmsg": """
        me: JOIN #room
        friend: JOIN #room
        other: JOIN #room
        friend: PRIVMSG #room :hello  there
        me: PRIVMSG #room :hello yourself: with : colons
        me: PRIVMSG #room word
        me: NOTICE #room :noticed
        friend: NOTICE #room :noticed too
        me: PRIVMSG #room :\x01ACTION waves\x01
        friend: PRIVMSG #room :\x01ACTION waves back\x01
        me: PRIVMSG friend :between us
        friend: PRIVMSG alice :and back
        friend: NOTICE alice :quietly
        friend: PRIVMSG alice :\x01VERSION\x01
        me: NOTICE friend :\x01VERSION mine\x01
        me: PRIVMSG #room :first && PRIVMSG #room :second && PRIVMSG friend :third
        me: PRIVMSG #room :žluťoučký kůň 🐎
        me: PRIVMSG friend,other :to both
        me: PRIVMSG @#room :to operators
        friend: PRIVMSG +#room :to the voiced
    """,
    "privmsg-refused": """
        me: PRIVMSG nobody :are you there
        me: NOTICE nobody :are you there
        me: PRIVMSG #nowhere :hello
        me: PRIVMSG
        me: PRIVMSG friend
        me: PRIVMSG friend :
        friend: JOIN #quiet
        friend: MODE #quiet +m
        me: JOIN #quiet
        me: PRIVMSG #quiet :may I
        me: PRIVMSG #quiet :may I && PRIVMSG friend :they do not let me && PRIVMSG #quiet :still not
        friend: JOIN #inside
        me: PRIVMSG #inside :from outside
        friend: AWAY :out for lunch
        me: PRIVMSG friend :where are you
        friend: AWAY
        me: PRIVMSG alice :to myself
    """,
    "tagmsg": """
        me: JOIN #room
        friend: JOIN #room
        friend: @+draft/react=x;+typing=active TAGMSG #room
        me: @+draft/react=y\\sz TAGMSG #room
        me: @+typing=done TAGMSG friend
        friend: @+draft/reply=abc PRIVMSG #room :an answer
        me: @+draft/reply=def;+example.org/odd PRIVMSG #room :one too
        me: @+draft/reply={msgid} PRIVMSG #room :to what was said last
        me: TAGMSG nobody
        me: TAGMSG
    """,
    "nick": """
        friend: JOIN #room
        me: JOIN #room
        friend: NICK pal
        friend: NICK friend
        me: NICK alicia
        friend: PRIVMSG #room :who is that
        me: PRIVMSG #room :me
        me: NICK friend
        me: NICK #bad
        me: NICK
        me: NICK alicia
        me: NICK ALICIA
        me: NICK alice
    """,
    "topic": """
        me: JOIN #room
        friend: JOIN #room
        me: TOPIC #room
        me: TOPIC #room :a  new topic
        me: TOPIC #room
        friend: TOPIC #room :may I
        me: MODE #room -t
        friend: TOPIC #room :now I may
        me: TOPIC #room :
        friend: JOIN #other
        friend: TOPIC #other :of another channel
        me: TOPIC #other
        me: TOPIC #nowhere
        me: TOPIC #nowhere :x
        me: TOPIC
        me: JOIN #other
    """,
    "mode": """
        me: JOIN #room
        friend: JOIN #room
        other: JOIN #room
        me: MODE #room
        me: MODE #room +ov friend other
        me: MODE #room -o+v friend friend
        friend: MODE #room +i
        me: MODE #room +lk 20 sesame
        me: MODE #room
        me: MODE #room -lk sesame
        me: MODE #room +o nobody
        me: MODE #room +!
        me: MODE #nowhere
        me: MODE #nowhere +i
        me: MODE alice
        me: MODE alice +i
        me: MODE alice
        me: MODE alice -i
        me: MODE friend +i
        me: MODE friend
        me: MODE
        friend: JOIN #theirs
        me: JOIN #theirs
        me: MODE #theirs +m
        me: MODE #room +m && MODE #room && MODE #room -m
    """,
    "mode-lists": """
        me: JOIN #room
        friend: JOIN #room
        me: MODE #room b
        me: MODE #room +b *!*@bad.example
        me: MODE #room +b worse!*@*
        me: MODE #room b
        me: MODE #room +b
        me: MODE #room -b *!*@bad.example
        me: MODE #room +e good!*@*
        me: MODE #room e
        me: MODE #room +I guest!*@*
        me: MODE #room I
        me: MODE #room +q loud!*@*
        me: MODE #room q
        me: MODE #room b && MODE #room e && MODE #room I && MODE #room
        me: MODE #room Z
        friend: MODE #room b
        friend: JOIN #theirs
        me: MODE #theirs b
        me: MODE #nowhere b
    """,
    "names": """
        friend: JOIN #room
        other: JOIN #room
        me: JOIN #room
        friend: MODE #room +vo other other
        me: NAMES #room
        me: NAMES #nowhere
        me: NAMES #room,#nowhere
        friend: JOIN #hidden
        friend: MODE #hidden +s
        me: NAMES #hidden
        me: NAMES #ROOM
        me: NAMES #room && NAMES #room && WHO #room
    """,
    "who": """
        friend: JOIN #room
        other: JOIN #room
        me: JOIN #room
        friend: MODE #room +vo other other
        other: AWAY :not here
        me: WHO #room
        me: WHO friend
        me: WHO fri*
        me: WHO nobody
        me: WHO #nowhere
        me: WHO #room o
        me: WHO #room %tcuhnfar,42
        me: WHO #room %na
        me: WHO friend %tuhna,7
        me: WHO friend && WHO #room %tn,1 && WHO other && WHO #room
        friend: JOIN #hidden
        friend: MODE #hidden +s
        me: WHO #hidden
    """,
    "whois": """
        friend: JOIN #room
        me: JOIN #room
        me: WHOIS friend
        me: WHOIS alice
        me: WHOIS FRIEND
        me: WHOIS nobody
        me: WHOIS friend friend
        me: WHOIS
        friend: AWAY :out for lunch
        me: WHOIS friend
        me: WHOIS friend && WHOIS other && WHOIS nobody && WHOIS friend
        me: WHOIS friend,other
    """,
    "whowas": """
        me: WHOWAS nobody
        +ghost: arrives
        -ghost: gone
        me: WHOWAS ghost
        me: WHOWAS ghost 1
        me: WHOWAS
        me: WHOWAS ghost && WHOWAS nobody && WHOWAS ghost
    """,
    "list": """
        friend: JOIN #room
        friend: TOPIC #room :a topic  of it
        me: LIST
        me: LIST #room
        me: LIST #nowhere
        me: LIST >0
        me: LIST && LIST #room
    """,
    "kick": """
        me: JOIN #room
        friend: JOIN #room
        other: JOIN #room
        friend: KICK #room other :may I
        me: KICK #room other :out  with you
        me: KICK #room friend
        me: KICK #room friend
        me: KICK #room nobody
        me: KICK #nowhere friend
        me: KICK #room
        friend: JOIN #theirs
        me: JOIN #theirs
        me: KICK #theirs friend
        friend: KICK #theirs alice :you go
        me: JOIN #theirs
    """,
    "invite": """
        me: JOIN #room
        me: INVITE friend #room
        friend: JOIN #room
        me: INVITE friend #room
        friend: JOIN #theirs
        friend: INVITE alice #theirs
        me: INVITE nobody #room
        me: INVITE other #nowhere
        me: INVITE other #theirs
        me: INVITE friend
        me: MODE #room +o friend
        friend: INVITE other #room
        other: AWAY :not here
        me: INVITE other #room
    """,
    "knock": """
        friend: JOIN #closed
        me: KNOCK #closed
        friend: MODE #closed +i
        me: KNOCK #closed :let me in
        me: KNOCK #nowhere
        me: KNOCK
        me: JOIN #mine
        me: KNOCK #mine
        me: MODE #mine +i
        friend: KNOCK #mine :and me
    """,
    "away": """
        friend: JOIN #room
        me: JOIN #room
        me: AWAY :gone fishing
        friend: WHOIS alice
        friend: PRIVMSG alice :hello
        me: AWAY
        friend: AWAY :me too
        friend: AWAY
        me: AWAY :twice && AWAY :again && AWAY
    """,
    "monitor": """
        me: MONITOR + friend,ghost
        +ghost: arrives
        me: MONITOR L
        me: MONITOR S
        -ghost: gone
        me: MONITOR - friend
        me: MONITOR L
        me: MONITOR C
        me: MONITOR L
        +ghost: arrives again
        -ghost: gone
        me: MONITOR
        me: MONITOR + a,b && MONITOR L && MONITOR S
    """,
    "ison-userhost": """
        me: ISON friend nobody other
        me: ISON nobody
        me: ISON
        me: USERHOST friend
        me: USERHOST friend nobody alice
        me: USERHOST
        me: ISON friend && USERHOST friend && ISON other
    """,
    "server": """
        me: MOTD
        me: MOTD nowhere.example
        me: LUSERS
        me: VERSION
        me: VERSION nowhere.example
        me: TIME
        me: ADMIN
        me: INFO
        me: LINKS
        me: MAP
        me: STATS u
        me: STATS P
        me: STATS
        me: HELP
        me: HELP JOIN
        me: HELP nothing-like-it
        me: HELPOP
        me: TRACE
        me: USERIP friend
        me: RULES
        me: SERVLIST
        me: SUMMON friend
        me: USERS
        me: VERSION && MOTD && LUSERS && ADMIN
    """,
    "unknown": """
        me: FROBNICATE
        me: FROBNICATE with :some  parameters
        me: ODD one :two  three
        me: SILENCE
        me: WATCH
        me: OPER a
        me: KILL friend :no
        me: REHASH
        me: DIE
        me: WALLOPS :hello
        me: USER again 0 * :x
        me: PASS again
        me: frobnicate
        me: version
        me: FROBNICATE && ISON friend && FROB
    """,
    "quit": """
        +ghost: arrives
        me: JOIN #room
        ghost: JOIN #room
        -ghost: off to bed
        +ghost: arrives
        ghost: JOIN #room
        ghost: PRIVMSG #room :back
        -ghost: again
    """,
    **EXTENSIONS,
}
