"""What a TLS context demands, and what is said of files that cannot be used."""

from __future__ import annotations

import ssl
from collections.abc import Callable
from pathlib import Path

import pytest

from fhir_gateway import errors
from fhir_gateway.mllp import tls
from tests.unit.mllp.helpers import Certificates


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    """Of this module."""
    return Certificates(tmp_path_factory.mktemp("certificates"))


def test_no_version_below_1_2(certificates: Certificates) -> None:
    server = tls.server_context(certificates.pem("server"), certificates.key("server"), None)
    client = tls.client_context(certificates.pem("ca"), None, None)
    assert server.minimum_version == client.minimum_version == ssl.TLSVersion.TLSv1_2


def test_a_client_checks_certificate_and_host(certificates: Certificates) -> None:
    for context in (tls.client_context(certificates.pem("ca"), None, None), tls.client_context(None, None, None)):
        assert context.verify_mode == ssl.CERT_REQUIRED
        assert context.check_hostname


def test_a_named_ca_is_the_only_one(certificates: Certificates) -> None:
    context = tls.client_context(certificates.pem("ca"), certificates.pem("client"), certificates.key("client"))
    assert [found["subject"] for found in context.get_ca_certs()] == [((("commonName", "ca"),),)]


def test_client_certificates_are_demanded_where_a_ca_for_them_is_given(certificates: Certificates) -> None:
    files = certificates.pem("server"), certificates.key("server")
    assert tls.server_context(*files, certificates.pem("ca")).verify_mode == ssl.CERT_REQUIRED
    assert tls.server_context(*files, None).verify_mode == ssl.CERT_NONE


@pytest.mark.parametrize(
    ("make", "told"),
    [
        (lambda c, gone: tls.server_context(gone, c.key("server"), None), "none.pem cannot be read:"),
        (lambda c, gone: tls.server_context(c.pem("server"), gone, None), "none.pem cannot be read:"),
        (lambda c, gone: tls.server_context(c.pem("server"), c.key("server"), gone), "none.pem cannot be read:"),
        (lambda c, _: tls.server_context(c.pem("server"), c.key("client"), None), "client.key are not a cert"),
        (lambda c, _: tls.server_context(c.key("server"), c.key("server"), None), "server.key are not a cert"),
        (lambda c, _: tls.client_context(None, c.pem("client"), c.key("locked")), "its key without a passphrase."),
        (lambda c, _: tls.client_context(c.key("server"), None, None), "server.key holds no CA certificate in PEM."),
        (lambda c, gone: tls.client_context(gone.parent, None, None), "cannot be read: Is a directory."),
        (lambda c, _: tls.client_context(None, c.pem("client"), None), "A TLS client certificate needs its key"),
        (lambda c, _: tls.client_context(None, None, c.key("client")), "A TLS client certificate needs its key"),
    ],
    ids=["no certificate", "no key", "no CA", "another's key", "key twice", "passphrase", "CA is a key", "folder",
         "certificate alone", "key alone"],
)  # fmt: skip
def test_files_that_cannot_be_used(
    certificates: Certificates, tmp_path: Path, make: Callable[[Certificates, Path], ssl.SSLContext], told: str
) -> None:
    with pytest.raises(errors.ConfigurationError) as raised:
        make(certificates, tmp_path / "none.pem")
    assert told in raised.value.message
    assert raised.value.message.endswith(".")
