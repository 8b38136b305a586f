"""Owns the rules for single values that a person may put into a row; knows no rows and no files.

Each function returns the clean value, or raises ValueError with the words to show beside the field.
"""

from __future__ import annotations

import codecs
import ipaddress
import re
import unicodedata

NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,31}")
SERVER_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,31}")
EMAIL = re.compile(r"[^\s@<>()\"',;:]{1,64}@[^\s@<>()\"',;:]{1,189}")
LABEL = re.compile(r"[A-Za-z0-9_]([A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?")

MAX_SECRET = 300
"""Characters of a password; with `PASS :` in front it still fits one IRC line."""
MAX_NICK = 64
"""No network allows longer ones; ergo's default is 32."""
MAX_USERNAME = 32
MAX_REALNAME = 200
MAX_ACCOUNT = 128
MAX_QUIT_MESSAGE = 200
MAX_ALTERNATIVES = 10
MAX_CHANNEL = 200
"""Bytes: the longest CHANNELLEN in use, and what RFC 1459 allows."""
MAX_CHANNELS = 500
MAX_COMMANDS = 4096
"""Bytes of all connect commands of one server."""
MAX_COMMAND_LINES = 50
MAX_LINE = 510
"""Bytes of one IRC line without its CR LF."""
MAX_WAIT_S = 300
"""Seconds that one WAIT among the connect commands may last."""
MAX_FALLBACKS = 10
MAX_AWAY = 300
LONGEST_DETACH_S = 365 * 86_400
CHANTYPES = "#&+!"

NO_CHARSETS = frozenset({"idna", "punycode", "raw-unicode-escape", "undefined", "unicode-escape", "utf-7"})
"""Codecs of Python's that make other text of ASCII, line breaks too, or take long to do it."""

_FORBIDDEN = frozenset({"Cc", "Cs", "Zl", "Zp"})


def one_line(value: str, limit: int) -> str:
    """Printable text of one line: no CR, LF, NUL, no other control character, at most `limit` characters."""
    if len(value) > limit:
        raise ValueError(f"at most {limit} characters")
    for char in value:
        if unicodedata.category(char) in _FORBIDDEN:
            raise ValueError("no line breaks or control characters")
    return value


def user_name(value: str) -> str:
    """A name to log in with."""
    if not NAME.fullmatch(value):
        raise ValueError("1 to 32 of a-z, 0-9, _ and -, beginning with a letter or digit")
    return value


def server_name(value: str) -> str:
    """A server's name: part of the login `user/server`, so no /, @, : or blank."""
    if not SERVER_NAME.fullmatch(value):
        raise ValueError("1 to 32 letters, digits, dots, _ and -, beginning with a letter or digit")
    return value


def email(value: str) -> str:
    """An address in lower case; only its shape is looked at."""
    value = value.lower()
    if not EMAIL.fullmatch(one_line(value, 254)):
        raise ValueError("not an e-mail address")
    return value


def password(value: str) -> str:
    """A password people log in with, which must fit into one PASS line."""
    if not value:
        raise ValueError("must not be empty")
    return one_line(value, MAX_SECRET)


def address(value: str) -> str:
    """A host name, an IPv4 or IPv6 address (brackets are taken off); IDNs in their ASCII form."""
    if not value:
        raise ValueError("a host name or an IP address is needed")
    one_line(value, 253)
    bare = value[1:-1] if value.startswith("[") and value.endswith("]") else value
    try:
        return str(ipaddress.ip_address(bare))
    except ValueError:
        pass
    if bare != value or ":" in value:
        raise ValueError("not a host name or IP address (the port is a field of its own)")
    try:
        host = value if value.isascii() else value.encode("idna").decode("ascii")
    except UnicodeError as error:
        raise ValueError("not a host name or IP address") from error
    labels = host.removesuffix(".").split(".")
    if not all(LABEL.fullmatch(label) for label in labels) or labels[-1].isdigit() or _hexadecimal(labels[-1]):
        raise ValueError("not a host name or IP address")
    return host.removesuffix(".").lower()


def _hexadecimal(label: str) -> bool:
    """Resolvers take `0x7f000001` for an address; as a name it does not exist."""
    return re.fullmatch(r"0[xX][0-9a-fA-F]*", label) is not None


def number(value: object, low: int, high: int) -> int:
    """A whole number from `low` to `high`."""
    try:
        result = int(str(value).strip())
    except ValueError:
        result = low - 1
    if not low <= result <= high:
        raise ValueError(f"a whole number from {low} to {high}")
    return result


def flag(value: object) -> bool:
    """A yes or no, as booleans, forms and people write them."""
    if isinstance(value, bool):
        return value
    word = str(value).strip().lower()
    if word in {"1", "on", "true", "yes"}:
        return True
    if word in {"", "0", "off", "false", "no"}:
        return False
    raise ValueError("yes or no")


def fingerprint(value: str) -> str:
    """A SHA-256 certificate fingerprint as 64 small hex digits; colons and blanks are allowed on the way in."""
    digits = value.replace(":", "").replace(" ", "").lower().removeprefix("sha256")
    if not re.fullmatch(r"[0-9a-f]{64}", digits):
        raise ValueError("64 hexadecimal digits (SHA-256), colons allowed")
    return digits


def nickname(value: str) -> str:
    """A nick that some network could accept; whether this one does is its answer."""
    if not value:
        raise ValueError("a nick is needed")
    one_line(value, MAX_NICK)
    if value[0] in "0123456789-:#&$+~%@":
        raise ValueError(f"a nick cannot begin with {value[0]}")
    if any(char in ",*?!@:. " or char.isspace() for char in value):
        raise ValueError("no blanks and none of , * ? ! @ : . in a nick")
    return value


def alternatives(value: str) -> str:
    """Nicks to try in turn, blank separated."""
    nicks = one_line(value, MAX_ALTERNATIVES * (MAX_NICK + 1)).replace(",", " ").split()
    if len(nicks) > MAX_ALTERNATIVES:
        raise ValueError(f"at most {MAX_ALTERNATIVES} nicks")
    return " ".join(nickname(nick) for nick in nicks)


def username(value: str) -> str:
    """The name before the @ of one's mask."""
    if not value:
        raise ValueError("a user name is needed")
    one_line(value, MAX_USERNAME)
    if value.startswith(":") or any(char in "@!" or char.isspace() for char in value):
        raise ValueError("no blanks, @, ! or leading colon")
    return value


def account(value: str) -> str:
    """An account name at the network's services."""
    one_line(value, MAX_ACCOUNT)
    if not value or value.startswith(":") or any(char.isspace() for char in value):
        raise ValueError("an account name without blanks is needed")
    return value


def channel(value: str, chantypes: str = CHANTYPES) -> str:
    """A channel name for these CHANTYPES."""
    one_line(value, MAX_CHANNEL)
    if not value or value[0] not in chantypes:
        raise ValueError(f"{value or 'a channel'} must begin with one of {chantypes}")
    if len(value) < 2 or len(value.encode()) > MAX_CHANNEL or any(char in ", " for char in value):
        raise ValueError(f"no blanks or commas in a channel name, and at most {MAX_CHANNEL} bytes")
    return value


def channel_key(value: str) -> str:
    """A channel's key."""
    one_line(value, MAX_CHANNEL)
    if not value or value.startswith(":") or any(char in ", " for char in value):
        raise ValueError("no blanks, commas or leading colon in a channel key")
    return value


def connect_commands(value: str) -> str:
    """Lines sent after registering, one each; `/msg NICK words` and `/quote LINE` are written out as IRC lines.

    `WAIT n` is no line of IRC: what follows it is sent n seconds later.
    """
    lines = [line.strip() for line in value.replace("\r\n", "\n").split("\n")]
    commands = [_command(line) for line in lines if line]
    result = "\n".join(commands)
    if len(commands) > MAX_COMMAND_LINES or len(result.encode()) > MAX_COMMANDS:
        raise ValueError(f"at most {MAX_COMMAND_LINES} lines and {MAX_COMMANDS} bytes")
    return result


def _command(line: str) -> str:
    one_line(line, MAX_LINE)
    if line.startswith("/"):
        word, _, rest = line[1:].partition(" ")
        if word.lower() in {"msg", "privmsg", "notice"}:
            target, _, text = rest.partition(" ")
            line = f"{'NOTICE' if word.lower() == 'notice' else 'PRIVMSG'} {target} :{text}"
        elif word.lower() in {"quote", "raw"}:
            line = rest
        else:
            line = line[1:]
    if line.upper().partition(" ")[0] == "WAIT":
        return f"WAIT {number(line[4:], 1, MAX_WAIT_S)}"
    if not re.match(r"[A-Za-z]+( |$)|[0-9]{3} ", line):
        raise ValueError(f"not an IRC command: {line[:40]}")
    if len(line.encode()) > MAX_LINE:
        raise ValueError(f"a line is longer than {MAX_LINE} bytes")
    return line


def regain_command(value: str) -> str:
    """What to say to services to get the nick back: a connect command in which `{nick}` stands for the nick."""
    line = _command(one_line(value, MAX_LINE).strip()) if value.strip() else ""
    if line.startswith("WAIT "):
        raise ValueError("a line to services, not WAIT")
    if re.search(r"[{}]", line.replace("{nick}", "")):
        raise ValueError("only {nick} can be filled in")
    return line


def place(value: str) -> tuple[str, int]:
    """Host and port from `host port` or `host:port` (an IPv6 address in brackets, or before a blank)."""
    host, blank, port = value.strip().rpartition(" ")
    if not blank:
        host, _, port = value.strip().rpartition(":")
    if not host or (not blank and ":" in host and not host.endswith("]")):
        raise ValueError(f"{value.strip()[:80]!r} is not a host and a port, like `irc2.example.org 6697`")
    return address(host.strip()), number(port, 1, 65_535)


def fallbacks(value: str) -> str:
    """More addresses of a network, one a line or after a comma; clean: `host port`, one a line."""
    items = [item for item in re.split(r"[,\n]", value.replace("\r\n", "\n")) if item.strip(" \t")]
    if len(items) > MAX_FALLBACKS:
        raise ValueError(f"at most {MAX_FALLBACKS} more addresses")
    return "\n".join(dict.fromkeys(f"{host} {port}" for host, port in map(place, items)))


def encoding(value: str) -> str:
    """An encoding that holds ASCII, by the name Python has for it; "" for the usual one."""
    if not value:
        return ""
    ascii_bytes = bytes(range(128))
    try:
        name = codecs.lookup(one_line(value, 40)).name if value.isascii() else "undefined"
        fits = name not in NO_CHARSETS and ascii_bytes.decode(name) == ascii_bytes.decode("ascii")
    except (LookupError, ValueError):
        fits, name = False, ""
    if not fits or name in {"ascii", "utf-8", "utf-8-sig"}:
        raise ValueError("an encoding such as cp1252, iso8859-15, koi8-r, cp1251, shift_jis, big5 or euc_kr")
    return name


def duration_s(value: str) -> int:
    """Seconds from `90`, `90s`, `30m`, `2h` or `7d`."""
    match = re.fullmatch(r"([0-9]{1,8})\s*([smhd]?)", value.strip().lower())
    seconds = int(match[1]) * {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86_400}[match[2]] if match else 0
    if not 1 <= seconds <= LONGEST_DETACH_S:
        raise ValueError("a length of time such as 90s, 30m, 2h or 7d, at most a year")
    return seconds
