"""HL7 v2 with peers that nobody here wrote: their clients send to a real gateway, their servers receive from it.

What a peer is known to get wrong is said where a test has to go around it.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import ssl
import subprocess
import threading
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import hl7
import pytest
from hl7 import client as hl7_client
from hl7 import mllp as hl7_mllp

from fhir_gateway.messages import outgoing
from fhir_gateway.mllp import client, tls
from fhir_gateway.store import database
from tests import support
from tests.acceptance import hl7v2
from tests.acceptance.hl7v2 import CR, FS, VT
from tests.support import Gateway
from tests.unit.mllp.helpers import Certificates, acknowledge

PEERS = os.environ.get("HL7V2_PEERS")
needs_node = pytest.mark.skipif(PEERS is None, reason="needs the Node peers in HL7V2_PEERS")
pytestmark = pytest.mark.filterwarnings("ignore:datetime.datetime.utcnow:DeprecationWarning")  # python-hl7's create_ack

CLIENTS = Path(__file__).parent / "clients"
NODE_CLIENTS = ("medplum", "node-hl7-client")
ORIGINAL = {15: "", 16: ""}  # neither MSH-15 nor MSH-16: one answer, AA, AE or AR
LIMIT = 64 * 1_048_576  # bytes that the servers here take

#: MSH-18, what the peer calls it, and a name that it can do.
CHARSETS = [
    ("UNICODE UTF-8", "utf-8", "Łukaszczyk-Müßgäng^Đorđe"),
    ("8859/1", "latin1", "Müßgängér^Jürgen"),
    ("8859/15", "iso-8859-15", "Žižka-Œuvre^Ÿvonne"),
]


#: Destinations of the gateway with a server that a test lets behave badly: tries, and seconds that an answer may take.
BAD = {
    "order": (99, 30.0), "silence": (9, 1.0), "poison": (4, 1.0), "refusal": (3, 30.0), "kill": (9, 30.0),
    "tls": (9, 30.0), "stranger": (9, 30.0),
}  # fmt: skip

#: Destinations with a good server of others, and what they are told to wait for (MSH-16).
GOOD = {
    "python": ("python-hl7", "AL"), "medplum": ("medplum", "AL"), "enhanced": ("medplum-enhanced", "AL"),
    "commit": ("medplum-enhanced", "NE"), "node": ("node-hl7-server", "AL"),
}  # fmt: skip

DESTINATION = """
[hl7v2.destinations.{name}]
host = "localhost"
port = {port}
results = ["note"]
answer = "{answer}"
attempts = {attempts}
timeout_seconds = {seconds}
backoff_seconds = 0.1
"""

TLS = """
tls = true
ca = "{ca}"
certificate = "{certificate}"
key = "{key}"
"""


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    """Of this module."""
    return Certificates(tmp_path_factory.mktemp("certificates"))


@pytest.fixture(scope="module")
def bad(certificates: Certificates) -> Iterator[dict[str, Bad]]:
    """The servers of BAD by their destinations."""
    context = tls.server_context(certificates.pem("server"), certificates.key("server"), certificates.pem("ca"))
    with contextlib.ExitStack() as stack:
        yield {
            name: stack.enter_context(badly_served(context=context if name in ("tls", "stranger") else None))
            for name in BAD
        }


@pytest.fixture(scope="module")
def good() -> Iterator[dict[str, Peer]]:
    """The servers of GOOD by their destinations, those of node where there are peers."""
    with contextlib.ExitStack() as stack:
        yield {
            name: stack.enter_context(served(server, "latin1"))
            for name, (server, _answer) in GOOD.items()
            if PEERS is not None or server == "python-hl7"
        }


@pytest.fixture(scope="module")
def away() -> int:
    """The port of the destination `away`, where nobody listens."""
    return support.free_port()


@pytest.fixture(scope="module")
def gateway(
    tmp_path_factory: pytest.TempPathFactory,
    bad: dict[str, Bad],
    good: dict[str, Peer],
    away: int,
    certificates: Certificates,
) -> Iterator[Gateway]:
    """The gateway of all tests here, with all of these as its destinations."""
    config = [destination("away", away, attempts=3)]
    config += [destination(name, peer.port, answer=GOOD[name][1]) for name, peer in good.items()]
    for name, peer in bad.items():
        attempts, seconds = BAD[name]
        config.append(destination(name, peer.port, attempts=attempts, seconds=seconds))
        if name in ("tls", "stranger"):
            ca = certificates.pem("ca" if name == "tls" else "other_ca")
            config.append(TLS.format(ca=ca, certificate=certificates.pem("client"), key=certificates.key("client")))
    with support.running(tmp_path_factory.mktemp("gateway") / "data", "".join(config)) as started:
        yield started


def destination(name: str, port: int, *, answer: str = "NE", attempts: int = 9, seconds: float = 30) -> str:
    """The section of a destination."""
    return DESTINATION.format(name=name, port=port, answer=answer, attempts=attempts, seconds=seconds)


def family(gateway: Gateway, message: bytes, patient: str) -> list[str]:
    """Family and given name of the patient that a message brought."""
    (name,) = hl7v2.the_patient(gateway, message, patient)["name"]
    return [name["family"], *name["given"]]


# ---- their clients send to us


@pytest.mark.parametrize(("charset", "encoding", "name"), CHARSETS)
def test_python_hl7_sends(gateway: Gateway, charset: str, encoding: str, name: str) -> None:
    patient = hl7v2.control()
    message = hl7v2.adt(patient=patient, name=name, msh={18: charset})
    text = message.decode(encoding)
    changed = hl7v2.adt("A08", patient=patient, name=name, msh={18: charset, 15: "", 16: ""})
    with hl7_client.MLLPClient("127.0.0.1", gateway.mllp_port, encoding) as sender:
        answers = [sender.send_message(hl7.parse(text)), sender.send_message(text), sender.send_message(changed)]
    assert answers[0] == answers[1]
    for answer, (code, sent) in zip(answers, [("CA", message), ("CA", message), ("AA", changed)], strict=True):
        assert (answer[:1], answer[-2:]) == (VT, FS + CR)
        read = hl7.parse(answer[1:-2].decode(encoding))
        assert (str(read.segment("MSA")(1)), str(read.segment("MSA")(2))) == (code, hl7v2.control_of(sent))
        assert str(read.segment("MSH")(4)) == "Klinikum Köln"
    assert family(gateway, message, patient) == name.split("^")


def test_python_hl7_waits_for_both_answers(gateway: Gateway) -> None:
    messages = [hl7v2.adt(msh={16: "AL"}) for _number in range(3)]

    async def scenario() -> list[tuple[str, str]]:
        reader, writer = await hl7_mllp.open_hl7_connection("127.0.0.1", gateway.mllp_port, encoding="latin-1")
        said = []
        for message in messages:
            writer.writemessage(hl7.parse(message.decode("latin-1")))
            for _answer in range(2):
                segment = (await reader.readmessage()).segment("MSA")
                said.append((str(segment(1)), str(segment(2))))
        writer.close()
        await writer.wait_closed()
        return said

    numbers = [hl7v2.control_of(message) for message in messages]
    assert asyncio.run(scenario()) == [(code, number) for number in numbers for code in ("CA", "AA")]


def node(script: str, *arguments: str, stdin: str) -> str:
    """What a script prints; it must end with 0 and complain of nothing."""
    done = subprocess.run(
        ["node", str(CLIENTS / script), *arguments],
        input=stdin, capture_output=True, text=True, timeout=support.DEADLINE * 2, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, ""), done.stderr
    return done.stdout


def sent_by(name: str, gateway: Gateway, encoding: str, messages: list[dict[str, str]]) -> list[list[list[str]]]:
    """The segments' fields of what a client of node reads as the answers to its messages."""
    said = node("hl7v2_send.mjs", name, str(gateway.mllp_port), encoding, stdin=json.dumps(messages))
    return [[line.split("|") for line in answer.split("\r") if line] for answer in json.loads(said)]


# node-hl7-client knows the character sets of Node's buffers only.
@needs_node
@pytest.mark.parametrize(
    ("name", "charset", "encoding", "patients"),
    [*(("medplum", *given) for given in CHARSETS), *(("node-hl7-client", *given) for given in CHARSETS[:2])],
)
def test_a_client_of_node_sends(gateway: Gateway, name: str, charset: str, encoding: str, patients: str) -> None:
    patient = hl7v2.control()
    messages = [
        hl7v2.adt("A01", patient=patient, name=patients, msh={18: charset}),
        hl7v2.adt("A08", patient=patient, name=patients, msh={18: charset, 15: "", 16: ""}),
        hl7v2.adt("A08", patient=patient, name=patients, msh={18: charset}),
    ]
    answers = sent_by(name, gateway, encoding, [{"text": message.decode(encoding)} for message in messages])
    said = [next(fields[1:3] for fields in answer if fields[0] == "MSA") for answer in answers]
    assert said == [[code, hl7v2.control_of(m)] for code, m in zip(("CA", "AA", "CA"), messages, strict=True)]
    if name == "medplum":  # node-hl7-client reads every answer as UTF-8, whatever it sends
        assert {answer[0][3] for answer in answers} == {"Klinikum Köln"}
    assert {found.state for message in messages for found in kept_as(gateway, message)} == {"mapped"}
    assert family(gateway, stored(gateway, messages[0]), patient) == patients.split("^")


def stored(gateway: Gateway, message: bytes) -> bytes:
    """The bytes under which a message with this control id came: a peer may have added or lost a last line end."""
    ((body,),) = gateway.rows("SELECT body FROM received WHERE instr(body, CAST(? AS BLOB))", hl7v2.control_of(message))
    return bytes(body)


def kept_as(gateway: Gateway, message: bytes) -> list[hl7v2.Kept]:
    """What is kept of a message, after its mapping. The peer must have sent it as it is but for its last line end."""
    came = stored(gateway, message)
    assert came.rstrip(CR) == message.rstrip(CR)
    return [hl7v2.settled(gateway, came)]


@needs_node
def test_medplum_waits_for_the_application(gateway: Gateway) -> None:
    messages = [hl7v2.adt(msh={16: "AL"}) for _number in range(5)]
    sent = [{"text": message.decode("latin-1"), "returnAck": "application"} for message in messages]
    said = [answer[1][1:3] for answer in sent_by("medplum", gateway, "latin1", sent)]
    assert said == [["AA", hl7v2.control_of(message)] for message in messages]


@needs_node
@pytest.mark.parametrize("name", NODE_CLIENTS)
def test_a_client_of_node_is_told_of_a_refusal(gateway: Gateway, name: str) -> None:
    number = hl7v2.control()
    messages = [hl7v2.adt(msh={10: number}, name=patients) for patients in ("Müller^Jürgen", "Anders^Ganz")]
    answers = sent_by(name, gateway, "latin1", [{"text": message.decode("latin-1")} for message in messages])
    assert [answer[1][1:3] for answer in answers] == [["CA", number], ["CR", number]]
    assert answers[1][2][2:4] == ["MSH^1^10", "205^Duplicate key identifier^HL70357"]


# ---- servers: theirs, and a bad one


@dataclass
class Peer:
    """A server. `taken` are control id and text of what it took, in order."""

    port: int = 0
    taken: list[tuple[str, str]] = field(default_factory=list)

    def controls(self) -> list[str]:
        """The control ids of what it took."""
        return [control for control, _text in self.taken]

    def controls_once(self) -> list[str]:
        """The same, each once."""
        return list(dict.fromkeys(self.controls()))


@contextlib.contextmanager
def hosted(listen: Callable[[], Awaitable[asyncio.Server]], peer: Peer, writers: Sequence[Any]) -> Iterator[None]:
    """A server of this process in a thread of its own, `writers` its connections. What it raises fails the test."""
    loop = asyncio.new_event_loop()
    stop = asyncio.Event()
    is_open = threading.Event()
    failures: list[BaseException | None] = []

    async def serve() -> None:
        loop.set_exception_handler(lambda _loop, context: failures.append(context.get("exception")))
        server = await listen()
        peer.port = server.sockets[0].getsockname()[1]
        is_open.set()
        await stop.wait()
        server.close()
        for writer in writers:
            writer.transport.abort()
        conversations = asyncio.all_tasks() - {asyncio.current_task()}
        if conversations:
            await asyncio.wait(conversations, timeout=5)

    def run() -> None:
        try:
            loop.run_until_complete(serve())
        except BaseException as error:  # noqa: BLE001 - told in the test's thread
            failures.append(error)
        finally:
            is_open.set()
            loop.close()

    thread = threading.Thread(target=run)
    thread.start()
    try:
        assert is_open.wait(support.DEADLINE)
        assert failures == []
        yield
    finally:
        with contextlib.suppress(RuntimeError):  # it has ended by itself
            loop.call_soon_threadsafe(stop.set)
        thread.join(support.DEADLINE)
    assert failures == []


@contextlib.contextmanager
def python_hl7(encoding: str) -> Iterator[Peer]:
    """python-hl7's asyncio server, which answers AA."""
    peer = Peer()
    writers: list[hl7_mllp.HL7StreamWriter] = []

    async def converse(reader: hl7_mllp.HL7StreamReader, writer: hl7_mllp.HL7StreamWriter) -> None:
        writers.append(writer)
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                message = await reader.readmessage()
                peer.taken.append((str(message.segment("MSH")(10)), str(message)))
                writer.writemessage(message.create_ack())
                await writer.drain()
        writer.close()

    async def listen() -> asyncio.Server:
        return await hl7_mllp.start_hl7_server(converse, "127.0.0.1", 0, encoding=encoding, limit=LIMIT)

    with hosted(listen, peer, writers):
        yield peer


@contextlib.contextmanager
def served_by_node(name: str, encoding: str) -> Iterator[Peer]:
    """A server of `clients/hl7v2_serve.mjs`."""
    process = subprocess.Popen(
        ["node", str(CLIENTS / "hl7v2_serve.mjs"), name, encoding],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, encoding="utf-8",
    )  # fmt: skip
    peer = Peer()

    def read() -> None:
        assert process.stdout is not None
        for line in process.stdout:
            said = json.loads(line)
            peer.taken.append((said["control"], said["text"]))

    with process:
        assert process.stdin is not None
        assert process.stdout is not None
        peer.port = json.loads(process.stdout.readline())["port"]
        reading = threading.Thread(target=read)
        reading.start()
        try:
            yield peer
        finally:
            process.stdin.close()  # which ends it
            reading.join(support.DEADLINE)
    assert process.returncode == 0


def served(name: str, encoding: str) -> contextlib.AbstractContextManager[Peer]:
    """A good server by its name."""
    return python_hl7(encoding) if name == "python-hl7" else served_by_node(name, encoding)


#: What a bad server does with a message: the packets that it answers with, none of them is silence.
Behave = Callable[[bytes], Sequence[bytes]]


@dataclass
class Bad(Peer):
    """A server that behaves as a test wants it. `events` are what happened, and on which connection, from 0."""

    behave: Behave = lambda message: [answer(message)]
    events: list[tuple[Literal["open", "message", "end"], int]] = field(default_factory=list)
    bodies: list[bytes] = field(default_factory=list)

    def tries(self, message: bytes) -> int:
        """How often a message has come."""
        return self.controls().count(hl7v2.control_of(message))


def answer(message: bytes, code: str = "AA") -> bytes:
    """An answer in its frame."""
    return hl7v2.frame(acknowledge(code, hl7v2.control_of(message)))


@contextlib.contextmanager
def badly_served(
    behave: Behave | None = None, *, port: int = 0, context: ssl.SSLContext | None = None
) -> Iterator[Bad]:
    """The bad server, which is good until it is told to be bad, on a port that may have been chosen before."""
    peer = Bad()
    peer.behave = behave or peer.behave
    writers: list[asyncio.StreamWriter] = []

    async def converse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        number = len(writers)
        writers.append(writer)
        peer.events.append(("open", number))
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                message = (await reader.readuntil(FS + CR)).removeprefix(VT)[:-2]
                peer.events.append(("message", number))
                peer.bodies.append(message)
                peer.taken.append((hl7v2.control_of(message), message.decode("latin-1")))
                for packet in peer.behave(message):
                    writer.write(packet)
                    await writer.drain()
                    await asyncio.sleep(0.005)  # so that packets mostly come apart
        peer.events.append(("end", number))
        writer.close()

    async def listen() -> asyncio.Server:
        return await asyncio.start_server(converse, "127.0.0.1", port, limit=LIMIT, ssl=context)

    with hosted(listen, peer, writers):
        yield peer


SERVERS = [
    "python-hl7",
    *(pytest.param(name, marks=needs_node) for name in ("medplum", "medplum-enhanced", "node-hl7-server")),
]


# ---- their servers receive from our client


@dataclass(frozen=True)
class Heard:
    """What our client made of a peer's answers: code and MSA-2 of each."""

    answers: list[tuple[str, str]]
    skipped: int


def send(port: int, messages: Sequence[bytes], *, waits: bool = False, seconds: float = support.DEADLINE) -> Heard:
    """Send messages with our client. SendFailed is an answer too."""

    async def scenario() -> Heard:
        ours = client.Client("127.0.0.1", port, timeout_seconds=seconds, connect_seconds=support.DEADLINE)
        said = []
        for message in messages:
            try:
                got = await ours.send(message, hl7v2.control_of(message), wants_application_answer=waits)
            except client.SendFailed as failure:
                said.append((failure.kind, ""))
            else:
                said.append((got.code, hl7v2.Answer(got.raw).control))
        await ours.close()
        return Heard(said, ours.skipped)

    return asyncio.run(scenario())


@pytest.mark.parametrize(("charset", "encoding", "name"), CHARSETS[:2])
@pytest.mark.parametrize("server", SERVERS)
def test_a_server_takes_what_our_client_sends(server: str, charset: str, encoding: str, name: str) -> None:
    messages = [hl7v2.adt(name=name, msh={18: charset, 16: "AL"}) for _number in range(3)]
    with served(server, encoding) as peer:
        heard = send(peer.port, messages, waits=server == "medplum-enhanced")
    assert heard.answers == [("AA", hl7v2.control_of(message)) for message in messages]
    assert peer.controls_once() == [hl7v2.control_of(message) for message in messages]
    # node-hl7-server keeps the messages of a connection, and takes and answers them again with each further one.
    assert heard.skipped == (1 + 2 if server == "node-hl7-server" else 0)
    assert all(f"|{name}^^^^^L|" in text for _control, text in peer.taken)


@needs_node
def test_the_commit_is_enough_where_nobody_waits_for_more() -> None:
    messages = [hl7v2.adt() for _number in range(5)]
    with served("medplum-enhanced", "latin1") as peer:
        heard = send(peer.port, messages)
    assert heard.answers == [("CA", hl7v2.control_of(message)) for message in messages]


@pytest.mark.parametrize("server", SERVERS)
def test_a_document_of_five_megabytes(server: str) -> None:
    message = hl7v2.mdm(os.urandom(3_600_000), "application/pdf", patient="4711", number="D1", msh=ORIGINAL)
    with served(server, "latin1") as peer:
        answers = send(peer.port, [message], waits=server == "medplum-enhanced").answers
    assert answers == [("AA", hl7v2.control_of(message))]
    assert peer.taken[0][1].encode("latin-1").rstrip(CR) == message.rstrip(CR)


def apart(message: bytes, code: str = "AA") -> list[bytes]:
    """An answer byte for byte."""
    return [bytes([byte]) for byte in answer(message, code)]


def padded(message: bytes) -> list[bytes]:
    """An answer of half a megabyte in packets of 64 KiB."""
    whole = answer(message)[:-2] + b"ZZZ|" + b"x" * 500_000 + b"\r" + FS + CR
    return [whole[start : start + 65_536] for start in range(0, len(whole), 65_536)]


STRAY = answer(hl7v2.adt())


@pytest.mark.parametrize(
    ("behave", "waits", "code"),
    [
        (lambda message: apart(message), False, "AA"),
        (lambda message: padded(message), False, "AA"),
        (lambda message: [answer(message, "CA") + answer(message, "AE")], True, "AE"),
        (lambda message: [*apart(message, "CA"), *apart(message)], True, "AA"),
        (lambda message: [STRAY + answer(message)], False, "AA"),
        (lambda message: [STRAY, STRAY, b"\r\n", answer(message, "AR")], False, "AR"),
        (lambda message: [VT + b"MSH|^~\\&|half", answer(message)], False, "AA"),
        (lambda _message: [hl7v2.frame(b"<html>Bad Gateway</html>")], False, "not an answer"),
        (lambda _message: [b"HTTP/1.1 400 Bad Request\r\n\r\n"], False, "not an answer"),
        (lambda message: [answer(message)[:-1]], False, "timeout"),
        (lambda message: [answer(message, "CA")], True, "timeout"),
        (lambda _message: [], False, "timeout"),
    ],
)  # fmt: skip
def test_a_bad_server(behave: Behave, waits: bool, code: str) -> None:
    messages = [hl7v2.adt(), hl7v2.adt()]
    with badly_served(behave) as peer:
        heard = send(peer.port, messages, waits=waits, seconds=1 if code == "timeout" else support.DEADLINE)
    assert [told for told, _control in heard.answers] == [code, code]
    assert peer.controls() == [hl7v2.control_of(message) for message in messages]
    # What failed ends its connection: the next message has another one.
    connections = [number for event, number in peer.events if event == "message"]
    assert connections == ([0, 0] if code in ("AA", "AE", "AR") else [0, 1])


# ---- the gateway delivers


def queue(gateway: Gateway, destination: str, messages: Sequence[tuple[str, bytes]]) -> None:
    """Put messages into the gateway's queue, as a finished run does: patient and bytes of each, in one commit."""

    def work(unit: database.Unit) -> None:
        for patient, message in messages:
            outgoing.add(
                unit, control=hl7v2.control_of(message), destination=destination, patient=patient,
                encounter=f"E{hl7v2.control_of(message)}", event="ADT^A08", body=message,
            )  # fmt: skip

    with contextlib.closing(database.Database(database.sqlite_url(gateway.data / "gateway.sqlite"))) as store:
        store.submit(work).result()


def state(gateway: Gateway, message: bytes) -> tuple[str, int, str | None]:
    """State, tries and reason of a message of ours."""
    query = "SELECT state, attempts, reason FROM outgoing WHERE control = ?"
    ((found, attempts, reason),) = gateway.rows(query, hl7v2.control_of(message))
    return found, attempts, reason


def wait_for(gateway: Gateway, wanted: str, *messages: bytes) -> None:
    """Wait until all of these are in a state."""
    support.poll(lambda: all(state(gateway, m)[0] == wanted for m in messages) or None, f"messages that are {wanted}")


def told(gateway: Gateway, destination: str) -> list[str]:
    """What the log says of a destination, in order."""
    return [line["event"] for line in hl7v2.logged(gateway) if line.get("destination") == destination]


def messages_about_one(name: str = "Müßgängér^Jürgen", count: int = 3) -> list[bytes]:
    """Messages about one patient."""
    return [hl7v2.adt("A08", name=name, msh={16: "AL"}) for _number in range(count)]


@pytest.mark.parametrize("name", [name if name == "python" else pytest.param(name, marks=needs_node) for name in GOOD])
def test_a_good_server_gets_all_messages_in_order(gateway: Gateway, good: dict[str, Peer], name: str) -> None:
    messages, peer = messages_about_one(count=5), good[name]
    queue(gateway, name, [("P", message) for message in messages])
    wait_for(gateway, "sent", *messages)
    support.poll(lambda: len(peer.controls_once()) >= 5 or None, "what the server says that it took")
    assert peer.controls_once() == [hl7v2.control_of(message) for message in messages]
    assert [state(gateway, message) for message in messages] == [("sent", 1, None)] * 5
    assert all("|Müßgängér^Jürgen^^^^^L|" in text for _control, text in peer.taken)
    assert told(gateway, name) == []


def test_a_patients_messages_keep_their_order_and_others_go_on(gateway: Gateway, bad: dict[str, Bad]) -> None:
    first, second, third = messages_about_one()
    peer, more = bad["order"], messages_about_one("Anders^Ganz")
    others = [hl7v2.control_of(message) for message in more]

    def behave(message: bytes) -> Sequence[bytes]:
        """The first message is refused until all messages of the other patient have come."""
        is_refused = message == first and not set(others) <= set(peer.controls())
        return [answer(message, "AE" if is_refused else "AA")]

    peer.behave = behave
    queue(gateway, "order", [("A", first), ("A", second), ("A", third), *(("B", message) for message in more)])
    wait_for(gateway, "sent", first, second, third, *more)
    came = peer.controls()
    assert came[0] == hl7v2.control_of(first)
    assert [control for control in came if control in others] == others
    assert came[-2:] == [hl7v2.control_of(second), hl7v2.control_of(third)]
    assert peer.tries(first) > 1
    assert {body for body in peer.bodies if hl7v2.control_of(body) == hl7v2.control_of(first)} == {first}
    assert told(gateway, "order") == []  # it answers


def test_no_answer_drops_the_connection_and_sends_the_same_again(gateway: Gateway, bad: dict[str, Bad]) -> None:
    peer, (message,) = bad["silence"], messages_about_one(count=1)
    peer.behave = lambda message: [answer(message)] if peer.tries(message) > 4 else []
    queue(gateway, "silence", [("A", message)])
    wait_for(gateway, "sent", message)
    assert state(gateway, message) == ("sent", 5, None)
    assert peer.bodies == [message] * 5
    dropped = [(event, number) for number in range(4) for event in ("open", "message", "end")]
    assert peer.events == [*dropped, ("open", 4), ("message", 4)]
    assert told(gateway, "silence") == ["destination fails", "destination recovered"]


def test_a_message_that_is_never_answered_does_not_hold_up_other_patients(
    gateway: Gateway, bad: dict[str, Bad]
) -> None:
    peer, (poison, later), others = bad["poison"], messages_about_one(count=2), messages_about_one("Anders^Ganz")
    peer.behave = lambda message: [] if message == poison else [answer(message)]
    queue(gateway, "poison", [("A", poison), ("A", later), *(("B", message) for message in others)])
    wait_for(gateway, "dead", poison)
    wait_for(gateway, "sent", later, *others)
    came, numbers = peer.controls(), [hl7v2.control_of(message) for message in others]
    assert [control for control in came if control in numbers] == numbers
    assert peer.tries(poison) == 4
    last_try = len(came) - 1 - came[::-1].index(hl7v2.control_of(poison))
    assert came[last_try + 1 :] == [hl7v2.control_of(later)]


def test_a_dead_letter_and_sending_it_again(gateway: Gateway, bad: dict[str, Bad]) -> None:
    peer, (refused, later) = bad["refusal"], messages_about_one(count=2)
    peer.behave = lambda message: [answer(message, "AR" if message == refused else "AA")]
    queue(gateway, "refusal", [("A", refused), ("A", later)])
    wait_for(gateway, "dead", refused)
    wait_for(gateway, "sent", later)
    assert state(gateway, refused) == ("dead", 3, "Answered AR.")
    assert peer.controls() == [hl7v2.control_of(refused)] * 3 + [hl7v2.control_of(later)]
    assert told(gateway, "refusal") == ["message is a dead letter"]
    (line,) = said(gateway, "outgoing", "--state", "dead", "--limit", "1").splitlines()
    assert line.split()[0] == hl7v2.control_of(refused)

    peer.behave = lambda message: [answer(message)]
    assert said(gateway, "send-again", hl7v2.control_of(refused)) == f"{hl7v2.control_of(refused)} is sent again.\n"
    wait_for(gateway, "sent", refused)
    assert peer.bodies[-1] == refused
    assert state(gateway, refused) == ("sent", 1, None)


def said(gateway: Gateway, *arguments: str) -> str:
    """What `fhir-gateway messages …` says beside the running gateway."""
    done = support.command("messages", *arguments, "--data", gateway.data)
    assert (done.returncode, done.stderr) == (0, ""), done.stderr
    return done.stdout


def test_a_destination_that_cannot_be_reached_is_waited_for(gateway: Gateway, away: int) -> None:
    messages = messages_about_one(count=2)
    queue(gateway, "away", [(f"P{number}", message) for number, message in enumerate(messages)])
    for _try in range(5):  # more than a message has
        before = due(gateway)
        support.poll(lambda before=before: due(gateway) > before or None, "a further try")  # type: ignore[misc]
    assert state(gateway, messages[0]) == ("waiting", 0, "No answer: connect.")
    assert told(gateway, "away") == ["destination fails"]
    with badly_served(port=away) as peer:
        wait_for(gateway, "sent", *messages)
        assert sorted(peer.bodies) == sorted(messages)
    assert told(gateway, "away") == ["destination fails", "destination recovered"]


def due(gateway: Gateway) -> int:
    """When the messages to `away` are tried again, added up: it grows with each try."""
    return int(gateway.rows("SELECT sum(due) FROM outgoing WHERE destination = 'away'")[0][0])


def test_mutual_tls(gateway: Gateway, bad: dict[str, Bad]) -> None:
    messages = messages_about_one()
    queue(gateway, "tls", [("A", message) for message in messages])
    wait_for(gateway, "sent", *messages)
    assert bad["tls"].bodies == messages


def test_who_is_not_the_destination_gets_nothing(gateway: Gateway, bad: dict[str, Bad]) -> None:
    (message,) = messages_about_one(count=1)
    queue(gateway, "stranger", [("A", message)])
    support.poll(lambda: state(gateway, message)[2], "a refused certificate")
    assert state(gateway, message) == ("waiting", 0, "No answer: tls.")
    assert bad["stranger"].bodies == []
    assert told(gateway, "stranger") == ["destination fails"]


def test_a_kill_while_a_message_is_in_flight_sends_the_same_again(gateway: Gateway, bad: dict[str, Bad]) -> None:
    peer, (message, later) = bad["kill"], messages_about_one(count=2)
    peer.behave = lambda _message: []
    queue(gateway, "kill", [("A", message), ("A", later)])
    support.poll(lambda: peer.bodies or None, "a message in flight")
    gateway.kill()
    peer.behave = lambda message: [answer(message)]
    gateway.start()
    wait_for(gateway, "sent", message, later)
    assert peer.bodies == [message, message, later]


def test_the_log_names_no_patient(gateway: Gateway) -> None:
    assert "rgen" not in gateway.log_text()
    assert "Anders" not in gateway.log_text()
