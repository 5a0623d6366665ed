"""`terminology.german.polarity`: forty clauses and more, each with the polarity a clinician would give it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from terminology.german import polarity

CLAUSES: list[tuple[str, polarity.Polarity]] = [
    ("Ich habe seit drei Tagen Husten", "affirmed"),
    ("Der Bauch ist weich", "affirmed"),
    ("Sie hat starke Kopfschmerzen", "affirmed"),
    ("Der Puls ist regelmäßig", "affirmed"),
    ("Ich kann nicht schlafen", "affirmed"),
    ("Ich bekomme keine Luft", "affirmed"),
    ("Ich habe keinen Appetit", "affirmed"),
    ("Nicht nur der Kopf tut weh", "affirmed"),
    ("Das Knie lässt sich nicht bewegen", "affirmed"),
    ("Mir geht es nicht gut", "affirmed"),
    ("Die Notaufnahme war voll", "affirmed"),
    ("Die Niere tut weh", "affirmed"),
    ("Fieber habe ich nicht", "negated"),
    ("Kein Fieber", "negated"),
    ("Keine Übelkeit", "negated"),
    ("Ohne Ausstrahlung", "negated"),
    ("Weder Husten noch Schnupfen", "negated"),
    ("Ich habe nie geraucht", "negated"),
    ("Der Schnelltest ist negativ", "negated"),
    ("Ein Infarkt ist ausgeschlossen", "negated"),
    ("Er verneint Atemnot", "negated"),
    ("Ich hab koan Schmerz", "negated"),
    ("Des is ned so schlimm gewesen", "negated"),
    ("Erbrochen habe ich nichts", "negated"),
    ("Nirgends geschwollen", "negated"),
    ("Verdacht auf Pneumonie", "uncertain"),
    ("Das ist wahrscheinlich eine Bronchitis", "uncertain"),
    ("Am ehesten eine Migräne", "uncertain"),
    ("Es könnte eine Gastritis sein", "uncertain"),
    ("Eine Thrombose ist nicht auszuschließen", "uncertain"),
    ("Eventuell ein Bruch", "uncertain"),
    ("V. a. Appendizitis", "uncertain"),
    ("Möglicherweise eine Allergie", "uncertain"),
    ("Das spricht für eine Entzündung", "uncertain"),
    ("Zustand nach Appendektomie", "historical"),
    ("Als Kind hatte ich Asthma", "historical"),
    ("Vor zehn Jahren hatte ich einen Infarkt", "historical"),
    ("Früher hatte ich Migräne", "historical"),
    ("2015 wurde die Galle entfernt", "historical"),
    ("Z. n. Hüft-TEP", "historical"),
    ("Die Mutter hatte Brustkrebs", "family"),
    ("Mein Vater hatte einen Herzinfarkt", "family"),
    ("Mein Bruder hat Diabetes", "family"),
    ("Der Opa ist an einem Schlaganfall gestorben", "family"),
    ("Meine Schwester hat auch Rheuma", "family"),
]


@pytest.mark.parametrize(("clause", "expected"), CLAUSES)
def test_polarity_of_a_clause(clause: str, expected: polarity.Polarity) -> None:
    assert polarity.of(clause) == expected


@pytest.mark.parametrize(
    "clause",
    ["Meine Frau sagt, ich schnarche", "Meine Tochter hat mich gebracht", "Meine Frau kocht jetzt salzarm"],
)
def test_what_a_relative_does_is_no_family_history(clause: str) -> None:
    assert not polarity.is_about_family(clause)


@given(st.text(max_size=80))
def test_any_text_has_a_polarity(text: str) -> None:
    assert polarity.of(text) in ("affirmed", "negated", "uncertain", "historical", "family")
