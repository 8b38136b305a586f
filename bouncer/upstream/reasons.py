"""Owns the words for why a connection failed: from exceptions of the operating system to what a person understands."""

from __future__ import annotations

import errno
import os
import re
import socket
import ssl

_ERRNO = {
    errno.ECONNREFUSED: "connection refused",
    errno.ECONNRESET: "connection reset by the server",
    errno.EPIPE: "connection reset by the server",
    errno.ETIMEDOUT: "the server does not answer",
    errno.EHOSTUNREACH: "no route to the server",
    errno.ENETUNREACH: "the network is unreachable",
}
# X509_V_ERR_… of OpenSSL's x509_vfy.h
_VERIFY = {
    10: "certificate has expired",
    18: "certificate is self-signed",
    19: "certificate is signed by an authority that is not known here (self-signed)",
    20: "certificate is signed by an authority that is not known here",
    21: "certificate is signed by an authority that is not known here",
    9: "certificate is not valid yet",
    23: "certificate was revoked",
    62: "certificate is for another host name",
    64: "certificate is for another address",
}


def in_words(error: BaseException) -> str:
    """One phrase without a full stop, for the user."""
    if isinstance(error, ssl.SSLCertVerificationError):
        known = _VERIFY.get(error.verify_code)
        return f"{known}: {error.verify_message}" if known else f"certificate not accepted: {error.verify_message}"
    if isinstance(error, ssl.SSLError):
        reason = getattr(error, "reason", None) or ""
        if reason in {"WRONG_VERSION_NUMBER", "UNEXPECTED_EOF_WHILE_READING", "RECORD_LAYER_FAILURE"}:
            return "the server does not speak TLS on this port"
        return f"TLS failed: {(reason or str(error)).replace('_', ' ').lower()}"
    if isinstance(error, socket.gaierror):
        return f"host name not found: {error.strerror}"
    if isinstance(error, OSError):
        return _of_errno(error)
    return str(error) or type(error).__name__


def _of_errno(error: OSError) -> str:
    number = error.errno
    if number is None and (found := re.search(r"\[Errno (\d+)\]", str(error))):
        number = int(found[1])
    if number is None:
        return str(error) or "connection lost"
    return _ERRNO.get(number) or os.strerror(number).lower()
