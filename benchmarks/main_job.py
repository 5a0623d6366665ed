"""The main job measured: a long consultation through the stages, through a gateway process, and many at once.

Nothing here passes or fails by time. Compare ratios of one table; the milliseconds belong to the machine and its load.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import math
import os
import platform
import re
import sqlite3
import statistics
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from fhir_gateway import errors
from fhir_gateway.demo import gateway_process, record_system
from mappers import consultation_to_fhir
from pipeline import flow
from pipeline.engines.rules import features
from pipeline.evaluation import cases
from pipeline.grounding import gate
from pipeline.stages import bill, check, code, read_document, scribe, summarise

CASE = cases.named("polytrauma")
ROUNDS = 5  # the median is taken of so many, after one that is not counted
END_SECONDS = 600.0  # for all runs together; more than this is a fault
POLL_SECONDS = 0.005

Json = dict[str, Any]
T = TypeVar("T")

#: The caches whose keys are sentences of a consultation; the other caches hold tables.
_CACHES = [found for module in (features, gate) for found in vars(module).values() if hasattr(found, "cache_clear")]
_TEXT_CACHES = [cache for cache in _CACHES if cache.cache_parameters()["maxsize"] is not None]


class Sent(NamedTuple):
    """A transaction that the gateway took: when, in seconds since 1970, how long its answer took, and its encounter."""

    at: float
    answered: float
    encounter: str


def transcript(number: int) -> str:
    """The case's words with a made-up one at the end of each sentence, so that little is remembered between runs."""
    word = "q" + "".join("aeioubdfgk"[int(digit)] for digit in f"{number:03}")
    return re.sub(r"(?<=\w)(?=[.?!](?:\s|$))", f" {word}", CASE.transcript)


def transaction(number: int) -> Json:
    """The case as a record system sends it, for a patient of its own."""
    made = consultation_to_fhir.bundle(CASE.consultation, text=transcript(number))
    patient = next(entry["resource"] for entry in made["entry"] if entry["resource"]["resourceType"] == "Patient")
    patient["identifier"][0]["value"] = f"benchmark-{number}"
    return made


def through_the_stages() -> dict[str, tuple[float, float]]:
    """Processor and wall milliseconds of each stage, once."""
    taken: dict[str, tuple[float, float]] = {}

    def timed(stage: flow.Stage, work: Callable[..., T], *given: object) -> T:
        cpu, wall = time.process_time(), time.perf_counter()
        made = work(*given)
        taken[stage] = (1000 * (time.process_time() - cpu), 1000 * (time.perf_counter() - wall))
        return made

    source = CASE.consultation.sources[0].model_copy(update={"content": transcript(0).encode()})
    said = CASE.consultation.model_copy(update={"sources": (source,)})
    read = timed("read", read_document.run, said)
    note = timed("scribe", scribe.run, said, read)
    timed("summarise", summarise.run, said, read, note)
    coding = timed("code", code.run, said, read, note)
    timed("check", check.run, said, read, note)
    timed("bill", bill.run, said, read, note, coding, "GKV")
    return taken


def in_process() -> Json:
    """Medians by stage with nothing remembered of the text, and the processor time of a text met before."""
    times: dict[str, list[dict[str, tuple[float, float]]]] = {"first": [through_the_stages()], "again": [], "fresh": []}
    for kind in ROUNDS * ["again"] + ROUNDS * ["fresh"]:
        for cache in _TEXT_CACHES if kind == "fresh" else ():
            cache.cache_clear()
        times[kind].append(through_the_stages())
    columns = {"cpu_ms": ("fresh", 0), "wall_ms": ("fresh", 1),
               "cpu_again_ms": ("again", 0), "cpu_first_ms": ("first", 0)}  # fmt: skip
    rows = {stage: {name: statistics.median(taken[stage][place] for taken in times[kind])
                    for name, (kind, place) in columns.items()} for stage in times["first"][0]}  # fmt: skip
    rows["total"] = {name: sum(row[name] for row in rows.values()) for name in columns}
    return rows


def wait_for(gateway: gateway_process.Gateway, is_there: Callable[[], bool]) -> None:
    """Until it is there; GatewayError when it does not come or the gateway has ended."""
    deadline = time.monotonic() + END_SECONDS
    while not is_there():
        gateway_process.check_alive(gateway)
        if time.monotonic() > deadline:
            raise errors.GatewayError(f"Not all had ended after {END_SECONDS:.0f} seconds.")
        time.sleep(POLL_SECONDS)


def is_idle(database: sqlite3.Connection) -> bool:
    """Whether no run is under way. Watching the file costs the gateway nothing; asking over HTTP would."""
    return database.execute("SELECT 1 FROM run WHERE status IN ('waiting', 'queued', 'running')").fetchone() is None


def has_claim(database: sqlite3.Connection, encounter: str) -> bool:
    query = """SELECT 1 FROM resource_version v JOIN index_reference i ON i.rk = v.rk
        WHERE v.type = 'Claim' AND i.parameter = 'encounter' AND i.target_id = ?"""
    return database.execute(query, (encounter,)).fetchone() is not None


def send(system: record_system.RecordSystem, made: Json) -> Sent:
    at, begun = time.time(), time.perf_counter()
    references = system.send(made)
    encounter = next(reference for reference in references if reference.startswith("Encounter/"))
    return Sent(at, time.perf_counter() - begun, encounter.split("/")[1])


def ended(database: sqlite3.Connection, sent: Sent) -> tuple[str, float, dict[str, float]]:
    """The run's last state, its seconds from the POST to that state, and the milliseconds of each stage."""
    row = database.execute("SELECT id, status, updated FROM run WHERE encounter = ?", (sent.encounter,)).fetchone()
    found = database.execute("SELECT stage, micros FROM stage_output WHERE run = ?", (row[0],))
    own = {stage: micros / 1000 for stage, micros in found}
    return row[1], row[2] / 1_000_000 - sent.at, {stage: own[stage] for stage in flow.STAGES if stage in own}


def one_run(system: record_system.RecordSystem, database: sqlite3.Connection, number: int) -> Json:
    """One run with nothing else under way; `engine_share_at_most` takes of stages side by side the longest only."""
    made, cpu = transaction(number), processor_seconds(system.gateway)
    begun, sent = time.perf_counter(), send(system, made)
    wait_for(system.gateway, lambda: has_claim(database, sent.encounter))
    assert system.read("Claim", encounter=f"Encounter/{sent.encounter}")["entry"], "the Claim is not readable"
    claim = time.perf_counter() - begun
    wait_for(system.gateway, lambda: is_idle(database))
    state, wall, own = ended(database, sent)
    assert state == "completed", state
    longest = sum(max(own[stage] for stage in group) for group in flow.ORDER)
    return {
        "answer_ms": 1000 * sent.answered, "claim_ms": 1000 * claim, "completed_ms": 1000 * wall,
        "stages_sum_ms": sum(own.values()), "engine_share": 1 - sum(own.values()) / (1000 * wall),
        "engine_share_at_most": 1 - longest / (1000 * wall),
        "gateway_cpu_ms": 1000 * (processor_seconds(system.gateway) - cpu), "stages": own,
    }  # fmt: skip


def one_by_one(system: record_system.RecordSystem, database: sqlite3.Connection) -> Json:
    """The first run after the start, and the medians of those behind it."""
    first, *others = [one_run(system, database, number) for number in range(ROUNDS + 1)]
    middle: Json = {name: statistics.median(run[name] for run in others) for name in first if name != "stages"}
    middle["stages"] = {stage: statistics.median(run["stages"][stage] for run in others) for stage in first["stages"]}
    return {"first": first, "median": middle, "runs_per_second": 1000 / middle["completed_ms"]}


def at_once(system: record_system.RecordSystem, database: sqlite3.Connection, runs: int) -> Json:
    """All posted in the same moment, each by a thread of its own."""
    made = [transaction(ROUNDS + 1 + number) for number in range(runs)]
    start, taken = threading.Barrier(runs), list[Sent]()

    def post(one: Json) -> None:
        start.wait()
        with contextlib.suppress(errors.GatewayError):
            taken.append(send(system, one))

    cpu = processor_seconds(system.gateway)
    with ThreadPoolExecutor(runs) as pool:
        list(pool.map(post, made))
    wait_for(system.gateway, lambda: is_idle(database))
    ends = [ended(database, sent) for sent in taken]
    seconds = sorted(wall for _state, wall, _own in ends)
    status = Path(f"/proc/{system.gateway.process.pid}/status").read_text("ascii")
    whole = max(sent.at + end[1] for sent, end in zip(taken, ends, strict=True)) - min(sent.at for sent in taken)
    return {
        "posted": runs, "not_accepted": runs - len(taken), "states": dict(Counter(end[0] for end in ends)),
        "claims": sum(has_claim(database, sent.encounter) for sent in taken),
        "seconds": whole, "runs_per_second": len(taken) / whole,
        "answer_p50_s": statistics.median(sent.answered for sent in taken),
        "completed_p50_s": statistics.median(seconds), "completed_p95_s": seconds[math.ceil(0.95 * len(seconds)) - 1],
        "gateway_cpu_ms_per_run": 1000 * (processor_seconds(system.gateway) - cpu) / runs,
        "gateway_peak_mib": int(status.partition("VmHWM:")[2].split()[0]) / 1024,
    }  # fmt: skip


def processor_seconds(gateway: gateway_process.Gateway) -> float:
    """What the gateway process has used so far, all threads; needs Linux."""
    fields = Path(f"/proc/{gateway.process.pid}/stat").read_text("ascii").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def show(title: str, head: tuple[str, ...], rows: Iterable[tuple[object, ...]]) -> None:
    """A table in Markdown, figures with the digits that are worth reading."""
    print(f"\n{title}\n\n| {' | '.join(head)} |\n|---{'|---:' * (len(head) - 1)}|")
    for row in rows:
        print(f"| {' | '.join(told(cell) for cell in row)} |")


def told(value: object) -> str:
    if isinstance(value, float):
        return f"{value:,.0f}" if value >= 10 else f"{value:.3g}"
    return str(value).strip("{}").replace("'", "").replace("_", " ")


def show_all(found: Json) -> None:
    print(", ".join(f"{name} {value}" for name, value in found["machine"].items()))
    head = ("stage", "processor ms", "wall ms", "processor ms, same text again", "processor ms, first in process")
    rows = [(stage, *row.values()) for stage, row in found["in_process"].items()]
    show(f"1. The stages in process, {len(transcript(0)):,} characters, median of {ROUNDS}", head, rows)
    middle, first, many = found["one_by_one"]["median"], found["one_by_one"]["first"], found["at_once"]
    rows = [(name, middle[name], first[name]) for name in middle if name != "stages"]
    rows += [(f"{stage} (own ms)", taken, first["stages"][stage]) for stage, taken in middle["stages"].items()]
    show(f"2. A gateway, one run at a time, median of {ROUNDS}", ("what", "median", "first after start"), rows)
    show(f"3. A gateway, {many['posted']} runs posted at once", ("what", "value"), many.items())
    print(f"\n4. Runs per second, {many['posted']} at once against one at a time: {found['ratio']:.2f}")


def main() -> None:
    """Measure and print; exit code 0 whatever the figures are."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=50, help="runs that are posted at once")
    parser.add_argument("--json", type=Path, help="file for the figures")
    options = parser.parse_args()
    machine = {"cores": os.cpu_count(), "Python": platform.python_version(), "load": round(os.getloadavg()[0], 1)}
    measured: Json = {"machine": machine, "in_process": in_process()}
    with gateway_process.running() as gateway, record_system.RecordSystem(gateway) as system:
        file = gateway.log.parent / "data" / "gateway.sqlite"
        with contextlib.closing(sqlite3.connect(f"file:{file}?mode=ro", uri=True)) as database:
            measured["one_by_one"] = one_by_one(system, database)
            measured["at_once"] = at_once(system, database, options.runs)
    measured["ratio"] = measured["at_once"]["runs_per_second"] / measured["one_by_one"]["runs_per_second"]
    show_all(measured)
    if options.json:
        options.json.write_text(json.dumps(measured, indent=1), "utf-8")


if __name__ == "__main__":
    main()
