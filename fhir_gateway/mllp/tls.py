"""TLS 1.2 and 1.3 for MLLP, on both sides. Whom a context trusts is what its arguments name, and nobody else."""

from __future__ import annotations

import ssl
from pathlib import Path

from fhir_gateway import errors


def server_context(certificate: Path, key: Path, client_ca: Path | None) -> ssl.SSLContext:
    """For a listener; with `client_ca` a client has to show a certificate that this CA issued.

    All files are PEM, the key without a passphrase. Raises ConfigurationError.
    """
    context = _context(ssl.PROTOCOL_TLS_SERVER)
    _show(context, certificate, key)
    if client_ca is not None:
        context.verify_mode = ssl.CERT_REQUIRED
        _trust(context, client_ca)
    return context


def client_context(ca: Path | None, certificate: Path | None, key: Path | None) -> ssl.SSLContext:
    """For a client: the server's certificate must be issued by `ca`, or else by one the system trusts, for its host.

    `certificate` and `key` are the client's own, both or none of them. All files are PEM, the key without a
    passphrase. Raises ConfigurationError.
    """
    context = _context(ssl.PROTOCOL_TLS_CLIENT)  # which checks certificate and host name
    if ca is not None:
        _trust(context, ca)
    else:
        context.load_default_certs(ssl.Purpose.SERVER_AUTH)
    if certificate is not None and key is not None:
        _show(context, certificate, key)
    elif certificate is not None or key is not None:
        raise errors.ConfigurationError("A TLS client certificate needs its key, and a key its certificate.")
    return context


def _context(protocol: int) -> ssl.SSLContext:
    context = ssl.SSLContext(protocol)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return context


def _show(context: ssl.SSLContext, certificate: Path, key: Path) -> None:
    for path in (certificate, key):
        _readable(path)
    try:
        context.load_cert_chain(certificate, key, password=lambda: "")  # else OpenSSL asks for it on the terminal
    except ssl.SSLError:
        raise errors.ConfigurationError(
            f"{certificate} and {key} are not a certificate in PEM and its key without a passphrase."
        ) from None


def _trust(context: ssl.SSLContext, ca: Path) -> None:
    _readable(ca)
    try:
        context.load_verify_locations(ca)
    except ssl.SSLError:
        raise errors.ConfigurationError(f"{ca} holds no CA certificate in PEM.") from None


def _readable(path: Path) -> None:
    """OpenSSL does not say which file it could not read."""
    try:
        path.read_bytes()
    except OSError as error:
        raise errors.ConfigurationError(f"{path} cannot be read: {error.strerror}.") from None
