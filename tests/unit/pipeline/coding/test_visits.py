"""`pipeline.coding.visits`: why somebody came and what was done today, and what only sounds like it."""

from __future__ import annotations

import csv
import datetime as dt
import re

import pytest

from pipeline import consultation, results, segments
from pipeline.coding import candidate, visits
from terminology import tables
from terminology.icd10gm import catalogue
from tests.support import SHARED
from tests.unit.pipeline import conftest

BERLIN = dt.timezone(dt.timedelta(hours=2))
NOTHING = segments.Transcript(segments=())


def visit(
    *,
    born: int = 1970,
    sex: consultation.Sex = "female",
    year: int = 2026,
    setting: consultation.Setting = "practice",
    record: consultation.Record | None = None,
) -> consultation.Consultation:
    return consultation.Consultation(
        patient=consultation.Patient(birth_date=dt.date(born, 3, 1), sex=sex),
        encounter=consultation.Encounter(id="e1", start=dt.datetime(year, 5, 12, 9, 0, tzinfo=BERLIN), setting=setting),
        record=record or consultation.Record(),
    )


def found(
    documented: consultation.Consultation, *parts: tuple[str, ...], said: segments.Transcript = NOTHING
) -> list[candidate.Candidate]:
    held = catalogue.edition_of(documented.day.year if documented.day else 2026)
    return visits.reasons(documented, said, conftest._note(*parts), held)


def codes(
    documented: consultation.Consultation, *parts: tuple[str, ...], said: segments.Transcript = NOTHING
) -> list[str]:
    return [one.code for one in found(documented, *parts, said=said)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Impfe ich Sie heute gegen Tetanus, Diphtherie und Keuchhusten, Tdap, in den linken Oberarm.", ["Z27.1"]),
        ("Frischen wir das auf, als Dreifachimpfung mit Diphtherie und Keuchhusten.", ["Z27.1"]),
        ("Heute Vierfachimpfung mit Polio in den Oberarm.", ["Z27.3"]),
        ("Tetanus-Diphtherie-Impfung heute rechts i.m. gegeben.", ["Z27.8"]),
        ("Wir impfen Sie jetzt gegen Grippe.", ["Z25.1"]),
        ("Die Grippeimpfung machen wir gleich, in den linken Arm.", ["Z25.1"]),
        ("Grippeimpfung und Pneumokokkenimpfung heute durchgeführt.", ["Z23.8", "Z25.1"]),
        ("Pneumokokken-Impfung heute verabreicht.", ["Z23.8"]),
        ("Corona-Impfung heute mit angepasstem Impfstoff gegeben.", ["U11.9"]),
        ("FSME-Impfung heute, zweite Dosis.", ["Z24.1"]),
        ("Heute Impfung gegen Hepatitis B, Oberarm links.", ["Z24.6"]),
        ("HPV-Impfung heute, erste Dosis, links.", ["Z25.8"]),
        ("Shingrix heute in den Oberarm geimpft.", ["Z25.8"]),
        ("MMR-Impfung heute rechter Oberschenkel.", ["Z27.4"]),
        ("Ich verordne den Impfstoff gegen Gelbfieber.", ["Z24.3"]),
        ("Sechsfachimpfung heute in den Oberschenkel gegeben.", ["Z27.8"]),
        ("Corona verschieben wir auf nächste Woche, die Grippeimpfung machen wir heute.", ["Z25.1"]),
        ("Tetanusimpfung heute aufgefrischt.", ["Z23.5"]),
        ("Auffrischung Tetanus-Diphtherie-Pertussis-Polio heute durchgeführt.", ["Z27.3"]),
        ("Dann kriegt er heute die Sechsfachimpfung und Pneumokokken, und Rotaviren.", ["Z23.8", "Z25.8", "Z27.8"]),
    ],
)
def test_a_vaccination_of_today(text: str, expected: list[str]) -> None:
    assert sorted(codes(visit(), ("P", text))) == expected


@pytest.mark.parametrize(
    "text",
    [
        "Wenn das vorbei ist, reden wir über die Impfung gegen Gürtelrose.",
        "Grippeimpfung machen wir wieder im Herbst.",
        "Beim nächsten Mal impfen wir gegen Tetanus.",
        "Letzte Tetanusimpfung war 2015.",
        "Tetanus, Diphtherie, Keuchhusten war 2022.",
        "Gegen Grippe geimpft: ja, freilich, im Oktober.",
        "Sind Sie gegen Masern geimpft?",
        "Corona würd ich gern verschieben, neue Impfstoff kommt erst nächste Woche.",
        "Ich empfehle die Impfung gegen Pneumokokken.",
        "Die Grippeimpfung lehnt er ab.",
        "Wenn Sie wieder gesund sind, impfen wir gegen Grippe.",
        "Pneumokokken fehlen noch, gerade bei COPD wär das wichtig.",
        "Die Frau hat ihre Grippeimpfung heute gekriegt.",
        "Man kriegt von der Grippeimpfung die Grippe.",
        "Keuchhusten, der Abstrich ist positiv.",
        "Rechts Gürtelrose im Segment Th6.",
        "Keine Impfung gegen Grippe heute.",
    ],
)
def test_no_vaccination_of_today(text: str) -> None:
    assert not [
        code for code in codes(visit(), ("P", text)) if code.startswith(("Z23", "Z24", "Z25", "Z26", "Z27", "U11"))
    ]


def test_a_wanted_vaccination_counts_with_a_sign_of_the_injection() -> None:
    wanted = ("S", "Kommt zur Grippeimpfung.")
    assert codes(visit(), wanted) == []
    (one,) = found(visit(), wanted, ("P", "Aufklärung haben Sie unterschrieben, tut kurz weh."))
    assert one.code == "Z25.1" and one.statement == "s1" and len(one.evidence) == 2


def test_the_transcript_confirms_what_the_note_names() -> None:
    parts = (("A", "Ich hab in Pass gesehen, Pneumokokken fehlen noch."), ("P", "Tut kurz weh."))
    said = conftest._talk("Ärztin: Links Grippe, den Hochdosisimpfstoff. Rechts Pneumokokken, den zwanzigvalenten.")
    assert codes(visit(), *parts) == []
    one = next(one for one in found(visit(), *parts, said=said) if one.code == "Z23.8")
    assert one.statement == "s1" and one.origin == "visit" and one.certainty == "G"
    place = one.evidence[-1]
    assert place.segment == 1
    assert said.segments[0].text[place.start : place.end] == "Rechts Pneumokokken, den zwanzigvalenten."


def test_the_transcript_alone_is_no_statement() -> None:
    said = conftest._talk("Ärztin: Dann impfe ich Sie jetzt gegen Grippe.")
    assert codes(visit(), ("S", "Kerngesund."), said=said) == []


@pytest.mark.parametrize(
    ("section", "text", "expected"),
    [
        ("S", "Kommt zum Check-up.", "Z00.0"),
        ("A", "Nächste Check-up ist in 3 Jahren.", "Z00.0"),
        ("A", "Gesundheitsuntersuchung heute, alles unauffällig.", "Z00.0"),
        ("S", "Möchte sich mal durchchecken lassen.", "Z00.0"),
        ("S", "Kommt zum Hautkrebsscreening.", "Z12.8"),
        ("P", "Hautkrebs-Screening heute ohne auffälligen Befund.", "Z12.8"),
        ("A", "Darmkrebsvorsorge mit Stuhltest, iFOBT mitgegeben.", "Z12.1"),
        ("A", "Krebsvorsorge heute mit Abstrich von der Portio.", "Z12.4"),
        ("S", "Kommt zur OP-Vorbereitung.", "Z01.88"),
        ("S", "Wir brauchen Attest für die Schule, fürs Schwimmen.", "Z02"),
        ("S", "Braucht eine Bescheinigung für den Führerschein.", "Z02"),
        ("A", "Sporttauglichkeitsuntersuchung, uneingeschränkt tauglich.", "Z02"),
        ("A", "Arbeitsmedizinische Vorsorge heute.", "Z10"),
        ("O", "Ziehe ich die Fäden, heute Tag 15.", "Z48.0"),
        ("P", "Fäden heute entfernt, Wunde reizlos.", "Z48.0"),
        ("S", "Kommt zum Fädenziehen.", "Z48.0"),
        ("S", "Kommt zum Verbandswechsel.", "Z48.0"),
        ("S", "Braucht neues Rezept für die Pille.", "Z30.4"),
        ("P", "Die Pille verschreibe ich weiter für sechs Monate.", "Z30.4"),
        ("S", "Möchte sich zur Verhütungsberatung vorstellen, Verhütungsberatung heute.", "Z30.0"),
        ("P", "Kupferspirale heute eingelegt.", "Z30.1"),
        ("O", "Spiralenkontrolle, Spirale sitzt richtig.", "Z30.5"),
        ("A", "Schwangerschaftsvorsorge, 24. Woche, alles zeitgerecht.", "Z34"),
        ("A", "Risikoschwangerschaft.", "Z35.9"),
        ("S", "Kommt zur Nachuntersuchung nach der Geburt.", "Z39.2"),
        ("S", "Kontakt zu einem Kollegen mit Tuberkulose.", "Z20.1"),
        ("S", "Braucht nur ein Folgerezept.", "Z76.0"),
        ("S", "Reisemedizinische Beratung für Kenia.", "Z71"),
        ("O", "Schrittmacherkontrolle heute, Batterie gut.", "Z45.00"),
        ("S", "Kommt zur Nachuntersuchung nach Radiusfraktur.", "Z09.4"),
        ("P", "Blasenkatheterwechsel heute ohne Probleme.", "Z46.6"),
        ("A", "Impfung heute nicht gewünscht, Impfung abgelehnt.", "Z28"),
    ],
)
def test_a_reason_of_the_visit(section: str, text: str, expected: str) -> None:
    (one,) = found(visit(), (section, text))
    assert one.code == expected and one.statement == "s1" and one.origin == "visit" and one.certainty == "G"
    assert one.evidence and text in one.reason


@pytest.mark.parametrize(
    ("section", "text"),
    [
        ("P", "Kommen Sie im Herbst zum Check-up."),
        ("S", "Letztes Jahr war sie beim Check-up."),
        ("P", "Zur Darmkrebsvorsorge empfehle ich noch Darmspiegelung, Überweisung gebe ich mit."),
        ("P", "Hautkrebsscreening machen wir beim nächsten Mal."),
        ("S", "Kein Check-up gewünscht."),
        ("P", "Übermorgen Wundkontrolle, Fäden in zwölf Tagen."),
        ("P", "Fäden beim Hausarzt in, einer Woche, und Kalium kontrollieren."),
        ("P", "Zum Verbandswechsel und zur Wundkontrolle sehen wir uns am Donnerstag."),
        ("P", "Steriler Verband, Fingerschiene."),
        ("P", "Ich schreibe die Bescheinigung für das Kinderkrankengeld bis Freitag."),
        ("P", "Schreibe ich Bescheinigung für Haushaltshilfe, reichen Sie bei der Krankenkasse ein."),
        ("S", "Nur die Pille, seit 8 Jahren."),
        ("P", "Pille setzen Sie deshalb heute ab."),
        ("S", "Nimmt die Pille weiter."),
        ("P", "Spirale können wir einlegen."),
        ("P", "Krebsvorsorge ist fällig."),
        ("S", "Hat Angst, dass Krebsvorsorge was findet."),
        ("S", "Kupferspirale, und Regel war letzte Woche."),
        ("S", "Verneint: Schwanger sein könnten."),
        ("S", "Test zu Hause war negativ."),
        ("P", "Sechsmal Krankengymnastik, Rezept kriegen Sie vorne."),
        ("S", "Die Schwester hat heute Schwangerschaftsvorsorge."),
        ("P", "Am Montag Kontrolle nach der Operation."),
        ("P", "Nach der Operation gehen Sie zur Nachuntersuchung nach Vereinbarung in zwei Wochen."),
        ("A", "Das steht im Internet, Check-up jedes Jahr."),
        ("O", "Pupillen seitengleich, U2 Pupillenreaktion prompt."),
    ],
)
def test_what_is_no_reason_of_the_visit(section: str, text: str) -> None:
    assert codes(visit(), (section, text)) == []


@pytest.mark.parametrize(
    ("born", "sex", "text", "expected"),
    [
        (2025, "male", "Kommt zur U6.", ["Z00.1"]),
        (2021, "female", "Heute U8, alles altersgerecht.", ["Z00.1"]),
        (2013, "male", "J1 heute unauffällig.", ["Z00.1"]),
        (2018, "male", "Kommt zur Vorsorgeuntersuchung.", ["Z00.1"]),
        (1960, "male", "Kommt zur Vorsorgeuntersuchung.", ["Z00.0"]),
        (1960, "male", "Kommt zur Prostatavorsorge.", ["Z12.5"]),
        (1960, "female", "Braucht neues Rezept für die Pille.", ["Z30.4"]),
        (1960, "male", "Braucht neues Rezept für die Pille.", []),
        (1960, "male", "Kommt zur U6.", []),
    ],
)
def test_age_and_sex(born: int, sex: consultation.Sex, text: str, expected: list[str]) -> None:
    assert codes(visit(born=born, sex=sex), ("S", text)) == expected


def test_what_stands_for_itself_falls_beside_a_diagnosis() -> None:
    assert codes(visit(), ("S", "Braucht nur ein Folgerezept.")) == ["Z76.0"]
    assert codes(visit(), ("S", "Braucht nur ein Folgerezept."), ("A", "Akute Bronchitis.")) == []
    assert codes(visit(), ("A", "Schwangerschaftsvorsorge."), ("A", "Gestationsdiabetes.")) == []
    assert codes(visit(), ("A", "Schwangerschaftsvorsorge."), ("A", "Keine Bronchitis.", "negated")) == ["Z34"]


@pytest.mark.parametrize(
    ("treatment", "expected"),
    [
        ("Mastektomie 2018, danach Chemotherapie und Bestrahlung.", "Z08.7"),
        ("Mastektomie 2018.", "Z08.0"),
        ("Bestrahlung 2018.", "Z08.1"),
        ("Chemotherapie 2018.", "Z08.2"),
        ("Seitdem rezidivfrei.", "Z08.9"),
    ],
)
def test_the_treatment_decides_the_follow_up_of_cancer(treatment: str, expected: str) -> None:
    record = consultation.Record(
        conditions=(consultation.Condition(id="Condition/1", text="Z. n. Mammakarzinom", code="Z85.3"),)
    )
    (one,) = found(visit(record=record), ("S", "Nachsorge heute."), ("P", treatment))
    assert one.code == expected and one.evidence[-1] == results.Evidence(record="Condition/1")


def test_nachsorge_without_cancer_is_none() -> None:
    assert codes(visit(), ("S", "Nachsorge heute.")) == []


@pytest.mark.parametrize(("year", "expected"), [(2025, "Z13.1"), (2026, "Z13.18")])
def test_the_year_decides_the_code(year: int, expected: str) -> None:
    assert codes(visit(year=year), ("S", "Kommt zum Diabetes-Screening.")) == [expected]


def test_states_are_those_that_the_doctor_names() -> None:
    record = consultation.Record(
        conditions=(consultation.Condition(id="Condition/1", text="Knie-TEP links", code="Z96.65"),),
        medications=(consultation.Medication(id="MedicationStatement/1", text="Apixaban 5 mg"),),
    )
    assert codes(visit(record=record), ("O", "Prothese links frei beweglich.")) == ["Z96.65"]
    assert codes(visit(), ("O", "Prothese links frei beweglich.")) == []
    assert codes(visit(record=record), ("P", "Apixaban nehmen Sie weiter.")) == ["Z92.1"]
    assert codes(visit(), ("P", "Apixaban nehmen Sie weiter.")) == []
    assert codes(visit(), ("A", "NSTEMI, Stent in der rechten Herzkranzarterie.")) == ["Z95.5"]
    assert codes(visit(), ("S", "Stent in der Herzkranzarterie.")) == []


def test_the_main_reason_stands_first() -> None:
    parts = (("P", "Impfe ich Sie heute gegen Tetanus."), ("S", "Kommt zum Check-up."), ("P", "Apixaban bleibt."))
    record = consultation.Record(
        medications=(consultation.Medication(id="MedicationStatement/1", text="Apixaban", atc="B01AF02"),)
    )
    assert codes(visit(record=record), *parts) == ["Z00.0", "Z23.5", "Z92.1"]


def test_check_up_and_screening_stand_together() -> None:
    assert codes(visit(), ("S", "Heute Check-up und Hautkrebsscreening.")) == ["Z00.0", "Z12.8"]


def test_in_hospital_only_what_belongs_there() -> None:
    assert codes(visit(setting="hospital"), ("S", "Kommt zum Check-up.")) == []
    assert codes(visit(setting="hospital"), ("P", "Heute Tetanusimpfung in den Oberarm.")) == ["Z23.5"]


@pytest.mark.parametrize(
    ("text", "word", "expected"),
    [
        ("Frischen wir das auf, als Dreifachimpfung mit Diphtherie und Keuchhusten.", "Keuchhusten", True),
        ("Impfe ich Sie heute gegen Tetanus, Diphtherie und Keuchhusten, Tdap.", "Keuchhusten", True),
        ("Tetanus, Diphtherie, Keuchhusten war 2022.", "Keuchhusten", True),
        ("Die Grippeimpfung machen wir heute.", "Grippe", True),
        ("Gegen Gürtelrose impfen wir später.", "Gürtelrose", True),
        ("Impfung gegen FSME empfohlen.", "FSME", True),
        ("Keuchhusten haben wir im Abstrich mitgetestet.", "Keuchhusten", False),
        ("Keuchhusten trotz Impfung.", "Keuchhusten", False),
        ("Masern bei ungeimpftem Kind.", "Masern", False),
        ("Gürtelrose, Herpes zoster, im normalen Verlauf.", "Gürtelrose", False),
        ("Influenza A, nicht geimpft.", "Influenza", False),
        ("Gürtelrose rechts. Die Grippeimpfung machen wir im Herbst.", "Gürtelrose", False),
        ("Trotz Impfung gegen Grippe hat er Influenza.", "Influenza", False),
        ("Migräne mit Aura.", "Migräne", False),
    ],
)
def test_what_is_vaccinated_against_is_no_illness(text: str, word: str, expected: bool) -> None:
    assert visits.is_vaccination(text, text.index(word)) is expected


def test_every_row_means_a_code_and_has_a_source() -> None:
    rows = [*tables.rows("icd10gm/visit_reasons"), *tables.rows("icd10gm/vaccinations")]
    for row in rows:
        assert row["source"]
        if row["code"]:
            assert any(catalogue.edition_of(year).resolve(row["code"]) for year in catalogue.years()), row["code"]
    assert {"Z00.0", "Z27.1", "U11.9", "Z28"} <= visits.codes() and "Z95.5" not in visits.codes()


def test_every_antigen_has_a_code() -> None:
    words = {
        name
        for row in tables.rows("icd10gm/vaccinations")
        if row["kind"] == "word"
        for name in row["antigens"].split("|")
    }
    single = {row["antigens"] for row in tables.rows("icd10gm/vaccinations") if row["kind"] == "set"}
    assert words - single == {"measles"}


@pytest.mark.skipif(not SHARED.exists(), reason="needs ../shared/data/icd10gm")
def test_every_code_is_terminal_in_the_full_catalogue() -> None:
    with (SHARED / "data/icd10gm/icd10gm_2025_codes.csv").open(encoding="utf-8") as file:
        held = {row["code"] for row in csv.DictReader(file) if row["terminal"] == "T"}
    with (SHARED / "data/icd10gm/icd10gm_2026_primary_terminal_titles.csv").open(encoding="utf-8") as file:
        held |= {row["code"] for row in csv.DictReader(file)}
    assert visits.codes() <= held
    assert not any(re.fullmatch(r"Z02\.\d", code) for code in visits.codes())
