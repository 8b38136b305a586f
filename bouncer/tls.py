"""Owns certificates: makes self-signed and client ones, and keeps the listeners' TLS context; opens no socket."""

from __future__ import annotations

import contextlib
import hashlib
import ipaddress
import os
import re
import ssl
import tempfile
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from bouncer.errors import ConfigError
from bouncer.tls_peer import ask_for_certificate

if TYPE_CHECKING:
    from collections.abc import Sequence

_DAYS = 3650  # trusted by its fingerprint or not at all, so an early end would only surprise
_COMMON_NAME_CHARS = 64


@dataclass(frozen=True, slots=True)
class Certificate:
    """A certificate and its private key, both PEM; `fingerprint` is the SHA-256 of the DER form, 64 hex digits."""

    cert_pem: bytes
    key_pem: bytes
    fingerprint: str

    @property
    def pem(self) -> str:
        """Key and certificate in one text, as `use_client_certificate` takes it."""
        return (self.key_pem + self.cert_pem).decode("ascii")


def fingerprint(der: bytes, algorithm: Literal["sha256", "sha512"] = "sha256") -> str:
    """Digest of a certificate in DER form: 64 lower-case hex digits, 128 for SHA-512."""
    return hashlib.new(algorithm, der).hexdigest()


def self_signed(hosts: Sequence[str]) -> Certificate:
    """A server certificate for host names and addresses (at least one), P-256, valid for ten years."""
    names: list[x509.GeneralName] = []
    for host in hosts:
        try:
            names.append(x509.IPAddress(ipaddress.ip_address(host)))
        except ValueError:
            names.append(x509.DNSName(_dns_name(host)))
    if not names:
        raise ConfigError("a certificate needs at least one host name or address")
    return _make(hosts[0], ExtendedKeyUsageOID.SERVER_AUTH, x509.SubjectAlternativeName(names))


def client_certificate(name: str) -> Certificate:
    """A certificate for SASL EXTERNAL with `name` as its subject; networks know it by its fingerprint."""
    return _make(name, ExtendedKeyUsageOID.CLIENT_AUTH, None)


def pem_fingerprint(pem: str, algorithm: Literal["sha256", "sha512"] = "sha256") -> str:
    """The fingerprint of the first certificate in a PEM text; raises ConfigError when there is none."""
    try:
        certificate = x509.load_pem_x509_certificate(pem.encode("ascii"))
    except ValueError:
        raise ConfigError("there is no certificate in this PEM text") from None
    return fingerprint(certificate.public_bytes(serialization.Encoding.DER), algorithm)


def _dns_name(host: str) -> str:
    with contextlib.suppress(UnicodeError):
        name = host.encode("idna").decode("ascii")
        if re.fullmatch(r"(\*\.)?[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?", name):
            return name
    raise ConfigError(f"{host!r} is not a host name")


def _make(name: str, usage: x509.ObjectIdentifier, extra: x509.SubjectAlternativeName | None) -> Certificate:
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name[:_COMMON_NAME_CHARS])])
    begin = datetime.now(UTC).replace(microsecond=0) - timedelta(days=1)  # clocks differ
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(begin)
        .not_valid_after(begin + timedelta(days=_DAYS))
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(x509.ExtendedKeyUsage([usage]), critical=False)
    )
    if extra is not None:
        builder = builder.add_extension(extra, critical=False)
    certificate = builder.sign(key, hashes.SHA256())
    return Certificate(
        certificate.public_bytes(serialization.Encoding.PEM),
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()),
        fingerprint(certificate.public_bytes(serialization.Encoding.DER)),
    )


def write_pair(certificate: Certificate, cert: Path, key: Path) -> None:
    """Write both files (key 0600, certificate 0644, folders as needed 0700), each whole or not at all.

    Raises ConfigError where a file is in the way or cannot be written. Blocking.
    """
    for path in (cert, key):
        if path.exists():
            raise ConfigError(f"{path} is there already; move it away first")
    try:
        _write(key, certificate.key_pem, 0o600)
        _write(cert, certificate.cert_pem, 0o644)
    except OSError as error:
        raise ConfigError(f"{error.filename}: {error.strerror}") from None


def _write(path: Path, data: bytes, mode: int) -> None:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            os.fchmod(file.fileno(), mode)
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


class ServerTls:
    """The TLS context of all ircs listeners: give `context` to the listener once, `reload` as often as files change.

    Each handshake takes the newest certificate; connections that exist keep what they have.
    """

    def __init__(self, cert: Path, key: Path) -> None:
        self._current = _load(cert, key)
        self.context = _load(cert, key)
        self.context.sni_callback = self._swap  # called for every handshake, with or without a server name

    def reload(self, cert: Path, key: Path) -> None:
        """Use these files from the next handshake on; raises ConfigError and changes nothing if they are no pair.

        Blocking, so call it in a thread: it builds a new context and does not touch the one in use, which OpenSSL does
        not allow while handshakes go on.
        """
        self._current = _load(cert, key)

    def _swap(self, connection: ssl.SSLObject, _name: str | None, _context: ssl.SSLContext) -> None:
        connection.context = self._current


def _load(cert: Path, key: Path) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    ask_for_certificate(context)
    for path in (cert, key):
        try:
            with path.open("rb"):
                pass
        except OSError as error:
            raise ConfigError(f"{path}: {error.strerror}") from None
    try:
        context.load_cert_chain(cert, key, password=_no_password)
    except (ssl.SSLError, OSError, ValueError) as error:
        words = getattr(error, "reason", None) or str(error)
        raise ConfigError(f"{cert} and {key} are not a certificate and its unencrypted key (PEM): {words}") from None
    return context


def _no_password() -> bytes:
    """What OpenSSL gets for an encrypted key; without it, it would ask on the terminal."""
    return b""


def use_client_certificate(context: ssl.SSLContext, pem: str) -> None:
    """Let `context` present the certificate and key in `pem`; raises ConfigError.

    The ssl module reads paths only: the secret goes through a nameless file in memory, never through the disk.
    """
    handle = os.memfd_create("client-certificate", os.MFD_CLOEXEC)
    with contextlib.closing(os.fdopen(handle, "wb")) as file:
        file.write(pem.encode("utf-8", "replace"))
        file.flush()
        try:
            context.load_cert_chain(f"/proc/self/fd/{handle}", password=_no_password)
        except (ssl.SSLError, OSError, ValueError):
            raise ConfigError("the client certificate is not a certificate with its unencrypted key (PEM)") from None
