"""An index of short texts by key in SQLite, with a ranking that says why."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple, TypeVar

from terminology import reporting
from terminology.german import compounds, stems
from terminology.search import analysis, query, vocabulary

#: How a text was found: word by word, but for endings and order; by the parts of compounds; by another word for the
#: same; by a corrected spelling; by some of the words only.
How = Literal["exact", "stem", "compound", "same", "corrected", "partial"]

_CANDIDATES = 200  # texts that are ranked, the shortest and weightiest first
_LESSER = 100  # texts that are ranked where some of the words are asked for
_LONGEST = 200  # characters of a query that are read
_SCHEMA = (
    """CREATE TABLE search_text (id INTEGER PRIMARY KEY, key TEXT NOT NULL, text TEXT NOT NULL, weight REAL NOT NULL,
        folded TEXT NOT NULL, words TEXT NOT NULL, parts TEXT NOT NULL, aside TEXT NOT NULL)""",
    "CREATE TABLE search_stem (stem TEXT PRIMARY KEY, parts TEXT NOT NULL) WITHOUT ROWID",
    """CREATE VIRTUAL TABLE search_word USING fts5 (words, content='', detail=none, columnsize=0,
        tokenize="unicode61 remove_diacritics 0 tokenchars '~'")""",
    "CREATE VIRTUAL TABLE search_vocabulary USING fts5vocab ('search_word', 'row')",
)
_BY_FOLDED = "CREATE INDEX IF NOT EXISTS search_text_folded ON search_text (folded)"

#: What the scores of a key are multiplied by, 0 to 1.
Weigh = Callable[[str], float]
_T = TypeVar("_T")
_TOLD = 2000  # how many texts or words are worked on between two reports of progress


def _alike(_key: str) -> float:
    return 1.0


class Row(NamedTuple):
    """What goes in: `text` is another way to say `key`. `weight`: 0 to 1, by which its scores are multiplied."""

    key: str
    text: str
    weight: float = 1.0


class Hit(NamedTuple):
    """A key, its text that matched best, the score (0 to 1; 1: the very text) and how it matched."""

    key: str
    text: str
    score: float
    how: How


@dataclass(frozen=True, slots=True)
class _Text:
    key: str
    text: str
    weight: float
    words: frozenset[str]
    parts: frozenset[str]
    aside: frozenset[str]


class Index:
    """Searches texts by words, in memory. Build it once; searching is safe from several threads."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self._lock = threading.Lock()
        counts = dict(connection.execute("SELECT term, doc FROM search_vocabulary"))
        (texts,) = connection.execute("SELECT count(*) FROM search_text").fetchone()
        self._words = vocabulary.Vocabulary(counts, texts)
        self._splitter = compounds.Splitter(self._words, analysis.never_parts())

    @classmethod
    def build(cls, rows: Iterable[Row], progress: reporting.Progress = reporting.quiet) -> Index:
        """An index of the rows."""
        connection = _memory()
        for statement in _SCHEMA:
            connection.execute(statement)
        _add(connection, [*rows], progress)
        connection.execute("INSERT INTO search_word (search_word) VALUES ('optimize')")
        connection.commit()
        return cls(connection)

    @classmethod
    def open(cls, image: bytes, rows: Iterable[Row] = ()) -> Index:
        """The index that `image` is a copy of, and the rows; sqlite3.DatabaseError when it is none.

        A row is found as if the index had been built with it, but that no older word is split at its words.
        """
        connection = _memory()
        connection.deserialize(image)
        _add(connection, [*rows])
        connection.commit()
        return cls(connection)

    def image(self) -> bytes:
        """A copy that `open` takes."""
        return self._connection.serialize()

    def search(self, text: str, limit: int = 20, *, weigh: Weigh = _alike) -> tuple[Hit, ...]:
        """The best hits, one a key, the best first. Any text is allowed; one that says nothing finds nothing."""
        asked = text[:_LONGEST]
        folded = stems.fold(asked)
        if not folded or limit < 1:
            return ()
        best: dict[str, Hit] = {}
        for row in self._rows("SELECT key, text, weight FROM search_text WHERE folded = ? ORDER BY id", folded):
            _keep(best, Hit(row[0], row[1], row[2], "exact"), weigh)
        made = query.read(asked, self._words, self._parts)
        self._collect(made, best, limit, weigh)
        if all(hit.how == "partial" for hit in best.values()):
            doubtful = query.read(asked, self._words, self._parts, is_doubtful=True)
            if doubtful != made:
                self._collect(doubtful, best, limit, weigh)
        return tuple(sorted(best.values(), key=lambda hit: (-hit.score, hit.key))[:limit])

    def _collect(self, made: query.Query, best: dict[str, Hit], limit: int, weigh: Weigh) -> None:
        """Rank the texts that hold all that was asked for; then, until there are enough, those that hold less."""
        for number, expression in enumerate(made.expressions()):
            for row in self._rows(_MATCHING, expression, _LESSER if number else _CANDIDATES):
                found = _Text(*row[:3], *(frozenset(cell.split()) for cell in row[3:]))
                if (hit := _ranked(made, found)) is not None:
                    _keep(best, hit, weigh)
            if len(best) >= limit:
                return

    def _parts(self, word: str) -> tuple[str, ...]:
        """The parts of a folded word or of a stem, as they were split when the index was built."""
        for stem in (stems.stem(word), word):
            if stem in self._words:
                found = self._rows("SELECT parts FROM search_stem WHERE stem = ?", stem)
                return tuple(found[0][0].split()) if found else (stem,)
        return self._splitter.split(word)

    def _rows(self, statement: str, *values: object) -> list[tuple[Any, ...]]:
        with self._lock:
            return self._connection.execute(statement, values).fetchall()


_MATCHING = """SELECT t.key, t.text, t.weight, t.words, t.parts, t.aside FROM search_word w JOIN search_text t
    ON t.id = w.rowid WHERE search_word MATCH ? ORDER BY w.rowid LIMIT ?"""


def _keep(best: dict[str, Hit], hit: Hit, weigh: Weigh) -> None:
    score = round(hit.score * weigh(hit.key), 4)
    if hit.key not in best or score > best[hit.key].score:
        best[hit.key] = hit._replace(score=score)


def _memory() -> sqlite3.Connection:
    connection = sqlite3.connect(":memory:", check_same_thread=False)
    connection.execute("PRAGMA journal_mode = OFF")  # nothing is ever rolled back
    return connection


def _add(connection: sqlite3.Connection, rows: Sequence[Row], progress: reporting.Progress = reporting.quiet) -> None:
    """Write texts and their words. The ids rise with length and fall with weight: the first matches are the best."""
    read = [(row, analysis.words(row.text)) for row in _told(rows, "reading texts", progress)]
    parts = {stem: tuple(found.split()) for stem, found in connection.execute("SELECT stem, parts FROM search_stem")}
    split = _split(read, parts, progress)
    connection.executemany(
        "INSERT INTO search_stem VALUES (?, ?)", ((stem, " ".join(found)) for stem, found in sorted(split.items()))
    )
    parts |= split
    made = [(_cost(row, words, parts), row, _cells(words, parts)) for row, words in read]
    made.sort(key=lambda one: one[:2])
    (texts,) = connection.execute("SELECT count(*) FROM search_text").fetchone()
    ids = [_id(cost, place) for place, (cost, _row, _cells) in enumerate(made, texts)]
    connection.executemany(
        "INSERT INTO search_text VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
        ((place, *row, stems.fold(row.text), *cells) for place, (_cost, row, cells) in zip(ids, made, strict=True)),
    )
    connection.executemany(
        "INSERT INTO search_word (rowid, words) VALUES (?, ?)",
        ((place, " ".join(cells)) for place, (_cost, _row, cells) in zip(ids, made, strict=True)),
    )
    connection.execute(_BY_FOLDED)


def _id(cost: float, place: int) -> int:
    """A number that rises with the cost, whenever a text was added, and that no other place has."""
    return round(100 * cost) << 32 | place


def _split(
    read: Sequence[tuple[Row, list[analysis.Word]]],
    known_parts: Mapping[str, tuple[str, ...]],
    progress: reporting.Progress,
) -> dict[str, tuple[str, ...]]:
    """The parts of the words that have none yet, by stem."""
    spellings: dict[str, str] = {}
    for _row, words in read:
        for word in words:
            if word.stem not in known_parts:
                spellings[word.stem] = min(word.text, spellings.get(word.stem, word.text))
    known = {*spellings, *known_parts, *(part for parts in known_parts.values() for part in parts)}
    known |= {*compounds.combining().values()}
    known |= compounds.learned(spellings, known)
    splitter = compounds.Splitter(known, analysis.never_parts())
    return {stem: splitter.split(spelled) for stem, spelled in _told([*spellings.items()], "splitting words", progress)}


def _told(items: Sequence[_T], what: str, progress: reporting.Progress) -> Iterator[_T]:
    """The items, with progress."""
    for done, item in enumerate(items):
        if done % _TOLD == 0:
            progress(what, done, len(items))
        yield item
    progress(what, len(items), len(items))


def _cells(words: list[analysis.Word], parts: Mapping[str, tuple[str, ...]]) -> tuple[str, str, str]:
    """A text's words, their parts, and the parts that stand aside: what is denied, in brackets, or a side."""
    whole, inside, aside = dict[str, None](), dict[str, None](), dict[str, None]()
    for word in words:
        mark = analysis.NOT if word.is_denied else ""
        whole[mark + word.stem] = None
        side = aside if word.is_denied or word.is_aside else inside
        for part in parts[word.stem]:
            side[mark + part] = None
    return " ".join(whole), " ".join(inside), " ".join(part for part in aside if part not in inside)


def _cost(row: Row, words: list[analysis.Word], parts: Mapping[str, tuple[str, ...]]) -> float:
    """By what texts are ranked that hold the same words that were asked for, the smallest first."""
    sizes = (len(parts[word.stem]) * (0.25 if word.is_denied or word.is_aside else 1.0) for word in words)
    return sum(sizes) - 20 * row.weight


_ALL = 0.97  # the score of a text that says the same in other form
_SOME = 0.6  # the score at most of one that lacks a word
_MORE = 0.08  # how much each word that was not asked for costs
_SIDE_TOLD, _SIDE_UNTOLD = 1.1, 0.99  # by what it is multiplied for a side that was asked for
_LEAST = 0.25  # of a query's words, weighed by rarity, that a text must hold


def _ranked(made: query.Query, found: _Text) -> Hit | None:
    """The score of a text; None when it holds too little of what was asked for."""
    everything = found.words | found.parts | found.aside
    held, factor = 0.0, 1.0
    used: set[str] = set()
    ways: set[str] = set()
    for unit in made.units:
        share, option = unit.best(everything)
        if share:
            used.update(option.used(everything))
            factor *= option.factor
        if unit.is_aside:
            factor *= _SIDE_TOLD if share else _SIDE_UNTOLD
        if share and not unit.is_aside:
            held += unit.weight * share
            ways.add(option.how)
    part = held / made.weight if made.weight else 0.0
    if part < _LEAST:
        return None
    more = len(found.parts - used) + 0.25 * len(found.aside - used)
    is_whole = part > 0.999
    score = min(_ALL, (_ALL if is_whole else _SOME * part) / (1 + _MORE * more) * factor) * found.weight
    return Hit(found.key, found.text, round(score, 4), _how(ways, made, found) if is_whole else "partial")


def _how(ways: set[str], made: query.Query, found: _Text) -> How:
    if "corrected" in ways:
        return "corrected"
    if "same" in ways:
        return "same"
    return "stem" if made.stems <= found.words else "compound"
