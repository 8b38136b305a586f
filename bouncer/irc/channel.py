"""Owns what is known of one channel we are on: topic, modes and members; knows nothing of other channels or of us."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bouncer.irc import modes
from bouncer.irc.casemap import FoldDict

if TYPE_CHECKING:
    from bouncer.irc.casemap import Casemap
    from bouncer.irc.isupport import Isupport

MAX_MODES = 128
"""Mode letters kept of a channel or of us: far beyond any real network."""
LONGEST_MODE_PARAM = 300
"""Characters; a mode with a longer parameter is not kept."""


class ChannelState:
    """One channel we are on.

    `topic` is "" where there is none; `topic_at` and `created_at` in ms UTC, 0 unknown. `modes` maps set letters to
    their parameter or None (lists such as bans are not kept). `members` maps nicks to mode letters, highest first.
    """

    __slots__ = (
        "created_at", "members", "modes", "modes_known",
        "name", "names_complete", "topic", "topic_at", "topic_by",
    )  # fmt: skip

    def __init__(self, name: str, casemap: Casemap) -> None:
        self.name = name
        self.topic = ""
        self.topic_by = ""
        self.topic_at = 0
        self.created_at = 0
        self.modes: dict[str, str | None] = {}
        self.modes_known = False  # 324 has come
        self.members: FoldDict[str] = FoldDict(casemap)
        self.names_complete = False

    def mode_params(self) -> list[str]:
        """The modes as the parameters of a MODE or 324: ["+lnt", "5"]."""
        args = [arg for arg in self.modes.values() if arg]
        return ["+" + "".join(self.modes), *args]

    def apply_modes(self, text: str, args: list[str], isupport: Isupport) -> list[tuple[str, str, str]]:
        """Take in a mode string with its arguments; returns an `Applied.roster`: whose letters changed, and to what."""
        changed: dict[str, str] = {}
        lists = isupport.chanmodes[0]
        for change in modes.parse(text, args, isupport):
            if change.letter in isupport.prefix[0]:
                nick = self.members.spelled(change.arg or "")
                if nick is None:
                    continue
                letters = modes.with_letter(self.members[nick], change, isupport)
                if letters != self.members[nick]:
                    self.members[nick] = changed[nick] = letters
            elif change.letter in lists:
                continue
            elif not change.add:
                self.modes.pop(change.letter, None)
            elif len(self.modes) < MAX_MODES and len(change.arg or "") <= LONGEST_MODE_PARAM:
                self.modes[change.letter] = change.arg
        return [(self.name, nick, letters) for nick, letters in changed.items()]
