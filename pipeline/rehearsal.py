"""One invented consultation through all stages, so that every table is loaded before the first patient's comes."""

from __future__ import annotations

import datetime as dt

from pipeline import consultation
from pipeline.stages import bill, check, code, read_document, scribe, summarise

_TALK = """Ärztin: Guten Tag, was führt Sie zu mir?
Patientin: Seit drei Tagen Husten und Fieber, 38,5. Ich nehme Ramipril 5 mg morgens.
Ärztin: Die Lunge ist frei, Blutdruck 130 zu 80, CRP 12. Das ist eine akute Bronchitis.
Ärztin: Nehmen Sie Ibuprofen 400 mg dreimal täglich, und kommen Sie in einer Woche wieder.
"""


def run() -> None:
    """Work through the invented consultation and throw the results away."""
    documented = consultation.Consultation(
        patient=consultation.Patient(birth_date=dt.date(1970, 1, 1), sex="female"),
        encounter=consultation.Encounter(
            id="rehearsal", start=dt.datetime(2026, 3, 2, 9, tzinfo=dt.UTC), insurance="GKV"
        ),
        sources=(
            consultation.Source(
                id="DocumentReference/rehearsal", kind="transcript", content_type="text/plain", content=_TALK.encode()
            ),
        ),
    )
    transcript = read_document.run(documented)
    note = scribe.run(documented, transcript)
    coding = code.run(documented, transcript, note)
    check.run(documented, transcript, note)
    bill.run(documented, transcript, note, coding, None)
    summarise.run(documented, transcript, note)
