from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from bouncer.irc import routing
from bouncer.irc.isupport import Isupport
from bouncer.irc.message import Message
from bouncer.irc.routing import ALL, OURS, Asker, Expired, Router


def router() -> Router[str]:
    isupport = Isupport()
    isupport.apply(["me", "CHANMODES=beIq,k,l,imnst", "are supported"])
    return Router(isupport)


def ask(routes: Router[str], client: str | Asker, line: str, now: float = 0) -> None:
    message = Message.parse(line.encode())
    routes.asked(client, message.command, message.params, now)


def who_gets(routes: Router[str], *lines: str, now: float = 1) -> list[str | Asker]:
    return [routes.reply(Message.parse(b":s " + line.encode()), now) for line in lines]


def test_an_answer_goes_to_who_asked_and_then_to_nobody_in_particular() -> None:
    routes = router()
    ask(routes, "a", "WHOIS bob")
    assert who_gets(routes, "311 me Bob u h * :r", "330 me Bob acc :x", "318 me bob :End") == ["a"] * 3
    assert who_gets(routes, "318 me bob :End") == [ALL]
    assert len(routes) == 0


def test_two_clients_asking_the_same_get_one_whole_answer_each() -> None:
    routes = router()
    for client in ("a", "b"):
        ask(routes, client, "WHO #x")
    answer = ["352 me #x u h s n H :0 r", "354 me 1", "315 me #x :End"]
    assert who_gets(routes, *answer, *answer) == ["a"] * 3 + ["b"] * 3


def test_what_is_named_decides_before_the_order() -> None:
    routes = router()
    ask(routes, "a", "WHOIS alice")
    ask(routes, "b", "WHOIS srv bob")
    assert who_gets(routes, "311 me BOB u h * :r", "318 me bob :End", "318 me alice :End") == ["b", "b", "a"]


def test_names_of_a_join_are_everyones_though_somebody_asked_for_other_names() -> None:
    routes = router()
    ask(routes, "a", "NAMES #x")
    assert who_gets(routes, "353 me = #y :me", "366 me #y :End") == [ALL, ALL]
    assert who_gets(routes, "353 me = #X :me", "366 me #X :End") == ["a", "a"]
    ask(routes, "a", "NAMES #x,#y")
    assert who_gets(routes, "366 me #x :End", "366 me #y :End", "366 me #y :End") == ["a", "a", ALL]


def test_our_own_questions_are_shown_to_nobody() -> None:
    routes = router()
    ask(routes, OURS, "MODE #x")
    assert who_gets(routes, "324 me #x +n", "329 me #x 5", "329 me #x 5") == [OURS, OURS, OURS]
    assert who_gets(routes, "PING", "329 me #x 5") == [ALL, ALL]


def test_mode_questions_by_their_kind() -> None:
    routes = router()
    ask(routes, "a", "MODE #x +b")
    ask(routes, "b", "MODE #x q")
    ask(routes, "c", "MODE me")
    ask(routes, "d", "MODE #x +o bob")
    ask(routes, "e", "MODE #x")
    assert who_gets(routes, "728 me #x q *!*@q", "729 me #x q :End", "367 me #x *!*@b", "368 me #x :End") == list(
        "bbaa"
    )
    assert who_gets(routes, "221 me +i", "324 me #x +n", "482 me #x :Not op") == ["c", "e", "d"]
    ask(routes, "a", "MODE #x e")
    assert who_gets(routes, "482 me #x :Not op", "482 me #x :Not op") == ["a", ALL]
    ask(routes, "b", "MODE me +i")  # done without a numeric
    ask(routes, "c", "MODE me")
    assert who_gets(routes, "221 me +i", "501 me :Unknown") == ["c", "b"]


def test_what_is_found_does_not_say_who_asked() -> None:
    routes = router()
    ask(routes, "a", "WHO bob")
    ask(routes, "b", "WHO #x")
    row = "352 me #x u h s bob H :0 r"
    assert who_gets(routes, row, "315 me bob :End", row, "315 me #x :End") == list("aabb")
    ask(routes, "a", "LIST")
    ask(routes, "b", "LIST #x")
    row = "322 me #x 1 :"
    assert who_gets(routes, "321 me C :U", row, "323 me :End", "321 me C :U", row, "323 me :End") == list("aaabbb")


def test_what_may_follow_the_end_goes_with_it() -> None:
    routes = router()
    ask(routes, "a", "LUSERS")
    ask(routes, "b", "LUSERS")
    answer = ["251 me :x", "252 me 1 :x", "255 me :x", "265 me :x", "266 me :x", "250 me :x"]
    assert who_gets(routes, *answer, *answer) == ["a"] * 6 + ["b"] * 6
    ask(routes, "a", "TOPIC #x")
    assert who_gets(routes, "332 me #x :t", "333 me #x bob 5", "332 me #x :t") == ["a", "a", ALL]
    ask(routes, "a", "VERSION")
    assert who_gets(routes, "351 me v s :x", "005 me A :are", "005 me B :are", "NOTICE", "005 me C :x")[-3:] == [
        "a", ALL, ALL,
    ]  # fmt: skip


def test_refusals_find_the_one_who_tried() -> None:
    routes = router()
    ask(routes, "a", "PRIVMSG #x :hi")
    ask(routes, "b", "PRIVMSG gone :hi")
    ask(routes, "c", "JOIN #full,#keyed")
    ask(routes, "d", "FROB x")
    ask(routes, "e", "NICK taken")
    ask(routes, "f", "INVITE bob #x")
    ask(routes, "g", "KICK #x bob")
    ask(routes, "h", "REHASH")
    refusals = {
        "401 me gone :No such nick": "b",
        "404 me #x :Cannot send": "a",
        "471 me #full :Full": "c",
        "475 me #keyed :Key": "c",
        "421 me FROB :Unknown": "d",
        "433 me taken :In use": "e",
        "443 me bob #x :is already on channel": "f",
        "482 me #x :Not op": "g",
        "481 me :Permission denied": "h",
        "401 me stranger :No such nick": ALL,
    }
    assert who_gets(routes, *refusals) == list(refusals.values())
    assert len(routes) == 0


def test_an_away_message_belongs_to_the_answer_under_way() -> None:
    routes = router()
    ask(routes, "a", "PRIVMSG bob :hi")
    ask(routes, "b", "WHOIS bob")
    assert who_gets(routes, "301 me bob :away") == ["a"]
    ask(routes, "a", "PRIVMSG bob :hi")
    assert who_gets(routes, "311 me bob u h * :r", "301 me bob :away", "318 me bob :End") == ["b"] * 3


def test_what_was_done_is_not_refused_any_more() -> None:
    routes = router()
    ask(routes, "a", "JOIN #x,#y")
    routes.settled("JOIN", "#X")
    assert who_gets(routes, "473 me #x :Invite only") == [ALL]
    routes.settled("JOIN", "#y")
    routes.settled("JOIN", "#y")
    assert len(routes) == 0


def test_standard_replies_name_their_command() -> None:
    routes = router()
    ask(routes, "a", "SETNAME :x")
    assert who_gets(routes, "WARN SETNAME X :careful", "FAIL SETNAME INVALID :no", "FAIL SETNAME X :no") == [
        "a",
        "a",
        ALL,
    ]
    assert who_gets(routes, "FAIL") == [ALL]


def test_an_answer_that_never_comes_blocks_nothing() -> None:
    routes = router()
    ask(routes, "a", "WHO #x", now=0)
    ask(routes, "a", "PRIVMSG #x :y", now=0)
    ask(routes, "b", "WHO #x", now=5)
    assert routes.expired(9.9) == []
    assert who_gets(routes, "352 me #x", now=10.5) == ["b"]
    assert routes.expired(10.5) == [Expired("a", "WHO", ["#x"], "315")]
    assert routes.expired(19) == []
    assert routes.expired(20.5) == [Expired("b", "WHO", ["#x"], "315")]


def test_a_long_answer_lasts_as_long_as_it_goes_on() -> None:
    routes = router()
    ask(routes, "a", "LIST")
    for now in range(5, 60, 5):
        assert who_gets(routes, "322 me #x 5 :t", now=now) == ["a"]
    assert who_gets(routes, "323 me :End of /LIST", now=60) == ["a"]


def test_a_lost_connection_ends_every_question() -> None:
    routes = router()
    ask(routes, "a", "LUSERS")
    ask(routes, "b", "LIST")
    assert who_gets(routes, "255 me :x") == ["a"]
    assert routes.clear() == ["b"]
    assert who_gets(routes, "265 me :x", "323 me :End") == [ALL, ALL]


def test_what_is_remembered_is_bounded() -> None:
    routes = router()
    for number in range(routing.MAX_PENDING * 2):
        ask(routes, "a", f"PRIVMSG n{number} :x")
    assert len(routes) == routing.MAX_PENDING
    assert who_gets(routes, f"401 me n{routing.MAX_PENDING * 2 - 1} :x", "401 me n0 :x") == ["a", ALL]


ANSWERS = {
    "WHO #a": ["352 me #a u h s x H :0 r", "352 me #a u h s y H :0 r", "315 me #a :End"],
    "WHO #b": ["315 me #b :End"],
    "WHOIS bob": ["311 me bob u h * :r", "312 me bob s :i", "318 me bob :End"],
    "WHOIS zoe": ["401 me zoe :No such nick", "318 me zoe :End"],
    "WHOWAS bob": ["314 me bob u h * :r", "312 me bob s :when", "369 me bob :End"],
    "NAMES #a": ["353 me = #a :x y", "366 me #a :End"],
    "LIST": ["321 me Channel :Users", "322 me #a 1 :t", "323 me :End"],
    "MODE #a b": ["367 me #a *!*@x", "368 me #a :End"],
    "MODE #a": ["324 me #a +nt", "329 me #a 5"],
    "TOPIC #a": ["332 me #a :t", "333 me #a bob 5"],
    "TOPIC #b": ["331 me #b :No topic"],
    "MOTD": ["375 me :-", "372 me :-", "376 me :End"],
    "LUSERS": ["251 me :x", "255 me :x", "265 me :x", "266 me :x"],
    "VERSION": ["351 me v s :c", "005 me A :are supported"],
    "USERHOST bob": ["302 me :bob=+u@h"],
    "FROB": ["421 me FROB :Unknown command"],
    "PRIVMSG nope :x": ["401 me nope :No such nick"],
    "JOIN #full": ["471 me #full :Cannot join"],
}
FOR_ALL = ["353 me = #z :me", "366 me #z :End", "332 me #z :topic", "401 me nobody :No such nick", "730 me :x!y@z"]

CLIENTS: st.SearchStrategy[str | Asker] = st.sampled_from(["a", "b", "c"]) | st.just(OURS)


@given(st.data())
def test_however_questions_and_answers_interleave_each_reaches_its_asker(data: st.DataObject) -> None:
    """A server answers in the order it was asked, each answer in one piece; lines for all fall in between."""
    routes = router()
    asked: list[tuple[str | Asker, str]] = []
    for _ in range(data.draw(st.integers(1, 40))):
        step = data.draw(st.sampled_from(["ask", "answer", "other"]))
        if step == "ask":
            client = data.draw(CLIENTS)
            question = data.draw(st.sampled_from(sorted(ANSWERS)))
            ask(routes, client, question)
            asked.append((client, question))
        elif step == "answer" and asked:
            client, question = asked.pop(0)
            assert who_gets(routes, *ANSWERS[question]) == [client] * len(ANSWERS[question])
        elif step == "other":
            assert who_gets(routes, data.draw(st.sampled_from(FOR_ALL))) == [ALL]
    for client, question in asked:
        assert who_gets(routes, *ANSWERS[question]) == [client] * len(ANSWERS[question])
    assert len(routes) == 0
