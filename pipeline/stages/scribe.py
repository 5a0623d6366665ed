"""The neutral note: what the engine proposes, as far as the gate lets it pass."""

from __future__ import annotations

from pipeline import consultation, results, segments
from pipeline.engines.rules import condense, features, scribe
from pipeline.grounding import gate


def run(documented: consultation.Consultation, transcript: segments.Transcript) -> results.Note:
    """The note of a consultation."""
    return gate.check(scribe.propose(documented, transcript), transcript)


def forget() -> None:
    """Keep nothing in memory of what was said in earlier runs."""
    for module in (condense, features, gate):
        module.forget()
