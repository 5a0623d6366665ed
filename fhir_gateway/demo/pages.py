"""The results on paper or screen: German, readable without colour, wrapped to the width of the console."""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal
from typing import Final, Literal

from rich import box
from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from fhir_gateway.demo import reading, record_system

Json = reading.Json

#: The stages in the order in which a run works on them. A stage that is not named here is shown by its code.
STAGES: Final = {
    "gather": "Akte zusammenstellen",
    "read": "Transkript lesen",
    "scribe": "Notiz schreiben",
    "summarise": "Patienteninformation",
    "code": "Diagnosen kodieren",
    "check": "Verordnungen prüfen",
    "bill": "Abrechnung vorschlagen",
    "write_back": "Ergebnisse speichern",
    "deliver": "An die Praxissoftware",
}

_REFUSED_BY: Final = {
    "scribe": "Notiz (Belegprüfung)",
    "summarise": "Zusammenfassung",
    "code": "Kodierung",
    "check": "Verordnungsprüfung",
    "bill": "Abrechnung",
}
_POLARITIES: Final = {
    "negated": "verneint",
    "uncertain": "unsicher",
    "historical": "früher",
    "family": "Familie",
}
_CERTAINTIES: Final = {"G": "gesichert", "V": "Verdacht", "A": "ausgeschlossen", "Z": "Zustand nach"}
_RECORD_TYPES: Final = {
    "AllergyIntolerance": "Allergie",
    "Condition": "Diagnose",
    "MedicationStatement": "Medikation",
    "MedicationRequest": "Verordnung",
    "Observation": "Messwert",
}


def heading(console: Console, title: str) -> None:
    """A title with a line under the width of the console."""
    console.print()
    console.rule(Text(title.upper(), style="bold"), align="left", style="dim")


def euro(amount: Decimal | int) -> str:
    """An amount with German comma and thousands separator, e.g. 1.234,50 EUR."""
    return f"{_amount(amount)} EUR"


def number(value: Decimal | int) -> str:
    """A number as it is, with German comma."""
    return str(value).replace(".", ",")


def seconds(value: float | Decimal) -> str:
    """Seconds with milliseconds and German comma."""
    return f"{value:.3f} s".replace(".", ",")


class Pages:
    """The pages of one run on one console."""

    def __init__(self, console: Console, answers: record_system.Answers) -> None:
        self.console = console
        self.answers = answers
        self.record = {_reference(resource): resource for resource in answers.sent}

    def note(self, sections: Iterable[reading.Section]) -> None:
        """The note, every statement with its segments and, where it is not simply so, its polarity."""
        heading(self.console, "Verlaufsnotiz (Entwurf)")
        self._line("In Klammern: Nummern der Redebeiträge im Transkript, auf denen der Satz beruht.", style="dim")
        for section in sections:
            self.console.print()
            self._line(section.title, style="bold")
            self._statements(section)

    def diagnoses(self, diagnoses: Iterable[reading.Diagnosis]) -> None:
        """Codes by rank with certainty, side, onset, title and reason; a secondary code says what it stands with."""
        heading(self.console, "Diagnosen (ICD-10-GM, Vorschlag)")
        table = _grid("right", "left")
        listed = list(diagnoses)
        codes = {diagnosis.reference: f"{diagnosis.code}{diagnosis.mark}" for diagnosis in listed}
        for rank, diagnosis in enumerate(listed, start=1):
            signs = _signs(diagnosis, codes.get(diagnosis.primary))
            told = _paragraphs(
                (f"{diagnosis.title} ({signs})" if signs else diagnosis.title, ""),
                (self._reason(diagnosis.reason, diagnosis.basis), "dim"),
                *((remark, "dim") for remark in diagnosis.remarks),
            )
            code = f"{codes[diagnosis.reference]} {diagnosis.certainty}".strip()
            table.add_row(f"{rank}.", Text(code, style="bold"), told)
        if table.row_count == 0:
            self._line("Keine Diagnose vorgeschlagen.")
        self.console.print(table)

    def check(self, warnings: list[reading.PrescribingWarning], told: reading.Told) -> None:
        """Warnings by severity, then what was and was not checked."""
        heading(self.console, "Verordnungsprüfung")
        for severity in reading.SEVERITIES:
            of_severity = [warning for warning in warnings if warning.severity == severity]
            if of_severity:
                self._line(f"{severity.capitalize()} ({len(of_severity)})", style="bold")
            for warning in of_severity:
                self._warning(warning)
        if not warnings:
            is_partial = ", aber die Prüfung ist nicht vollständig" if told.gaps else ""
            self._line(f"Kein Hinweis gefunden{is_partial}.")
        self._line("Geprüft", style="bold")
        self._lines(told.checked)
        self._line("Nicht geprüft", style="bold")
        self._lines(told.gaps or ("Nichts offen.",))

    def billing(self, claim: Json | None, notes: Iterable[str]) -> None:
        """The lines of the Claim with their sum; without a Claim the reason."""
        heading(self.console, "Abrechnung (Vorschlag)")
        if claim is None:
            self._line("Kein Vorschlag. Grund:")
            self._lines(notes)
            return
        items = reading.items(claim)
        has_factors = any(item.factor is not None for item in items)
        table = Table(box=box.SIMPLE, show_footer=True, padding=(0, 1), header_style="bold", footer_style="bold")
        table.add_column("Ziffer", no_wrap=True)
        table.add_column("Leistung", "Summe", ratio=1, overflow="fold")
        table.add_column("Anzahl", justify="right")
        table.add_column("Einzeln", justify="right", no_wrap=True)
        if has_factors:
            table.add_column("Faktor", justify="right")
        table.add_column("Betrag", euro(claim["total"]["value"]), justify="right", no_wrap=True)
        for item in items:
            told = _paragraphs((item.title, ""), (self._reason(item.reason, item.basis), "dim"))
            factors = [number(item.factor) if item.factor is not None else "–"] if has_factors else []
            table.add_row(item.code, told, number(item.quantity), _amount(item.unit_price), *factors, euro(item.amount))
        self.console.print(table)
        self._lines(notes)

    def summary(self, sections: Iterable[reading.Section]) -> None:
        """The summary for the patient."""
        heading(self.console, "Für die Patientin oder den Patienten (Entwurf)")
        for statement in (statement for section in sections for statement in section.statements):
            text = Text(statement.text)
            basis = self._basis(statement.basis)
            self.console.print(text.append(f" {basis}", style="dim") if basis else text)

    def review(self, notes: tuple[str, ...]) -> None:
        """What a person must look at, where there is anything."""
        if notes:
            heading(self.console, "Bitte prüfen")
            self._lines(tuple(note.removeprefix("Bitte prüfen: ") for note in notes))

    def refused(self, refusals: Iterable[reading.Refusal]) -> None:
        """What the gate and the rules did not let through, by who refused it."""
        heading(self.console, "Nicht übernommen")
        by_stage: dict[str, list[reading.Refusal]] = {}
        for refusal in refusals:
            by_stage.setdefault(refusal.stage, []).append(refusal)
        for stage, group in by_stage.items():
            self._line(_REFUSED_BY.get(stage, stage), style="bold")
            table = _grid("left")
            for refusal in group:
                table.add_row("-", _paragraphs((refusal.proposal, ""), (f"Grund: {refusal.reason}", "dim")))
            self.console.print(Padding(table, (0, 0, 0, 2)))
        if not by_stage:
            self._line("Nichts: jeder Vorschlag war belegt, keine Regel stand entgegen.")

    def times(self, ends: Iterable[reading.StageEnd], own: dict[str, Decimal]) -> None:
        """How long each stage took."""
        heading(self.console, "Laufzeit")
        table = Table(box=box.SIMPLE, padding=(0, 1), header_style="bold")
        table.add_column("Stufe")
        table.add_column("Wandzeit bis Ende der Stufe", justify="right")
        table.add_column("eigene Zeit", justify="right")
        for end in ends:
            stage = f"{STAGES.get(end.stage, end.stage)} ({end.stage})"
            table.add_row(stage, seconds(end.seconds), seconds(own[end.stage]) if end.stage in own else "–")
        self.console.print(table)
        self._line(
            "Wandzeit: ab Empfang, aus den Versionen des Task. Eigene Zeit: aus /metrics des Gateways.", style="dim"
        )

    def addresses(self, kept: bool) -> None:
        """Where everything can be read."""
        heading(self.console, "Nachlesen")
        results = {"note": "Notiz", "summary": "Patienteninformation", "claim": "Abrechnung"}
        rows = [
            (name, _reference(resource)) for kind, name in results.items() for resource in self.answers.output(kind)
        ]
        names = {reference: name for name, reference in rows}
        for provenance in self.answers.output("provenance"):
            about = names.get(provenance["target"][0]["reference"], "")
            rows.append((f"Belege {about}".strip(), _reference(provenance)))
        task = self.answers.task
        patient = next(reference for reference in self.record if reference.startswith("Patient/"))
        rows += [
            ("Diagnosen", f"Condition?encounter={task['encounter']['reference']}"),
            ("Verordnungsprüfung", f"DetectedIssue?patient={patient}"),
            ("Auftrag", _reference(task)),
            ("Verlauf des Auftrags", f"{_reference(task)}/_history"),
        ]
        for name, path in rows:
            self.console.print(f"{name:<28}{self.answers.base}/{path}", soft_wrap=True)
        if not kept:
            self._line("Die Adressen antworten, solange das Gateway läuft: mit --keep bleibt es stehen.", style="dim")

    def _statements(self, section: reading.Section) -> None:
        if not section.statements:
            self.console.print(Padding(Text(section.nothing), (0, 0, 0, 2)))
            return
        table = _grid("right")
        for statement in section.statements:
            mark = _POLARITIES.get(statement.polarity)
            text = Text(statement.text)
            if mark:
                text.append(f" ({mark})", style="bold")
            table.add_row(Text(self._basis(statement.basis) or "-", style="dim"), text)
        self.console.print(table)

    def _warning(self, warning: reading.PrescribingWarning) -> None:
        about = f" – {warning.about}" if warning.about != warning.drugs else ""
        self.console.print(Padding(Text(f"{warning.drugs}{about}", style="underline"), (0, 0, 0, 2)))
        table = _grid("left")
        rows = (
            ("Warum", warning.explanation),
            ("Was tun", warning.management),
            ("Quelle", warning.source),
            ("Beleg", self._basis(warning.basis)),
        )
        for name, text in rows:
            if text:
                table.add_row(Text(name, style="dim"), Text(text))
        self.console.print(Padding(table, (0, 0, 1, 4)))

    def _reason(self, reason: str, basis: reading.Basis) -> str:
        return f"{reason} {self._basis(basis)}".strip()

    def _basis(self, basis: reading.Basis) -> str:
        """The segments in brackets, and the items of the record by their names."""
        segments = f"[{', '.join(map(str, basis.segments))}]" if basis.segments else ""
        records = ", ".join(self._recorded(reference) for reference in basis.records)
        return " ".join(filter(None, (segments, f"Akte: {records}" if records else "")))

    def _recorded(self, reference: str) -> str:
        resource = self.record.get(reference, {})
        concept = resource.get("code") or resource.get("medicationCodeableConcept") or {}
        value = resource.get("valueQuantity", {})
        measured = f" {number(value['value'])} {value.get('unit', '')}".rstrip() if value else ""
        kind = _RECORD_TYPES.get(reference.split("/")[0], reference)
        return f"{kind} {concept.get('text', '')}{measured}".strip()

    def _line(self, text: str, style: str = "") -> None:
        self.console.print(Text(text, style=style))

    def _lines(self, texts: Iterable[str]) -> None:
        for text in texts:
            self.console.print(Padding(Text(text), (0, 0, 0, 2)))


def _amount(amount: Decimal | int) -> str:
    return f"{amount:,.2f}".translate(str.maketrans(",.", ".,"))


def _signs(diagnosis: reading.Diagnosis, primary: str | None) -> str:
    """Certainty, side, onset and the code that it stands with, as far as it has them."""
    signs = (
        _CERTAINTIES.get(diagnosis.certainty),
        diagnosis.side,
        f"seit {_day(diagnosis.since)}" if diagnosis.since else None,
        f"zu {primary}" if primary else None,
    )
    return ", ".join(sign for sign in signs if sign)


def _day(date: str) -> str:
    """A FHIR date of any precision as it is written in German: 10.06.2026, 06.2026, 2026."""
    return ".".join(reversed(date.split("-")))


def _reference(resource: Json) -> str:
    return f"{resource['resourceType']}/{resource['id']}"


def _grid(*columns: Literal["left", "right"]) -> Table:
    """A table without lines, a column for each alignment and a last one for the text, which takes what is left."""
    table = Table.grid(padding=(0, 2, 0, 0), expand=True)
    for justify in columns:
        table.add_column(justify=justify)
    table.add_column(ratio=1, overflow="fold")
    return table


def _paragraphs(*parts: tuple[str, str]) -> Text:
    """The texts that are not empty, each on its own line in its own style."""
    return Text("\n").join(Text(text, style=style) for text, style in parts if text)
