"""`pipeline.stages.read_document`: every shape of transcript to segments that are the text's own pieces."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline import clinical, consultation, segments
from pipeline.stages import read_document


def source(content: bytes | None, **changes: object) -> consultation.Source:
    """A transcript."""
    fields: dict[str, object] = {"id": "d", "kind": "transcript", "content_type": "text/plain", "content": content}
    return consultation.Source.model_validate({**fields, **changes})


def read(*sources: consultation.Source) -> tuple[segments.Segment, ...]:
    """The segments of these sources."""
    return read_document.run(
        consultation.Consultation(encounter=consultation.Encounter(id="e"), sources=sources)
    ).segments


def spoken(text: str) -> list[tuple[str, str]]:
    """Speaker and text of each segment."""
    return [(segment.speaker, segment.text) for segment in read(source(text.encode()))]


TALK = [("doctor", "Was führt Sie her?"), ("patient", "Ich habe seit gestern Fieber.")]


@pytest.mark.parametrize(
    "text",
    [
        "Arzt: Was führt Sie her?\nPatient: Ich habe seit gestern Fieber.\n",
        "Arzt: Was führt Sie her?\r\nPatient: Ich habe seit gestern Fieber.\r\n",
        "Ärztin:   Was führt Sie her?  \n\n\nPatientin: Ich habe seit gestern Fieber.",
        "A: Was führt Sie her?\nP: Ich habe seit gestern Fieber.",
        "Dr. Muster: Was führt Sie her?\nPatient (leise): Ich habe seit gestern Fieber.",
        "[00:01:12] Arzt: Was führt Sie her?\n[00:01:15] Patient: Ich habe seit gestern Fieber.",
        "Arzt: [00:01] Was führt Sie her?\nPatient: [00:04] Ich habe seit gestern Fieber.",
        "00:12 Arzt: Was führt Sie her?\n00:15 Patient: Ich habe seit gestern Fieber.",
        "\ufeffArzt: Was führt Sie her?\nPatient: Ich habe seit gestern Fieber.",
    ],
)
def test_labelled_transcripts(text: str) -> None:
    assert spoken(text) == TALK
    assert not any(segment.speaker_inferred for segment in read(source(text.encode())))


def test_a_label_after_a_timestamp_needs_no_colon() -> None:
    assert spoken("00:12 Arzt\nWas führt Sie her?\n00:15 Patient\nIch habe seit gestern Fieber.") == TALK


@pytest.mark.parametrize(
    ("stamp", "start", "end"),
    [
        ("[00:01:12]", 72_000, None),
        ("01:12", 72_000, None),
        ("(1:02:03)", 3_723_000, None),
        ("[00:01:12.5]", 72_500, None),
        ("00:00:01,500 --> 00:00:04,250", 1_500, 4_250),
        ("[00:12 - 00:15]", 12_000, 15_000),
        ("00:12–00:15", 12_000, 15_000),
    ],
)
def test_timestamps(stamp: str, start: int, end: int | None) -> None:
    (segment,) = read(source(f"{stamp} Arzt: Was führt Sie zu mir?".encode()))
    assert (segment.start_ms, segment.end_ms) == (start, end)
    assert segment.text == "Was führt Sie zu mir?"


def test_subtitles_give_their_times_to_the_next_line() -> None:
    text = (
        "00:00:01,000 --> 00:00:04,000\nArzt: Was führt Sie zu mir?\n\n"
        "00:00:05,000 --> 00:00:08,000\nPatient: Ich habe seit gestern Fieber.\n"
    )
    found = read(source(text.encode()))
    assert [(s.speaker, s.start_ms, s.end_ms) for s in found] == [("doctor", 1000, 4000), ("patient", 5000, 8000)]


def test_the_numbers_of_subtitles_are_nobodys_words() -> None:
    text = (
        "1\n00:00:01,000 --> 00:00:04,000\nArzt: Was führt Sie her?\n\n"
        "2\n00:00:05,000 --> 00:00:08,000\nPatient: Ich habe seit gestern Fieber.\n"
    )
    assert spoken(text) == TALK


def test_a_line_without_a_label_goes_on_with_the_speaker() -> None:
    found = spoken("Arzt: Was führt Sie her?\nSeit wann haben Sie das?\nPatient: Ich weiß es nicht.")
    assert [speaker for speaker, _text in found] == ["doctor", "doctor", "patient"]


@pytest.mark.parametrize("text", ["Temperatur: 38,5 Grad war es bei mir.", "Diagnose: akute Bronchitis ist das."])
def test_what_is_no_speaker_is_no_label(text: str) -> None:
    assert spoken(text)[0][1] == text


LINES = [
    "Was führt Sie zu mir?",
    "Ich habe seit drei Tagen Husten.",
    "Haben Sie auch Fieber?",
    "Nein, Fieber hatte ich nicht.",
    "Ich höre mal die Lunge ab.",
]


def test_without_labels_a_line_is_an_utterance() -> None:
    found = read(source("\n".join(LINES).encode()))
    assert [segment.text for segment in found] == LINES
    assert [segment.speaker for segment in found] == ["doctor", "patient", "doctor", "patient", "doctor"]
    assert all(segment.speaker_inferred for segment in found)


def test_running_text_is_cut_into_sentences() -> None:
    assert [segment.text for segment in read(source(" ".join(LINES).encode()))] == LINES


def test_hard_wrapped_text_is_cut_into_sentences_not_lines() -> None:
    text = (
        "Was führt Sie\nzu mir? Ich habe seit\ndrei Tagen Husten. Haben\n"
        "Sie auch Fieber? Nein,\nFieber hatte ich nicht."
    )
    found = read(source(text.encode()))
    assert [" ".join(segment.text.split()) for segment in found] == LINES[:4]


@pytest.mark.parametrize("charset", ["iso-8859-1", "cp1252", "utf-16"])
def test_declared_character_sets(charset: str) -> None:
    text = "Ärztin: Was führt Sie her?\nPatient: Mir ist übel, und ich habe Fieber."
    assert read(source(text.encode(charset), charset=charset))[1].text == "Mir ist übel, und ich habe Fieber."


@pytest.mark.parametrize(
    ("given_source", "reason"),
    [
        (source(None, kind="recording"), "no speech recogniser"),
        (source(b"%PDF", kind="document"), "no reader"),
        (source(None, missing="the URL is not allowed"), "cannot be read: the URL is not allowed"),
        (source(b""), "holds no text"),
        (source(b" \r\n\t "), "holds no text"),
        (source("\ufeff".encode()), "holds no text"),
        (source("Ich habe Übelkeit.".encode("latin-1")), "not valid UTF-8"),
        (source(b"Guten Tag", charset="klingon"), "character set is not known"),
        (source(b"Good morning, what brings you here? I have had a cough for three days."), "not German"),
    ],
)
def test_refusals(given_source: consultation.Source, reason: str) -> None:
    with pytest.raises(clinical.StageRefused, match=reason):
        read(given_source)


def test_no_source_at_all() -> None:
    with pytest.raises(clinical.StageRefused, match="holds no text"):
        read()


def test_a_refusal_quotes_nobody() -> None:
    with pytest.raises(clinical.StageRefused) as raised:
        read(source(b"Good morning, Mr. Secret, what is it that brings you to the clinic?"))
    assert "Secret" not in raised.value.reason


def test_segments_are_numbered_over_all_sources_and_a_copy_counts_once() -> None:
    one, two = "Arzt: Was führt Sie her?".encode(), b"Patient: Ich habe Fieber."
    found = read(source(one, id="a"), source(one, id="b"), source(two, id="c"))
    assert [(segment.number, segment.source) for segment in found] == [(1, "a"), (2, "c")]


PIECES = [
    "Arzt: ",
    "Patient: ",
    "[00:01] ",
    "00:00:01,5 --> 00:00:02 ",
    "\n",
    "\r\n",
    " ",
    "Ich habe Husten.",
    "Seit wann?",
]
PIECES += ["Nein", ", und ", "z. B. ", "Dr. ", "Mutter: ", "38,5", "ß", "İ", "\u2028", "…", "Befund: ", ":", "\x85"]


@given(st.lists(st.sampled_from(PIECES), max_size=30).map("".join))
def test_a_segment_is_what_stands_at_its_place(text: str) -> None:
    decoded = f"Arzt: Ich habe das nicht, und es ist so.\n{text}"
    for raw in (decoded, text + " Ich habe das nicht, und es ist so."):
        last = 0
        for number, segment in enumerate(read(source(raw.encode())), start=1):
            assert raw[segment.start : segment.end] == segment.text == segment.text.strip()
            assert last <= segment.start < segment.end
            assert segment.number == number
            last = segment.end


@given(st.binary(max_size=80), st.sampled_from([None, "utf-8", "latin-1", "utf-16", "ascii"]))
def test_any_bytes_are_read_or_refused(content: bytes, charset: str | None) -> None:
    try:
        read(source(content, charset=charset))
    except clinical.StageRefused as refused:
        assert refused.reason


def test_turns_that_stand_in_one_line_are_cut_at_their_labels() -> None:
    said = "Arzt: Was führt Sie her? Patient: Ich habe Husten. Arzt: Mutter: gesund? Patient: Ja."
    assert spoken(said) == [
        ("doctor", "Was führt Sie her?"),
        ("patient", "Ich habe Husten."),
        ("doctor", "Mutter: gesund?"),
        ("patient", "Ja."),
    ]
    assert all(said[one.start : one.end] == one.text for one in read(source(said.encode())))
