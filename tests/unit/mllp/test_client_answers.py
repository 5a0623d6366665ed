"""What the client reads in an answer."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fhir_gateway.mllp import client

HEAD = b"MSH|^~\\&|KIS|HOUSE|GW|HOUSE|20260101||ACK|a1|P|2.5"


@pytest.mark.parametrize(
    ("raw", "control_id", "code", "text"),
    [
        (HEAD + b"\rMSA|AA|m1\r", "m1", "AA", ""),
        (HEAD + b"\rMSA|CE|m1|Not known\r", "m1", "CE", "Not known"),
        (HEAD + b"\nMSA|AR|m1|\nERR|||207|E||||First\nERR|||207|E||||Second", "m1", "AR", "First"),
        (HEAD + b"\r\nMSA|AE|m1\r\nERR|\r\nERR|||207|E||||Second\r\n", "m1", "AE", "Second"),
        (HEAD.replace(b"|", b"#") + b"\rMSA#CA#m|1#a|b\r", "m|1", "CA", "a|b"),
        (b"\xef\xbb\xbf" + HEAD + b"\rMSA|CR|m1|M\xfcller\r", "m1", "CR", "Müller"),
        (b"\r\n" + HEAD + b"\rMSA|AA|m1|a\x00b\x7f\x9bc\r", "m1", "AA", "a\ufffdb\ufffd\ufffdc"),
        (HEAD + b"\rMSA|AA||x\r", "", "AA", "x"),
        (HEAD + b"\rMSA|AA\r", "", "AA", ""),
        (HEAD + b"\rMSA|AE|m1|" + b"x" * 500, "m1", "AE", "x" * 200),
        (HEAD + b"\rSFT|1\rZZZ|2\rMSA|AA|m1\rMSA|AE|m2", "m1", "AA", ""),
    ],
)
def test_an_answer(raw: bytes, control_id: str, code: str, text: str) -> None:
    assert client.parse(raw) == (control_id, client.Answer(code, text, raw))


@pytest.mark.parametrize(
    "raw",
    [b"", b"\r", b"\x06", b"MSH", b"MSH\rMSA|AA|m1", HEAD, HEAD + b"\rMSA", HEAD + b"\rMSA|XX|m1", b"\x15",
     HEAD + b"\rMSA|aa|m1", b"MSA|AA|m1", b"PID|1\r" + HEAD + b"\rMSA|AA|m1", HEAD + b"\rMSAX|AA|m1",
     b"HTTP/1.1 200 OK\r\n\r\n"],
)  # fmt: skip
def test_not_an_answer(raw: bytes) -> None:
    assert client.parse(raw) is None


@given(
    st.lists(st.sampled_from([b"MSH", b"MSA", b"ERR", b"|", b"^", b"\r", b"\n", b"AA", b"\xff", b"x"])).map(b"".join)
)
def test_no_bytes_break_it(raw: bytes) -> None:
    found = client.parse(raw)
    assert found is None or found[1].raw == raw
