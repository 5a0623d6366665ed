"""Transcripts to numbered segments: decoding, the language, speaker labels and timestamps.

A text in another language than German, an empty one, or one that cannot be decoded ends the run with its reason.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from pipeline import clinical, consultation, segments, speakers
from terminology.german import language, sentences

NO_SPEECH_ENGINE = "The recording cannot be transcribed: no speech recogniser is configured."
NO_READER = "The document is not plain text, and this version has no reader for it."

_TIMESTAMP = re.compile(
    r"^\s*[\[(]?(?:(?P<h>\d{1,2}):)?(?P<m>\d{1,3}):(?P<s>\d{2})(?:[.,](?P<f>\d{1,3}))?"
    r"(?:\s*(?:-->|–|-|bis)\s*(?:(?P<h2>\d{1,2}):)?(?P<m2>\d{1,3}):(?P<s2>\d{2})(?:[.,](?P<f2>\d{1,3}))?)?[\])]?\s*[-–:]?\s*"
)
_LABEL = re.compile(r"^\s*(?P<label>[A-ZÄÖÜ][\w.äöüß]*(?:[ -][\w.äöüß]+){0,3})\s*(?:\((?P<note>[^)]{1,30})\))?\s*:\s+")
_INNER_LABEL = re.compile(r"(?<=[.?!…])[ \t]+(?=(?P<label>[A-ZÄÖÜ][\wäöüß]*(?:[ -][\w.äöüß]+){0,2})\s*:\s)")
_SENTENCES_A_TURN = 4  # more sentences a line than this: the lines are paragraphs, not turns
_SENTENCE_END = re.compile(r"[.?!…][\"'“”»]?\s*$")


@dataclass(frozen=True, slots=True)
class _Piece:
    start: int
    end: int
    speaker: segments.Speaker | None
    start_ms: int | None
    end_ms: int | None


def run(documented: consultation.Consultation) -> segments.Transcript:
    """All segments of the consultation's sources, numbered through. Raises StageRefused with the reason."""
    texts: list[tuple[consultation.Source, str]] = []
    unread: list[str] = []
    for source in _unique(documented.sources):
        try:
            texts.append((source, _text(source)))
        except clinical.StageRefused as refusal:
            unread.append(refusal.reason)
    texts = [(source, text) for source, text in texts if text.strip()]
    if not texts:
        raise clinical.StageRefused(unread[0] if unread else "The transcript holds no text.")
    if not language.is_german(" ".join(text for _source, text in texts)):
        raise clinical.StageRefused("language not supported: the transcript is not German.")
    found: list[segments.Segment] = []
    for source, text in texts:
        found += _segments(source.id, text, first=len(found) + 1)
    return segments.Transcript(segments=tuple(found), unread=tuple(unread))


def _unique(sources: tuple[consultation.Source, ...]) -> list[consultation.Source]:
    """Sources with the same content count once."""
    seen: set[bytes] = set()
    kept = []
    for source in sources:
        if source.content is None or source.content not in seen:
            kept.append(source)
            seen.add(source.content or b"")
    return kept


def _text(source: consultation.Source) -> str:
    if source.kind == "recording":
        raise clinical.StageRefused(NO_SPEECH_ENGINE)
    if source.kind == "document":
        raise clinical.StageRefused(NO_READER)
    if source.content is None:
        raise clinical.StageRefused(f"The transcript cannot be read: {source.missing}.")
    charset = source.charset or "utf-8"
    try:
        return source.content.decode(charset).removeprefix("\ufeff")
    except LookupError:
        raise clinical.StageRefused("The transcript's character set is not known.") from None
    except UnicodeDecodeError:
        raise clinical.StageRefused(f"The transcript is not valid {charset.upper()}.") from None


def _segments(source: str, text: str, first: int) -> list[segments.Segment]:
    pieces = list(_pieces(text))
    if any(piece.speaker for piece in pieces):
        pieces = [piece for piece in pieces if text[piece.start : piece.end].strip()]
        labels = [piece.speaker or "unknown" for piece in pieces]
        inferred = False
    else:
        pieces, whole_turns = _unlabelled(text, pieces)
        said = [text[piece.start : piece.end] for piece in pieces]
        labels = list(speakers.infer(said, whole_turns=whole_turns))
        inferred = True
    return [
        segments.Segment(
            number=number,
            source=source,
            speaker=label,
            text=text[piece.start : piece.end],
            start=piece.start,
            end=piece.end,
            start_ms=piece.start_ms,
            end_ms=piece.end_ms,
            speaker_inferred=inferred,
        )
        for number, (piece, label) in enumerate(zip(pieces, labels, strict=True), start=first)
    ]


def _turns(text: str) -> Iterator[str]:
    """The lines; one that opens with a label is also cut before a doctor's or patient's label after a sentence's end."""
    for line in text.splitlines(keepends=True):
        begin = 0
        opening = _LABEL.match(line)
        if opening and speakers.role(opening["label"]):
            for match in _INNER_LABEL.finditer(line, opening.end()):
                if speakers.role(match["label"]) in ("doctor", "patient", "nurse"):
                    yield line[begin : match.end()]
                    begin = match.end()
        yield line[begin:]


def _pieces(text: str) -> Iterator[_Piece]:
    """One piece a line; a line without a label of its own goes on with the speaker before it."""
    offset = 0
    speaker: segments.Speaker | None = None
    pending: tuple[int | None, int | None] = (None, None)
    for line in _turns(text):
        begin = 0
        times = _TIMESTAMP.match(line)
        start_ms, end_ms = pending
        if times:
            begin = times.end()
            start_ms, end_ms = _milliseconds(times, ""), _milliseconds(times, "2")
        label = _LABEL.match(line[begin:])
        role = speakers.role(label["label"]) if label else None
        if label and role:
            speaker = role
            begin += label.end()
            inner = _TIMESTAMP.match(line[begin:])
            if inner and inner.end():
                start_ms, end_ms, begin = _milliseconds(inner, ""), _milliseconds(inner, "2"), begin + inner.end()
        content = line[begin:].strip()
        if times and begin and not label and (bare := speakers.role(content)) and bare != "unknown":
            speaker, content = bare, ""
        if content.isdigit() and _TIMESTAMP.match(text[offset + len(line) :].lstrip()):
            content = ""
        if content:
            start = offset + begin + (len(line[begin:]) - len(line[begin:].lstrip()))
            yield _Piece(start, start + len(content), speaker, start_ms, end_ms)
            pending = (None, None)
        else:
            pending = (start_ms, end_ms) if times else pending
        offset += len(line)


def _milliseconds(match: re.Match[str], suffix: str) -> int | None:
    if match[f"m{suffix}"] is None:
        return None
    hours, minutes, seconds = int(match[f"h{suffix}"] or 0), int(match[f"m{suffix}"]), int(match[f"s{suffix}"])
    fraction = int((match[f"f{suffix}"] or "0").ljust(3, "0"))
    return ((hours * 60 + minutes) * 60 + seconds) * 1000 + fraction


def _unlabelled(text: str, lines: list[_Piece]) -> tuple[list[_Piece], bool]:
    """Without labels: a line is a turn where lines end as sentences do, else every sentence is a piece of its own."""
    ended = sum(1 for line in lines if _SENTENCE_END.search(text[line.start : line.end]))
    if len(lines) > 3 and ended >= 0.6 * len(lines) and len(sentences.split(text)) <= _SENTENCES_A_TURN * len(lines):
        return lines, True
    joined = "".join(" " if char in "\r\n" else char for char in text)
    times = [(line.start, line.start_ms, line.end_ms) for line in lines if line.start_ms is not None]
    pieces = []
    for span in sentences.split(joined):
        known = [entry for entry in times if entry[0] <= span.start]
        start_ms, end_ms = known[-1][1:] if known else (None, None)
        pieces.append(_Piece(span.start, span.end, None, start_ms, end_ms))
    return pieces, False
