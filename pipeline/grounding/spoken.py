"""The critical facts of a talk: each sentence by itself, and a question with its answer.

"Nehmen Sie Marcumar?" tells nothing until it is answered; "Penicillin." tells an allergy behind a question for one.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from pipeline import segments
from pipeline.grounding import allergies, answers, complaints, critical, reading, states
from pipeline.grounding.fact import Fact
from terminology.german import repair, sentences

#: A heading that is said for a question: "Allergien."
_HEADING = re.compile(
    r"(?:(?:und|noch|sonst|irgendwelche|bekannte) )*(?:allergien|unverträglichkeiten)(?: (?:bekannt|sonst))?[.:]?",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class _Question:
    """What one speaker asked last, all of it, and what it asks of allergies."""

    text: str
    speaker: str
    topic: allergies.Topic | None


def told(transcript: segments.Transcript) -> list[tuple[int, Fact]]:
    """Each critical fact with the number of the first segment that says it; a question counts once it is answered."""
    found: dict[Fact, int] = {}
    has_relative = any(segment.speaker == "relative" for segment in transcript.segments)
    question: _Question | None = None
    for segment in transcript.segments:
        answered: _Question | None = None
        is_no = False
        for sentence in sentences.split(repair.repair(segment.text)):
            text = sentence.text
            if _is_question(text, segment.speaker):
                question, answered = _asked(question, text, segment.speaker), None
                continue
            is_first = question is not None and question.speaker != segment.speaker
            if is_first:
                answered, is_no = question, answers.kind(text) == "no"
            own = list(_told(text, segment.speaker, answered, has_relative, is_first=is_first, is_no=is_no))
            by_question = _answered(question, text) if question is not None and is_first else ()
            for fact in (*_unexcepted(by_question, own), *own):
                found.setdefault(fact, segment.number)
            question = None
    return [(number, fact) for fact, number in found.items()]


def _is_question(text: str, speaker: segments.Speaker) -> bool:
    return text.endswith("?") or (speaker in ("doctor", "nurse") and _HEADING.fullmatch(text) is not None)


def _asked(before: _Question | None, text: str, speaker: str) -> _Question:
    if before is not None and before.speaker == speaker:
        return _Question(f"{before.text} {text}", speaker, allergies.topic(text) or before.topic)
    return _Question(text, speaker, allergies.topic(text))


def _told(
    text: str,
    speaker: segments.Speaker,
    answered: _Question | None,
    has_relative: bool,
    *,
    is_first: bool,
    is_no: bool,
) -> Iterator[Fact]:
    """What a sentence tells by itself, or on the topic of the question that it answers."""
    clauses = reading.clauses_of(text, speaker, has_relative)
    if clauses and all(clause.is_family for clause in clauses):
        return
    topic = answered.topic if answered else None
    named = allergies.in_answer(text, topic, is_first=is_first, is_no=is_no) if topic else None
    if named is None:
        yield from critical.read(text, is_own=speaker == "relative")
    else:
        yield from named
        yield from critical.besides_treatment(text)


def _unexcepted(denied: Iterable[Fact], own: list[Fact]) -> Iterator[Fact]:
    """What a question and its answer tell, without the denial of all allergies that the answer takes back in part."""
    has_allergy = any(fact.kind == "allergy" and fact.value == "yes" for fact in own)
    return (fact for fact in denied if not (has_allergy and fact == Fact("allergy", "", "no")))


def _answered(question: _Question, answer: str) -> Iterator[Fact]:
    """What a question tells by how its answer begins."""
    says = answers.kind(answer)
    if says is None:
        return
    if question.topic is not None and question.topic != "allergic":
        if says == "no":
            yield from allergies.answered_no(question.text, question.topic)
        return
    if says == "no":
        yield from critical.read(question.text, "negated")
    elif says == "yes":
        names_one = any(states.read(answer))  # "Einen Schrittmacher oder Defi?" "Ja, einen Defi."
        asked = critical.read(question.text, "affirmed")
        yield from (fact for fact in asked if not (names_one and fact.kind == "state"))
    else:
        plain = complaints.unnegated(question.text, keeps_own=says == "some")
        yield from critical.read(plain, "affirmed")
