"""The file of imported catalogues: what each form owns, all or nothing, and files that it is not."""

from __future__ import annotations

import contextlib
import os
import sqlite3
import stat
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any, NoReturn

import pytest
from hypothesis import given
from hypothesis import strategies as st

from terminology import tables
from terminology.icd10gm import edition, finding, indexing, installed
from terminology.importers import content
from tests import support

J00, J00_0 = edition.Code("J00", "Schnupfen", 3, None, False, "10", "J00", "V", "V"), edition.Code(
    "J00.0", "Akute Xylorhinose", 4, "J00", True, "10", "J00", sex="W", sex_error="K",
    age_from=edition.Age(28, "days"), age_to=edition.Age(19, "years"), age_error="M", is_rare=True, is_used=False,
    is_notifiable=True, has_lab_exemption=True,
)  # fmt: skip
CODES = {code.code: code for code in (J00, J00_0)}
METADATA = content.Content("metadata", 2031, "k.txt", "2031", CODES, content.METADATA_FIELDS)
CLAML = content.Content(
    "claml", 2031, "c.xml", "2031 2030-09-14",
    {"J00": replace(J00, title="Aus ClaML"), "J00.0": replace(J00_0, title="Aus ClaML", is_dagger=True, is_rare=False)},
    frozenset(content.FIELDS) - {"is_rare"},
    (content.Heading("chapter", "10", "Atmung"),),
    {"J00": (edition.Note("exclusion", "Grippe J10", ("J10",)), edition.Note("hint", "Achtung"))},
)  # fmt: skip
ALPHA = content.Content(
    "alpha-id", 2031, "a.txt", "2031",
    phrases=(content.Phrase("I1", "Rotz", "J00.0", orpha="7"), content.Phrase("I2", "Rotz", "J00")),
)  # fmt: skip

Store = installed.Store


def source(found: content.Content, sha256: str = "") -> edition.Source:
    return edition.Source(found.name, found.form, found.version, sha256 or found.form * 8, "2031-01-02T03:04:05+00:00")


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "data" / installed.FILE)


def test_without_a_file_there_is_nothing_and_none_is_made(store: Store) -> None:
    assert (store.editions(), store.load(2031), store.phrases(2031), store.headings(2031)) == ((), None, {}, ())
    assert not store.path.parent.exists()


def test_years_stand_side_by_side(store: Store) -> None:
    assert store.write(METADATA, source(METADATA))
    older = replace(METADATA, year=2030, codes={"J00": replace(J00, is_terminal=True)})
    assert store.write(older, source(older))
    assert [(one.year, one.codes, one.terminal, one.phrases) for one in store.editions()] == [
        (2030, 1, 1, 0), (2031, 2, 1, 0)
    ]  # fmt: skip
    new, old = store.load(2031), store.load(2030)
    assert new is not None and old is not None and store.load(2029) is None
    assert (dict(new.codes), new.year, new.is_complete, dict(new.notes)) == (CODES, 2031, True, {})
    assert new.sources == (source(METADATA),)
    assert set(old.codes) == {"J00"}


@pytest.mark.parametrize("order", [(METADATA, CLAML, ALPHA), (CLAML, METADATA, ALPHA)])
def test_the_forms_of_a_year_complement_each_other(store: Store, order: tuple[content.Content, ...]) -> None:
    for found in order:
        assert store.write(found, source(found))
    held = store.load(2031)
    assert held is not None
    assert held.codes == {"J00": J00, "J00.0": replace(J00_0, is_dagger=True)}
    assert held.notes == CLAML.notes
    assert {one.form for one in held.sources} == {"metadata", "claml", "alpha-id"}
    assert store.headings(2031) == CLAML.headings
    assert store.phrases(2031) == {"Rotz": ALPHA.phrases}
    assert [(one.codes, one.phrases) for one in store.editions()] == [(2, 2)]


def test_claml_alone_leaves_open_what_it_does_not_say(store: Store) -> None:
    store.write(CLAML, source(CLAML))
    held = store.load(2031)
    assert held is not None and held.codes["J00.0"] == CLAML.codes["J00.0"]


def test_a_corrected_file_replaces_what_its_form_brought(store: Store) -> None:
    for found in (METADATA, CLAML):
        store.write(found, source(found))
    corrected = replace(METADATA, codes={"J00": replace(J00, title="Berichtigt")})
    assert store.write(corrected, source(corrected, "new"))
    held = store.load(2031)
    assert held is not None
    assert {name: code.title for name, code in held.codes.items()} == {"J00": "Berichtigt"}
    assert held.notes == CLAML.notes
    bare = replace(CLAML, notes={}, headings=())
    assert store.write(bare, source(bare, "newer"))
    held = store.load(2031)
    assert held is not None and held.notes == {} and store.headings(2031) == ()


def test_the_same_file_again_changes_nothing(store: Store) -> None:
    assert store.write(METADATA, source(METADATA))
    before = store.path.read_bytes()
    later = replace(source(METADATA), imported="2032-01-01T00:00:00+00:00")
    assert not store.write(replace(METADATA, codes={}), later)
    assert store.path.read_bytes() == before
    assert store.write(METADATA, replace(later, sha256="other"))


def test_texts_need_the_codes_of_their_year(store: Store) -> None:
    with pytest.raises(content.NotImportable, match="There is no ICD-10-GM 2031 that the texts"):
        store.write(ALPHA, source(ALPHA))
    store.write(METADATA, source(METADATA))
    wrong = replace(ALPHA, phrases=(*ALPHA.phrases, content.Phrase("I3", "x", "J00.0", star="K00")))
    with pytest.raises(
        content.NotImportable, match="names 1 codes that ICD-10-GM 2031 does not hold, the first is K00"
    ):
        store.write(wrong, source(wrong))
    assert store.phrases(2031) == {}


# --- the index ---------------------------------------------------------------------------------------------------


def first(store: Store, text: str) -> str | None:
    """The code that a finder of what is installed now finds first."""
    held = store.load(2031)
    assert held is not None
    return next((found.code for found in finding.of(held).search(text)), None)


def image(store: Store) -> bytes | None:
    held = store.load(2031)
    return store.image(held) if held is not None else None


def build_nothing(*_given: object) -> NoReturn:
    raise AssertionError("an index was built")


def test_every_form_brings_its_words_into_the_index(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    assert image(store) is None
    store.write(CLAML, source(CLAML))
    assert first(store, "Aus ClaML") == "J00.0"
    for found in (METADATA, ALPHA):
        store.write(found, source(found))
    monkeypatch.setattr(indexing, "built", build_nothing)
    monkeypatch.setattr(indexing, "image", build_nothing)
    assert first(store, "Akute Xylorhinose") == "J00.0"
    assert first(store, "Rotz") == "J00.0"
    assert first(store, "Aus ClaML") is None
    assert first(store, "vollkommen unbekannt") is None


def test_terms_of_the_package_are_found_beside_the_index(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    store.write(METADATA, source(METADATA))
    rows = ({"term": "rinnende nase", "code": "J00.0"}, {"term": "kein kode des jahres", "code": "K99"})
    given = tables.rows
    monkeypatch.setattr(tables, "rows", lambda name: rows if name == "icd10gm/terms" else given(name))
    assert (first(store, "rinnende Nase"), first(store, "kein Kode des Jahres")) == ("J00.0", None)


@pytest.mark.parametrize("change", ["UPDATE search SET format = format - 1", "UPDATE search SET sources = 'other'"])
def test_an_index_of_another_format_or_file_is_not_used_and_made_again(store: Store, change: str) -> None:
    for found in (METADATA, ALPHA):
        store.write(found, source(found))
    made = image(store)
    _damage(lambda db: db.execute(change))(store.path)
    assert image(store) is None
    assert first(store, "Rotz") == "J00.0"
    assert not store.write(METADATA, source(METADATA))
    assert image(store) is None
    assert store.index_again() == (2031,)
    assert image(store) == made
    assert store.index_again() == ()
    _damage(lambda db: db.execute("DELETE FROM search"))(store.path)
    assert store.index_again() == (2031,)
    assert image(store) == made


def test_a_finder_keeps_the_index_that_it_opened(store: Store) -> None:
    store.write(METADATA, source(METADATA))
    held = store.load(2031)
    assert held is not None
    old = finding.of(held)
    changed = replace(METADATA, codes={"J00": replace(J00, title="Berichtigt", is_terminal=True)})
    store.write(changed, source(changed, "new"))
    assert old.search("Akute Xylorhinose")[0].code == "J00.0"
    assert old.search("Berichtigt") == ()
    assert first(store, "Berichtigt") == "J00"
    assert store.image(held) is None
    assert {found.code for found in finding.of(held).search("Xylorhinose")} == {"J00.0"}
    store.path.unlink()
    assert old.search("Akute Xylorhinose")[0].code == "J00.0"
    assert finding.of(held).search("Akute Xylorhinose")[0].code == "J00.0"


def test_a_search_beside_an_import_sees_the_old_index(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    store.write(METADATA, source(METADATA))
    changed = replace(METADATA, codes={**CODES, "J01": edition.Code("J01", "Nebenhöhle", 3)}, notes=CLAML.notes)
    begun, may_end = threading.Event(), threading.Event()
    make = indexing.image

    def slowly(*given: Any) -> bytes:
        begun.set()
        assert may_end.wait(60)
        return make(*given)

    monkeypatch.setattr(indexing, "image", slowly)
    with ThreadPoolExecutor(3) as pool:
        writing = pool.submit(store.write, changed, source(changed, "new"))
        assert begun.wait(60)
        asked = [pool.submit(first, store, "Nebenhöhle") for _thread in range(2)]
        assert [one.result(60) for one in asked] == [None, None]
        assert first(store, "Akute Xylorhinose") == "J00.0"
        may_end.set()
        assert writing.result(60)
    assert first(store, "Nebenhöhle") == "J01"


def test_a_fault_in_the_index_undoes_the_import(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    store.write(METADATA, source(METADATA))
    before = store.path.read_bytes()
    monkeypatch.setattr(indexing, "image", build_nothing)
    with pytest.raises(AssertionError, match="an index was built"):
        store.write(CLAML, source(CLAML))
    assert store.path.read_bytes() == before
    monkeypatch.undo()
    assert store.write(CLAML, source(CLAML))


def test_a_damaged_index_is_refused(store: Store) -> None:
    store.write(METADATA, source(METADATA))
    store.check()
    _damage(lambda db: db.execute("UPDATE search SET image = zeroblob(length(image))"))(store.path)
    for ask in (store.check, lambda: image(store), lambda: first(store, "Schnupfen")):
        with pytest.raises(installed.NotUsable, match=r"damaged \(index of 2031\): delete it and import again\.$"):
            ask()


def test_damage_anywhere_is_found_by_the_check(store: Store) -> None:
    Store(store.path.with_name("none.db")).check()
    long = replace(METADATA, notes={"J00": (edition.Note("hint", "x" * 500_000),)})
    store.write(long, source(long))
    store.check()
    whole = store.path.read_bytes()
    store.path.write_bytes(whole[: len(whole) * 2 // 3 // 4096 * 4096])
    with pytest.raises(installed.NotUsable, match="delete it and import again"):
        store.check()


# --- all or nothing ----------------------------------------------------------------------------------------------


def test_a_fault_in_the_middle_leaves_what_was(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    store.write(METADATA, source(METADATA))
    before = store.load(2031)

    class Broken(sqlite3.Connection):
        def execute(self, sql: str, *rest: object) -> sqlite3.Cursor:  # type: ignore[override]
            if sql.startswith("INSERT"):
                raise sqlite3.OperationalError("disk I/O error")
            return super().execute(sql, *rest)

    connect = sqlite3.connect
    monkeypatch.setattr(sqlite3, "connect", lambda *given, **named: connect(*given, factory=Broken, **named))
    with pytest.raises(installed.NotUsable, match=r"cannot be used \(disk I/O error\)"):
        store.write(METADATA, source(METADATA, "new"))
    monkeypatch.undo()
    assert store.load(2031) == before
    assert store.write(METADATA, source(METADATA, "new"))


KILLED = """
import os, signal, sqlite3, sys
from dataclasses import replace
from pathlib import Path
from terminology.icd10gm import edition, installed
from tests.unit.terminology import test_installed as given

class Dying(sqlite3.Connection):
    def execute(self, sql, *rest):
        if sql == "COMMIT":
            os.kill(os.getpid(), signal.SIGKILL)
        return super().execute(sql, *rest)

connect = sqlite3.connect
sqlite3.connect = lambda *given, **named: connect(*given, factory=Dying, **named)
long = replace(given.METADATA, notes={"J00": (edition.Note("hint", "x" * 8_000_000),)})
installed.Store(Path(sys.argv[1])).write(long, given.source(long, "new"))
"""


@pytest.mark.skipif(sys.platform == "win32", reason="needs SIGKILL")
@pytest.mark.parametrize("is_first", [True, False])
def test_a_killed_import_leaves_what_was(store: Store, is_first: bool) -> None:
    if not is_first:
        store.write(METADATA, source(METADATA))
    before = store.load(2031)
    store.path.parent.mkdir(exist_ok=True)
    done = subprocess.run(
        [sys.executable, "-c", KILLED, store.path], cwd=support.ROOT, check=False, capture_output=True
    )
    assert done.returncode == -9, done.stderr
    journal = store.path.with_name(f"{installed.FILE}-journal")
    assert journal.exists() and journal.stat().st_size > 0
    assert store.load(2031) == before
    assert store.write(METADATA, source(METADATA, "newer"))
    held = store.load(2031)
    assert held is not None and held.notes == {}


def test_a_reader_does_not_wait_for_a_writer_that_has_not_committed(store: Store) -> None:
    store.write(METADATA, source(METADATA))
    with contextlib.closing(sqlite3.connect(store.path, isolation_level=None)) as writer:
        writer.execute("BEGIN IMMEDIATE")
        writer.execute("DELETE FROM part")
        assert store.load(2031) is not None
        writer.execute("ROLLBACK")


# --- files that are none -----------------------------------------------------------------------------------------


def _damage(change: Callable[[sqlite3.Connection], object]) -> Callable[[Path], None]:
    def apply(path: Path) -> None:
        with contextlib.closing(sqlite3.connect(path)) as database, database:
            change(database)

    return apply


FOREIGN: Mapping[str, tuple[Callable[[Path], object], str]] = {
    "text": (lambda path: path.write_text("kein SQLite, sondern ein längerer Text" * 40, "utf-8"), "cannot be used"),
    "another": (_damage(lambda db: db.execute("CREATE TABLE mine (a)")), "no file of imported catalogues"),
    "folder": (lambda path: path.mkdir(), "cannot be used"),
}


@pytest.mark.parametrize("name", FOREIGN)
def test_a_foreign_file_is_refused_and_left_as_it_is(store: Store, name: str) -> None:
    make, told = FOREIGN[name]
    store.path.parent.mkdir()
    make(store.path)
    before = store.path.read_bytes() if store.path.is_file() else b""
    for ask in (store.editions, lambda: store.load(2031), lambda: store.write(METADATA, source(METADATA))):
        with pytest.raises(installed.NotUsable, match=told):
            ask()
    assert (store.path.read_bytes() if store.path.is_file() else b"") == before


DAMAGED: Mapping[str, tuple[Callable[[sqlite3.Connection], object], str]] = {
    "version": (lambda db: db.execute("PRAGMA user_version = 99"), "has version 99, this gateway reads version 1"),
    "table": (lambda db: db.execute("DROP TABLE part"), "cannot be used"),
    "codes": (lambda db: db.execute("UPDATE part SET codes = '[{]'"), "cannot be used"),
    "field": (lambda db: db.execute("UPDATE part SET codes = replace(codes, '\"V\"', '\"?\"')"), "cannot be used"),
}


@pytest.mark.parametrize("name", DAMAGED)
def test_a_damaged_file_is_refused(store: Store, name: str) -> None:
    change, told = DAMAGED[name]
    store.write(METADATA, source(METADATA))
    assert store.load(2031) is not None
    _damage(change)(store.path)
    with pytest.raises(installed.NotUsable, match=told):
        store.load(2031)


def test_an_empty_file_is_filled(store: Store) -> None:
    store.path.parent.mkdir()
    store.path.touch()
    assert store.load(2031) is None
    assert store.write(METADATA, source(METADATA))


@pytest.fixture
def read_only(store: Store) -> Iterator[Store]:
    store.write(METADATA, source(METADATA))
    store.path.chmod(stat.S_IRUSR)
    store.path.parent.chmod(stat.S_IRUSR | stat.S_IXUSR)
    yield store
    store.path.parent.chmod(stat.S_IRWXU)


def test_readers_need_no_right_to_write(read_only: Store) -> None:
    assert read_only.load(2031) is not None
    if os.geteuid() != 0:
        with pytest.raises(installed.NotUsable):
            read_only.write(METADATA, source(METADATA, "new"))


# --- any content -------------------------------------------------------------------------------------------------

_ages = st.none() | st.builds(edition.Age, st.integers(0, 364), st.sampled_from(["days", "years"]))
_uses = st.sampled_from(["P", "O", "Z", "V"])
_codes = st.builds(
    edition.Code, st.from_regex(content.CODE, fullmatch=True), st.text(), st.integers(3, 5), practice=_uses,
    hospital=_uses, age_from=_ages, age_to=_ages, is_rare=st.booleans(), is_used=st.booleans(),
)  # fmt: skip
_notes = st.builds(
    edition.Note, st.sampled_from(["inclusion", "exclusion", "hint", "definition"]), st.text(),
    st.lists(st.sampled_from(["J00", "J00-J06"])).map(tuple),
)  # fmt: skip


@given(st.lists(_codes), st.dictionaries(st.text(), st.lists(_notes, min_size=1).map(tuple)))
def test_what_was_written_is_read(
    tmp_path_factory: pytest.TempPathFactory, codes: list[edition.Code], notes: dict[str, tuple[edition.Note, ...]]
) -> None:
    found = replace(METADATA, codes={code.code: code for code in codes}, notes=notes)
    store = Store(tmp_path_factory.mktemp("any") / installed.FILE)
    assert store.write(found, source(found))
    held = store.load(2031)
    assert held is not None and (held.codes, held.notes) == (found.codes, notes)
