"""HL7 v2 over TCP and HTTP against a real gateway: what was answered positively is there, once, and as it was sent."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import random
import resource
import socket
import sqlite3
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest

from fhir_gateway.mllp import tls
from tests import support
from tests.acceptance import hl7v2
from tests.acceptance.hl7v2 import CR, FS, VT, Answer, Line
from tests.support import Gateway
from tests.unit.mllp.helpers import Certificates

CONNECTIONS, MESSAGES, PATIENTS = 30, 3_000, 600
SEED = random.SystemRandom().randrange(1_000_000)
TOKEN = "geheim"
ORIGINAL = {15: "", 16: ""}  # neither MSH-15 nor MSH-16: one answer, AA, AE or AR


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    """Of this module."""
    return Certificates(tmp_path_factory.mktemp("certificates"))


@pytest.fixture
def strict(strict_gateway: StrictGateway) -> StrictGateway:
    """A gateway with a token, low limits, two TLS ports, and a site that is told by its certificate."""
    if strict_gateway.process is None:  # the test before has ended it
        strict_gateway.start()
    return strict_gateway


@pytest.fixture(scope="module")
def strict_gateway(tmp_path_factory: pytest.TempPathFactory, certificates: Certificates) -> Iterator[StrictGateway]:
    """The process of `strict`."""
    folder = tmp_path_factory.mktemp("strict")
    (folder / "token").write_text(f"{TOKEN}\n", "utf-8")
    (folder / "sites").mkdir()
    (folder / "sites" / "klinik.yaml").write_text(SITE, "utf-8")
    gateway = StrictGateway(folder / "data", certificates)
    try:
        yield gateway
    finally:
        gateway.close()


SITE = """\
description: Told by the name in its TLS certificate, it gets one answer of the original mode, whatever it asks for.
match:
  - certificate: kis.klinik.example
charset: 8859/15
acknowledge:
  mode: original
"""

STRICT = """\
[server]
drain_seconds = 10

[security]
token_file = '{folder}/token'

[hl7v2]
sites = '{folder}/sites'
max_megabytes = 1
connections = 4
idle_seconds = 2
read_seconds = 1

[hl7v2.listeners.tls]
port = {tls_port}
certificate = '{certificate}'
key = '{key}'

[hl7v2.listeners.mutual]
port = {mutual_port}
certificate = '{certificate}'
key = '{key}'
client_ca = '{ca}'
"""


class StrictGateway(Gateway):
    """With two further ports: `tls_port`, and `mutual_port` where a client has to show its certificate."""

    def __init__(self, data: Path, certificates: Certificates) -> None:
        self.tls_port, self.mutual_port = support.free_port(), support.free_port()
        config = STRICT.format(
            folder=data.parent, tls_port=self.tls_port, mutual_port=self.mutual_port, ca=certificates.pem("ca"),
            certificate=certificates.pem("server"), key=certificates.key("server"),
        )  # fmt: skip
        super().__init__(data, config)


@pytest.fixture
def line(gateway: Gateway) -> Iterator[Line]:
    """A connection to the module's gateway."""
    with Line(gateway.mllp_port) as opened:
        yield opened


@pytest.fixture
def own(tmp_path: Path) -> Iterator[Gateway]:
    """A gateway of the test's own, which it may kill."""
    gateway = Gateway(tmp_path / "data")
    try:
        yield gateway.start()
    finally:
        gateway.close()


def assert_refused(gateway: Gateway, message: bytes, reason: str) -> None:
    """The bytes are kept once, as refused for this reason."""
    (found,) = hl7v2.kept(gateway, message)
    assert (found.state, found.inbox) == ("refused", 422)
    assert reason in (found.reason or ""), found


# ---- character sets, delimiters, line ends


@pytest.mark.parametrize(
    ("declared", "codec", "name"),
    [
        ("8859/1", "latin-1", "Müßgängér^Jürgen"),
        ("8859/15", "iso8859-15", "Žižka-Œuvre^Ÿvonne"),
        ("UNICODE UTF-8", "utf-8", "Łukaszczyk-Ğül^Đorđe"),
        ("", "latin-1", "Größmann^Käthe"),
        ("", "utf-8", "Größmann^Käthe"),
        ("", "ascii", "Meier^Anna"),
        ("ASCII", "latin-1", "Jäger^Björn"),
        ("8859/1", "utf-8", "Jäger^Björn"),
        ("8859/1", "cp1252", "O’Häre^„Bö”"),
    ],
)
def test_a_name_in_its_character_set(gateway: Gateway, declared: str, codec: str, name: str) -> None:
    patient = hl7v2.control()
    place = "Klinikum Köln" if codec != "ascii" else "Klinikum Mainz"
    lines = [
        hl7v2.header("ADT^A01", "ADT_A01", {4: place, 6: place, 18: declared}),
        "EVN|A01|20261122101500",
        f"PID|1||{patient}^^^ORBIS^PI||{name}||19581104|M",
        f"PV1|1|I|||||||||||||||||F{patient}^^^ORBIS^VN",
    ]
    message = hl7v2.written(lines, codec)
    answer = hl7v2.ask(gateway, message)
    assert answer.said == ("CA", hl7v2.control_of(message))
    assert f"|{place}|ORBIS|{place}|".encode(codec) in answer.raw
    assert answer.segments[0][17:18] == ([declared] if declared else [])
    (stored,) = hl7v2.the_patient(gateway, message, patient)["name"]
    assert [stored["family"], *stored["given"]] == name.split("^")


@pytest.mark.parametrize("place", ["Klinikum Mainz", "Klinikum Köln"])
@pytest.mark.parametrize("name", ["Maier^Anna", "Jäger^Björn"])
def test_bytes_that_the_character_set_does_not_have(gateway: Gateway, place: str, name: str) -> None:
    message = hl7v2.adt(msh={4: place, 6: place, 18: "UNICODE UTF-8"}, codec="latin-1", name=name)
    answer = hl7v2.ask(gateway, message)
    assert answer.said == ("CA", hl7v2.control_of(message))
    assert f"|{place}|ORBIS|{place}|".encode("latin-1") in answer.raw
    found = hl7v2.settled(gateway, message)
    assert (found.state, found.inbox) == ("failed", 202)
    assert (found.reason or "").startswith("MSH-18: There are bytes that are no utf-8.")


def test_the_delimiters_that_the_message_names(gateway: Gateway) -> None:
    patient, number = hl7v2.control(), hl7v2.control()
    lines = [
        f"MSH#*@!$#ORBIS*1.2.3*ISO#Haus ^ & Hof#GW#Haus#20261122#s#ADT*A01*ADT_A01#{number}#P#2.5###AL#NE##8859/1",
        "EVN#A01#20261122101500",
        f"PID#1##{patient}***ORBIS*PI@{patient}b***X*MR##von der Tann^|~\\*Jürgen!H!!F!!S!##19581104#M",
        f"PV1#1#I#################F{patient}***ORBIS*VN",
    ]
    message = hl7v2.written(lines, "latin-1")
    answer = hl7v2.ask(gateway, message)
    assert answer.raw.startswith(b"MSH#*@!$#GW#Haus#ORBIS*1.2.3*ISO#Haus ^ & Hof#")
    assert answer.said == ("CA", number)
    found = hl7v2.the_patient(gateway, message, patient)
    assert {i["value"] for i in found["identifier"]} == {patient, f"{patient}b"}
    assert found["name"][0]["given"] == ["Jürgen#*"]
    assert found["name"][0]["family"] == "von der Tann^|~\\"


@pytest.mark.parametrize("end", ["\r", "\n", "\r\n"])
@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"])
def test_line_ends_and_byte_order_marks(gateway: Gateway, end: str, mark: bytes) -> None:
    patient = hl7v2.control()
    lines = [hl7v2.header("ADT^A01", "ADT_A01", {18: "UNICODE UTF-8"}), "EVN|A01|2026"]
    lines += hl7v2.about(patient, patient, "Müller^Jürgen")
    message = mark + hl7v2.written(lines, "utf-8", end)
    assert hl7v2.ask(gateway, message).said == ("CA", hl7v2.control_of(message.removeprefix(mark)))
    assert hl7v2.the_patient(gateway, message, patient)["name"][0]["family"] == "Müller"


# ---- frames


def test_a_frame_cut_at_every_byte(line: Line, gateway: Gateway) -> None:
    messages = []
    for cut in range(1, len(hl7v2.frame(short()))):
        message = short()
        whole = hl7v2.frame(message)
        line.raw(whole[:cut])
        time.sleep(0.001)  # so that the parts are mostly read apart; what has to be holds either way
        line.raw(whole[cut:])
        assert line.answer().said == ("AA", hl7v2.control_of(message))
        messages.append(message)
    assert all(len(hl7v2.kept(gateway, message)) == 1 for message in messages)


def short() -> bytes:
    """As short a message as may be, always as long."""
    return f"MSH|^~\\&|A|B|||2026||ADT^Z01|{hl7v2.control()}|P|2.5\rZAB|ä\r".encode("latin-1")


def test_a_message_byte_for_byte(line: Line) -> None:
    message = short()
    for byte in hl7v2.frame(message):
        line.raw(bytes([byte]))
        time.sleep(0.001)  # as above
    assert line.answer().said == ("AA", hl7v2.control_of(message))


def test_a_message_begun_anew_is_the_new_one(line: Line, gateway: Gateway) -> None:
    broken, whole = short(), short()
    line.raw(VT + broken[:40] + VT + broken[:-3] + hl7v2.frame(whole))
    assert line.answer().said == ("AA", hl7v2.control_of(whole))
    line.end()
    assert line.to_end() == []
    assert hl7v2.kept(gateway, broken) == hl7v2.kept(gateway, broken[:-3]) == []
    assert len(hl7v2.kept(gateway, whole)) == 1


@pytest.mark.parametrize(
    "garbage",
    [b"\r\n\r\n", b"\x00" * 500, b"GET / HTTP/1.1\r\n\r\n", FS + CR, FS + FS + CR, CR + FS, bytes(range(12, 256))],
)
def test_what_stands_between_frames_is_skipped(line: Line, garbage: bytes) -> None:
    messages = [short(), short()]
    line.raw(garbage + hl7v2.frame(messages[0]) + garbage + hl7v2.frame(messages[1]) + garbage)
    assert [answer.said for answer in line.answers(2)] == [("AA", hl7v2.control_of(m)) for m in messages]


def test_an_fs_within_a_message_does_not_end_it(line: Line, gateway: Gateway) -> None:
    message = short().replace("ä".encode("latin-1"), b"a\x1cb")
    assert line.ask(message).said == ("AA", hl7v2.control_of(message))
    assert len(hl7v2.kept(gateway, message)) == 1


def test_many_messages_in_one_packet_are_answered_in_order(gateway: Gateway, line: Line) -> None:
    messages = [short() for _number in range(300)]
    line.send(*messages)
    assert [answer.said for answer in line.answers(300)] == [("AA", hl7v2.control_of(m)) for m in messages]
    line.end()
    assert line.to_end() == []
    assert order_of_arrival(gateway, messages) == messages


def order_of_arrival(gateway: Gateway, messages: list[bytes]) -> list[bytes]:
    """The messages in the order in which the gateway keeps and maps them."""
    rows = gateway.rows("SELECT r.body FROM message m JOIN received r ON r.id = m.id ORDER BY m.number")
    return [bytes(body) for (body,) in rows if bytes(body) in set(messages)]


def test_a_sender_that_ends_after_its_messages_still_gets_all_answers(line: Line) -> None:
    messages = [short() for _number in range(50)]
    line.send(*messages)
    line.end()
    assert [answer.said for answer in line.to_end()] == [("AA", hl7v2.control_of(m)) for m in messages]


# ---- which answers


def test_original_mode(line: Line) -> None:
    message = hl7v2.adt(msh=ORIGINAL)
    answer = line.ask(message)
    assert answer.said == ("AA", hl7v2.control_of(message))
    head = answer.segments[0]
    assert head[2:6] == ["FHIR-GATEWAY", "Klinikum Köln", "ORBIS", "Klinikum Köln"]
    assert head[8] == "ACK^A01^ACK"
    assert head[9] not in ("", hl7v2.control_of(message))
    assert head[10:12] == ["P", "2.5^DEU&&HL70399"]


def test_a_commit_at_once(gateway: Gateway, line: Line) -> None:
    message = hl7v2.adt()
    assert line.ask(message).said == ("CA", hl7v2.control_of(message))
    assert len(hl7v2.kept(gateway, message)) == 1  # it is there when the answer is
    other = hl7v2.adt()
    assert line.ask(other).said == ("CA", hl7v2.control_of(other))  # and no second answer came between


def test_a_commit_and_then_the_answer(gateway: Gateway, line: Line) -> None:
    message = hl7v2.adt(msh={16: "AL"})
    line.send(message)
    commit, answer = line.answers(2)
    assert (commit.said, answer.said) == (("CA", hl7v2.control_of(message)), ("AA", hl7v2.control_of(message)))
    assert commit.segments[0][9] != answer.segments[0][9]
    (found,) = hl7v2.kept(gateway, message)
    assert found.state == "mapped"  # the application's answer comes after the mapping


def test_commits_and_answers_of_many_messages_keep_their_order(line: Line) -> None:
    messages = [hl7v2.adt(msh={16: "AL"}) for _number in range(20)]
    line.send(*messages)
    said = [answer.said for answer in line.answers(40)]
    for code in ("CA", "AA"):
        assert [number for told, number in said if told == code] == [hl7v2.control_of(m) for m in messages]
    assert all(said.index(("CA", hl7v2.control_of(m))) < said.index(("AA", hl7v2.control_of(m))) for m in messages)


@pytest.mark.parametrize(
    ("accept", "application", "codes"),
    [
        ("NE", "NE", []), ("NE", "AL", ["AA"]), ("ER", "NE", []), ("ER", "ER", []), ("ER", "AL", ["AA"]),
        ("SU", "NE", ["CA"]), ("SU", "SU", ["CA", "AA"]), ("AL", "ER", ["CA"]), ("AL", "", ["CA"]), ("", "AL", ["AA"]),
    ],
)  # fmt: skip
def test_what_is_taken_is_answered_as_the_sender_wants_it(
    gateway: Gateway, line: Line, accept: str, application: str, codes: list[str]
) -> None:
    message = hl7v2.adt(msh={15: accept, 16: application})
    line.send(message)
    assert [answer.said for answer in line.answers(len(codes))] == [(code, hl7v2.control_of(message)) for code in codes]
    last = hl7v2.adt()
    assert line.ask(last).said == ("CA", hl7v2.control_of(last))
    assert hl7v2.settled(gateway, message).state == "mapped"


@pytest.mark.parametrize(
    ("accept", "application", "code"),
    [
        ("", "", "AR"), ("AL", "NE", "CR"), ("ER", "NE", "CR"), ("ER", "ER", "CR"), ("AL", "AL", "CR"),
        ("NE", "NE", None), ("SU", "SU", None), ("NE", "AL", "AR"), ("SU", "ER", "AR"),
    ],
)  # fmt: skip
def test_what_is_refused_is_answered_as_the_sender_wants_it(
    gateway: Gateway, line: Line, accept: str, application: str, code: str | None
) -> None:
    wanted = {15: accept, 16: application, 10: hl7v2.control()}
    refused = hl7v2.adt(msh=wanted, name="Anders^Ganz")
    assert hl7v2.ask(gateway, hl7v2.adt(msh={10: wanted[10]})).code == "CA"
    line.send(refused)
    if code is not None:
        answer = line.answer()
        assert answer.said == (code, wanted[10])
        assert answer.error[:2] == ("MSH^1^10", "205")
    last = hl7v2.adt()
    assert line.ask(last).said == ("CA", hl7v2.control_of(last))
    assert_refused(gateway, refused, "control id")


@pytest.mark.parametrize(
    ("application", "codes"), [("AL", ["CA", "AE"]), ("ER", ["CA", "AE"]), ("SU", ["CA"]), ("NE", ["CA"])]
)
def test_what_cannot_be_mapped_is_kept_and_said_to_who_asks(
    gateway: Gateway, line: Line, application: str, codes: list[str]
) -> None:
    number = hl7v2.control()
    message = hl7v2.written([hl7v2.header("ZZZ^Z99", "ZZZ_Z99", {10: number, 16: application}), "ZAB|1"], "latin-1")
    line.send(message)
    answers = line.answers(len(codes))
    assert [answer.said for answer in answers] == [(code, number) for code in codes]
    if "AE" in codes:
        assert answers[-1].error[:2] == ("MSH^1^9", "200")
    found = hl7v2.settled(gateway, message)
    assert (found.state, found.inbox) == ("no-map", 202)


@pytest.mark.parametrize("levels", [("FHS", "BHS"), ("BHS",), ("FHS",)])
def test_each_message_of_a_batch_is_answered(gateway: Gateway, line: Line, levels: tuple[str, ...]) -> None:
    messages = [hl7v2.adt(), hl7v2.adt(msh=ORIGINAL), hl7v2.adt(msh={15: "NE"}), hl7v2.adt()]
    heads = [f"{level}|^~\\&|ORBIS|Klinikum Köln\r".encode("latin-1") for level in levels]
    tails = [f"{level[0]}TS|4\r".encode() for level in reversed(levels)]
    line.send(b"".join([*heads, *messages, *tails]))
    numbers = [hl7v2.control_of(message) for message in messages]
    assert [answer.said for answer in line.answers(3)] == [("CA", numbers[0]), ("AA", numbers[1]), ("CA", numbers[3])]
    last = short()
    assert line.ask(last).said == ("AA", hl7v2.control_of(last))
    assert [hl7v2.settled(gateway, message).state for message in messages] == ["mapped"] * 4


def test_a_batch_of_many_messages(gateway: Gateway, line: Line) -> None:
    messages = [short() for _number in range(1_000)]
    line.send(b"".join([b"BHS|^~\\&\r", *messages, b"BTS|1000\r"]))
    assert [answer.said for answer in line.answers(1_000)] == [("AA", hl7v2.control_of(m)) for m in messages]
    assert order_of_arrival(gateway, messages) == messages


def test_a_batch_without_messages_is_refused(gateway: Gateway, line: Line) -> None:
    empty = f"FHS|^~\\&|{hl7v2.control()}\rBHS|^~\\&\rBTS|0\rFTS|0\r".encode()
    answer = line.ask(empty)
    assert answer.code == "AR"
    assert_refused(gateway, empty, "batch")


@pytest.mark.parametrize("kind", ["ACK", "ACK^A01^ACK", "NAK"])
def test_an_answer_is_never_answered(gateway: Gateway, line: Line, kind: str) -> None:
    answer = f"MSH|^~\\&|A|B|C|D|2026||{kind}|{hl7v2.control()}|P|2.5|||AL|AL\rMSA|AA|1\r".encode()
    line.send(answer)
    last = short()
    assert line.ask(last).said == ("AA", hl7v2.control_of(last))
    assert len(hl7v2.kept(gateway, answer)) == 1


# ---- once


def test_a_resend_gets_the_same_answer_and_has_no_second_effect(gateway: Gateway) -> None:
    patient = hl7v2.control()
    message = hl7v2.adt(patient=patient)
    first = hl7v2.ask(gateway, message)
    before = hl7v2.the_patient(gateway, message, patient)
    over_http = post(gateway, message)
    with Line(gateway.mllp_port) as line:
        line.send(*[message] * 20)
        assert {answer.raw for answer in line.answers(20)} == {first.raw} == {over_http.content}
    hl7v2.all_settled(gateway)
    assert len(hl7v2.kept(gateway, message)) == 1
    assert hl7v2.the_patient(gateway, message, patient)["meta"] == before["meta"]


def test_a_resend_in_both_modes_gets_both_answers_again(line: Line) -> None:
    message = hl7v2.adt(msh={16: "AL"})
    line.send(message)
    first = line.answers(2)
    line.send(message)
    again = line.answers(2)
    assert [answer.said for answer in again] == [answer.said for answer in first]
    assert again[0] == first[0]


def test_the_same_message_on_many_connections_at_once_is_taken_once(gateway: Gateway) -> None:
    message = hl7v2.adt(patient=(patient := hl7v2.control()))
    with contextlib.ExitStack() as stack:
        lines = [stack.enter_context(Line(gateway.mllp_port)) for _number in range(20)]
        for line in lines:
            line.send(message)
        assert len({line.answer().raw for line in lines}) == 1
    hl7v2.the_patient(gateway, message, patient)
    assert len(hl7v2.kept(gateway, message)) == 1


@pytest.mark.parametrize(("mode", "code"), [(ORIGINAL, "AR"), ({}, "CR")])
def test_the_same_id_with_other_bytes_is_refused(gateway: Gateway, mode: dict[int, str], code: str) -> None:
    patient, number = hl7v2.control(), hl7v2.control()
    first = hl7v2.adt(patient=patient, msh={10: number, **mode})
    other = hl7v2.adt(patient=patient, msh={10: number, **mode}, name="Anders^Ganz")
    good = hl7v2.ask(gateway, first)
    for _again in range(2):
        refusal = hl7v2.ask(gateway, other)
        assert refusal.said == (code, number)
        assert refusal.error[:2] == ("MSH^1^10", "205")
    assert [(found.state, found.inbox) for found in hl7v2.kept(gateway, other)] == [("refused", 422)] * 2
    assert hl7v2.the_patient(gateway, first, patient)["name"][0]["family"] == "Müller"
    assert hl7v2.ask(gateway, first) == good


@pytest.mark.parametrize(
    ("place", "senders"), [(3, ("A", "B")), (4, ("A", "B")), (3, ("^1.2.3^ISO", "^1.2.4^ISO")), (4, ("A^1.2^ISO", "A"))]
)
def test_the_same_id_of_another_sender_is_another_message(
    gateway: Gateway, place: int, senders: tuple[str, str]
) -> None:
    number = hl7v2.control()
    one, other = (hl7v2.adt(msh={10: number, place: sender}) for sender in senders)
    assert [hl7v2.ask(gateway, message).said for message in (one, other)] == [("CA", number)] * 2
    assert len(hl7v2.kept(gateway, one)) == len(hl7v2.kept(gateway, other)) == 1


# ---- what cannot be read


@pytest.mark.parametrize(
    "unreadable",
    [
        b"Hallo Welt", b"\xff\xfe\xfd", b"MSH", b"MSH|", b"MSHA^~\\&A", b"PID|1||4711\r", b'{"id":"1"}', b"\x00",
        b"MSH|^~\\&|A|B|||2026||ADT^A01|1|P|2.5\rMSH|^~\\&|A|B|||2026||ADT^A01|2|P|2.5\r",
    ],
)  # fmt: skip
def test_what_is_no_message_is_refused_with_a_reason_and_kept(gateway: Gateway, line: Line, unreadable: bytes) -> None:
    unreadable += hl7v2.control().encode()
    answer = line.ask(unreadable)
    place, code, reason = answer.error
    assert (answer.code, place, code) == ("AR", "", "100")
    assert reason.endswith(".")
    assert_refused(gateway, unreadable, reason)
    message = short()
    assert line.ask(message).said == ("AA", hl7v2.control_of(message))


def test_an_empty_frame_is_refused(line: Line) -> None:
    assert line.ask(b"").code == "AR"


@pytest.mark.parametrize(("field", "place"), [(10, "MSH^1^10"), (9, "MSH^1^9")])
@pytest.mark.parametrize(("mode", "code"), [(ORIGINAL, "AR"), ({}, "CR")])
def test_a_header_without_what_it_needs(
    gateway: Gateway, field: int, place: str, mode: dict[int, str], code: str
) -> None:
    message = hl7v2.adt(patient=hl7v2.control(), msh={10: hl7v2.control(), **mode, field: ""})
    answer = hl7v2.ask(gateway, message)
    assert answer.code == code
    assert answer.error[:2] == (place, "101")
    assert_refused(gateway, message, f"MSH-{field} is empty.")


def test_an_old_message_without_subcomponents_is_told_what_it_lacks(gateway: Gateway) -> None:
    message = f"MSH|^~\\|{hl7v2.control()}|B|||2026||ADT^A01||P|2.3\r".encode()
    answer = hl7v2.ask(gateway, message)
    assert (answer.code, answer.segments[1][3]) == ("AR", "MSH-10 is empty.")
    assert_refused(gateway, message, "MSH-10 is empty.")


@pytest.mark.parametrize("place", [b"ADT", b"EVN"])
def test_a_name_that_is_not_of_its_character_set_does_not_end_the_mapping(gateway: Gateway, place: bytes) -> None:
    message = hl7v2.adt(msh={18: "UNICODE UTF-8", 4: "B", 6: "B"}, codec="latin-1").replace(place, b"\xc4XY", 1)
    assert hl7v2.ask(gateway, message).said == ("CA", hl7v2.control_of(message))
    assert hl7v2.settled(gateway, message).state in ("failed", "no-map")
    sound = hl7v2.adt()
    assert hl7v2.ask(gateway, sound).is_positive
    assert hl7v2.settled(gateway, sound).state == "mapped"


def test_a_damaged_message_is_kept_and_answered_whatever_it_is(gateway: Gateway) -> None:
    chance = random.Random(17)
    messages = [damaged(chance) for _number in range(300)]
    for number in range(0, len(messages), 20):
        some, last = messages[number : number + 20], short()
        with Line(gateway.mllp_port) as line:
            line.send(*some, last)
            line.end()
            answers = line.to_end()
            assert [answer.control for answer in answers][-1:] == [hl7v2.control_of(last)], some
    assert set(messages) <= {bytes(body) for (body,) in gateway.rows("SELECT body FROM received")}
    hl7v2.all_settled(gateway)
    sound = hl7v2.adt(patient=(patient := hl7v2.control()))
    assert hl7v2.ask(gateway, sound).is_positive
    assert hl7v2.the_patient(gateway, sound, patient)["name"][0]["family"] == "Müller"


def damaged(chance: random.Random) -> bytes:
    """A message with some of its bytes changed, lost or added, most of them in its header."""
    declared = chance.choice(["8859/1", "8859/15", "UNICODE UTF-8", "", "ASCII", "8859/7", "UNICODE UTF-16", "~8859/1"])
    found = bytearray(hl7v2.adt(msh={18: declared}, codec=chance.choice(["latin-1", "utf-8"])))
    for _fault in range(chance.randrange(1, 6)):
        at = chance.randrange(120 if chance.random() < 0.5 else len(found)) % len(found)
        change = chance.randrange(4)
        if change == 0:
            found[at] = chance.randrange(256)
        elif change == 1:
            del found[at : at + chance.randrange(1, 30)]
        elif change == 2:
            found[at:at] = bytes(chance.choices(b'|^~\\&\r\n\x00\xff\xc3"MSHFBT', k=chance.randrange(1, 5)))
        else:
            found[at:at] = found[: chance.randrange(40)]
    # VT and FS would end or begin a message, and what a batch says around its messages is not kept.
    return bytes(found).replace(VT, b" ").replace(FS, b" ").replace(b"FHS", b"XHS").replace(b"BHS", b"XHS")


# ---- large messages, limits, times


def test_thirty_two_megabytes_come_through_intact(gateway: Gateway, line: Line) -> None:
    content = random.Random(1).randbytes(24 * 1_000_000)
    patient, number = hl7v2.control(), hl7v2.control()
    message = hl7v2.mdm(content, "image/tiff", patient=patient, number=number)
    assert 31 * 1_048_576 > len(message) > 30 * 1_048_576
    assert line.ask(message).said == ("CA", hl7v2.control_of(message))
    assert hl7v2.settled(gateway, message).state == "mapped"
    (document,) = gateway.found("DocumentReference", identifier=number)
    attachment = document["content"][0]["attachment"]
    if "data" in attachment:
        data = attachment["data"]
    else:
        data = gateway.get(attachment["url"])["data"]
    assert base64.b64decode(data) == content
    assert gateway.kept(message) == [202]


@pytest.mark.parametrize("excess", [1, 3_000_000])
def test_a_larger_message_than_the_limit_has_no_answer(strict: StrictGateway, excess: int) -> None:
    whole = 1_048_576
    good, fitting = short(), hl7v2.adt()
    fitting += b"ZZZ|".ljust(whole - len(fitting), b"x")
    with Line(strict.mllp_port) as line:
        line.send(good)
        assert line.answer().is_positive
        assert line.ask(fitting).said == ("CA", hl7v2.control_of(fitting))
        with contextlib.suppress(ConnectionError):
            line.raw(VT + fitting + b"x" * excess + FS + CR)
        assert line.to_end() == []
    assert strict.rows("SELECT 1 FROM received WHERE length(body) > ?", whole) == []


def test_a_silent_connection_is_ended(strict: StrictGateway) -> None:
    with Line(strict.mllp_port) as line:
        begun = time.monotonic()
        assert line.ask(short()).is_positive
        assert line.to_end() == []
        assert time.monotonic() - begun > 1.5


def test_a_message_that_does_not_end_ends_its_connection(strict: StrictGateway) -> None:
    broken = short()
    with Line(strict.mllp_port) as line:
        line.raw(VT + broken)
        assert line.to_end() == []
    assert hl7v2.kept(strict, broken) == []


def test_no_more_connections_than_the_limit(strict: StrictGateway) -> None:
    def is_limited() -> bool | None:
        """None when one of the four was ended for its silence, so that there was room for a fifth."""
        with contextlib.ExitStack() as stack:
            lines = [stack.enter_context(Line(strict.mllp_port)) for _number in range(4)]
            try:
                assert all(line.ask(short()).is_positive for line in lines)
            except ConnectionError:  # those of the tests before are not all gone
                return None
            with Line(strict.mllp_port) as fifth, contextlib.suppress(ConnectionError):
                fifth.send(short())
                fifth.answer()
                return None
        return True

    support.poll(is_limited, "a refused connection")


# ---- TLS, and whose message it is


def client_tls(certificates: Certificates, name: str | None) -> ssl.SSLContext:
    """Of a client that trusts the CA and shows this certificate."""
    certificate, key = (certificates.pem(name), certificates.key(name)) if name else (None, None)
    return tls.client_context(certificates.pem("ca"), certificate, key)


def test_the_site_is_told_by_the_certificate(strict: StrictGateway, certificates: Certificates) -> None:
    shown, nameless, hidden = hl7v2.adt(), hl7v2.adt(), hl7v2.adt()
    with Line(strict.mutual_port, client_tls(certificates, "client")) as line:
        assert line.ask(shown).said == ("AA", hl7v2.control_of(shown))
    with Line(strict.mutual_port, client_tls(certificates, "nameless")) as line:
        assert line.ask(nameless).said == ("CA", hl7v2.control_of(nameless))
    with Line(strict.tls_port, client_tls(certificates, "client")) as line:  # nobody asked it for the certificate
        assert line.ask(hidden).said == ("CA", hl7v2.control_of(hidden))
    sites = [hl7v2.settled(strict, message).site for message in (shown, nameless, hidden)]
    assert sites == ["klinik", "default", "default"]


def test_the_sites_character_set_holds_where_the_message_names_none(
    strict: StrictGateway, certificates: Certificates
) -> None:
    patient = hl7v2.control()
    message = hl7v2.adt(patient=patient, msh={4: "Haus", 6: "Haus", 18: ""}, codec="iso8859-15", name="Žák-€^Š")
    with Line(strict.mutual_port, client_tls(certificates, "client")) as line:
        assert line.ask(message).is_positive
    assert hl7v2.settled(strict, message).state == "mapped"
    (found,) = support.decode(authorised(strict, f"/fhir/Patient?identifier={patient}"))["entry"]
    assert found["resource"]["name"][0]["family"] == "Žák-€"


def test_a_site_file_that_cannot_be_read_does_not_end_the_mapping(strict: StrictGateway) -> None:
    unreadable = strict.data.parent / "sites" / "loop.yaml"
    unreadable.symlink_to(unreadable)
    try:
        for _again in range(2):  # the first may be mapped before the file is looked at, the second is not
            message = hl7v2.adt()
            assert hl7v2.ask(strict, message).is_positive
            assert hl7v2.settled(strict, message).state == "mapped"
    finally:
        unreadable.unlink()


@pytest.mark.parametrize("name", [None, "stranger"])
def test_who_has_no_certificate_of_ours_is_not_let_in(
    strict: StrictGateway, certificates: Certificates, name: str | None
) -> None:
    message = short()
    with contextlib.suppress(ssl.SSLError, ConnectionError):
        with Line(strict.mutual_port, client_tls(certificates, name)) as line:
            line.ask(message)
        pytest.fail("it was answered")
    assert hl7v2.kept(strict, message) == []


def test_without_tls_a_tls_port_answers_nothing(strict: StrictGateway) -> None:
    message = short()
    with Line(strict.tls_port) as line:
        line.send(message)
        assert line.to_end() == []
    assert hl7v2.kept(strict, message) == []


# ---- HTTP


def post(gateway: Gateway, body: bytes, content_type: str | None = hl7v2.ER7, **headers: str) -> httpx.Response:
    """POST /hl7v2."""
    named = {"Content-Type": content_type} if content_type else {}
    return httpx.post(
        gateway.address("/hl7v2"), content=body, headers={**named, **headers}, timeout=support.DEADLINE, trust_env=False
    )


def authorised(gateway: Gateway, path: str) -> httpx.Response:
    """GET with the token."""
    return httpx.get(gateway.address(path), headers={"Authorization": f"Bearer {TOKEN}"}, trust_env=False)


def answered(response: httpx.Response) -> Answer:
    """The message that was answered with 200."""
    assert (response.status_code, response.headers["Content-Type"]) == (200, hl7v2.ER7), response.text
    return Answer(response.content)


@pytest.mark.parametrize("content_type", [hl7v2.ER7, "application/hl7-v2", f"{hl7v2.ER7}; charset=ISO-8859-1"])
def test_http_takes_and_answers_the_same(gateway: Gateway, content_type: str) -> None:
    patient = hl7v2.control()
    message = hl7v2.adt(patient=patient)
    first = post(gateway, message, content_type)
    assert answered(first).said == ("CA", hl7v2.control_of(message))
    assert hl7v2.ask(gateway, message).raw == first.content
    assert hl7v2.the_patient(gateway, message, patient)["name"][0]["family"] == "Müller"
    assert len(hl7v2.kept(gateway, message)) == 1


def test_http_answers_in_each_mode(gateway: Gateway) -> None:
    original = hl7v2.adt(msh=ORIGINAL)
    assert answered(post(gateway, original)).said == ("AA", hl7v2.control_of(original))
    changed = original.replace(b"M\xfcller", b"Maier")
    refusal = answered(post(gateway, changed))
    assert (refusal.code, refusal.error[:2]) == ("AR", ("MSH^1^10", "205"))
    assert answered(post(gateway, b"Hallo")).code == "AR"
    silent = hl7v2.adt(msh={15: "NE"})
    assert (post(gateway, silent).status_code, len(hl7v2.kept(gateway, silent))) == (204, 1)
    both = hl7v2.adt(msh={16: "AL"})
    said = post(gateway, both).content
    assert (said.count(b"MSA|CA|"), said.count(b"MSA|AA|")) == (1, 1)


@pytest.mark.parametrize("content_type", ["application/fhir+json", "text/plain", "application/octet-stream", None])
def test_http_of_another_content_type(gateway: Gateway, content_type: str | None) -> None:
    message = short()
    assert post(gateway, message, content_type).status_code == 415
    assert hl7v2.kept(gateway, message) == []


def test_http_knows_no_other_method(gateway: Gateway) -> None:
    assert httpx.get(gateway.address("/hl7v2"), trust_env=False).status_code == 405


def test_http_wants_the_token(strict: StrictGateway) -> None:
    message = short()
    assert post(strict, message).status_code == 401
    assert post(strict, message, Authorization="Bearer falsch").status_code == 401
    assert hl7v2.kept(strict, message) == []
    assert answered(post(strict, message, Authorization=f"Bearer {TOKEN}")).code == "AA"


def test_http_takes_no_more_than_the_limit(strict: StrictGateway) -> None:
    message = short().ljust(1_048_577, b"x")
    assert post(strict, message, Authorization=f"Bearer {TOKEN}").status_code == 413
    assert hl7v2.kept(strict, message) == []


# ---- the database, the disk, the end


def test_no_answer_while_the_database_is_locked(gateway: Gateway) -> None:
    messages = [hl7v2.adt() for _number in range(10)]
    lock = sqlite3.connect(gateway.data / "gateway.sqlite", isolation_level=None)
    with contextlib.closing(lock), contextlib.ExitStack() as stack:
        lock.execute("BEGIN EXCLUSIVE")
        lines = [stack.enter_context(Line(gateway.mllp_port)) for _message in messages]
        for line, message in zip(lines, messages, strict=True):
            line.send(message)
        assert lines[0].is_silent(0.5)
        lock.execute("ROLLBACK")
        for line, message in zip(lines, messages, strict=True):
            assert line.answer().said == ("CA", hl7v2.control_of(message))
        assert [len(hl7v2.kept(gateway, message)) for message in messages] == [1] * 10


@contextlib.contextmanager
def full_disk(gateway: Gateway) -> Iterator[None]:
    """The process can write to no file, as if the disk were full: not one page fits below its limit."""
    assert gateway.process is not None
    before = resource.prlimit(gateway.process.pid, resource.RLIMIT_FSIZE, (1_024, resource.RLIM_INFINITY))
    try:
        yield
    finally:
        resource.prlimit(gateway.process.pid, resource.RLIMIT_FSIZE, before)


def test_no_positive_answer_while_the_disk_is_full(gateway: Gateway) -> None:
    patient = hl7v2.control()
    message = hl7v2.adt(patient=patient)
    with full_disk(gateway):
        for _again in range(3):
            with Line(gateway.mllp_port) as line:
                line.send(message, short())
                assert line.to_end() == []
        assert post(gateway, message).status_code == 503
    assert hl7v2.kept(gateway, message) == []
    assert hl7v2.ask(gateway, message).said == ("CA", hl7v2.control_of(message))
    assert hl7v2.the_patient(gateway, message, patient)["name"][0]["family"] == "Müller"
    assert "rgen" not in gateway.log_text()


def test_sigterm_answers_what_was_sent_completely(strict: StrictGateway) -> None:
    messages = [hl7v2.adt(msh={16: application}) for application in ["NE"] * 60 + ["AL"] * 4]
    half = hl7v2.adt()
    with Line(strict.mllp_port) as line, Line(strict.mllp_port) as other:
        assert line.ask(short()).is_positive
        assert other.ask(short()).is_positive
        other.raw(hl7v2.frame(half)[:-1])
        line.send(*messages)
        stopping = threading.Thread(target=strict.stop)
        stopping.start()
        answers = line.to_end()
        assert other.to_end() == []
        stopping.join()
    committed = [answer.control for answer in answers if answer.code == "CA"]
    assert committed == [hl7v2.control_of(message) for message in messages]
    assert all(answer.code in ("CA", "AA") for answer in answers)
    with contextlib.closing(sqlite3.connect(strict.data / "gateway.sqlite")) as database:
        kept = {bytes(body) for (body,) in database.execute("SELECT body FROM received")}
    assert set(messages) <= kept
    assert half not in kept
    with pytest.raises(OSError):
        socket.create_connection(("127.0.0.1", strict.mllp_port), 1).close()


# ---- thousands of messages, and a kill


class Feed:
    """Senders on many connections, each with one message in flight, who remember what was answered."""

    def __init__(self, gateway: Gateway, messages: list[list[bytes]]) -> None:
        self.gateway = gateway
        self.messages = messages  # of each connection
        self.answers: dict[bytes, bytes] = {}

    def send(self, then: Callable[[int], bool] = lambda _count: False) -> None:
        """Send what has no answer yet. `then` is told the number of answers; all ends where it says so."""

        async def all_of_them() -> None:
            await asyncio.gather(*(self._connection(messages, then) for messages in self.messages))

        asyncio.run(all_of_them())

    async def _connection(self, messages: list[bytes], then: Callable[[int], bool]) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", self.gateway.mllp_port)
        try:
            for message in messages:
                if message in self.answers:
                    continue
                writer.write(hl7v2.frame(message))
                answer = Answer((await reader.readuntil(FS + CR))[1:-2])
                assert answer.is_positive and answer.control == hl7v2.control_of(message), answer
                self.answers[message] = answer.raw
                if then(len(self.answers)):
                    return
        except (ConnectionError, asyncio.IncompleteReadError):
            return  # the gateway was killed
        finally:
            writer.close()
            with contextlib.suppress(ConnectionError):
                await writer.wait_closed()


def test_thousands_of_messages_and_a_kill(own: Gateway, capsys: pytest.CaptureFixture[str]) -> None:
    with capsys.disabled():
        print(f"\nseed of the kill: {SEED}")  # noqa: T201
    chance = random.Random(SEED)
    patients = [hl7v2.control() for _number in range(PATIENTS)]
    about = [[hl7v2.adt(event, patient=p, visit=f"F{p}") for event in ("A01", "A08")] for p in patients]
    other = [short() for _number in range(MESSAGES - 2 * PATIENTS)]
    feed = Feed(own, [shuffled(chance, about[n::CONNECTIONS], other[n::CONNECTIONS]) for n in range(CONNECTIONS)])
    every = [message for messages in feed.messages for message in messages]
    moment = chance.randrange(MESSAGES // 4, MESSAGES * 3 // 4)

    def kill(count: int) -> bool:
        if count == moment:
            own.kill()
        return count >= moment

    feed.send(kill)
    first = dict(feed.answers)
    assert MESSAGES // 4 <= len(first) < MESSAGES == len(set(every))
    own.start()
    stored = {bytes(body) for (body,) in own.rows("SELECT r.body FROM message m JOIN received r ON r.id = m.id")}
    assert set(first) <= stored, "an answered message is gone"
    feed.send()
    assert set(feed.answers) == set(every)
    again = Feed(own, [messages[:20] for messages in feed.messages])
    again.send()
    assert again.answers.items() <= feed.answers.items(), "a resend got another answer"
    hl7v2.all_settled(own, deadline=180)

    states = own.rows("SELECT state, count(*), count(DISTINCT identity) FROM message GROUP BY state ORDER BY state")
    assert states == [("mapped", 2 * PATIENTS, 2 * PATIENTS), ("no-map", len(other), len(other))]
    bodies = own.rows("SELECT r.body FROM received r JOIN message m ON m.id = r.id")
    assert sorted(bytes(body) for (body,) in bodies) == sorted(every)
    assert own.rows("SELECT count(*) FROM received WHERE channel = 'mllp'") == [(MESSAGES,)]
    for kind in ("Patient", "Encounter"):
        assert own.get(kind, _summary="count")["total"] == PATIENTS
    for number in range(0, PATIENTS, 50):
        some = patients[number : number + 50]
        found = own.found("Patient", identifier=",".join(some), _count="200")
        assert sorted(i["value"] for resource in found for i in resource["identifier"]) == sorted(some)


def shuffled(chance: random.Random, about: list[list[bytes]], other: list[bytes]) -> list[bytes]:
    """A connection's messages: those about a patient in their order, the others anywhere between."""
    found = [message for messages in about for message in messages]
    for message in other:
        found.insert(chance.randrange(len(found) + 1), message)
    return found
