"""The talk as a model reads it, and the sentences that its quotes stand in."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from pipeline import facts, results, segments
from pipeline.engines import shapes
from pipeline.grounding import faults, gate, quotes
from terminology.german import polarity, sentences

_SPEAKERS: dict[segments.Speaker, str] = {
    "doctor": "Ärztin/Arzt",
    "patient": "Patient/in",
    "relative": "Angehörige/r",
    "nurse": "Praxisteam",
    "unknown": "Sprecher/in",
}
_QUOTE = 240  # characters of a quote at most
_MOST_CITES = 2

Json = Mapping[str, Any]


def lines(transcript: segments.Transcript) -> str:
    """One line a segment: number, speaker, text."""
    return "\n".join(
        f"[{segment.number}] {_SPEAKERS[segment.speaker]}: {' '.join(segment.text.split())}"
        for segment in transcript.segments
    )


def texts(transcript: segments.Transcript) -> dict[int, str]:
    """The segments that may be quoted, by number."""
    return {segment.number: segment.text for segment in transcript.segments if segment.text.strip()}


def shape(transcript: segments.Transcript, item: shapes.Schema, most: int) -> shapes.Shape:
    """Up to `most` items under `stellen`; each has `belege` before what `item` adds."""
    quotable = texts(transcript)
    cites = shapes.array(shapes.CITED, _MOST_CITES, 1)
    schema = shapes.obj(stellen=shapes.array(shapes.obj(belege=cites, **item["properties"]), most))
    return shapes.Shape(
        json_schema={**schema, "$defs": {shapes.CITE: shapes.cite(quotable, _QUOTE)}}, segments=quotable
    )


def evidence(belege: Iterable[Json], transcript: segments.Transcript) -> tuple[results.Evidence, ...] | faults.Fault:
    """The cited places; a fault when a segment does not exist or its quote does not stand there."""
    found = []
    for beleg in belege:
        segment = next((s for s in transcript.segments if s.number == beleg["segment"]), None)
        span = _located(segment.text, beleg["zitat"]) if segment is not None else None
        if segment is None or span is None:
            return faults.CHECKS["quote"]
        found.append(results.Evidence(segment=segment.number, start=span[0], end=span[1]))
    return tuple(dict.fromkeys(found))


def _located(text: str, quote: str) -> tuple[int, int] | None:
    """Where a quote stands; any white space stands for any other, for the prompt shows each segment on one line."""
    found = quotes.locate(text, quote)
    if found is None and quote.strip():
        pattern = r"\s+".join(re.escape(word) for word in quote.split())
        spread = re.search(pattern, text)
        found = quotes.locate(text, spread[0]) if spread else None
    return found


def quoted(
    item: Json, number: int, section: results.Section, transcript: segments.Transcript
) -> results.Statement | faults.Fault:
    """The sentences that a quote stands in, as a statement: what the rules read is what was said, not the quote alone."""
    cited = evidence(item["belege"][:1], transcript)
    if isinstance(cited, faults.Fault):
        return cited
    place = cited[0]
    assert place.segment is not None and place.start is not None and place.end is not None
    segment = transcript.segment(place.segment)
    around = [s for s in sentences.split(segment.text) if s.start < place.end and place.start < s.end]
    text = " ".join(gate.repaired(sentence.text) for sentence in around)
    says = polarity.of(text)
    if says == "negated" and not facts.is_not_borne(text):
        return faults.CHECKS["negation"]
    if says == "family":
        return faults.CHECKS["person"]
    if text.rstrip().endswith("?"):
        return faults.CHECKS["no-content"]
    span = results.Evidence(segment=place.segment, start=around[0].start, end=around[-1].end)
    statement = results.Statement(id=f"q{number}", section=section, text=text, polarity=says, evidence=(span,))
    return gate.fault(statement, transcript, is_of_note=False) or statement


def places(
    stage: str,
    items: Iterable[Json],
    key: str,
    transcript: segments.Transcript,
    section_of: Callable[[str], results.Section],
    foreign: Callable[[str, results.Statement, segments.Transcript], faults.Fault | None],
) -> tuple[list[results.Statement], list[results.Rejected]]:
    """The quoted places that are what the model says under `key`, and the others. `foreign` tells why one is not."""
    found: list[results.Statement] = []
    rejected: list[results.Rejected] = []
    for number, item in enumerate(items, start=1):
        said = item[key]
        place = quoted(item, number, section_of(said), transcript)
        if not isinstance(place, faults.Fault):
            place = foreign(said, place, transcript) or place
        if isinstance(place, faults.Fault):
            rejected.append(refused(stage, f"{said}: {item['belege'][0]['zitat']}", place))
        else:
            found.append(place)
    return found, rejected


def refused(stage: str, proposal: str, fault: faults.Fault, cited: object = ()) -> results.Rejected:
    """What fell, with the name of the check and how bad it would have been."""
    places = cited if isinstance(cited, tuple) else ()
    return results.Rejected(
        stage=stage, proposal=proposal, reason=fault.reason, check=fault.check, harm=fault.harm, evidence=places
    )
