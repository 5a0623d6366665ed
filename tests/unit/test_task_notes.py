"""`fhir_gateway.runs.task_notes`: what a run's Task tells a person, the most important first."""

import datetime as dt
from typing import Any, get_args

import pytest

from fhir_gateway.runs import task_notes
from pipeline import consultation, results, segments
from pipeline.engines import base

KINDS: tuple[base.Kind, ...] = get_args(base.Kind)
PRACTICE = consultation.Consultation(
    encounter=consultation.Encounter(id="e", start=dt.datetime(2026, 5, 12, 9, tzinfo=dt.UTC), insurance="GKV")
)
NOTE = results.Note(statements=())
SUMMARY = results.PatientSummary(sentences=(), notice="Entwurf.")
CODING = results.Coding(diagnoses=())
CHECK = results.SafetyCheck(
    status="none", drugs=(), warnings=(), covered="Verordnungsprüfung: 1 von 1 Medikamenten geprüft."
)
BILLING = results.Billing(schedule="EBM", assumed=False, day=dt.date(2026, 5, 12), items=())


def of(**parts: Any) -> tuple[str, ...]:
    everything: dict[str, Any] = {
        "documented": PRACTICE,
        "transcript": segments.Transcript(segments=()),
        "note": NOTE,
        "summary": SUMMARY,
        "coding": CODING,
        "checked": CHECK,
        "billing": BILLING,
    }
    return task_notes.of(**{**everything, **parts})


def work(*outcomes: str, **about: Any) -> results.Work:
    return results.Work(
        attempts=tuple(results.Attempt(model="praxis (m-1)", outcome=outcome, **about) for outcome in outcomes)
    )


def with_work(stage: str, done: results.Work) -> dict[str, Any]:
    name, value = {
        "scribe": ("note", NOTE),
        "summarise": ("summary", SUMMARY),
        "code": ("coding", CODING),
        "check": ("checked", CHECK),
        "bill": ("billing", BILLING),
    }[stage]
    return {name: value.model_copy(update={"work": done})}


GERMAN = {
    "scribe": "Notiz",
    "summarise": "Zusammenfassung",
    "code": "Kodierung",
    "check": "Verordnungsprüfung",
    "bill": "Abrechnung",
}


def test_rules_alone_call_nobody() -> None:
    assert of() == ("Verordnungsprüfung: 1 von 1 Medikamenten geprüft.", "Verordnungsprüfung: kein Hinweis gefunden.")


@pytest.mark.parametrize("stage", GERMAN)
@pytest.mark.parametrize("kind", [*KINDS, "ungrounded"])
def test_who_must_look_comes_first_and_knows_why(stage: str, kind: str) -> None:
    first, *others = of(**with_work(stage, work(kind, kind)))
    assert first.startswith(f"Bitte prüfen: Kein Modell hat für die {GERMAN[stage]} eine brauchbare Antwort gegeben (")
    assert first.endswith("Das Ergebnis stammt vom Regelwerk.") and first.count("praxis (m-1): ") == 2
    assert kind not in first.replace("praxis (m-1)", "") and others == list(of())


def test_every_outcome_has_its_words() -> None:
    assert {*KINDS, "ungrounded"} <= task_notes._OUTCOMES.keys()
    words = [task_notes._OUTCOMES[kind] for kind in (*KINDS, "ungrounded")]
    assert len(set(words)) == len(words)


def test_an_outcome_that_nobody_knows_is_told_as_it_is() -> None:
    assert "praxis (m-1): neu)" in of(**with_work("code", work("neu")))[0]


@pytest.mark.parametrize("stage", GERMAN)
def test_a_model_that_was_used_calls_nobody(stage: str) -> None:
    assert of(**with_work(stage, work("loop", "used"))) == of()


@pytest.mark.parametrize("stage", GERMAN)
def test_an_answer_that_was_cut_short_is_looked_at(stage: str) -> None:
    first, *others = of(**with_work(stage, work("used", is_closed=True)))
    assert first == f"Bitte prüfen: Die Antwort des Modells für die {GERMAN[stage]} wurde gekürzt." and others == list(
        of()
    )


def test_several_stages_are_told_in_the_order_of_the_work() -> None:
    told = of(
        **with_work("bill", work("timeout")),
        **with_work("scribe", work("loop")),
        **with_work("check", work("used", is_closed=True)),
    )
    assert [next(name for name in GERMAN.values() if name in sentence) for sentence in told[:3]] == [
        "Notiz", "Verordnungsprüfung", "Abrechnung"
    ]  # fmt: skip
    assert all(sentence.startswith("Bitte prüfen") for sentence in told[:3])


@pytest.mark.parametrize("status, tells", [("none", True), ("found", False), ("not-checked", False)])
def test_no_warning_is_told_only_where_all_was_checked(status: str, tells: bool) -> None:
    checked = CHECK.model_copy(update={"status": status, "gaps": ("„Xy“: Wirkstoff nicht bekannt.",)})
    told = of(checked=checked)
    assert ("Verordnungsprüfung: kein Hinweis gefunden." in told) is tells
    assert told[:2] == (CHECK.covered, "„Xy“: Wirkstoff nicht bekannt.")


def test_what_the_rules_added_is_counted() -> None:
    def statement(number: int, *, is_added: bool) -> results.Statement:
        return results.Statement(
            id=f"s{number}", section="S", text="Husten.", polarity="affirmed", evidence=(), is_added=is_added
        )

    note = results.Note(
        statements=(statement(1, is_added=True), statement(2, is_added=False), statement(3, is_added=True))
    )
    assert any("2 Aussagen" in sentence for sentence in of(note=note))
    one = results.Note(statements=(statement(1, is_added=True),))
    (told,) = [sentence for sentence in of(note=one) if "Regelwerk ergänzt" in sentence]
    assert "1 Aussage." in told
    assert not any("ergänzt" in sentence for sentence in of())


def fell(stage: str, text: str = "Ibuprofen 600.", harm: results.Harm | None = None) -> results.Rejected:
    return results.Rejected(stage=stage, proposal=text, reason="Ein Medikament steht nicht im Beleg.", harm=harm)


def test_refusals_are_counted_by_how_bad_they_would_have_been() -> None:
    def told(*fallen: results.Rejected) -> list[str]:
        sentences = of(note=NOTE.model_copy(update={"rejected": fallen}))
        return [sentence for sentence in sentences if sentence.startswith("Nicht übernommen")]

    assert told() == []
    assert told(fell("scribe")) == ["Nicht übernommen: 1 Vorschlag. Jeder steht mit seinem Grund in output."]
    assert told(fell("scribe", harm="minor"), fell("scribe", "Fieber.", "critical"), fell("scribe", "Husten.")) == [
        "Nicht übernommen: 3 Vorschläge (1 kritisch, 1 leicht). Jeder steht mit seinem Grund in output."
    ]


def test_every_harm_has_its_word() -> None:
    assert set(get_args(results.Harm)) == task_notes._HARMS.keys()


def test_refusals_stand_in_the_order_of_the_stages_and_each_once() -> None:
    refused = task_notes.refused(
        NOTE.model_copy(update={"rejected": (fell("scribe"), fell("scribe"))}),
        SUMMARY.model_copy(update={"rejected": (fell("summarise"),)}),
        CODING.model_copy(update={"rejected": (fell("code"),)}),
        CHECK.model_copy(update={"rejected": (fell("check"),)}),
        BILLING.model_copy(update={"refused": (fell("bill"),)}),
    )
    assert [item.stage for item in refused] == list(GERMAN)


def test_what_was_said_and_stands_nowhere_is_told() -> None:
    said = ("Atemnot?", "Nein, keine Atemnot.", "Ich verordne Ihnen Sertralin fünfzig Milligramm.")
    heard = segments.Transcript(
        segments=tuple(
            segments.Segment(number=at, source="d", speaker=speaker, text=text, start=0, end=len(text))
            for at, (speaker, text) in enumerate(zip(("doctor", "patient", "doctor"), said, strict=True), start=1)
        )
    )
    told = [sentence for sentence in of(transcript=heard) if "in keiner Aussage der Notiz" in sentence]
    assert told and all(sentence.startswith("Bitte prüfen: Gesagt, ") for sentence in told)
    assert any("Medikament: Sertralin (Abschnitt 3 des Gesprächs)" in sentence for sentence in told)
    assert not any("Warnzeichen" in sentence for sentence in told)


@pytest.mark.parametrize(
    "setting, start, insurance, why",
    [
        ("hospital", None, None, "Stationärer Kontakt"),
        ("practice", None, "GKV", "Der Behandlungstag"),
        ("practice", dt.datetime(2026, 5, 12, tzinfo=dt.UTC), None, "Versicherungsart nicht übermittelt"),
        ("practice", dt.datetime(2026, 5, 12, tzinfo=dt.UTC), "PKV", "Keine dokumentierte Leistung"),
    ],
)
def test_why_there_is_no_claim(setting: Any, start: dt.datetime | None, insurance: Any, why: str) -> None:
    encounter = consultation.Encounter(id="e", start=start, setting=setting, insurance=insurance)
    told = of(documented=consultation.Consultation(encounter=encounter), billing=None)
    assert told[-1].startswith(why) and "kein Abrechnungsvorschlag" in told[-1]


def test_what_was_assumed_and_what_is_missing_comes_last() -> None:
    told = of(billing=BILLING.model_copy(update={"assumed": True, "missing": ("03230: Dauer nicht dokumentiert.",)}))
    assert told[-2:] == (
        "Versicherungsart nicht übermittelt: Abrechnung nach EBM angenommen.", "03230: Dauer nicht dokumentiert."
    )  # fmt: skip
