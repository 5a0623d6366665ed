"""What can never work is said at the start; what a status means."""

from __future__ import annotations

import ssl
from pathlib import Path
from typing import Any

import pytest

from pipeline.engines import base, options
from pipeline.engines.openai import wire


def configured(url: str = "http://127.0.0.1:8000/v1", **more: Any) -> options.OpenAI:
    return options.OpenAI(engine="openai", url=url, **more)


@pytest.mark.parametrize(
    ("url", "root"),
    [
        ("http://127.0.0.1:8000/v1", "http://127.0.0.1:8000"),
        ("http://127.0.0.1:8000/v1/", "http://127.0.0.1:8000"),
        ("http://127.0.0.1:8000", "http://127.0.0.1:8000"),
        ("http://127.0.0.1:8000/", "http://127.0.0.1:8000"),
        ("https://ki.klinik.example/modelle/v1", "https://ki.klinik.example/modelle"),
        ("http://[::1]:8000/v1", "http://[::1]:8000"),
        ("http://modell_server:8000/v1", "http://modell_server:8000"),
        ("http://KI-1.Klinik.example./v1", "http://KI-1.Klinik.example."),
        (f"http://{'a' * 63}.example/v1", f"http://{'a' * 63}.example"),
        ("http://xn--mnchen-3ya.example/v1", "http://xn--mnchen-3ya.example"),
    ],
)
def test_addresses(url: str, root: str) -> None:
    assert wire.Wire(configured(url)).root == root


@pytest.mark.parametrize(
    "url",
    ["http://user:secret@host/v1", "http://user@host/v1", "http://:pass@host/v1", "http://", "http:///v1", "http://h:x/v1",
     "http://h:99999/v1", "http://h:0/v1", "http://h/v1?key=1", "http://h/v1#x", "http://h /v1", "http://[::1/v1",
     "http://höst/v1", "http://modelle..klinik.example:8000/v1", "http://.klinik.example/v1", "http://-.:80",
     f"http://{'a' * 64}.example/v1", f"http://{'a.' * 130}example/v1", "http://256.1.1.1/v1", "http://1.2.3/v1",
     "http://xn--zzzzzzzzzzzz99999.de/v1", "http://[fe80::1%25eth0]:8000/v1", "http://[::12345]/v1", "http://a-/v1",
     "http://a%20b/v1", "http://a\\b/v1"],
)  # fmt: skip
def test_addresses_that_can_never_work(url: str) -> None:
    with pytest.raises(base.NotUsable) as raised:
        wire.Wire(configured(url))
    assert str(raised.value).endswith(".")
    assert "secret" not in str(raised.value)


@pytest.mark.parametrize("content", [b"", b"\n", b"two words\n", "schlüssel".encode(), b"a\nb", b"a\x00b"])
def test_a_key_file_must_hold_one_key(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "key").write_bytes(content)
    with pytest.raises(base.NotUsable, match="must hold one key"):
        wire.Wire(configured(key_file=tmp_path / "key"))


def test_a_key_file_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(base.NotUsable, match="cannot be read"):
        wire.Wire(configured(key_file=tmp_path / "none"))
    with pytest.raises(base.NotUsable, match="cannot be read"):
        wire.Wire(configured(key_file=tmp_path))


def test_authorities_that_cannot_be_used(tmp_path: Path) -> None:
    (tmp_path / "ca.pem").write_text("no certificate", "ascii")
    with pytest.raises(base.NotUsable, match="no CA certificate"):
        wire.Wire(configured("https://h/v1", ca=tmp_path / "ca.pem"))
    with pytest.raises(base.NotUsable, match="cannot be read"):
        wire.Wire(configured("https://h/v1", ca=tmp_path / "none.pem"))


def test_certificate_and_host_are_checked_and_the_systems_authorities_are_trusted_for_https_alone() -> None:
    for url in ("https://h/v1", "http://h/v1"):
        context = wire._trust(None, url)
        assert (context.verify_mode, context.check_hostname) == (ssl.CERT_REQUIRED, True)
        assert context.minimum_version == ssl.TLSVersion.TLSv1_2
    assert wire._trust(None, "http://h").cert_store_stats()["x509_ca"] == 0


@pytest.mark.parametrize(
    ("status", "kind", "is_lost"),
    [(301, "disabled", False), (307, "disabled", False), (400, "refused", False), (401, "disabled", False),
     (403, "disabled", False), (404, "disabled", False), (413, "refused", False), (422, "refused", False),
     (429, "unavailable", True), (500, "unavailable", False), (503, "unavailable", True), (504, "unavailable", True),
     (204, "unavailable", False), (999, "unavailable", False)],
)  # fmt: skip
def test_what_a_status_means(status: int, kind: base.Kind, is_lost: bool) -> None:
    found = wire.failure(status)
    assert (found.kind, isinstance(found, wire.Lost)) == (kind, is_lost)
    assert found.text.endswith(f"(HTTP {status}).")
