"""Which candidates stand together: one a code, pairs complete and in order, nothing that another one rules out."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from pipeline import results
from pipeline.coding import candidate
from terminology.icd10gm import edition, specificity

_SURER = {"G": 0, "Z": 1, "V": 2, "A": 3, None: 0}


def for_hospital(candidates: Iterable[candidate.Candidate], *, is_treated: bool) -> list[candidate.Candidate]:
    """In-patients' diagnoses carry no certainty (DKR D008, D002): what was excluded or is over is not coded, a
    suspicion like a certain diagnosis where it was treated, else not: then its complaint is coded."""
    found = []
    for one in candidates:
        if one.certainty in ("A", "Z") or (one.certainty == "V" and not is_treated):
            continue
        if one.certainty == "V":
            told = "Verdachtsdiagnose; bei Behandlung wie gesichert kodiert (DKR D008), bitte prüfen."
            one = replace(one, remarks=(*one.remarks, told))
        found.append(replace(one, certainty=None))
    return found


def unique(candidates: Iterable[candidate.Candidate]) -> list[candidate.Candidate]:
    """One candidate a code and side; the surer one leads. An unspecific code yields to a specific one of its kind."""
    best: dict[tuple[str, results.Side | None], candidate.Candidate] = {}
    for one in candidates:
        key = (one.code, one.side)
        known = best.get(key) or best.get((one.code, None))
        if known is None:
            best[key] = one
            continue
        surer = one if _SURER[one.certainty] < _SURER[known.certainty] else known
        best[(known.code, known.side)] = replace(
            surer,
            side=surer.side or one.side or known.side,
            since=surer.since or one.since or known.since,
            evidence=tuple(dict.fromkeys((*known.evidence, *one.evidence))),
        )
    found = list(best.values())
    return [one for one in found if not any(_says_more(other, one) for other in found)]


def _says_more(other: candidate.Candidate, one: candidate.Candidate) -> bool:
    """Whether `other` is a specific code of the category of which `one` is the unspecified: I50.14 for I50.9."""
    if other is one or other.code[:3] != one.code[:3]:
        return False
    if one.is_as_known and not other.is_as_known and specificity.contradiction(one.code, other.code) is not None:
        return not _is_unspecific(other.code)
    if other.code[:5] == one.code[:5]:
        return one.code[5:] == "9" != other.code[5:]
    return one.code[4:5] == "9" != other.code[4:5]


def _is_unspecific(name: str) -> bool:
    return name[4:5] == "9" or name[5:] == "9"


def covering(one: candidate.Candidate, candidates: Iterable[candidate.Candidate]) -> str | None:
    """The diagnosis that `one` is a symptom of; it is then not coded beside it."""
    for other in candidates:
        if other.certainty in ("G", "V", None) and specificity.is_symptom_of(one.code, other.code):
            return other.code
    return None


def contradiction(
    one: candidate.Candidate, accepted: Sequence[candidate.Candidate], found: Iterable[candidate.Candidate]
) -> specificity.Contradiction | None:
    """The rule by which `one` may not stand beside another: where each rules the other out, the first in rank stays."""
    for other in found:
        if one.certainty in ("G", None) and other.certainty in ("G", None):
            rule = specificity.contradiction(one.code, other.code)
            if rule is not None and (other in accepted or specificity.contradiction(other.code, one.code) is None):
                return rule
    return None


def with_partners(candidates: Sequence[candidate.Candidate], held: edition.Edition) -> list[candidate.Candidate]:
    """Each star and exclamation code stands behind the code that it belongs to; those that a code needs are added."""
    alone = [one for one in candidates if (code := held.codes.get(one.code)) is None or code.mark is None]
    marked = [one for one in candidates if one not in alone]
    result: list[candidate.Candidate] = []
    for one in alone:
        result.append(one)
        wanted = specificity.partners().get(one.code, ())
        own = [other for other in marked if other.code in wanted or specificity.may_stand_with(one.code, other.code)]
        for other in own:
            marked.remove(other)
            result.append(replace(other, primary=one.code))
        for name in wanted:
            if not any(other.code == name for other in own) and name in held.codes:
                reason = f"Zusatzkode zu {one.code}."
                result.append(
                    replace(
                        one,
                        code=name,
                        reason=reason,
                        origin="partner",
                        side=one.partner_side,
                        primary=one.code,
                        runner_up=None,
                        remarks=(),
                    )
                )
    return [*result, *marked]


def ranked(candidates: Iterable[candidate.Candidate], known: Iterable[str]) -> list[candidate.Candidate]:
    """The diagnosis that the visit was about first: what was found today before what was known, suspicions, complaints
    and states; the order in which the doctor named them decides between equals."""
    categories = {name[:3] for name in known}
    return sorted(candidates, key=lambda one: _weight(one, categories))


def _weight(one: candidate.Candidate, known: set[str]) -> int:
    if one.certainty in ("Z", "A"):
        return 7 if one.certainty == "Z" else 8
    if specificity.is_state(one.code):
        return 6
    if one.certainty == "V":
        return 3
    if one.is_symptom:
        return 4
    if one.origin == "record":
        return 5
    return 2 if one.code[:3] in known else 1
