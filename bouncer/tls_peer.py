"""Owns asking a TLS client for its certificate without judging it: it is known by its fingerprint or not at all.

The ssl module can only ask for certificates that an authority it trusts has signed; OpenSSL can do without. The one
function it takes is called here, on the pointer that CPython keeps behind the header of each SSLContext object.
"""

from __future__ import annotations

import ctypes
import logging
import platform
import ssl

log = logging.getLogger(__name__)

_Callback = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p)


# https://docs.openssl.org/3.0/man3/SSL_CTX_set_cert_verify_callback/ : 1 is a good certificate.
_any_will_do = _Callback(lambda _store, _argument: 1)


def ask_for_certificate(context: ssl.SSLContext) -> bool:
    """Let a server's `context` ask clients for a certificate and take any, or none; False where that cannot be done."""
    library = _openssl()
    if library is None:
        return False
    context.verify_mode = ssl.CERT_OPTIONAL
    pointer = ctypes.c_void_p.from_address(id(context) + object.__basicsize__)
    if library.SSL_CTX_get_verify_mode(pointer) != 1:  # SSL_VERIFY_PEER, just set: this is the context
        context.verify_mode = ssl.CERT_NONE
        return False
    library.SSL_CTX_set_cert_verify_callback(pointer, _any_will_do, None)
    return True


def _openssl() -> ctypes.CDLL | None:
    if platform.python_implementation() != "CPython":
        return None
    try:
        import _ssl  # noqa: PLC0415 - where it is, OpenSSL is linked to it

        library = ctypes.CDLL(getattr(_ssl, "__file__", None))
        library.SSL_CTX_get_verify_mode.argtypes = [ctypes.c_void_p]
        library.SSL_CTX_set_cert_verify_callback.argtypes = [ctypes.c_void_p, _Callback, ctypes.c_void_p]
        library.SSL_CTX_set_cert_verify_callback.restype = None
    except (ImportError, OSError, AttributeError) as error:
        log.warning("clients cannot be asked for certificates here: %s", error)
        return None
    return library
