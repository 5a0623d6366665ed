"""Model engines measured: requests decoded together, slots, overhead and large choices, on models of random weights.

Nothing here passes or fails by time. Compare ratios of one table; the rates belong to the machine and its load. The
yardsticks are the same requests one after another, xllamacpp's llama.cpp server, and llama-cpp-python's own server.
Needs the extra llama, gguf, and xllamacpp for its columns.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import itertools
import json
import math
import os
import platform
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple

from benchmarks import answering, main_job
from pipeline.engines import base, models, shapes, slots
from tests import tiny_models

TOGETHER = (1, 2, 3, 4, answering.PARALLEL)  # requests at once; each is measured against one
WAITING = 40  # runs that wait for slots
LATENCY_SECONDS = 0.05  # of the stub behind the slots
CODES = 16_000

Json = dict[str, Any]
Question = tuple[str, str]  # system and user


class Together(NamedTuple):
    """Requests asked at once: tokens that were decoded, and seconds from the first question to the last answer."""

    tokens: int
    seconds: float


# --- throughput -----------------------------------------------------------------------------------------------------


async def together(ask: answering.Ask, kind: answering.Kind, questions: Sequence[Question]) -> Together:
    begun = time.perf_counter()
    tokens = await asyncio.gather(*(ask(system, user, kind) for system, user in questions))
    return Together(sum(tokens), time.perf_counter() - begun)


async def one_by_one(ask: answering.Ask, kind: answering.Kind, questions: Sequence[Question]) -> Together:
    parts = [await together(ask, kind, [question]) for question in questions]
    return Together(sum(part.tokens for part in parts), sum(part.seconds for part in parts))


def questions(seed: object, count: int, role_words: int, *, is_shared: bool = True) -> list[Question]:
    """Role prompt and question, the role prompt equal for all of them unless they shall have nothing in common."""
    roles = (answering.words(("role", seed, 0 if is_shared else at), role_words) for at in range(count))
    return [(role, answering.words((seed, at), 8)) for at, role in enumerate(roles)]


async def throughput(file: Path, threads: int, rounds: int, counts: Sequence[int]) -> Json:
    """Tokens a second of each way, round by round; the ways take turns, so that noise hits all alike.

    `alone`: one after another with nothing in common. `after`: one after another, the role prompt in common. `cold`:
    the role prompt is new to who is asked. `warm`: it was just asked with it.
    """
    rates: dict[str, list[float]] = {}

    def note(name: str, measured: Together) -> None:
        rates.setdefault(name, []).append(measured.tokens / measured.seconds)
        print(f"{name}: {rates[name][-1]:.1f} tokens/s", file=sys.stderr, flush=True)

    async with answering.own(file, threads) as engine, contextlib.AsyncExitStack() as stack:
        ways = await answering.ways(stack, engine, file, threads)
        length = await answering.words_of_role(engine)
        for turn in range(rounds):
            for count, (name, ask) in itertools.product(counts, ways.items()):
                note(f"{name} decode {count}", await together(ask, "decode", questions((turn, name), count, 2)))
            for name, ask in ways.items():
                unlike = questions((turn, name, "alone"), 2, length, is_shared=False)
                note(f"{name} alone", await one_by_one(ask, "role", unlike))
                note(f"{name} after", await one_by_one(ask, "role", questions((turn, name, "after"), 3, length)))
            for count, (name, ask) in itertools.product(counts, ways.items()):
                cold = questions((turn, name, count), count, length)
                warm = [(role, f"{user} noch") for role, user in cold]
                note(f"{name} cold {count}", await together(ask, "role", cold))
                note(f"{name} warm {count}", await together(ask, "role", warm))
    return rates


def show_throughput(title: str, rates: Json, counts: Sequence[int]) -> None:
    """Ratios are taken in each round, and the middle one is shown."""

    def ratio(name: str, one: str) -> float | str:
        if name not in rates or one not in rates:
            return "-"
        return statistics.median(a / b for a, b in zip(rates[name], rates[one], strict=True))

    others = [name for name in ("xllamacpp", "llama_cpp.server") if f"{name} decode 1" in rates]
    head = ("together", "own tokens/s", "own : own alone", *(f"{other} : its own alone" for other in others),
            *(f"own : {other}" for other in others))  # fmt: skip
    rows = [
        (count, statistics.median(rates[f"own decode {count}"]),
         *(ratio(f"{name} decode {count}", f"{name} decode 1") for name in ("own", *others)),
         *(ratio(f"own decode {count}", f"{other} decode {count}") for other in others))
        for count in counts
    ]  # fmt: skip
    main_job.show(f"{title}, decode only", head, rows)
    head = ("together", "own cold : alone", "own warm : alone", "own cold : after another",
            *(f"own : {other}, {state}" for other in others for state in ("cold", "warm")))  # fmt: skip
    rows = [
        (count, ratio(f"own cold {count}", "own alone"), ratio(f"own warm {count}", "own alone"),
         ratio(f"own cold {count}", "own after"),
         *(ratio(f"own {state} {count}", f"{other} {state} {count}") for other in others for state in ("cold", "warm")))
        for count in counts
    ]  # fmt: skip
    main_job.show(f"{title}, role prompt of {answering.ROLE_TOKENS} tokens", head, rows)


# --- slots, overhead, choices ---------------------------------------------------------------------------------------


class Stub:
    """An engine that takes as long for each answer, and notes how long it was at work."""

    def __init__(self, parallel: int) -> None:
        self.parallel = parallel
        self.identity = base.Identity(name="stub", engine="stub", model="stub")
        self.busy = 0.0

    async def start(self) -> None:
        """Nothing is to be made ready."""

    async def close(self) -> None:
        """Nothing belongs to it."""

    async def answer(self, request: base.Request) -> base.Answer:
        """After a while, the same."""
        begun = time.perf_counter()
        await asyncio.sleep(LATENCY_SECONDS)
        taken = time.perf_counter() - begun
        self.busy += taken
        return base.Answer(value=request.stage, prompt_tokens=0, tokens=0, prefill_seconds=0, decode_seconds=taken,
                           mode="remote")  # fmt: skip


async def occupancy(parallel: int) -> float:
    """The share of the time that the slots were at work while runs were waiting, from the first to the last answer."""
    stub = Stub(parallel)
    loaded = models.Loaded("stub", stub, slots.Slots(parallel), answering.SECONDS)
    asked = base.Request(
        stage="benchmark", system="", user="", shape=answering.shape("role"), seconds=answering.SECONDS
    )
    begun = time.perf_counter()
    await asyncio.gather(*(loaded.answer(asked) for _ in range(WAITING)))
    return stub.busy / (parallel * (time.perf_counter() - begun))


async def overhead(engine: base.Engine, count: int, cited: int) -> list[float]:
    """Milliseconds of each answer that are neither prefill nor decoding: slots, pipe, grammar, parsing, validation.

    Each request has a grammar of its own, as in practice: it may quote `cited` segments.
    """
    loaded = models.Loaded("own", engine, slots.Slots(engine.parallel), answering.SECONDS)
    found = []
    for number in range(count):
        segments = {at: answering.words((number, at), 12) for at in range(1, cited + 1)}
        schema = shapes.obj(satz=shapes.one_of("ja", "nein"), zahl=shapes.one_of(str(number), "nichts"))
        if segments:
            schema = shapes.obj(satz=shapes.one_of("ja", "nein"), belege=shapes.array(shapes.CITED, 1))
            schema |= {"$defs": {shapes.CITE: shapes.cite(segments, 40)}}
        asked = base.Request(
            stage="benchmark", system="Schreibe mit.", user=f"Gespräch {number}", seconds=answering.SECONDS,
            shape=shapes.Shape(json_schema=schema, segments=segments),
        )  # fmt: skip
        begun = time.perf_counter()
        answer = await loaded.answer(asked)
        taken = time.perf_counter() - begun - answer.prefill_seconds - answer.decode_seconds
        found.append(1000 * taken)
    return sorted(found)


async def choices(engine: base.Engine, count: int) -> Json:
    """Milliseconds a token where each is one of 16,000 codes, against one of four; and what the first answer cost."""
    codes = [f"{letter}{at // 100:02}.{at % 100:02}" for letter in "ABCDEFGHIJKLMNOP" for at in range(10_000)][::10]
    found: Json = {}
    for name, some in (("four codes", codes[:4]), (f"{CODES:,} codes", codes[:CODES])):
        schema = shapes.Shape(json_schema=shapes.obj(kode=shapes.one_of(*some)))
        taken: list[float] = []
        for at in range(count + 1):
            asked = base.Request(
                stage="benchmark", system="Kode", user=f"Text {at}", shape=schema, seconds=answering.SECONDS
            )
            begun = time.perf_counter()
            answer = await engine.answer(asked)
            if at == 0:
                found[f"{name}, first answer ms"] = 1000 * (time.perf_counter() - begun)
            else:
                taken.append(1000 * answer.decode_seconds / answer.tokens)
        found[f"{name}, ms a token"] = statistics.median(taken)
    return found


# --- the table ------------------------------------------------------------------------------------------------------


def built(folder: Path, quantisation: Literal["F16", "Q8_0", "Q4_0"], is_quick: bool) -> Path:
    """300-500 MB, or small where it shall be quick."""
    path = folder / f"{quantisation}.gguf"
    if is_quick:
        return tiny_models.random_model(path, width=256, vocabulary=4000, quantisation=quantisation)
    return tiny_models.mid(path, quantisation)


async def measure(chosen: argparse.Namespace, folder: Path) -> Json:
    found: Json = {}
    counts = (1, 3) if chosen.quick else sorted({1, *chosen.together})
    if "throughput" in chosen.parts:
        for quantisation in chosen.models:
            file = built(folder, quantisation, chosen.quick)
            found[quantisation] = await throughput(file, chosen.threads, chosen.rounds, counts)
            show_throughput(f"{quantisation}, {file.stat().st_size / 1e6:.0f} MB", found[quantisation], counts)
            file.unlink()
    if "slots" in chosen.parts:
        found["occupancy"] = {parallel: await occupancy(parallel) for parallel in (1, 2, 4, 8)}
        rows = [(parallel, f"{share:.2%}") for parallel, share in found["occupancy"].items()]
        main_job.show(f"Slots, {WAITING} runs waiting", ("slots", "occupied"), rows)
    small = {"overhead", "choices"} & set(chosen.parts)
    if small:
        file = tiny_models.random_model(folder / "small.gguf", vocabulary=4000 if chosen.quick else 32_000)
        async with answering.own(file, 1, parallel=2, context=8192) as engine:
            if "overhead" in chosen.parts:
                found["overhead_ms"] = {
                    cited: await overhead(engine, 10 if chosen.quick else 100, cited) for cited in (0, 10, 40)
                }
                rows = [(cited, statistics.median(taken), taken[math.ceil(0.95 * len(taken)) - 1])
                        for cited, taken in found["overhead_ms"].items()]  # fmt: skip
                main_job.show("Added to an answer", ("segments that may be quoted", "p50 ms", "p95 ms"), rows)
            if "choices" in chosen.parts:
                found["choices"] = await choices(engine, 3 if chosen.quick else 20)
                main_job.show("One of so many codes", ("", "ms"), found["choices"].items())
    return found


def main(given: Sequence[str] | None = None) -> Json:
    """Measure and print, whatever the figures are."""
    parts = ("throughput", "slots", "overhead", "choices")
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="small models and few requests: does it work?")
    parser.add_argument("--models", nargs="+", default=["F16", "Q8_0", "Q4_0"], choices=["F16", "Q8_0", "Q4_0"])
    parser.add_argument("--parts", nargs="+", default=parts, choices=parts)
    parser.add_argument("--together", nargs="+", type=int, default=TOGETHER, help="requests at once")
    parser.add_argument("--threads", type=int, default=os.cpu_count(), help="of our engine and of each server")
    parser.add_argument("--rounds", type=int, default=3, help="the median of so many is taken")
    parser.add_argument("--json", type=Path, help="file for the figures")
    chosen = parser.parse_args(given)
    machine = {"cores": os.cpu_count(), "Python": platform.python_version(), "load": round(os.getloadavg()[0], 1)}
    print(", ".join(f"{name} {value}" for name, value in machine.items()))
    with tempfile.TemporaryDirectory() as folder:
        found = {"machine": machine} | asyncio.run(measure(chosen, Path(folder)))
    print(f"\nload at the end {os.getloadavg()[0]:.1f}")
    if chosen.json:
        chosen.json.write_text(json.dumps(found, indent=1), "utf-8")
    return found


if __name__ == "__main__":
    main()
