"""The coding measured: the search over titles and terms, what its index costs, and codes per second of the coder.

Nothing here passes or fails by time. Compare ratios of one table; the milliseconds belong to the machine and its load.
"""

from __future__ import annotations

import argparse
import csv
import json
import math
import os
import platform
import random
import re
import statistics
import time
import tracemalloc
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, TypeVar

from pipeline.evaluation import cases
from pipeline.stages import code, read_document, scribe
from terminology import tables
from terminology.icd10gm import catalogue, edition, finding, indexing
from terminology.importers import metadata

QUERIES = Path(__file__).parents[1] / "tests" / "unit" / "terminology" / "search_queries.csv"
ROUNDS = 5  # every query is asked so often; its median counts
INVENTED = 90_000  # texts beside the terms, as many as the Alpha-ID has
YEAR = 2025

Json = dict[str, Any]
T = TypeVar("T")

_ADJECTIVES = ("akute", "chronische", "rezidivierende", "sekundäre", "postoperative", "traumatische", "idiopathische",
               "toxische", "familiäre", "juvenile", "senile", "infektiöse")  # fmt: skip
_JOINING = ("von", "durch", "mit", "bei")


def invented(held: edition.Edition, number: int) -> list[tuple[str, str]]:
    """Made-up texts with a code of the edition, of the length and mixture of words that an Alpha-ID file has."""
    chance = random.Random(YEAR)
    codes = [found for found in held.codes.values() if found.is_terminal]
    words = sorted({word for found in codes for word in re.findall(r"[A-ZÄÖÜ][a-zäöüß]{4,}", found.title)})
    found = []
    for _number in range(number):
        meant, other = chance.choice(codes), chance.choice(words)
        title = re.split("[,:]", meant.title)[0]
        forms = (
            f"{chance.choice(_ADJECTIVES)} {title}",
            f"{title} {chance.choice(_JOINING)} {other}",
            f"{other}{chance.choice(words).lower()} {chance.choice(_JOINING)} {chance.choice(words)}",
            f"{chance.choice(_ADJECTIVES)} {other}{chance.choice(words).lower()} der {chance.choice(words)}",
        )
        found.append((meant.code, chance.choice(forms)))
    return found


def timed(work: Callable[[], T]) -> tuple[float, T]:
    """Seconds, and what was made."""
    begun = time.perf_counter()
    made = work()
    return time.perf_counter() - begun, made


def resident() -> float:
    """MiB of memory that the process holds; needs Linux."""
    return int(Path("/proc/self/status").read_text("ascii").partition("VmRSS:")[2].split()[0]) / 1024


def built(held: edition.Edition, texts: list[tuple[str, str]]) -> tuple[Json, finding.Finder]:
    """A finder by an image, with the seconds of making and of opening that, its size and the memory of the finder."""
    terms = tables.rows("icd10gm/terms")
    made, image = timed(lambda: indexing.image(held, texts))
    before = resident()
    opened, finder = timed(lambda: finding.Finder(held, indexing.opened(held, image, terms), terms))
    grown = resident() - before
    return {"codes": len(held.codes), "texts": len(held.codes) + len(terms) + len(texts), "made_s": made,
            "opened_s": opened, "image_mib": len(image) / 2**20, "grown_mib": grown}, finder  # fmt: skip


def python_memory(held: edition.Edition) -> float:
    """MiB of Python objects that an index without further texts keeps; SQLite's own memory is not among them."""
    tracemalloc.start()
    finder = finding.of(held)
    finder.search("Husten")
    kept, _peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return kept / 2**20


def searched(finder: finding.Finder) -> Json:
    """Milliseconds by kind of query, and how many find an expected code first, among three and among ten."""
    kinds: dict[str, list[float]] = {}
    ranks: dict[str, list[int]] = {}
    with QUERIES.open(encoding="utf-8", newline="") as file:
        queries = list(csv.DictReader(file))
    for query in queries:
        times = [timed(lambda text=query["query"]: finder.search(text))[0] for _round in range(ROUNDS)]  # type: ignore[misc]
        wanted = query["codes"].split("|")
        names = [found.code for found in finder.search(query["query"], 10)]
        rank = next((place for place, name in enumerate(names, 1) if name in wanted), math.inf)
        for kind in (query["kind"], "all"):
            kinds.setdefault(kind, []).append(1000 * statistics.median(times))
            ranks.setdefault(kind, []).append(int(rank) if rank < math.inf else 99)
    return {kind: summary(kinds[kind], ranks[kind]) for kind in kinds}


def summary(times: list[float], ranks: list[int]) -> Json:
    ordered = sorted(times)
    found = {f"top{most}": sum(rank <= most for rank in ranks) for most in (1, 3, 10)}
    return {"queries": len(times), "p50_ms": statistics.median(ordered),
            "p95_ms": ordered[math.ceil(0.95 * len(ordered)) - 1], **found}  # fmt: skip


def coded() -> Json:
    """Cases and codes a second of the stage alone, over the bundled cases, the first round not counted."""
    made = []
    for case in cases.bundled():
        read = read_document.run(case.consultation)
        made.append((case.consultation, read, scribe.run(case.consultation, read)))
    times, codes = [], 0
    for _round in range(ROUNDS + 1):
        seconds, found = timed(lambda: [code.run(*given) for given in made])
        times.append(seconds)
        codes = sum(len(coding.diagnoses) for coding in found)
    middle = statistics.median(times[1:])
    return {"cases": len(made), "codes": codes, "first_s": times[0], "median_s": middle,
            "cases_per_s": len(made) / middle, "codes_per_s": codes / middle}  # fmt: skip


def show(title: str, head: tuple[str, ...], rows: Iterable[tuple[object, ...]]) -> None:
    """A table in Markdown."""
    print(f"\n{title}\n\n| {' | '.join(head)} |\n|---{'|---:' * (len(head) - 1)}|")
    for row in rows:
        print(f"| {' | '.join(f'{cell:,.2f}' if isinstance(cell, float) else str(cell) for cell in row)} |")


def show_all(found: Json) -> None:
    print(", ".join(f"{name} {value}" for name, value in found["machine"].items()))
    rows = [(name, *made["index"].values()) for name, made in found["catalogues"].items()]
    show(
        "1. The index",
        ("catalogue", "codes", "texts", "image made s", "opened s", "image MiB", "memory grown MiB"),
        rows,
    )
    for number, (name, made) in enumerate(found["catalogues"].items(), 2):
        rows = [(kind, *row.values()) for kind, row in made["search"].items()]
        head = ("kind of query", "queries", "p50 ms", "p95 ms", "found first", "among 3", "among 10")
        show(f"{number}. Search in {name}", head, rows)
    show("The coder, stage code alone", ("what", "value"), found["coder"].items())


def main() -> None:
    """Measure and print; exit code 0 whatever the figures are."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--catalogue", type=Path, help="BfArM's metadata of a year, to search all of it")
    parser.add_argument("--json", type=Path, help="file for the figures")
    options = parser.parse_args()
    machine = {"cores": os.cpu_count(), "Python": platform.python_version(), "load": round(os.getloadavg()[0], 1)}
    made: list[tuple[str, edition.Edition, int]] = [("the starter", catalogue.edition_of(YEAR), 0)]
    measured: Json = {"machine": machine, "catalogues": {}}
    if options.catalogue:
        text = options.catalogue.read_text("utf-8-sig")
        seconds, codes = timed(lambda: metadata.codes(text, options.catalogue.name))
        whole = edition.Edition(YEAR, codes, (), is_complete=True)
        measured["read_s"] = seconds
        made += [("the whole catalogue", whole, 0), (f"the whole catalogue and {INVENTED:,} texts", whole, INVENTED)]
    for name, held, number in made:
        index, finder = built(held, invented(held, number))
        measured["catalogues"][name] = {"index": index, "search": searched(finder)}
    measured["python_memory_mib"] = python_memory(made[-1][1])
    measured["coder"] = coded()
    show_all(measured)
    read = f"; reading the catalogue took {measured['read_s']:.1f} s" if options.catalogue else ""
    print(
        f"\nPython objects of the last catalogue's index without texts: {measured['python_memory_mib']:.0f} MiB{read}"
    )
    if options.json:
        options.json.write_text(json.dumps(measured, indent=1), "utf-8")


if __name__ == "__main__":
    main()
