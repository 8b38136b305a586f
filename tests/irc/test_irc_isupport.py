from __future__ import annotations

from bouncer.irc.casemap import ASCII, RFC1459
from bouncer.irc.isupport import Isupport

END = "are supported by this server"


def test_what_holds_before_a_network_says_anything() -> None:
    isupport = Isupport()
    assert isupport.casemap is RFC1459
    assert isupport.chantypes == "#&"
    assert isupport.prefix == ("ov", "@+")
    assert isupport.chanmodes == ("b", "k", "l", "imnpst")
    assert (isupport.statusmsg, isupport.network, isupport.linelen, isupport.nicklen) == ("", "", 512, None)
    assert isupport.tokens() == []


def test_tokens_are_taken_in_changed_and_taken_back() -> None:
    isupport = Isupport()
    first = ["me", "CASEMAPPING=ascii", "PREFIX=(qaohv)~&@%+", "NETWORK=Big\\x20Net", "NICKLEN=30", "SAFELIST", END]
    assert isupport.apply(first) == first[1:-1]
    assert isupport.casemap is ASCII
    assert isupport.prefix == ("qaohv", "~&@%+")
    assert isupport.network == "Big Net"
    assert isupport.nicklen == 30
    assert isupport.get("SAFELIST") == ""
    assert isupport.get("KNOCK") is None
    assert isupport.apply(["me", "NICKLEN=30", "-SAFELIST", "-SAFELIST", "-CASEMAPPING", "LINELEN=4096", END]) == [
        "-SAFELIST",
        "-CASEMAPPING",
        "LINELEN=4096",
    ]
    assert isupport.casemap is RFC1459
    assert isupport.linelen == 4096
    assert isupport.tokens() == ["PREFIX=(qaohv)~&@%+", "NETWORK=Big\\x20Net", "NICKLEN=30", "LINELEN=4096"]


def test_one_bad_token_costs_only_itself() -> None:
    isupport = Isupport()
    isupport.apply(["me", "=", "", "A B=1", "PREFIX=(ov", "NICKLEN=many", "CHANMODES=b", "STATUSMSG=@+", END])
    assert isupport.prefix == ("ov", "@+")
    assert isupport.nicklen is None
    assert isupport.chanmodes == ("b", "", "", "")
    assert isupport.statusmsg == "@+"
    isupport.apply([])
    isupport.apply(["me", "PREFIX=", "LAST"])
    assert isupport.prefix == ("", "")
    assert isupport.get("LAST") == ""
    assert isupport.apply(["me", "-PREFIX", "-PREFIX", END]) == ["-PREFIX"]
    assert isupport.prefix == ("ov", "@+")


def test_a_network_cannot_fill_memory_with_tokens() -> None:
    isupport = Isupport()
    isupport.apply(["me", *(f"K{n}" for n in range(1000)), END])
    assert len(isupport.tokens()) == 256


def test_a_dump_loads_into_the_same_and_rubbish_is_passed_over() -> None:
    isupport = Isupport()
    isupport.apply(["me", "NETWORK=x", "SAFELIST", "CASEMAPPING=ascii", END])
    again = Isupport()
    again.load(isupport.dump())
    assert again.tokens() == isupport.tokens()
    assert again.casemap is ASCII
    again.load({"a b": "x", "NICKLEN": 5, "NETWORK": "y"})
    assert again.tokens() == ["NETWORK=y"]
    again.clear()
    assert again.network == ""


def test_status_targets_are_told_from_channels() -> None:
    isupport = Isupport()
    assert isupport.split_target("#a") == ("", "#a")
    assert isupport.split_target("@#a") == ("@", "#a")
    assert isupport.split_target("@nick") == ("", "@nick")
    isupport.apply(["me", "CHANTYPES=#+", "STATUSMSG=@+", END])
    assert isupport.split_target("+a") == ("", "+a")
    assert isupport.split_target("@#a") == ("@", "#a")
    assert isupport.split_target("") == ("", "")
    assert not isupport.is_channel("")
