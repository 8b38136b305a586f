"""Owns the SSLContexts towards networks, one per kind and never one per attempt, and the facts of a handshake."""

from __future__ import annotations

import asyncio
import hashlib
import os
import ssl
import tempfile
import threading
import weakref
from pathlib import Path
from typing import Literal, cast

from cryptography import x509

from bouncer.errors import ConnectError
from bouncer.upstream.params import ConnectParams, TlsFacts

_shared: dict[bool, ssl.SSLContext] = {}
_with_certificate: weakref.WeakValueDictionary[tuple[bool, bytes], ssl.SSLContext] = weakref.WeakValueDictionary()
_lock = threading.Lock()


async def context_for(params: ConnectParams) -> ssl.SSLContext:
    """The context shared by all connections of this kind: checked or not, with which certificate of ours.

    It is made in a thread: reading the system's authorities takes about 20 ms. Raises ConnectError when the
    client certificate cannot be used.
    """
    verify = params.tls_verify and not params.tls_fingerprint
    certificate = params.client_certificate
    ready = _shared.get(verify) if certificate is None else None
    if ready is not None:
        return ready
    return await asyncio.get_running_loop().run_in_executor(None, _context, verify, certificate)


def forget_contexts() -> None:
    """Read the system's authorities again for the connections made from now on."""
    with _lock:
        _shared.clear()
        _with_certificate.clear()


def _context(verify: bool, certificate: str | None) -> ssl.SSLContext:
    with _lock:
        if certificate is None:
            if verify not in _shared:
                _shared[verify] = _make(verify)
            return _shared[verify]
        key = (verify, hashlib.sha256(certificate.encode()).digest())
        context = _with_certificate.get(key)
        if context is None:
            context = _make(verify)
            _load(context, certificate)
            _with_certificate[key] = context
        return context


def _make(verify: bool) -> ssl.SSLContext:
    context = ssl.create_default_context() if verify else ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    if not verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return context


def _load(context: ssl.SSLContext, certificate: str) -> None:
    """Give OpenSSL the PEM by a name that is gone at once: the key is never left in a file system."""
    try:
        if hasattr(os, "memfd_create"):
            handle = os.memfd_create("client certificate", os.MFD_CLOEXEC)
            with os.fdopen(handle, "wb") as file:
                file.write(certificate.encode())
                file.flush()
                context.load_cert_chain(Path(f"/proc/self/fd/{handle}"))
        else:
            with tempfile.NamedTemporaryFile() as named:
                named.write(certificate.encode())
                named.flush()
                context.load_cert_chain(named.name)
    except (ssl.SSLError, OSError) as error:
        raise ConnectError(
            "the client certificate cannot be used: it needs a certificate and its key in PEM"
        ) from error


def facts_of(transport: asyncio.BaseTransport, params: ConnectParams) -> TlsFacts:
    """What the handshake brought. Raises ConnectError when the certificate is not the pinned one."""
    session = cast("ssl.SSLObject", transport.get_extra_info("ssl_object"))
    der = session.getpeercert(binary_form=True)
    if der is None:
        raise ConnectError("the server showed no certificate")
    fingerprint = hashlib.sha256(der).hexdigest()
    verified: Literal["authority", "fingerprint", "not"] = "authority" if params.tls_verify else "not"
    if params.tls_fingerprint:
        verified = "fingerprint"
        if fingerprint != params.tls_fingerprint.replace(":", "").strip().lower():
            raise ConnectError(f"the certificate's fingerprint is {fingerprint}, not the pinned one")
    cipher = session.cipher()
    subject, issuer, expires_ms = _read(der)
    return TlsFacts(
        version=session.version() or "",
        cipher=cipher[0] if cipher else "",
        subject=subject,
        issuer=issuer,
        expires_ms=expires_ms,
        fingerprint=fingerprint,
        verified=verified,
    )


def _read(der: bytes) -> tuple[str, str, int]:
    """(subject, issuer, expiry in ms); a certificate OpenSSL took but this parser does not is no reason to fail."""
    try:
        certificate = x509.load_der_x509_certificate(der)
        return (
            certificate.subject.rfc4514_string(),
            certificate.issuer.rfc4514_string(),
            int(certificate.not_valid_after_utc.timestamp() * 1000),
        )
    except ValueError:
        return "", "", 0
