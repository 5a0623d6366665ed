"""Where a clause denies and what of it: "kein" what follows, "nicht" all, "nicht besser" no more than itself."""

from __future__ import annotations

import functools
import re

from terminology.drugs import catalogue, orders
from terminology.german import polarity, sentences

_WORD = re.compile(r"[^\W\d_]+")
_LIST = 5  # words of a member of a list at most
#: A clause that is nothing but a no to the clause before it: "das Nitrospray, nee, nie".
_BARE_NO = re.compile(
    r"(?=.*\b(?:nein|nee|nö|nie|niemals|nicht|keine?[nrs]?|nix|nichts)\b)"
    r"(?:(?:nein|nee|nö|nie|niemals|nicht|gar|überhaupt|aber|auch|eigentlich|bisher|"
    r"keine?[nrs]?|nix|nichts|(?<=nicht )mehr|noch|hab|habe|ich|hatte)[\s.!]*)+",
    re.IGNORECASE,
)
_TAKES_BACK = re.compile(
    r"^(?:aber )?(?:das|dies|den|die|so was|sowas|davon) "
    r"(?:haben|hast|hat|ist|sind|war|liegt|sehe|spricht|kann|habe|hab|hatte) "
    r".{0,40}\b(?:nicht|nix|nichts|kein\w*)\b",
    re.IGNORECASE,
)
_FORWARD = re.compile(r"\b(?:kein\w*|ohne|weder|koa\w*|koi\w*)\b", re.IGNORECASE)
#: What was ruled out.
_EXCLUDED = re.compile(
    r"\b(?:ausschließen|ausgeschlossen|ausschluss|schlie(?:ß|ss)\w*\b[^,.;]{0,60} aus)\b", re.IGNORECASE
)
#: A judgement that denies the clause after it: "ich glaube nicht, dass".
_DOUBTS = re.compile(
    r"\b(?:glaub|denk|mein|schätz|find|seh|vermut|annehm|nehm|gehe?)\w*\b[^,.;]{0,40}\b(?:nicht|ned|net|kaum)\b|"
    r"\bspricht nicht\b|\bkann (?:ich )?mir nicht vorstellen\b|\bnicht (?:der meinung|davon aus|so)$",
    re.IGNORECASE,
)
#: What takes back the denial of the clause after it: "kein Tag, an dem ich keine", "kann nicht sagen, dass ich kein".
_TURNS = re.compile(
    r"\bkein\w* (?:tag|nacht|stunde|minute|woche|monat)\w*\b|\b(?:nicht|ned|net) (?:sagen|behaupten)$",
    re.IGNORECASE,
)
_BELOW = re.compile(r"(?:da(?:ss|ß)\b|an (?:dem|der)\b|in (?:dem|der)\b|wo\b)", re.IGNORECASE)
#: What another judgement is preferred to: "eher eine Bronchitis als eine Lungenentzündung".
_RATHER = re.compile(r"\beher\b[^,.;]{2,60} als (?:an |auf )?(?:eine?[nrms]?|ne|nen)\b", re.IGNORECASE)
#: What "ohne" and "außer" hold for when more follows: "ohne das Spray krieg ich Luftnot".
_EXCEPTED = re.compile(
    r"(?:[Oo]hne|[Aa]ußer|[Bb]is auf) (?:[a-zäöüß]+ ){0,3}[A-ZÄÖÜ][\w-]*"
    r"(?: (?:und|oder) (?:[a-zäöüß]+ )?[A-ZÄÖÜ][\w-]*)*"
)
_CONTRAST = re.compile(r"\b(?:aber|nur|dafür|sondern|jedoch|allerdings)\b", re.IGNORECASE)


def in_clauses(pieces: list[str]) -> list[tuple[int, int] | None]:
    """Where each clause negates. "keine Übelkeit, Erbrechen oder Durchfall" negates to the end of its list."""
    found = [negation(piece) for piece in pieces]
    for index, piece in enumerate(pieces):
        before, following = (pieces[index - 1] if index else ""), (pieces[index + 1] if index + 1 < len(pieces) else "")
        takes_back = following and (_BARE_NO.fullmatch(following.strip(" .!,")) or _TAKES_BACK.match(following))
        rest = f" {' '.join(pieces[index:])} "
        is_member = (
            index > 0
            and found[index - 1] is not None
            and _FORWARD.search(pieces[0]) is not None
            and len(piece.split()) <= _LIST
            and (" oder " in rest or " noch " in rest)
            and _CONTRAST.search(piece) is None
        )
        is_below = before and _BELOW.match(piece)
        if found[index] is None and (takes_back or is_member or (is_below and _DOUBTS.search(before))):
            found[index] = (0, len(piece))
        elif found[index] is not None and is_below and (_TURNS.search(before) or _DOUBTS.search(before)):
            found[index] = None
    return found


@functools.lru_cache(maxsize=8192)
def negation(clause: str) -> tuple[int, int] | None:
    """Where a clause negates, as (start, end): "kein" and "ohne" what follows them, "nicht" and "nie" all of it; a
    "nicht" that says how a drug is taken, that alone: "Ibuprofen nicht nüchtern"; so with "wird nicht besser".
    """
    if not polarity.is_to_exclude(clause) and _EXCLUDED.search(clause):
        return 0, len(clause)
    if not polarity.is_negated(clause):
        rather = _RATHER.search(clause)
        return (clause.rindex(" als ", 0, rather.end()), len(clause)) if rather else polarity.partial(clause)
    manner = orders.manner(clause)
    if manner is not None and catalogue.find(clause) and not polarity.is_negated(orders.without_manner(clause)):
        return manner
    apart = polarity.apart(clause)
    match = _FORWARD.search(clause)
    if apart is not None or (match is not None and match[0].lower() == "ohne"):
        excepted = _EXCEPTED.search(clause, apart if apart is not None else match.start() if match else 0)
        if excepted is not None and not polarity.is_negated(f"{clause[: excepted.start()]} {clause[excepted.end() :]}"):
            return excepted.span()
    if match is None or polarity.is_negated(clause[: match.start()]):
        return 0, len(clause)
    follows = any(len(word) >= 4 for word in _WORD.findall(clause[match.end() :]))
    return (match.start() if follows else 0), len(clause)


def denies(text: str) -> bool:
    """Whether something in a text is denied or ruled out."""
    if polarity.is_negated(text):
        return True
    return _EXCLUDED.search(text) is not None and any(
        _EXCLUDED.search(span.text) and not polarity.is_to_exclude(span.text) for span in sentences.clauses(text)
    )


def forget() -> None:
    """Drop what is remembered of the texts of earlier runs."""
    negation.cache_clear()
