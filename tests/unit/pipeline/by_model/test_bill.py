"""`pipeline.stages.by_model.bill`: a model points at documented services, the schedules' tables and rules decide."""

from collections.abc import Callable
from typing import Any

import pytest

from pipeline import consultation, results, segments
from pipeline.engines import serving
from pipeline.evaluation import cases
from pipeline.stages import bill, code
from pipeline.stages.by_model import bill as by_model
from terminology.billing import catalogue
from terminology.german import sentences
from tests import scripted_model

Visit = Callable[..., consultation.Consultation]
Talk = Callable[[str], segments.Transcript]
Write = Callable[..., results.Note]

BUNDLED = cases.bundled()


def items(made: results.Billing | None) -> list[str]:
    return [item.code for item in made.items] if made else []


@pytest.fixture
def judged(
    visit: Visit, talk: Talk, note: Write
) -> Callable[..., tuple[results.Billing | None, serving.Judged[results.Billing]]]:
    """The bill of a note that documents nothing but a finding, and with what a model found: (quote, service)."""

    def judge(
        text: str, *places: tuple[str, str], insurance: str = "PKV"
    ) -> tuple[results.Billing | None, serving.Judged[results.Billing]]:
        documented, transcript = visit(text, insurance=insurance), talk(text)
        written, coding = note(("O", "Lunge frei.")), results.Coding(diagnoses=())
        found = []
        for quote, service in places:
            number = next((s.number for s in transcript.segments if quote in s.text), 1)
            found.append({"belege": [{"segment": number, "zitat": quote}], "leistung": service})
        made = by_model.judge({"stellen": found}, documented, transcript, written, coding, None)
        return bill.run(documented, transcript, written, coding, None), made

    return judge


DONE = "Arzt: Ich schreibe jetzt ein EKG. Sinusrhythmus im EKG, keine Auffälligkeiten.\n"


def test_without_words_nothing_is_asked() -> None:
    assert by_model.question(segments.Transcript(segments=())) is None


def test_a_documented_service_is_added(judged: Callable[..., Any]) -> None:
    by_rules, made = judged(DONE, ("Ich schreibe jetzt ein EKG", "ecg_rest"))
    assert made.rejected == () and set(items(made.result)) == {*items(by_rules), "651"}


def test_no_place_is_the_bill_of_the_rules(judged: Callable[..., Any]) -> None:
    by_rules, made = judged(DONE)
    assert made.result == by_rules


@pytest.mark.parametrize(
    "said, quote",
    [
        ("Arzt: Nächste Woche schreiben wir ein EKG.", "schreiben wir ein EKG"),
        ("Arzt: Beim nächsten Mal schreibe ich ein EKG.", "schreibe ich ein EKG"),
        ("Arzt: Der Kardiologe hat ein EKG geschrieben, Sinusrhythmus.", "ein EKG geschrieben"),
        ("Arzt: In der Klinik wurde ein EKG geschrieben.", "ein EKG geschrieben"),
        ("Arzt: Im letzten Jahr habe ich ein EKG geschrieben.", "ein EKG geschrieben"),
        ("Arzt: Ein EKG schreibe ich heute nicht.", "EKG schreibe ich heute"),
        ("Arzt: Ein EKG brauchen wir nicht.", "Ein EKG"),
        ("Arzt: Wurde schon ein EKG geschrieben?", "ein EKG geschrieben"),
        ("Arzt: Ich würde ein EKG schreiben, wenn Sie möchten.", "ein EKG schreiben"),
        ("Arzt: Lassen Sie dort ein EKG schreiben.", "ein EKG schreiben"),
        ("Patient: Ich schreibe jetzt ein EKG, hat der andere Arzt gesagt.", "Ich schreibe jetzt ein EKG"),
        ("Patient: Bei mir wurde heute ein EKG geschrieben.", "ein EKG geschrieben"),
        ("Arzt: Bei meinem vorigen Patienten habe ich heute ein EKG geschrieben.", "ein EKG geschrieben"),
        ("Arzt: Bei Ihrem Mann habe ich heute ein EKG geschrieben.", "ein EKG geschrieben"),
    ],
)
def test_what_was_not_done_here_and_today_is_no_service(said: str, quote: str, judged: Callable[..., Any]) -> None:
    by_rules, made = judged(f"{said}\n", (quote, "ecg_rest"))
    assert made.result is None or "651" not in set(items(made.result)) - set(items(by_rules))


def test_a_place_of_another_service_is_refused(judged: Callable[..., Any]) -> None:
    _by_rules, made = judged(DONE, ("Ich schreibe jetzt ein EKG", "spirometry"))
    assert made.result is None and [fell.check for fell in made.rejected] == ["service"]
    assert made.rejected[0].proposal == "spirometry: Ich schreibe jetzt ein EKG" and made.rejected[0].stage == "bill"


@pytest.mark.parametrize("number, quote", [(1, "ich schreibe"), (1, "EK"), (2, "EKG"), (0, "EKG"), (1, "?")])
def test_a_place_that_is_not_there_is_refused(number: int, quote: str, visit: Visit, talk: Talk, note: Write) -> None:
    value = {"stellen": [{"belege": [{"segment": number, "zitat": quote}], "leistung": "ecg_rest"}]}
    made = by_model.judge(value, visit(DONE), talk(DONE), note(("O", "Gut.")), results.Coding(diagnoses=()), "PKV")
    assert made.result is None and [fell.check for fell in made.rejected] == ["quote"]


def test_the_same_service_sixteen_times_is_one_item(judged: Callable[..., Any]) -> None:
    _by_rules, made = judged(DONE, *[("Ich schreibe jetzt ein EKG", "ecg_rest")] * 16)
    assert made.result is not None and items(made.result).count("651") == 1


def test_the_length_of_another_talk_is_not_the_length_of_this_one(visit: Visit, talk: Talk, note: Write) -> None:
    """What somebody else talked about for an hour does not make this talk an hour long."""
    said = "Arzt: Ich schreibe jetzt ein EKG, nachdem der Psychiater 60 Minuten Gespräch mit Ihnen hatte."
    documented, transcript = visit(said, insurance="GKV"), talk(said)
    written, coding = note(("A", "Depressive Episode."), ("O", "Gespräch.")), results.Coding(diagnoses=())
    by_rules = bill.run(documented, transcript, written, coding, None)
    place = {"belege": [{"segment": 1, "zitat": "Ich schreibe jetzt ein EKG"}], "leistung": "ecg_rest"}
    made = by_model.judge({"stellen": [place]}, documented, transcript, written, coding, None)
    assert set(items(made.result)) - set(items(by_rules)) <= {"651"}


@pytest.mark.parametrize("case", BUNDLED, ids=lambda case: case.name)
def test_every_sentence_under_every_service_adds_only_what_it_documents(case: cases.Case) -> None:
    documented, transcript, written = scripted_model.worked(case)
    coding = code.run(documented, transcript, written)
    by_rules = bill.run(documented, transcript, written, coding, "GKV")
    if by_rules is None:
        return
    allowed = {name for service in catalogue.services() for name in (*service.ebm, *service.goae)}
    stellen = []
    for segment in transcript.segments:
        for sentence in sentences.split(segment.text):
            named = catalogue.services_in(sentence.text)
            cite = [{"segment": segment.number, "zitat": sentence.text}]
            stellen += [{"belege": cite, "leistung": service.key} for service in named]
    made = by_model.judge({"stellen": stellen}, documented, transcript, written, coding, "GKV")
    added = set(items(made.result)) - set(items(by_rules)) if made.result else set()
    assert added <= allowed and not added & set(case.gold.billing.must_not)
    must = {name for name in items(by_rules) if name in case.gold.billing.must}
    assert made.result is None or must <= set(items(made.result))
