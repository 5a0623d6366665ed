"""HL7 v2 measured: parsing, mapping, and messages received, stored and acknowledged over MLLP.

Nothing here passes or fails by time. Compare ratios of one table; the rates belong to the machine and its load. The
yardsticks are python-hl7 (its parser, and its asyncio server, which keeps nothing) and hl7apy (its parser).
"""

from __future__ import annotations

import argparse
import base64
import contextlib
import functools
import itertools
import os
import statistics
import time
from collections.abc import Callable, Mapping
from typing import Any

import hl7
from hl7apy import parser as hl7apy_parser
from hl7apy.consts import VALIDATION_LEVEL

from benchmarks import load, mllp
from mappers import er7
from mappers.v2_to_fhir import engine, sites

ROUNDS = 9  # of each way to parse, in turns: noise hits all alike
ROUND_SECONDS = 0.15  # processor time of one way in one round
CONNECTIONS = (1, 4, 16)
IN_A_ROW = 4_800  # messages of one measurement without waiting, over all connections
BACKLOG = 1_000  # messages that the mapping has to catch up with


def _segment(name: str, values: Mapping[int, str]) -> str:
    """A segment with these fields, as they stand on the wire."""
    if name == "MSH":
        return "|".join([r"MSH|^~\&", *(values.get(number, "") for number in range(3, max(values) + 1))])
    return "|".join([name, *(values.get(number, "") for number in range(1, max(values) + 1))])


def _message(event: str, structure: str, mode: str, segments: Mapping[str, Mapping[int, str]]) -> str:
    """Header and segments; what stands behind a blank in a segment's name only tells it from others."""
    commit, _, application = mode.partition("/")
    header = {
        3: "ORBIS", 4: "Klinikum Köln", 5: "FHIR-GATEWAY", 6: "Klinikum Köln", 7: "20261122101500+0100",
        9: f"{event}^{structure}", 10: "M%(n)d", 11: "P", 12: "2.5^DEU&&HL70399", 15: commit, 16: application,
        17: "DEU", 18: "8859/1", 19: "DEU^^HL70296", 21: "2.16.840.1.113883.2.6.9.38",
    }  # fmt: skip
    return "".join(f"{_segment(name.split()[0], values)}\r" for name, values in {"MSH": header, **segments}.items())


_NAME = "von Größenwald&von&Größenwald^Jürgen^Karl^^Dr.^^L"
_ADDRESS = "Lindenstraße 5&Lindenstraße&5^Hinterhaus^Köln^^50667^DEU^H"
_DOCTOR = "1234567^Müller^Anke^^^Dr. med.^^^ARZT&LANR"
_PID = {1: "1", 3: "P%(n)d^^^ORBIS^PI", 5: _NAME, 7: "19581104", 8: "M"}
_PV1 = {1: "1", 2: "I", 3: "CHI1^201^1^KLINIKUM^^N^A^4", 19: "F%(n)d^^^ORBIS^VN"}
_DG1 = {5: "20261122", 6: "AD", 16: _DOCTOR, 21: "A"}

#: An invented admission of about 1.5 kB; each number makes one of another patient.
_ADMISSION: dict[str, dict[int, str]] = {
    "EVN": {1: "A01", 2: "20261122101500", 5: "SCHMIDTM^Schmidt^Maria", 6: "20261122100000"},
    "PID": {
        **_PID, 5: f"{_NAME}~Öztürk^^^^^^M", 11: f"{_ADDRESS}~^^Düren^^^DEU^BDL",
        13: "^PRN^PH^^49^221^478001~^NET^Internet^juergen@example.org", 16: "M^verheiratet", 17: "RK", 28: "D", 30: "N",
    },
    "PV1": {
        **_PV1, 4: "R", 7: _DOCTOR, 8: "2345678^Weiß^Jörg^^^Dr.", 10: "CHI", 14: "7", 17: "3456789^Özil^Mira",
        44: "20261122100000+0100",
    },
    "PV2": {3: "0101^vollstationär, Normalfall^GSG0001", 12: "Sturz: Schenkelhalsfraktur \\T\\ Prellung"},
    "ZBE": {1: "Z%(n)d^ORBIS", 2: "20261122100000", 4: "INSERT", 5: "N", 6: "A01", 7: "CHI1^^^^^KLINIKUM"},
    "AL1": {1: "1", 2: "DA", 3: "PENG^Penicillin G^LOKAL", 4: "SV", 5: "Hautausschlag, Atemnot", 6: "20190312"},
    "DG1 1": {1: "1", 3: "S72.00 R V^Schenkelhalsfraktur^I10-2026", 15: "1", 20: "D%(n)d-1^ORBIS", **_DG1},
    "DG1 2": {1: "2", 3: "I10.90 G^Essentielle Hypertonie^I10-2026", 15: "2", 20: "D%(n)d-2^ORBIS", **_DG1},
    "IN1": {
        1: "1", 2: "GKV", 3: "109905003^^^^NII", 4: "Muster-Krankenkasse", 5: "Kassenallee 1^^Köln^^50668^DEU",
        12: "20200101", 13: "20281231", 15: "1000^Mitglied^GSG0012", 16: _NAME, 17: "SEL^selbst^HL70063",
        18: "19581104", 49: "A123456780",
    },
}  # fmt: skip
_WISHES = ("AL/NE", "/")  # MSH-15 and MSH-16: enhanced mode as German senders have it, and original mode
_TEMPLATES = {mode: _message("ADT^A01", "ADT_A01", mode, _ADMISSION).encode("latin-1") for mode in _WISHES}
_numbers = itertools.count(1)


def admission(mode: str = _WISHES[0]) -> tuple[bytes, bytes]:
    """The control id and the bytes of an ADT^A01 that was not made before."""
    number = next(_numbers)
    return b"M%d" % number, _TEMPLATES[mode] % {b"n": number}


def laboratory(results: int = 100) -> bytes:
    """An ORU^R01 with so many results."""
    lines: dict[str, dict[int, str]] = {
        f"OBX {n}": {
            1: str(n), 2: "NM", 3: f"{2160 + n}-0^Messgröße {n}^LN", 5: f"{n / 10 + 0.5:.1f}", 6: "mg/dl^^UCUM",
            7: f"0.7-{n}.3", 8: "H", 11: "F", 14: "20261122105500",
        }
        for n in range(1, results + 1)
    }  # fmt: skip
    order = {1: "1", 2: "A77^ORBIS", 3: "L77^LABOR", 4: "KBB^Großes Blutbild^LOKAL", 7: "20261122105500", 25: "F"}
    text = _message("ORU^R01", "ORU_R01", _WISHES[0], {"PID": _PID, "PV1": _PV1, "OBR": order, **lines})
    return text.encode("latin-1") % {b"n": next(_numbers)}


def document(size: int = 1_000_000) -> bytes:
    """An MDM^T02 with a document of so many bytes of base64."""
    content = base64.b64encode((b"%PDF-1.7 erfunden " * size)[: size * 3 // 4]).decode("ascii")
    segments: dict[str, dict[int, str]] = {
        "EVN": {1: "T02", 2: "20261122113000"},
        "PID": _PID,
        "PV1": _PV1,
        "TXA": {1: "1", 2: "DS^Entlassbrief", 3: "PDF", 4: "20261122110000", 12: "D%(n)d^ORBIS", 17: "AU"},
        "OBX": {1: "1", 2: "ED", 3: "DS^Entlassbrief", 5: f"^application^pdf^Base64^{content}", 11: "F"},
    }
    return _message("MDM^T02", "MDM_T02", _WISHES[0], segments).encode("latin-1") % {b"n": next(_numbers)}


def row(*cells: object) -> None:
    """One line of a table."""
    print("| " + " | ".join(f"{cell:,.1f}" if isinstance(cell, float) else str(cell) for cell in cells) + " |")


def head(words: int, *cells: str) -> None:
    """The head of a table whose first columns are words."""
    print(f"\n| {' | '.join(cells)} |\n|{'---|' * words}{'---:|' * (len(cells) - words)}")


# ---- parse and map

FIVE = (("MSH", 10, 1), ("PID", 3, 1), ("PID", 5, 1), ("PID", 5, 2), ("PV1", 19, 1))  # segment, field, component
_PATHS = [f"{name}-{number}.{component}" for name, number, component in FIVE]
_SITE = sites.Sites(None).of(sites.Origin("ORBIS", "Klinikum Köln"))


def er7_parse(data: bytes) -> object:
    """Segments are cut; what is in them is when it is asked for."""
    return er7.parse(data)


def er7_five(data: bytes) -> object:
    """Five values, escapes undone."""
    message = er7.parse(data)
    return [message.text(path) for path in _PATHS]


def er7_all(data: bytes) -> object:
    """Every value with its place, escapes undone."""
    message = er7.parse(data)
    return [(place, er7.unescape(raw, message.context)) for place, raw in message.leaves()]


def er7_tree(data: bytes) -> object:
    """Every value, by an object for each node of the tree."""
    return [
        subcomponent.text
        for segment in er7.parse(data).segments
        for _number, found in segment.fields
        for repetition in found.repetitions
        for component in repetition.components
        for subcomponent in component.subcomponents
    ]


def hl7_parse(data: bytes) -> hl7.Message:
    """python-hl7 makes the whole tree at once."""
    return hl7.parse(data, encoding="latin-1")


def hl7_five(data: bytes) -> object:
    """Five values, escapes undone."""
    message = hl7_parse(data)
    return [message.extract_field(name, 1, number, 1, component) for name, number, component in FIVE]


def hl7_all(data: bytes) -> object:
    """Every value, escapes undone."""
    message = hl7_parse(data)
    found: list[str] = []
    waiting: list[Any] = [message]
    while waiting:
        node = waiting.pop()
        if isinstance(node, str):
            found.append(message.unescape(node) if "\\" in node else node)
        else:
            waiting.extend(node)
    return found


def hl7apy_parse(data: bytes) -> object:
    """hl7apy makes the whole tree after the structures of the version."""
    level = VALIDATION_LEVEL.TOLERANT
    return hl7apy_parser.parse_message(data.decode("latin-1"), find_groups=False, validation_level=level)


def mapped(data: bytes) -> engine.Mapped:
    """Parsed and mapped by the bundled rules: what the worker does with a message before it stores it."""
    message = _SITE.parse(data)
    return engine.map_message(message, _SITE.library, _SITE.scope(message))


#: Name and work, and the one that it is fair to compare with, for it gives as much.
WAYS: dict[str, tuple[Callable[[bytes], object], str | None]] = {
    "er7: parse (segments, the rest when asked for)": (er7_parse, None),
    "er7: parse, five values": (er7_five, "python-hl7: parse, five values"),
    "er7: parse, every value": (er7_all, "python-hl7: parse, every value"),
    "er7: parse, every value by way of the tree": (er7_tree, "python-hl7: parse, every value"),
    "python-hl7: parse (the whole tree)": (hl7_parse, None),
    "python-hl7: parse, five values": (hl7_five, None),
    "python-hl7: parse, every value": (hl7_all, None),
    "hl7apy: parse (find_groups off)": (hl7apy_parse, None),
    "er7 and v2_to_fhir: parse and map": (mapped, "hl7apy: parse (find_groups off)"),
}


def processor_seconds(work: Callable[[bytes], object], data: bytes) -> float:
    """The processor time of one call, over a round of calls."""
    begun, calls = time.process_time(), 0
    while True:
        work(data)
        calls += 1
        taken = time.process_time() - begun
        if taken >= ROUND_SECONDS:
            return taken / calls


def times_faster(taken: list[float], peer: list[float]) -> str:
    """The median of the ratios round by round, so that noise falls on both sides of it."""
    return f"{statistics.median(theirs / ours for ours, theirs in zip(taken, peer, strict=True)):.2f}"


def in_process() -> None:
    """The tables of parsing and mapping."""
    messages = {"ADT^A01": admission()[1], "ORU^R01, 100 OBX": laboratory(), "MDM^T02, 1 MB": document()}
    for name, data in messages.items():
        for work, _peer in WAYS.values():
            work(data)
        rounds: dict[str, list[float]] = {way: [] for way in WAYS}
        for _round in range(ROUNDS):
            for way, (work, _peer) in WAYS.items():
                rounds[way].append(processor_seconds(work, data))
        head(1, f"{name}, {len(data):,} bytes", "best a second", "median a second", "against python-hl7's parse",
             "against its fair peer")  # fmt: skip
        for way, (_work, peer) in WAYS.items():
            against = times_faster(rounds[way], rounds["python-hl7: parse (the whole tree)"])
            fair = times_faster(rounds[way], rounds[peer]) if peer else ""
            row(way, 1 / min(rounds[way]), 1 / statistics.median(rounds[way]), against, fair)
        found = mapped(data)
        print(f"\n{len(found.drafts)} resources; {len(found.unmapped)} of {len(found.lines)} values not mapped")


# ---- over MLLP


def over_mllp(seconds: float, cores: set[int] | None) -> None:
    """The table of messages over MLLP, and how long the mapping takes to catch up. Each line is a new process."""
    servers: dict[str, Callable[[], contextlib.AbstractContextManager[mllp.Server]]] = {
        "python-hl7, keeps nothing": lambda: mllp.yardstick(cores),
        "gateway, not mapping": lambda: mllp.gateway(cores, maps=False),
        "gateway": lambda: mllp.gateway(cores),
    }
    head(4, "answers", "sent", "connections", "server", "a second", "p50 ms", "p99 ms", "CPU µs",
         "mapped meanwhile, a second", "against python-hl7")  # fmt: skip
    for mode, code, way, connections in [
        *((_WISHES[0], b"CA", way, count) for way in ("in turns", "in a row") for count in CONNECTIONS),
        *((_WISHES[1], b"AA", "in turns", count) for count in CONNECTIONS),
    ]:
        base, make = 0.0, functools.partial(admission, mode)
        for name, start in servers.items():
            with start() as server:
                mllp.in_turns(server, connections, make, code, 1.0)  # not counted
                before = server.waiting() if server.database else 0
                if way == "in turns":
                    sent = mllp.in_turns(server, connections, make, code, seconds)
                else:
                    sent = mllp.in_a_row(server, connections, make, code, IN_A_ROW)
                done: object = ""
                if server.database:
                    done = (before + sent.messages - server.waiting()) / sent.seconds
            base = base or sent.rate
            row(code.decode(), way, connections, name, sent.rate, sent.answered(0.5), sent.answered(0.99),
                sent.cpu / sent.messages * 1_000_000, done, f"{sent.rate / base:.2f}")  # fmt: skip
    with mllp.gateway(cores) as server:
        used, begun = load.cpu_seconds([server.pid]), time.perf_counter()
        received = mllp.in_a_row(server, 4, admission, b"CA", BACKLOG).seconds
        mllp.seconds_to_map(server)
        taken, used = time.perf_counter() - begun, load.cpu_seconds([server.pid]) - used
    print(
        f"\n{BACKLOG:,} admissions acknowledged after {received:.2f} s, mapped and stored after {taken:.1f} s: "
        f"{BACKLOG / taken:.1f} a second, {used / BACKLOG * 1000:.1f} ms of processor time each"
    )


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=3.0, help="time of one measurement over MLLP")
    parser.add_argument("--only", choices=("parse", "mllp"), help="only parsing and mapping, or only MLLP")
    parser.add_argument("--pin", action="store_true", help="servers on core 0, the load generator on core 1")
    options = parser.parse_args()
    if options.pin:
        os.sched_setaffinity(0, {1})
    if options.only != "mllp":
        in_process()
    if options.only != "parse":
        over_mllp(options.seconds, {0} if options.pin else None)


if __name__ == "__main__":
    main()
