"""German HL7 v2 messages, MLLP connections as a test wants them, and what a gateway keeps of what it got."""

from __future__ import annotations

import base64
import contextlib
import json
import socket
import ssl
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from tests import support
from tests.support import Gateway

VT, FS, CR = b"\x0b", b"\x1c", b"\r"
ER7 = "x-application/hl7-v2+er7"

#: MSH-18 and the Python name of what the bytes are then.
CODECS = {"": "ascii", "ASCII": "ascii", "8859/1": "latin-1", "8859/15": "iso8859-15", "UNICODE UTF-8": "utf-8"}


def frame(*messages: bytes) -> bytes:
    """Messages in their frames, one after the other."""
    return b"".join(VT + message + FS + CR for message in messages)


def control() -> str:
    """A control id (MSH-10) that was never used before."""
    return uuid.uuid4().hex[:20]


def segment(name: str, values: Mapping[int, str]) -> str:
    """A segment with these fields, as they stand on the wire. MSH-1 and MSH-2 are the usual ones."""
    if name == "MSH":
        return "|".join(["MSH", "^~\\&", *(values.get(number, "") for number in range(3, max(values) + 1))])
    return "|".join([name, *(values.get(number, "") for number in range(1, max(values) + 1))])


def header(event: str, structure: str, more: Mapping[int, str] | None = None) -> str:
    """MSH as a German record system writes it: enhanced mode, a commit answer and no other, ISO 8859-1."""
    return segment(
        "MSH",
        {
            3: "ORBIS", 4: "Klinikum Köln", 5: "FHIR-GATEWAY", 6: "Klinikum Köln", 7: "20261122101500+0100",
            9: f"{event}^{structure}", 10: control(), 11: "P", 12: "2.5^DEU&&HL70399", 15: "AL", 16: "NE", 17: "DEU",
            18: "8859/1", 19: "DEU^^HL70296", 21: "2.16.840.1.113883.2.6.9.38", **(more or {}),
        },
    )  # fmt: skip


def about(patient: str, visit: str, name: str) -> list[str]:
    """PID and PV1 of an in-patient."""
    return [
        segment("PID", {
            1: "1", 3: f"{patient}^^^ORBIS^PI", 5: f"{name}^^^^^L", 7: "19581104", 8: "M",
            11: "Lindenstraße 5&Lindenstraße&5^^Köln^^50667^DEU^H", 13: "^PRN^PH^^49^221^478001",
        }),
        segment("PV1", {
            1: "1", 2: "I", 3: "CHI1^201^1^KLINIKUM^^N^A^4", 19: f"{visit}^^^ORBIS^VN", 44: "20261122100000",
        }),
    ]  # fmt: skip


def adt(
    event: str = "A01",
    *,
    patient: str | None = None,
    visit: str | None = None,
    name: str = "Müller^Jürgen",
    msh: Mapping[int, str] | None = None,
    codec: str | None = None,
    segments: tuple[str, ...] = (),
) -> bytes:
    """An ADT message with patient and case. `msh` are fields of the header, `codec` what the bytes are in truth."""
    structure = {"A08": "ADT_A01", "A11": "ADT_A09"}.get(event, f"ADT_{event}")
    fields = dict(msh or {})
    number = fields.setdefault(10, control())
    head = header(f"ADT^{event}", structure, fields)
    patient, visit = patient or f"P{number}", visit or f"F{number}"
    lines = [head, segment("EVN", {1: event, 2: "20261122101500"}), *about(patient, visit, name), *segments]
    return written(lines, codec or CODECS[fields.get(18, "8859/1")])


def mdm(content: bytes, content_type: str, *, patient: str, number: str, msh: Mapping[int, str] | None = None) -> bytes:
    """An MDM^T02 with a document as a base64 attachment (ED). `number` is the document's (TXA-12)."""
    encoded = base64.b64encode(content).decode("ascii")
    kind, _, subtype = content_type.partition("/")
    lines = [
        header("MDM^T02", "MDM_T02", msh),
        segment("EVN", {1: "T02", 2: "20261122101500"}),
        *about(patient, f"F{patient}", "Schröder^Änne"),
        segment("TXA", {1: "1", 2: "DS^Entlassbrief", 3: subtype, 4: "20261122100000", 12: f"{number}^KIS", 17: "AU"}),
        segment("OBX", {1: "1", 2: "ED", 3: "DS^Entlassbrief", 5: f"^{kind}^{subtype}^Base64^{encoded}", 11: "F"}),
    ]
    return written(lines, "latin-1")


def written(lines: list[str], codec: str, end: str = "\r") -> bytes:
    """Segments as the bytes of a message."""
    return "".join(f"{line}{end}" for line in lines).encode(codec)


def control_of(message: bytes) -> str:
    """MSH-10."""
    return message.split(message[3:4])[9].decode("ascii")


@dataclass(frozen=True)
class Answer:
    """An acknowledgement: its bytes, and what the tests ask of them."""

    raw: bytes

    @property
    def segments(self) -> list[list[str]]:
        """The fields of each segment; those of MSH are one place to the left."""
        text = self.raw.decode("latin-1")
        return [line.split(text[3]) for line in text.split("\r") if line]

    def _segment(self, name: str) -> list[str]:
        return next((fields for fields in self.segments if fields[0] == name), [])

    @property
    def code(self) -> str:
        """MSA-1."""
        return self._segment("MSA")[1]

    @property
    def control(self) -> str:
        """MSA-2; empty where the message had no control id that could be read."""
        return self._segment("MSA")[2] if len(self._segment("MSA")) > 2 else ""

    @property
    def said(self) -> tuple[str, str]:
        """MSA-1 and MSA-2."""
        return self.code, self.control

    @property
    def error(self) -> tuple[str, str, str]:
        """Where (ERR-2), the code (ERR-3) and the reason (ERR-8) of the first error; all empty without one."""
        fields = self._segment("ERR")
        if not fields:
            return "", "", ""
        return fields[2], fields[3].split("^")[0], fields[8]

    @property
    def is_positive(self) -> bool:
        """Whether the sender may forget the message."""
        return self.code in ("AA", "CA")


class Line:
    """A connection to an MLLP port. It knows bytes only, and waits for them as long as a test may."""

    def __init__(self, port: int, tls: ssl.SSLContext | None = None) -> None:
        plain = socket.create_connection(("127.0.0.1", port), support.DEADLINE)
        plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # a write is a packet
        self._socket = tls.wrap_socket(plain, server_hostname="localhost") if tls is not None else plain
        self._come = b""

    def __enter__(self) -> Line:
        return self

    def __exit__(self, *_error: object) -> None:
        self._socket.close()

    def raw(self, data: bytes) -> None:
        """Bytes as they are."""
        self._socket.sendall(data)

    def send(self, *messages: bytes) -> None:
        """Messages in one write."""
        self.raw(frame(*messages))

    def end(self) -> None:
        """Say that nothing more comes."""
        self._socket.shutdown(socket.SHUT_WR)

    def answers(self, count: int) -> list[Answer]:
        """The next answers."""
        return [self.answer() for _number in range(count)]

    def answer(self) -> Answer:
        """The next answer. ConnectionError when the connection ends before it is whole."""
        while True:
            content, edge, rest = self._come.partition(FS + CR)
            if edge:
                self._come = rest
                assert content.startswith(VT), content
                return Answer(content[1:])
            come = self._socket.recv(65_536)
            if not come:
                raise ConnectionError(f"the connection ended with {self._come!r}")
            self._come += come

    def ask(self, message: bytes) -> Answer:
        """Send one message; its answer."""
        self.send(message)
        return self.answer()

    def to_end(self) -> list[Answer]:
        """The answers until the gateway ends the connection; there may be none."""
        found: list[Answer] = []
        with contextlib.suppress(ConnectionError):
            while True:
                found.append(self.answer())
        return found

    def is_silent(self, seconds: float) -> bool:
        """Whether nothing comes for so long."""
        self._socket.settimeout(seconds)
        try:
            self._come += self._socket.recv(65_536)
        except TimeoutError:
            return not self._come
        finally:
            self._socket.settimeout(support.DEADLINE)
        return False


def ask(gateway: Gateway, message: bytes) -> Answer:
    """The answer to one message on a connection of its own."""
    with Line(gateway.mllp_port) as line:
        return line.ask(message)


@dataclass(frozen=True)
class Kept:
    """What the gateway keeps of one message: its row, and the status under which its bytes lie in the inbox."""

    state: str
    site: str
    event: str
    reason: str | None
    inbox: int


def kept(gateway: Gateway, message: bytes) -> list[Kept]:
    """What is kept of all messages with these bytes, in the order of their arrival."""
    return [
        Kept(*row)
        for row in gateway.rows(
            "SELECT m.state, m.site, m.event, m.reason, r.status FROM message m JOIN received r ON r.id = m.id"
            " WHERE r.body = ? ORDER BY m.number",
            message,
        )
    ]


def settled(gateway: Gateway, message: bytes) -> Kept:
    """What is kept of the one message with these bytes, once it does not wait for its mapping any more."""

    def done() -> Kept | None:
        (found,) = kept(gateway, message)
        return found if found.state != "received" else None

    return support.poll(done, "the mapping of a message")


def all_settled(gateway: Gateway, deadline: float = support.DEADLINE) -> None:
    """Wait until no message waits for its mapping."""
    waiting = "SELECT 1 FROM message WHERE state = 'received' LIMIT 1"
    support.poll(lambda: not gateway.rows(waiting) or None, "the mapping of all messages", deadline)


def the_patient(gateway: Gateway, message: bytes, patient: str) -> dict[str, Any]:
    """The one Patient with this number, once the message about it has been mapped."""
    found = settled(gateway, message)
    assert found.state == "mapped", found
    (resource,) = gateway.found("Patient", identifier=patient)
    return resource


def logged(gateway: Gateway) -> Iterator[dict[str, Any]]:
    """The lines of its log that are JSON."""
    for line in gateway.log_text().splitlines():
        if line.startswith("{"):
            yield json.loads(line)
