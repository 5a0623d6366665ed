"""`fhir-gateway demo`: start a gateway, post a consultation, follow the run, print everything for a person.

The pages are German, for they are clinical content; a failure is one English sentence, as with every other command.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec
from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TextColumn
from rich.text import Text

from fhir_gateway import errors
from fhir_gateway.demo import gateway_process, pages, reading, record_system
from fhir_gateway.store import codec
from mappers import consultation_to_fhir
from pipeline.evaluation import cases

Json = record_system.Json

PAPER_WIDTH = 100  # columns where there is no terminal
MAX_WIDTH = 120  # columns; longer lines are hard to read

_STATUS = {"requested": "angenommen", "in-progress": "in Arbeit", "completed": "abgeschlossen",
           "failed": "gescheitert", "cancelled": "abgebrochen"}  # fmt: skip
_SEX = {"male": "männlich", "female": "weiblich", "other": "divers"}
_CLASSES = {"AMB": "ambulant", "IMP": "stationär", "HH": "Hausbesuch", "VR": "telefonisch oder per Video"}


def run(case: str, *, keep: bool, json_file: Path | None) -> int:
    """The exit code: 0 when the run completed and every part came back, 2 for an unknown case, else 1."""
    console, complaints = _console(), Console(stderr=True, markup=False, highlight=False, emoji=False, soft_wrap=True)
    known = {bundled.name: bundled for bundled in cases.bundled()}
    if case not in known:
        complaints.print(f'There is no bundled case "{case}"; known are {", ".join(known)}.')
        return 2
    try:
        _check_writable(json_file)
        return _demonstrate(console, known[case], keep, json_file)
    except errors.GatewayError as error:
        complaints.print(error.message)
    except KeyboardInterrupt:
        complaints.print("The demonstration was stopped before its end.")
    return 1


def _demonstrate(console: Console, case: cases.Case, keep: bool, json_file: Path | None) -> int:
    _line(console, f"{case.title} (erfundener Fall, --case {case.name})", style="bold")
    _line(console, "Das Gateway startet ...")
    with gateway_process.running() as gateway, record_system.RecordSystem(gateway) as ehr:
        answers = _sent_and_followed(console, ehr, case)
        if json_file is not None:
            _write(json_file, answers)
        if answers.task["status"] != "completed":
            reason = answers.task.get("statusReason", {}).get("text", "no reason is given")
            raise errors.GatewayError(f"The run ended as {answers.task['status']}: {reason}")
        _print(console, answers, keep)
        fault = missing(answers)
        if fault is not None:
            raise errors.GatewayError(f"The demonstration is not complete: {fault}.")
        if json_file is not None:
            _line(console, f"Alle {len(answers.all())} Ressourcen als Bundle: {json_file}")
        if keep:
            _wait(console, gateway)
    return 0


def _sent_and_followed(console: Console, ehr: record_system.RecordSystem, case: cases.Case) -> record_system.Answers:
    bundle = consultation_to_fhir.bundle(case.consultation)
    sent = ehr.send(bundle)
    encounter = next(reference for reference in sent if reference.startswith("Encounter/"))
    _line(console, f"POST {ehr.base}: Transaktion mit {len(sent)} Ressourcen angenommen.")
    versions: tuple[Json, ...] = ()
    with _Progress.shown(console) as progress:
        for versions in ehr.follow(encounter):
            progress.update(versions)
    return ehr.collect(sent, versions)


class _Progress:
    """One line a stage as it ends; on a terminal with the run's state moving below a spinner."""

    def __init__(self, console: Console, progress: Progress) -> None:
        self._console = console
        self._progress = progress
        self._shown: set[str] = set()
        self._state = progress.add_task("Auftrag", total=len(pages.STAGES), told="angenommen")

    @classmethod
    @contextmanager
    def shown(cls, console: Console) -> Iterator[_Progress]:
        columns = (SpinnerColumn("line", finished_text="+"), TextColumn("{task.description:<38}", markup=False),
                   TextColumn("{task.fields[told]}", markup=False))  # fmt: skip
        with Progress(*columns, console=console, disable=not console.is_terminal) as progress:
            yield cls(console, progress)

    def update(self, versions: tuple[Json, ...]) -> None:
        """Show what is new in the Task's versions."""
        for end in reading.stage_ends(versions):
            if end.stage not in self._shown:
                self._shown.add(end.stage)
                self._stage(f"{pages.STAGES.get(end.stage, end.stage)} ({end.stage})", pages.seconds(end.seconds))
        status = versions[-1]["status"]
        told = f"{_STATUS.get(status, status)}, {len(self._shown)} von {len(pages.STAGES)} Stufen"
        self._progress.update(self._state, completed=len(self._shown), told=told)
        if status in record_system.ENDED and not self._console.is_terminal:
            _line(self._console, f"+ {'Auftrag':<38} {told}")

    def _stage(self, name: str, end: str) -> None:
        if self._console.is_terminal:
            self._progress.update(self._progress.add_task(name, total=1, told=f"fertig nach {end}"), completed=1)
        else:
            _line(self._console, f"+ {name:<38} fertig nach {end}")


def missing(answers: record_system.Answers) -> str | None:
    """The first part of the results that did not come back, in words; None when all did."""
    provenances = answers.output("provenance")
    notes = [reading.sections(note, provenances) for note in answers.output("note")]
    if not notes or not set(reading.SECTIONS) <= {section.code for section in notes[0]}:
        return "the note with its four sections did not come back"
    without = [s.id for section in notes[0] for s in section.statements if s.basis == reading.Basis()]
    if without:
        return f"the statements {', '.join(without)} of the note have no evidence in a Provenance"
    if not answers.output("condition"):
        return "no Condition came back"
    if not reading.told(answers).checked:
        return "the result of the prescribing check did not come back"
    if not any(s.statements for note in answers.output("summary") for s in reading.sections(note, provenances)):
        return "the patient summary did not come back"
    return _wrong_claim(answers)


def _wrong_claim(answers: record_system.Answers) -> str | None:
    claims = answers.output("claim")
    if not claims:
        return None if reading.reason_for_no_claim(answers) else "neither a Claim nor a reason for none came back"
    is_right = sum(item.amount for item in reading.items(claims[0])) == claims[0]["total"]["value"]
    return None if is_right else "the total of the Claim is not the sum of its items"


def _print(console: Console, answers: record_system.Answers, keep: bool) -> None:
    provenances, told = answers.output("provenance"), reading.told(answers)
    claim = next(iter(answers.output("claim")), None)
    paper = pages.Pages(console, answers)
    pages.heading(console, "Behandlung")
    _line(console, _encounter(answers))
    for note in answers.output("note"):
        paper.note(reading.sections(note, provenances))
    paper.diagnoses(reading.diagnosis(condition) for condition in answers.output("condition"))
    paper.check(reading.warnings(answers.output("warning")), told)
    paper.billing(claim, told.billing)
    for summary in answers.output("summary"):
        paper.summary(reading.sections(summary, provenances))
    paper.review(told.review)
    paper.refused(told.refusals)
    paper.times(reading.stage_ends(answers.versions), answers.own_seconds)
    paper.addresses(keep)
    console.print()
    _line(console, "Alles ist ein maschineller Entwurf zur ärztlichen Prüfung; das Gateway ist kein Medizinprodukt.")


def _encounter(answers: record_system.Answers) -> str:
    """One line about the patient, the contact and the insurance."""
    of_type = {resource["resourceType"]: resource for resource in answers.sent}
    patient, encounter, coverage = of_type["Patient"], of_type["Encounter"], of_type.get("Coverage")
    name = patient["name"][0]
    start = encounter.get("period", {}).get("start", "")
    parts = (
        f"{' '.join(name['given'])} {name['family']}",
        _SEX.get(patient.get("gender", ""), ""),
        f"geboren {_date(patient['birthDate'])}" if "birthDate" in patient else "Alter nicht übermittelt",
        _CLASSES.get(encounter["class"]["code"], encounter["class"]["code"]),
        f"{_date(start[:10])} {start[11:16]} Uhr" if start else "",
        coverage["type"]["coding"][0]["code"] if coverage else "Versicherungsart nicht übermittelt",
    )
    return ", ".join(filter(None, parts))


def _date(iso: str) -> str:
    return ".".join(reversed(iso.split("-")))


def _write(path: Path, answers: record_system.Answers) -> None:
    """All resources as one collection Bundle, decimals as the gateway served them."""
    entries = [
        {"fullUrl": f"{answers.base}/{resource['resourceType']}/{resource['id']}", "resource": resource}
        for resource in answers.all()
    ]
    bundle = {"resourceType": "Bundle", "type": "collection", "entry": entries}
    path.write_bytes(msgspec.json.format(codec.encode(bundle), indent=2) + b"\n")


def _check_writable(path: Path | None) -> None:
    """Say now that --json cannot be written, not after the run."""
    try:
        if path is not None:
            path.open("ab").close()
    except OSError as error:
        raise errors.GatewayError(f"The file {path} cannot be written: {error.strerror}.") from None


def _wait(console: Console, gateway: gateway_process.Gateway) -> None:
    try:
        _line(console, f"Das Gateway läuft weiter unter {gateway.address}/fhir. Ende mit Strg-C.", style="bold")
        while True:
            gateway_process.check_alive(gateway)
            time.sleep(gateway_process.POLL_SECONDS)
    except KeyboardInterrupt:
        _line(console, "Das Gateway wird beendet.")


def _console() -> Console:
    """Standard output: as wide as the terminal, within reason, or as wide as paper where there is none."""
    plain = Console(markup=False, highlight=False, emoji=False)
    width = min(plain.width, MAX_WIDTH) if sys.stdout.isatty() else PAPER_WIDTH
    return Console(width=width, markup=False, highlight=False, emoji=False)


def _line(console: Console, text: str, style: str = "") -> None:
    console.print(Text(text, style=style))
