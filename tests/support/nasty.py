"""Text that means something to somebody on its way: line ends, quotes, SQL, search operators, paths, format strings."""

from __future__ import annotations

from hypothesis import strategies as st

LINE_ENDS = ("\r", "\n", "\r\n", "\v", "\f", "\x1c", "\x85", "\u2028", "\u2029")
PIECES = (
    *LINE_ENDS, "\0", "\x1b[2J", "\x01", "\x7f", "\u202e", "\ud800", "\udcff", "\ufeff", "\u00e9", "\U0001f600",
    "'", '"', "`", "\\", ";", "--", "/*", "' OR 1=1 --", "); DROP TABLE users", "%", "%s", "%n", "{", "}", "{0}",
    "{nick}", "{self.__class__}", "$HOME", "$(id)", "|", "&", "<b>", "<script>", "*", "^", "NEAR(", " OR ", " AND ",
    " NOT ", 'a"b', "col:", "../", "..\\", "/etc/passwd", "C:", "~", ":", ",", "@", "!", "#", "=", " ", "\t", "-",
    "--yes", "OK", "ERR", "QUIT", "PRIVMSG", "+", "0x7f.1", "a", "b", "1",
)  # fmt: skip

texts = st.lists(st.sampled_from(PIECES), max_size=6).map("".join)
"""Anything, lone surrogates too (bytes that were no UTF-8)."""
irc_texts = texts.map(
    lambda text: text.encode("utf-8", "surrogatepass").replace(b"\n", b"").decode("utf-8", "surrogateescape")
)
"""What one line of IRC may hold on its way in: all but LF."""


def is_text(value: str) -> bool:
    """Whether it can be written as UTF-8."""
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True
