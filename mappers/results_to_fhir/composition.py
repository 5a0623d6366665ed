"""The note and the patient summary as Compositions. https://hl7.org/fhir/R4/composition.html"""

from __future__ import annotations

import html
from collections.abc import Iterable
from typing import Final

from mappers import fhir_names
from mappers.results_to_fhir import links
from pipeline import results

NOTE_TYPE: Final = links.coding(fhir_names.LOINC, "11506-3", "Progress note")
SUMMARY_TYPE: Final = links.coding(fhir_names.LOINC, "34133-9", "Summary of episode note")

#: LOINC code, its name, and the title we show for each section.
SECTION_CODES: Final[dict[results.Section, tuple[str, str, str]]] = {
    "S": ("61150-9", "Subjective Narrative", "Subjektiv"),
    "O": ("61149-1", "Objective Narrative", "Objektiv"),
    "A": ("51848-0", "Evaluation note", "Beurteilung"),
    "P": ("18776-5", "Plan of care note", "Procedere"),
}

_NOTHING_SAID = "Keine Angaben."
_EMPTY_REASON = links.concept(
    links.coding("http://terminology.hl7.org/CodeSystem/list-empty-reason", "unavailable", "Unavailable"),
    text="Im Gespräch nicht dokumentiert",
)


def note(
    surroundings: links.Links, documented: results.Note, conditions: Iterable[str], issues: Iterable[str]
) -> links.Json:
    """The SOAP note, preliminary. `conditions` and `issues` are references shown under Assessment and Plan."""
    entries = {"A": list(conditions), "P": list(issues)}
    sections = [
        _section(section, documented.section(section), entries.get(section, [])) for section in results.SECTIONS
    ]
    return _composition(surroundings, "note", NOTE_TYPE, "Verlaufsnotiz (Entwurf)", sections)


def summary(surroundings: links.Links, told: results.PatientSummary) -> links.Json:
    """The summary for the patient, preliminary."""
    section = {
        "title": "Zusammenfassung für die Patientin oder den Patienten",
        "text": _narrative(f"{_items('p', told.sentences)}{_notice(told.notice)}"),
    }
    return _composition(surroundings, "summary", SUMMARY_TYPE, "Patientenzusammenfassung (Entwurf)", [section])


def _notice(text: str) -> str:
    """The paragraph that says that this is a draft. It makes no statement, and the release takes it away."""
    return f'<p class="notice">{html.escape(text, quote=False)}</p>'


def _composition(
    surroundings: links.Links, kind: str, kind_code: links.Json, title: str, sections: list[links.Json]
) -> links.Json:
    resource_id = surroundings.result_id(kind, surroundings.sources_key)
    replaced = surroundings.replaces if kind == "note" else ()
    return {
        "resourceType": "Composition",
        "id": resource_id,
        **links.ai_meta(),
        "language": "de-DE",
        "identifier": surroundings.identifier(resource_id),
        "status": "preliminary",
        "type": links.concept(kind_code),
        "subject": {"reference": surroundings.patient},
        "encounter": {"reference": surroundings.encounter},
        "date": surroundings.recorded,
        "author": [{"reference": surroundings.device, "display": "fhir-gateway"}],
        "title": title,
        **(
            {"relatesTo": [{"code": "replaces", "targetReference": {"reference": r}} for r in replaced]}
            if replaced
            else {}
        ),
        "section": sections,
    }


def _section(section: results.Section, statements: tuple[results.Statement, ...], entries: list[str]) -> links.Json:
    code, display, title = SECTION_CODES[section]
    body = f"<ul>{_items('li', statements)}</ul>" if statements else f"<p>{_NOTHING_SAID}</p>"
    result: links.Json = {
        "title": title,
        "code": links.concept(links.coding(fhir_names.LOINC, code, display)),
        "text": _narrative(body),
    }
    if entries:
        result["entry"] = [{"reference": reference} for reference in entries]
    elif not statements:
        result["emptyReason"] = _EMPTY_REASON
    return result


def _items(tag: str, statements: Iterable[results.Statement]) -> str:
    return "".join(
        f'<{tag}{_element_id(statement)} class="{_classes(statement)}" title="{_sources(statement)}">'
        f"{html.escape(statement.text, quote=False)}</{tag}>"
        for statement in statements
    )


def _classes(statement: results.Statement) -> str:
    return f"{statement.polarity} added" if statement.is_added else statement.polarity


def _element_id(statement: results.Statement) -> str:
    """The id by which a Provenance points to a statement; "nothing was said" has no evidence and needs none."""
    return f' id="{statement.id}"' if statement.evidence else ""


def _sources(statement: results.Statement) -> str:
    numbers = sorted({evidence.segment for evidence in statement.evidence if evidence.segment is not None})
    if numbers:
        by_rules = "; ergänzt vom Regelwerk" if statement.is_added else ""
        return f"Segment {', '.join(str(number) for number in numbers)}{by_rules}"
    return "Akte" if statement.evidence else "Hinweis"


def _narrative(body: str) -> links.Json:
    return {
        "status": "generated",
        "div": f'<div xmlns="http://www.w3.org/1999/xhtml" lang="de" xml:lang="de">{body}</div>',
    }
