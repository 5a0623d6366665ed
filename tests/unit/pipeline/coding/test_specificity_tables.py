"""The tables of specificity: from what a note says to the code that is meant, through the whole stage."""

from collections.abc import Callable

import pytest

from pipeline import consultation, results, segments
from pipeline.stages import code

Note = Callable[..., results.Note]
Visit = Callable[..., consultation.Consultation]
NOTHING = segments.Transcript(segments=())


def coded(visit: consultation.Consultation, note: results.Note) -> list[str]:
    """The codes of a note by rank."""
    return [found.code for found in code.run(visit, NOTHING, note).diagnoses]


ASSESSED = [
    # Diabetes
    ("Diabetes mellitus Typ 2.", "E11.90"),
    ("Diabetes mellitus Typ 2, entgleist.", "E11.91"),
    ("Entgleister Diabetes mellitus Typ 2.", "E11.91"),
    ("Diabetes mellitus Typ 2 mit diabetischer Polyneuropathie.", "E11.40"),
    ("Diabetes mellitus Typ 2 mit diabetischer Nephropathie.", "E11.20"),
    ("Diabetes mellitus Typ 2 mit diabetischer Retinopathie.", "E11.30"),
    ("Diabetes mellitus Typ 2 mit Polyneuropathie und Retinopathie.", "E11.72"),
    ("Diabetes mellitus Typ 2 mit Polyneuropathie und Retinopathie, entgleister Diabetes.", "E11.73"),
    ("Diabetes mellitus Typ 1 mit Ketoazidose.", "E10.11"),
    ("Diabetes mellitus Typ 2 mit diabetischem Fußsyndrom.", "E11.74"),
    ("Diabetes mellitus Typ 1, entgleist.", "E10.91"),
    # Schilddrüse, Stoffwechsel
    ("Struma, mehrere Knoten.", "E04.2"),
    ("Hypothyreose bei Hashimoto-Thyreoiditis.", "E06.3"),
    ("Hyperthyreose bei Morbus Basedow.", "E05.0"),
    ("Hypothyreose durch Amiodaron.", "E03.2"),
    ("Adipositas Grad zwei.", "E66.91"),
    ("Adipositas, BMI 43.", "E66.96"),
    ("Adipositas, BMI 52.", "E66.97"),
    ("Hyperlipidämie, gemischt.", "E78.2"),
    ("Schwere Mangelernährung.", "E43"),
    ("Eisenmangelanämie durch chronischen Blutverlust.", "D50.0"),
    ("Lymphödem Stadium zwei nach der Mastektomie.", "I97.21"),
    ("Lymphödem am Bein, Stadium zwei.", "I89.01"),
    # Psyche
    ("Depression, mittelgradig.", "F32.1"),
    ("Rezidivierende depressive Störung, gegenwärtig mittelgradige Episode.", "F33.1"),
    ("Rezidivierende depressive Störung, gegenwärtig schwere Episode ohne psychotische Symptome.", "F33.2"),
    ("Rezidivierende depressive Störung, remittiert.", "F33.4"),
    ("Schwere depressive Episode mit psychotischen Symptomen.", "F32.3"),
    ("Angststörung, generalisiert.", "F41.1"),
    ("Vaskuläre Demenz, subkortikal.", "F01.2"),
    ("Delir bei bekannter Demenz.", "F05.1"),
    ("Alkoholabhängigkeit, jetzt Entzugssyndrom.", "F10.3"),
    ("Raucherin, nikotinabhängig.", "F17.2"),
    # Nerven
    ("Parkinson, Hoehn und Yahr drei.", "G20.10"),
    ("Multiple Sklerose, schubförmig.", "G35.10"),
    ("Multiple Sklerose, schubförmig, akuter Schub.", "G35.11"),
    ("Migräne mit Flimmerskotom.", "G43.1"),
    ("TIA, Rückbildung innerhalb von zehn Minuten.", "G45.93"),
    ("Schlafapnoe, obstruktiv.", "G47.31"),
    ("Polyneuropathie, äthyltoxisch.", "G62.1"),
    ("Epilepsie mit komplex-fokalen Anfällen.", "G40.2"),
    # Auge, Ohr
    ("Konjunktivitis, eitrig.", "H10.0"),
    ("Katarakt, Nachstar links.", "H26.4"),
    ("Makuladegeneration, feuchte Form.", "H35.30"),
    ("Otitis externa, bakteriell.", "H60.3"),
    ("Otitis media, eitrig.", "H66.0"),
    ("Innenohrschwerhörigkeit beidseits.", "H90.3"),
    # Herz und Kreislauf
    ("Hypertonie mit hypertensiver Entgleisung.", "I10.91"),
    ("Instabile Angina pectoris.", "I20.0"),
    ("KHK, Dreigefäßerkrankung.", "I25.13"),
    ("Vorhofflimmern, paroxysmal.", "I48.0"),
    ("Vorhofflimmern, inzwischen permanent.", "I48.2"),
    ("Vorhofflimmern, persistierend.", "I48.1"),
    ("Herzinsuffizienz NYHA drei.", "I50.13"),
    ("Linksherzinsuffizienz, bisher NYHA zwei, jetzt eindeutig drei.", "I50.13"),
    ("Globale Herzinsuffizienz.", "I50.01"),
    ("AV-Block dritten Grades.", "I44.2"),
    ("Mediainfarkt, Ursache ist das Vorhofflimmern.", "I63.4"),
    ("pAVK, Gehstrecke unter 200 Meter.", "I70.22"),
    ("pAVK mit Ruheschmerz im Fuß.", "I70.23"),
    ("Tiefe Beinvenenthrombose der Femoralvene.", "I80.1"),
    ("Varizen mit Ulkus am Unterschenkel.", "I83.0"),
    ("Chronisch venöse Insuffizienz mit Ulcus cruris.", "I87.21"),
    ("Orthostatische Hypotonie.", "I95.1"),
    # Atmung
    ("Sinusitis der Kieferhöhle rechts.", "J01.0"),
    ("Sinusitis, chronisch.", "J32.9"),
    ("Tonsillitis, Schnelltest auf Streptokokken positiv.", "J03.0"),
    ("Influenza A, Schnelltest positiv.", "J10.1"),
    ("Pneumonie durch Pneumokokken.", "J13"),
    ("COPD, Exazerbation, FEV1 45 Prozent.", "J44.11"),
    ("Infektexazerbierte COPD, FEV1 40 Prozent.", "J44.01"),
    ("COPD GOLD vier.", "J44.90"),
    ("Allergisches Asthma, gut kontrolliert.", "J45.00"),
    ("Teilweise kontrolliertes allergisches Asthma, nicht schwer.", "J45.01"),
    ("Nichtallergisches Asthma, unkontrolliert.", "J45.12"),
    ("Schweres allergisches Asthma, unkontrolliert.", "J45.05"),
    ("Asthma, gut kontrolliert.", "J45.90"),
    ("Akute respiratorische Insuffizienz, hypoxämisch.", "J96.00"),
    ("Respiratorische Insuffizienz, akut, hyperkapnisch.", "J96.01"),
    # Verdauung
    ("Refluxkrankheit mit Ösophagitis, Los Angeles B.", "K21.0"),
    ("Ulcus duodeni mit Blutung, Forrest IIa.", "K26.4"),
    ("Ulcus ventriculi, perforiert.", "K25.5"),
    ("Chronische Gastritis.", "K29.5"),
    ("Gastritis, akut.", "K29.1"),
    ("Appendizitis, perforiert.", "K35.31"),
    ("Leistenhernie rechts, eingeklemmt.", "K40.30"),
    ("Leistenhernie beidseits.", "K40.20"),
    ("Rezidiv einer Leistenhernie.", "K40.91"),
    ("Narbenhernie, inkarzeriert.", "K43.0"),
    ("Morbus Crohn des terminalen Ileums.", "K50.0"),
    ("Colitis ulcerosa, Pankolitis.", "K51.0"),
    ("Sigmadivertikulitis, gedeckt perforiert.", "K57.22"),
    ("Reizdarm mit Durchfall.", "K58.1"),
    ("Hämorrhoiden dritten Grades.", "K64.2"),
    ("Akute Cholezystitis bei Gallenblasensteinen.", "K80.00"),
    ("Gallengangsstein mit Cholangitis.", "K80.30"),
    ("Akute Pankreatitis, biliär.", "K85.10"),
    ("Leberzirrhose, äthyltoxisch.", "K70.3"),
    # Haut
    ("Abszess am Gesäß.", "L02.3"),
    ("Abszess in der Achsel links.", "L02.4"),
    ("Phlegmone am Unterschenkel rechts.", "L03.11"),
    ("Kontaktekzem, allergisch.", "L23.9"),
    ("Psoriasis vulgaris.", "L40.0"),
    ("Urtikaria, chronisch.", "L50.8"),
    ("Dekubitus am Steiß, Stadium zwei.", "L89.14"),
    ("Dekubitus an der Ferse, Grad drei.", "L89.27"),
    # Bewegungsapparat
    ("Gicht am Großzehengrundgelenk.", "M10.97"),
    ("Gichtanfall im linken Knie.", "M10.96"),
    ("Posttraumatische Gonarthrose links.", "M17.3"),
    ("Primäre Gonarthrose rechts.", "M17.1"),
    ("Primäre Gonarthrose beidseits.", "M17.0"),
    ("Koxarthrose bei Hüftdysplasie rechts.", "M16.3"),
    ("Rheumatoide Arthritis, seropositiv.", "M05.90"),
    ("Meniskusläsion, degenerativ, Innenmeniskus Hinterhorn.", "M23.32"),
    ("Spinalkanalstenose der HWS.", "M48.02"),
    ("Bandscheibenvorfall L5/S1 mit Nervenwurzelkompression.", "M51.1"),
    ("Bandscheibenvorfall der HWS.", "M50.2"),
    ("Lumbago, Schmerz zieht ins Bein.", "M54.4"),
    ("Osteoporose, medikamentös, an der Wirbelsäule.", "M81.48"),
    ("Postmenopausale Osteoporose mit Sinterungsfraktur.", "M80.08"),
    ("Schleimbeutelentzündung am Ellenbogen.", "M70.2"),
    # Niere, Harnwege, Frauen
    ("Chronische Niereninsuffizienz Stadium vier.", "N18.4"),
    ("Akutes Nierenversagen, KDIGO zwei.", "N17.92"),
    ("Nierenkolik bei Harnleiterstein links.", "N20.1"),
    ("Blasenentzündung, akut.", "N30.0"),
    ("Pyelonephritis, akut.", "N10"),
    ("Harnstauung bei Harnleiterstein.", "N13.21"),
    ("Endometriose des Ovars.", "N80.1"),
    # Neubildungen
    ("Mammakarzinom links, oberer äußerer Quadrant.", "C50.4"),
    ("Kolonkarzinom im Sigma.", "C18.7"),
    ("Bronchialkarzinom im rechten Oberlappen.", "C34.1"),
    ("Basaliom an der Nase.", "C44.3"),
    ("Nävus am Rücken.", "D22.5"),
    # Infektionen
    ("Gastroenteritis durch Noroviren.", "A08.1"),
    ("Sepsis durch Escherichia coli.", "A41.51"),
    ("Gürtelrose mit Augenbeteiligung.", "B02.3"),
    ("Candidose der Scheide.", "B37.3"),
    # Verletzungen
    ("Schenkelhalsfraktur rechts, subkapital.", "S72.03"),
    ("Distale Radiusfraktur, Extensionsfraktur.", "S52.51"),
    ("Humeruskopffraktur, subkapital.", "S42.22"),
    ("Rippenserienfraktur, drei Rippen.", "S22.43"),
    ("LWK-Fraktur, LWK 1.", "S32.01"),
    ("Kreuzbandriss, vorderes Kreuzband.", "S83.53"),
    ("Distorsion des Sprunggelenks mit Bänderriss.", "S93.2"),
    ("Schnittwunde am Zeigefinger.", "S61.0"),
    ("Prellung am Knie.", "S80.0"),
    ("Verbrennung der Hand, Grad 2a.", "T23.20"),
    ("Schädel-Hirn-Trauma Grad 1.", "S06.0"),
]


@pytest.mark.parametrize(("text", "name"), ASSESSED)
@pytest.mark.parametrize("year", [2025, 2026])
def test_what_the_assessment_says(note: Note, visit: Visit, text: str, name: str, year: int) -> None:
    assert name in coded(visit(year=year), note(("A", text)))


@pytest.mark.parametrize(
    ("text", "name_2025", "name_2026"),
    [
        ("Offenwinkelglaukom.", "H40.1", "H40.18"),
        ("Katarakt bei Pseudoexfoliation.", "H26.8", "H26.80"),
        ("Chronisches Fatigue-Syndrom, postinfektiös.", "G93.3", "G93.30"),
        ("Malignes Melanom am Rücken.", "C43.5", "C43.59"),
        ("Glaukom, Normaldruck.", "H40.1", "H40.18"),
    ],
)
def test_a_code_that_the_year_split(note: Note, visit: Visit, text: str, name_2025: str, name_2026: str) -> None:
    assert name_2025 in coded(visit(year=2025), note(("A", text)))
    assert name_2026 in coded(visit(year=2026), note(("A", text)))


@pytest.mark.parametrize(
    ("parts", "name"),
    [
        ((("O", "FEV1 45 %."), ("A", "COPD.")), "J44.91"),
        ((("O", "BMI 36."), ("A", "Adipositas.")), "E66.91"),
        ((("O", "eGFR 27 ml/min."), ("A", "Niereninsuffizienz.")), "N18.4"),
        ((("O", "Steiß offen, zwei mal drei Zentimeter."), ("A", "Dekubitus Stadium zwei.")), "L89.14"),
        ((("O", "Linkes Knie überwärmt und geschwollen."), ("A", "Gichtanfall.")), "M10.96"),
        ((("A", "Vorhofflimmern. Das ist jetzt permanent."),), "I48.2"),
        ((("A", "Gallensteine."), ("A", "Akute Cholezystitis.")), "K80.00"),
        ((("A", "Hypoglykämie."), ("A", "Diabetes mellitus Typ 2.")), "E11.60"),
        ((("A", "COPD."), ("A", "Akute Bronchitis.")), "J44.09"),
        ((("A", "Agoraphobie."), ("A", "Panikstörung.")), "F40.01"),
    ],
)
def test_what_several_statements_say(note: Note, visit: Visit, parts: tuple[tuple[str, str], ...], name: str) -> None:
    assert name in coded(visit(), note(*parts))


@pytest.mark.parametrize(
    ("parts", "name"),
    [
        ((("A", "Diabetes mellitus Typ 2."), ("A", "Der Blutdruck ist schlecht eingestellt.")), "E11.90"),
        ((("A", "Diabetes mellitus Typ 2, keine Polyneuropathie, keine Retinopathie."),), "E11.90"),
        ((("A", "Diabetes mellitus Typ 2, nicht entgleist."),), "E11.90"),
        ((("A", "Sinusitis."), ("A", "Chronische Niereninsuffizienz.")), "J01.9"),
        ((("A", "Dekubitus Stadium zwei."), ("A", "Chronische Niereninsuffizienz Stadium vier.")), "L89.19"),
        ((("A", "Vorhofflimmern."), ("A", "Persistierende Rückenschmerzen.")), "I48.9"),
        ((("A", "Bronchitis."), ("A", "Akute Lumbago.")), "J40"),
        ((("A", "Depression."), ("A", "Schwere Gonarthrose rechts.")), "F32.9"),
        ((("A", "Varizen."), ("A", "Ulcus ventriculi.")), "I83.9"),
        ((("A", "Struma."), ("O", "Ein Lymphknoten am Hals tastbar.")), "E04.9"),
        ((("A", "Hyperlipidämie."), ("O", "LDL 98, Triglyceride 110.")), "E78.5"),
        ((("A", "Konjunktivitis."), ("A", "Akute Bronchitis.")), "H10.9"),
        ((("A", "Hypothyreose."), ("A", "Medikamente vertragen.")), "E03.9"),
        ((("A", "Pneumonie."), ("A", "Grippeimpfung im Herbst.")), "J18.9"),
        ((("A", "Leberzirrhose, kein Alkohol."),), "K74.6"),
        ((("A", "Leistenhernie links, nicht eingeklemmt."),), "K40.90"),
        ((("A", "Sigmadivertikulitis, keine Perforation, kein Abszess."),), "K57.32"),
        ((("A", "Asthma, gut kontrolliert ist der Blutdruck."), ("A", "Hypertonie.")), "J45.90"),
        ((("A", "Herzinsuffizienz."), ("O", "Keine Rechtsherzbelastung.")), "I50.9"),
    ],
)
def test_what_other_words_do_not_decide(
    note: Note, visit: Visit, parts: tuple[tuple[str, str], ...], name: str
) -> None:
    assert name in coded(visit(), note(*parts))


@pytest.mark.parametrize(
    ("parts", "stays", "falls"),
    [
        ((("A", "Diabetes mellitus Typ 2 mit Ketoazidose."), ("A", "Metabolische Azidose.")), "E11.11", "E87.2"),
        ((("A", "Psoriasis vulgaris."), ("A", "Ekzem.")), "L40.0", "L30.9"),
        ((("A", "Alzheimer-Demenz."), ("A", "Demenz.")), "G30.9", "F03"),
        ((("A", "Gallengangsstein mit Cholangitis."), ("A", "Cholangitis.")), "K80.30", "K83.09"),
    ],
)
def test_what_does_not_stand_beside(
    note: Note, visit: Visit, parts: tuple[tuple[str, str], ...], stays: str, falls: str
) -> None:
    found = coded(visit(), note(*parts))
    assert stays in found and falls not in found


@pytest.mark.parametrize(
    ("text", "name", "partner"),
    [
        ("Diabetes mellitus Typ 2 mit diabetischer Polyneuropathie.", "E11.40", "G63.2"),
        ("Diabetes mellitus Typ 2 mit diabetischer Nephropathie.", "E11.20", "N08.3"),
        ("Diabetes mellitus Typ 2 mit diabetischer Retinopathie.", "E11.30", "H36.0"),
        ("Bandscheibenvorfall L5/S1 mit Nervenwurzelkompression.", "M51.1", "G55.1"),
        ("Alzheimer-Demenz.", "G30.9", "F00.9"),
        ("Candidose der Scheide.", "B37.3", "N77.1"),
    ],
)
def test_a_star_code_follows_its_cross(note: Note, visit: Visit, text: str, name: str, partner: str) -> None:
    found = coded(visit(), note(("A", text)))
    assert found.index(partner) == found.index(name) + 1


def test_what_is_missing_is_told(note: Note, visit: Visit) -> None:
    (found,) = code.run(visit(), NOTHING, note(("A", "Vorhofflimmern."))).diagnoses
    assert found.remark is not None and "paroxysmal" in found.remark
