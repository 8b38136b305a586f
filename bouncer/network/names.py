"""Owns how many client names a network keeps a place in the history for: a client may make them up."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bouncer import journal_sql as sql
from bouncer.irc.message import as_text
from bouncer.journal import Change

if TYPE_CHECKING:
    from bouncer.network.network import Network

MAX_NAMES = 1_000
"""For each server."""


def keep_within(network: Network) -> str:
    """With too many, the one that was here the longest ago is new when it comes again: words to tell, "" for none."""
    if len(network.receipts) <= MAX_NAMES:
        return ""
    here = {attachment.client.name for attachment in network.attachments}
    oldest = next((name for name in network.receipts if name not in here), None)
    if oldest is None:
        return ""
    network.forget_receipt(oldest)
    network.keep(Change(sql.RECEIPT_REMOVE, (network.server_id, as_text(oldest))))
    return f"More than {MAX_NAMES} client names: {oldest or 'the one without a name'} is forgotten"
