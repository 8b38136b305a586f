"""Owns the login to an account at a network by SASL: pydle's hooks, our own bodies, and an end in every case.

pydle's time-out never fires, it answers 904 with a line that is answered by 904, and it has no SCRAM.
https://ircv3.net/specs/extensions/sasl-3.2
"""

from __future__ import annotations

import asyncio
import base64
from typing import TYPE_CHECKING

import pydle

from bouncer import sasl
from bouncer.errors import ProtocolError
from bouncer.upstream.capabilities import CapabilityClient, Owner

if TYPE_CHECKING:
    from bouncer.irc.message import Message
    from bouncer.upstream.params import ConnectParams

_CHALLENGE_LIMIT = 16384


def mechanism_for(params: ConnectParams) -> sasl.Mechanism | None:
    """The mechanism the user chose, None for none. ProtocolError for a name or password it cannot carry."""
    account, password = params.auth_account or params.nickname, params.auth_password or ""
    match params.auth_method:
        case "sasl-plain":
            return sasl.Plain(account, password)
        case "sasl-scram":
            return sasl.ScramSha256(account, password)
        case "sasl-external":
            return sasl.External(params.auth_account or "")
        case _:
            return None


class SaslClient(CapabilityClient):
    """`account` is who the network says we are; None while it has said nothing."""

    def __init__(self, params: ConnectParams, owner: Owner) -> None:
        self.account: str | None = None
        self._uses_sasl = params.auth_method.startswith("sasl-")
        self._outcome = ""  # "" while open, then "ok" or why it failed
        self._mechanism: sasl.Mechanism | None = None
        self._challenge = ""
        self._timer: asyncio.TimerHandle | None = None
        self._offered_mechanisms = ""
        super().__init__(params, owner)

    def close(self) -> None:
        """Forget what is under way; the connection is over."""
        self._mechanism = None
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    # -- when it begins

    async def on_capability_sasl_available(self, value: str) -> bool:
        """Whether to ask for it: pydle's hook, called for LS and NEW. `value` lists mechanisms, or is empty."""
        if not self._uses_sasl:
            return "PLAIN" in (value or "PLAIN").upper().split(",")  # a person may log in later, by their client
        if self._outcome == "ok" or self._mechanism is not None:
            return False
        name = mechanism_name(self.params)
        if value and name not in value.upper().split(","):
            self._failed(f"the network does not offer {name}, only {value}")
            return False
        self._outcome = ""
        return True

    def listed(self) -> None:
        """Not in the list of capabilities: there is nothing to wait for."""
        if "sasl" not in self.cap_values:
            self.sasl_missed("the network does not offer SASL")

    def refused(self, name: str) -> None:
        """Offered, then not given."""
        if name == "sasl":
            self.sasl_missed("the network offers SASL but does not give it")

    def sasl_missed(self, why: str) -> None:
        """It is over without having been tried."""
        if self._uses_sasl and not self._outcome:
            self._failed(why)

    async def on_capability_sasl_enabled(self) -> object:
        """Begin; pydle's hook, called for ACK."""
        try:
            self._mechanism = mechanism_for(self.params)
        except ProtocolError as error:
            self._failed(str(error))
        if self._mechanism is None:
            return pydle.CAPABILITY_NEGOTIATED
        self._challenge = ""
        # Half of the time for all of the registration, so that the other half is left to go on without.
        self._timer = asyncio.get_running_loop().call_later(self.params.register_s / 2, self._timed_out)
        await self.rawmsg("AUTHENTICATE", self._mechanism.name)
        return pydle.CAPABILITY_NEGOTIATING

    # -- the exchange

    async def on_raw_authenticate(self, message: Message) -> None:
        """A challenge, or 400 bytes of one."""
        mechanism = self._mechanism
        if mechanism is None:
            return
        chunk = message.param(0)
        self._challenge += "" if chunk == "+" else chunk
        if len(self._challenge) > _CHALLENGE_LIMIT:
            self._abort("the server's challenge does not end")
            return
        if len(chunk) >= sasl.RESPONSE_CHUNK:
            return
        try:
            challenge = base64.b64decode(self._challenge, validate=True)
        except ValueError:  # binascii.Error is one, and so is what is no ASCII
            self._abort("the server's challenge cannot be read")
            return
        self._challenge = ""
        if mechanism.slow:  # thousands of rounds of a hash: not on the loop
            step = asyncio.get_running_loop().run_in_executor(None, mechanism.step, challenge)
            step.add_done_callback(lambda done: self._stepped(mechanism, done))
        else:
            self._respond(mechanism.step(challenge))

    def _stepped(self, mechanism: sasl.Mechanism, step: asyncio.Future[bytes]) -> None:
        error = None if step.cancelled() else step.exception()
        if mechanism is not self._mechanism or step.cancelled():
            return
        if error is None:
            self._respond(step.result())
        else:
            self._abort(str(error))

    def _respond(self, response: bytes) -> None:
        for chunk in sasl.chunks(response):
            self.owner.send(b"AUTHENTICATE " + chunk.encode())

    # -- how it ends

    def _timed_out(self) -> None:
        self._abort(f"no answer within {self.params.register_s / 2:g} s")

    def _abort(self, why: str) -> None:
        """Give up from our side; whatever the server answers to it is no longer ours to answer."""
        self.owner.send(b"AUTHENTICATE *")
        self._failed(why)

    def _failed(self, why: str) -> None:
        self.close()
        self._outcome = why
        self._capabilities_negotiating.discard("sasl")
        if self.params.auth_required:
            self.owner.fail(f"SASL failed: {why}", permanent=True)
            return
        self.owner.note("sasl", f"failed: {why}; not logged in to an account")
        self.end_negotiation()

    async def on_raw_900(self, message: Message) -> None:
        """Logged in: nick, mask, account."""
        self.account = message.param(2) or None

    async def on_raw_901(self, message: Message) -> None:
        """Logged out."""
        del message
        self.account = None

    async def on_raw_903(self, message: Message) -> None:
        """Success; 907 says the same of an earlier one."""
        del message
        if self._mechanism is None:
            return
        self.close()
        self._outcome = "ok"
        self.owner.note("sasl", f"logged in as {self.account or self.params.auth_account or self.nickname}")
        self._capabilities_negotiating.discard("sasl")
        self.end_negotiation()

    on_raw_907 = on_raw_903

    async def on_raw_904(self, message: Message) -> None:
        """Refused: 902 locked, 904 wrong, 905 too long, 906 ended by either side. The answer to none of them is a line.

        A second one for the same exchange finds no mechanism and does nothing.
        """
        if self._mechanism is not None:
            words = message.params[-1] if len(message.params) > 1 else "refused"
            self._failed(f"{words} (offered: {self._offered_mechanisms})" if self._offered_mechanisms else words)

    on_raw_902 = on_raw_905 = on_raw_906 = on_raw_904

    async def on_raw_908(self, message: Message) -> None:
        """The mechanisms there are; a 904 follows."""
        self._offered_mechanisms = message.param(1)


def mechanism_name(params: ConnectParams) -> str:
    """What the chosen method is called on the wire."""
    return {"sasl-plain": "PLAIN", "sasl-scram": "SCRAM-SHA-256", "sasl-external": "EXTERNAL"}.get(
        params.auth_method, ""
    )
