"""The file of imported catalogues: what it refuses to take, what is taken out, and what is said of every fault."""

from __future__ import annotations

import contextlib
import os
import sqlite3
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import NoReturn

import pytest

from terminology.icd10gm import catalogue, installed, starter
from terminology.importers import content
from tests.unit.terminology.test_installed import ALPHA, CLAML, J00, J00_0, METADATA, Store, source, store

__all__ = ["store"]


# --- what is taken, and taken out ---------------------------------------------------------------------------------


def test_far_fewer_texts_than_before_are_refused(store: Store) -> None:
    store.write(METADATA, source(METADATA))
    many = replace(ALPHA, phrases=tuple(content.Phrase(f"I{number}", f"Text {number}", "J00") for number in range(10)))
    assert store.write(many, source(many))
    fewer = replace(many, phrases=many.phrases[:8])
    with pytest.raises(content.NotImportable, match=r"has 8 texts, those that it would replace are 10: .* remove 2031"):
        store.write(fewer, source(fewer, "fewer"))
    assert len(store.phrases(2031)) == 10
    nearly = replace(many, phrases=many.phrases[:9])
    assert store.write(nearly, source(nearly, "nearly"))
    assert len(store.phrases(2031)) == 9


def test_two_years_cannot_be_the_same(store: Store) -> None:
    store.write(METADATA, source(METADATA))
    later = replace(METADATA, year=2032)
    with pytest.raises(content.NotImportable, match=r"titles of ICD-10-GM 2031, so it is not that of 2032: .*remove 2"):
        store.write(later, source(later, "other"))
    assert [one.year for one in store.editions()] == [2031]
    changed = replace(later, codes={"J00": J00, "J00.0": replace(J00_0, title="Neu")})
    assert store.write(changed, source(changed, "other"))
    assert [one.year for one in store.editions()] == [2031, 2032]


def test_a_year_is_taken_out_with_all_its_forms(store: Store) -> None:
    assert store.remove(2031) == () and not store.path.parent.exists()
    for found in (METADATA, CLAML, ALPHA):
        store.write(found, source(found))
    older = replace(METADATA, year=2030, codes={"J00": replace(J00, is_terminal=True)})
    store.write(older, source(older))
    assert {one.form for one in store.remove(2031)} == {"metadata", "claml", "alpha-id"}
    assert ([one.year for one in store.editions()], store.load(2031), store.phrases(2031)) == ([2030], None, {})
    assert (store.remove(2031), store.index_again()) == ((), ())
    moved = replace(METADATA, year=2032)
    assert store.write(moved, source(moved))


# --- damage and faults -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("column", ["codes", "notes", "headings", "phrases"])
@pytest.mark.parametrize("form", ["metadata", "claml", "alpha-id"])
def test_the_check_reads_every_form_of_a_year(store: Store, column: str, form: str) -> None:
    for found in (METADATA, CLAML, ALPHA):
        store.write(found, source(found))
    store.check()
    with contextlib.closing(sqlite3.connect(store.path)) as database, database:
        database.execute(f"UPDATE part SET {column} = '[{{]' WHERE form = ?", (form,))  # noqa: S608
    with pytest.raises(installed.NotUsable, match="delete it and import again"):
        store.check()


def test_an_import_behind_another_one_says_that_it_waits(store: Store) -> None:
    told: list[str] = []
    store.write(METADATA, source(METADATA), lambda what, _done, _total: told.append(what))
    assert "waiting for another import" not in told
    with contextlib.closing(sqlite3.connect(store.path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        waits = threading.Event()

        def heard(what: str, _done: int, _total: int) -> None:
            if what == "waiting for another import":
                waits.set()

        with ThreadPoolExecutor(1) as pool:
            writing = pool.submit(store.write, CLAML, source(CLAML), heard)
            assert waits.wait(60)
            other.execute("ROLLBACK")
            assert writing.result(60)


def test_an_import_does_not_wait_for_ever(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    store.write(METADATA, source(METADATA))
    monkeypatch.setattr(installed, "_WAIT", 0.01)
    with contextlib.closing(sqlite3.connect(store.path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(installed.NotUsable, match=r"\): another import is running; try again when it has ended\.$"):
            store.write(CLAML, source(CLAML))
        other.execute("ROLLBACK")
    assert store.write(CLAML, source(CLAML))


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("SQLITE_CANTOPEN", "the right to read and write"),
        ("SQLITE_READONLY_DBMOVED", "the right to read and write"),
        ("SQLITE_FULL", "make room"),
        ("SQLITE_IOERR_WRITE", "make room"),
        ("SQLITE_BUSY_SNAPSHOT", "another import is running"),
        ("SQLITE_CORRUPT_INDEX", "delete it and import again"),
        ("SQLITE_NOTADB", "delete it and import again"),
        ("SQLITE_ERROR", "delete it and import again"),
    ],
)
def test_every_fault_has_its_own_advice(store: Store, monkeypatch: pytest.MonkeyPatch, name: str, told: str) -> None:
    store.write(METADATA, source(METADATA))

    def fail(*_given: object, **_named: object) -> NoReturn:
        error = sqlite3.OperationalError("fault")
        error.sqlite_errorname = name
        raise error

    monkeypatch.setattr(sqlite3, "connect", fail)
    for ask in (store.editions, lambda: store.write(CLAML, source(CLAML))):
        with pytest.raises(installed.NotUsable, match=rf"cannot be used \(fault\): .*{told}") as refused:
            ask()
        assert ("delete" in str(refused.value)) is (told == "delete it and import again")


def test_a_folder_that_may_not_be_entered_is_told(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    store.write(METADATA, source(METADATA))
    monkeypatch.setattr(catalogue, "_imported", None)
    catalogue.use(store.path)
    assert catalogue.years()[-1] == 2031
    look = Path.stat

    def refuse(path: Path, **named: bool) -> os.stat_result:
        if path == store.path:
            raise PermissionError(13, "Permission denied")
        return look(path, **named)

    monkeypatch.setattr(Path, "stat", refuse)
    for ask in (store.editions, store.check, lambda: store.remove(2031), lambda: catalogue.use(store.path)):
        with pytest.raises(installed.NotUsable, match=r"\(Permission denied\): give the user of the gateway the right"):
            ask()
    monkeypatch.undo()
    catalogue.use(None)
    assert catalogue.years() == starter.YEARS
