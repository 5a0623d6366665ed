"""`pipeline.speakers`: roles by label, and by how people talk."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline import segments, speakers


@pytest.mark.parametrize(
    ("label", "role"),
    [
        ("Arzt", "doctor"), ("Ärztin", "doctor"), ("Dr. Muster", "doctor"), ("Hausärztin", "doctor"), ("A", "doctor"),
        ("Arzt 2", "doctor"), ("Doktor", "doctor"), ("Prof. Dr. Beispiel", "doctor"), ("Therapeutin", "doctor"),
        ("Patient", "patient"), ("Patientin", "patient"), ("P", "patient"), ("Pat.", "patient"),
        ("PATIENT 1", "patient"),
        ("Mutter", "relative"), ("Ehefrau", "relative"), ("Tochter", "relative"), ("Betreuerin", "relative"),
        ("MFA", "nurse"), ("Pflegerin", "nurse"), ("Arzthelferin", "nurse"), ("Schwester Anna", "nurse"),
        ("Sprecher 1", "unknown"), ("Speaker 2", "unknown"),
        ("Diagnose", None), ("Befund", None), ("Temperatur", None), ("", None), ("Medikament", None),
    ],
)  # fmt: skip
def test_role(label: str, role: segments.Speaker | None) -> None:
    assert speakers.role(label) == role


def test_infer_turns_of_a_typical_talk() -> None:
    talk = [
        "Was führt Sie zu mir?",
        "Ich habe seit drei Tagen Husten.",
        "Haben Sie auch Fieber?",
        "Nein, Fieber hatte ich nicht.",
        "Ich höre mal die Lunge ab. Vesikuläres Atemgeräusch.",
        "Ist das schlimm, Frau Doktor?",
        "Ich verschreibe Ihnen einen Hustensaft.",
        "Vielen Dank.",
    ]
    assert list(speakers.infer(talk)) == ["doctor", "patient"] * 4


def test_infer_nothing() -> None:
    assert list(speakers.infer([])) == []


@given(st.lists(st.text(max_size=30) | st.sampled_from(["Ja.", "Wie geht es Ihnen?", "Ich habe Husten."]), max_size=15))
def test_infer_names_everybody_and_always_the_same(utterances: list[str]) -> None:
    once = list(speakers.infer(utterances))
    assert len(once) == len(utterances)
    assert set(once) <= {"doctor", "patient"}
    assert once == list(speakers.infer(utterances))
