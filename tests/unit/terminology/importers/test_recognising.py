"""A file is known by what is in it; a year, a whole and harmless archives are asked for."""

from __future__ import annotations

import gzip
import os
import stat
import tarfile
import zipfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from terminology.importers import completeness, content, files, recognising
from tests.unit.terminology.importers import published

pytestmark = pytest.mark.usefixtures("small")
YEAR = published.YEAR


def put(path: Path, data: str | bytes) -> Path:
    path.write_bytes(data.encode() if isinstance(data, str) else data)
    return path


def test_every_form_is_known_by_its_content(tmp_path: Path) -> None:
    claml = published.claml()
    given_files = {
        "metadata": [
            put(tmp_path / "a.xml", published.kodes()), put(tmp_path / "b.tgz", published.with_header()),
            published.official(tmp_path / "c.txt"),
        ],
        "claml": [put(tmp_path / "d.csv", claml), published.zipped(tmp_path / "e.zip", {"x/y.txt": claml})],
        "fhir-package": [published.package(tmp_path / "f.zip"), published.package(tmp_path / "g", is_nested=True)],
        "alpha-id": [
            put(tmp_path / "h.xml", published.alpha_se()), put(tmp_path / "i", published.alpha().encode("iso-8859-1")),
            published.zipped(tmp_path / "j.tgz", {"Klassifikationsdateien/a.xml": published.alpha_se()}),
        ],
    }  # fmt: skip
    for form, paths in given_files.items():
        for path in paths:
            found = recognising.read(path, YEAR)
            assert (found.form, found.year) == (form, YEAR), path
            assert bool(found.phrases) == (form == "alpha-id")
            assert len(found.codes) == (0 if form == "alpha-id" else len(published.rows()))


def test_both_character_sets(tmp_path: Path) -> None:
    for encoding in ("utf-8", "utf-8-sig", "iso-8859-1"):
        found = recognising.read(put(tmp_path / "a.txt", published.alpha().encode(encoding)), YEAR)
        assert found.phrases[0].text == "Erfundene Zuckerkrankheit für Ältere"
        found = recognising.read(put(tmp_path / "k.txt", published.kodes().encode(encoding)), YEAR)
        assert found.codes["A00.9"].title == "Erfundene Krankheit A00, nicht näher bezeichnet"


def test_the_official_zip_brings_chapters_and_blocks(tmp_path: Path) -> None:
    found = recognising.read(published.official(tmp_path / "m.zip"))
    assert found.name == f"icd10gm{YEAR}syst_kodes.txt"
    assert content.Heading("chapter", "04", "Kapitel 04") in found.headings
    assert content.Heading("block", "E10-E14", "Gruppe E10-E14", "04") in found.headings
    assert len(found.headings) == 44


# --- the year ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["icd10gm2031syst_kodes.txt", "ICD10GM_2031.csv", "icd-10-gm-2031.txt"])
def test_the_year_of_a_name(tmp_path: Path, name: str) -> None:
    path = put(tmp_path / name, published.kodes())
    assert recognising.read(path).year == YEAR
    with pytest.raises(content.NotImportable, match="for 2030 and 2031 at once"):
        recognising.read(path, 2030)


def test_the_years_of_content_name_and_option_have_to_agree(tmp_path: Path) -> None:
    for name in ("bfarm.terminologien.icd10gm-2031.0.0.tgz", "x.tgz"):
        assert recognising.read(published.package(tmp_path / name), YEAR).year == YEAR
    assert recognising.read(put(tmp_path / "icd10gm2031.xml", published.claml())).year == YEAR
    with pytest.raises(content.NotImportable, match="for 2030 and 2031 at once"):
        recognising.read(put(tmp_path / "icd10gm2030.xml", published.claml()))
    with pytest.raises(content.NotImportable, match="for 2030 and 2031 at once"):
        recognising.read(published.package(tmp_path / "bfarm.terminologien.icd10gm-2030.0.0.tgz"))
    with pytest.raises(content.NotImportable, match="for 2030 and 2031 at once"):
        recognising.read(put(tmp_path / "x.xml", published.claml()), 2030)
    with pytest.raises(content.NotImportable, match="for 2030 and 2031 at once"):
        recognising.read(published.package(tmp_path / "x.tgz"), 2030)


def test_a_year_has_to_be_named(tmp_path: Path) -> None:
    with pytest.raises(content.NotImportable, match=r"^kodes\.txt does not say its year: name it with --year"):
        recognising.read(put(tmp_path / "kodes.txt", published.kodes()))
    with pytest.raises(content.NotImportable, match=r"^meine kodes\.txt does not say its year"):
        recognising.read(put(tmp_path / "meine kodes.txt", published.kodes()))
    with pytest.raises(content.NotImportable, match="There is no ICD-10-GM 1999"):
        recognising.read(put(tmp_path / "kodes.txt", published.kodes()), 1999)


# --- wholeness ---------------------------------------------------------------------------------------------------


def without(*codes: str) -> str:
    return published.kodes(fields for fields in published.rows() if fields[6] not in codes)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (without("E10.9"), r"E10\.90 is there without E10\.9"),
        (without("E10.90", "E10.91"), r"The codes below E10\.9 are missing"),
        (without("H36.0"), "The codes below H36 are missing"),
        (without("H36", "H36.0"), "ICD-10-GM has 22 chapters, .* has codes of 21"),
        (
            published.kodes(f if f[6] != "E10.9" else [*f[:1], "T", *f[2:]] for f in published.rows()),
            r"E10\.9 is said to be terminal and has codes below it",
        ),
    ],
)
def test_what_is_missing_is_told(tmp_path: Path, text: str, told: str) -> None:
    with pytest.raises(content.NotImportable, match=told):
        recognising.read(put(tmp_path / "k.txt", text), YEAR)


@pytest.mark.parametrize(("old", "new"), [('name="Para301"', 'name="Para302"'), ('name="Para295"', 'name="Para294"')])
@pytest.mark.parametrize("count", [-1, 2])
def test_where_every_code_may_stand_has_to_be_said(tmp_path: Path, old: str, new: str, count: int) -> None:
    path = put(tmp_path / "c.xml", published.claml().decode().replace(old, new, count))
    with pytest.raises(content.NotImportable, match="does not say of every code where it may stand"):
        recognising.read(path)


def test_a_known_size_is_asked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    size = len(published.rows())
    terminal = sum(fields[1] == "T" for fields in published.rows())
    monkeypatch.setitem(completeness.SIZES, YEAR, completeness.Size(size, terminal, terminal - 2, "counted"))
    path = put(tmp_path / "k.txt", published.kodes())
    assert len(recognising.read(path, YEAR).codes) == size
    put(path, without("A00.9"))
    with pytest.raises(content.NotImportable, match=rf"has {size} codes, k\.txt has {size - 1}: fetch"):
        recognising.read(path, YEAR)
    put(path, published.kodes(f if f[6] != "A00.0" else [*f[:12], "O", *f[13:]] for f in published.rows()))
    with pytest.raises(content.NotImportable, match="terminal primary codes"):
        recognising.read(path, YEAR)


def test_a_small_catalogue_is_no_whole_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    with pytest.raises(content.NotImportable, match="no ICD-10-GM has fewer than 12,000"):
        recognising.read(put(tmp_path / "k.txt", published.kodes()), YEAR)


def test_few_texts_are_no_whole_alpha_id(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = put(tmp_path / "a.txt", published.alpha_se())
    monkeypatch.setattr(completeness, "LEAST_TEXTS", 3)
    assert len(recognising.read(path, YEAR).phrases) == 3
    monkeypatch.undo()
    with pytest.raises(content.NotImportable, match=r"^a\.txt has 3 texts, no Alpha-ID has fewer than 70,000"):
        recognising.read(path, YEAR)


@pytest.mark.parametrize(
    ("size", "unchecked"),
    [
        (completeness.Size(3, 2, 1, "counted"), ()),
        (completeness.Size(None, None, 1, "counted"), ("codes", "terminal codes")),
        (None, ("codes", "terminal codes", "terminal primary codes")),
    ],
)
def test_which_numbers_could_not_be_compared(
    monkeypatch: pytest.MonkeyPatch, size: completeness.Size | None, unchecked: tuple[str, ...]
) -> None:
    monkeypatch.setattr(completeness, "SIZES", {} if size is None else {YEAR: size})
    assert completeness.unchecked(YEAR) == unchecked


# --- what is none of them ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("data", [b"", b"Guten Tag", b"PK\x05\x06", b'{"a": 1}', b"<html/>", b"a;b;c", b"\x00" * 99])
def test_something_else_is_refused(tmp_path: Path, data: bytes) -> None:
    with pytest.raises(content.NotImportable, match="none of what can be imported"):
        recognising.read(put(tmp_path / "x", data), YEAR)


def test_two_catalogues_in_one_archive_are_refused(tmp_path: Path) -> None:
    path = published.zipped(tmp_path / "x.zip", {"a.txt": published.kodes(), "b.xml": published.claml()})
    with pytest.raises(content.NotImportable, match="more than one catalogue"):
        recognising.read(path, YEAR)


def test_a_file_that_is_not_there_or_a_folder(tmp_path: Path) -> None:
    for path in (tmp_path / "nothing", tmp_path):
        with pytest.raises(content.NotImportable, match="cannot be read"):
            recognising.read(path, YEAR)
        with pytest.raises(content.NotImportable, match="cannot be read"):
            files.digest(path)


# --- archives ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["../kodes.txt", "/etc/kodes.txt", "a/../../kodes.txt", "a\\..\\kodes.txt"])
def test_a_name_outside_the_archive_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(content.NotImportable, match="outside its folder"):
        recognising.read(published.zipped(tmp_path / "x.zip", {name: published.kodes()}), YEAR)
    with pytest.raises(content.NotImportable, match="outside its folder"):
        recognising.read(published.package(tmp_path / "x.tgz", extra=[tarfile.TarInfo(name)]), YEAR)


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.FIFOTYPE])
def test_a_link_or_a_device_is_refused(tmp_path: Path, kind: bytes) -> None:
    info = tarfile.TarInfo("package/x.json")
    info.type, info.linkname = kind, "/etc/passwd"
    with pytest.raises(content.NotImportable, match="no plain file"):
        recognising.read(published.package(tmp_path / "x.tgz", extra=[info]), YEAR)


@pytest.mark.parametrize("kind", [stat.S_IFLNK, stat.S_IFIFO, stat.S_IFREG])
def test_a_link_in_a_zip_is_refused(tmp_path: Path, kind: int) -> None:
    info = zipfile.ZipInfo("kodes.txt")
    info.external_attr = (kind | 0o644) << 16
    path = tmp_path / "x.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(info, published.kodes())
    if kind == stat.S_IFREG:
        assert recognising.read(path, YEAR).codes
    else:
        with pytest.raises(content.NotImportable, match="no plain file"):
            recognising.read(path, YEAR)


def sparse_gnu(claimed: int) -> bytes:
    """The header of a file of old GNU tar that is one hole."""
    info = tarfile.TarInfo("package/CodeSystem-x.json")
    info.type = tarfile.GNUTYPE_SPARSE
    header = bytearray(info.tobuf(tarfile.GNU_FORMAT))
    header[483:495] = f"{claimed:011o}".encode() + b"\0"  # its real size
    header[148:156] = b" " * 8
    header[148:156] = f"{sum(header):06o}".encode() + b"\0 "
    return bytes(header)


def sparse_pax(claimed: int) -> bytes:
    """The headers of a file of newer GNU tar that is one hole."""
    info = tarfile.TarInfo("package/CodeSystem-x.json")
    info.pax_headers = {"GNU.sparse.map": f"{claimed},0", "GNU.sparse.size": str(claimed)}
    return info.tobuf(tarfile.PAX_FORMAT)


@pytest.mark.parametrize("header", [sparse_gnu(6 << 30), sparse_pax(6 << 30)], ids=["gnu", "pax"])
def test_a_file_with_holes_is_refused(tmp_path: Path, header: bytes) -> None:
    path = put(tmp_path / "x.tgz", gzip.compress(header + b"\0" * 1024))
    with tarfile.open(path) as archive:
        (info,) = archive
        assert info.isreg() and info.issparse() and info.size == 6 << 30
    with pytest.raises(content.NotImportable, match="no plain file"):
        recognising.read(path, YEAR)


def test_members_larger_than_their_archive_are_refused(tmp_path: Path) -> None:
    info = tarfile.TarInfo("package/CodeSystem-x.json")
    info.size = 6 << 30
    path = put(tmp_path / "x.tgz", gzip.compress(info.tobuf() + b"\0" * 1024))
    with pytest.raises(content.NotImportable, match="is larger than"):
        recognising.read(path, YEAR)


@pytest.mark.parametrize("name", ["Größe_icd10gm2031".encode("iso-8859-1") + b".txt", b"a\nb_icd10gm2031.txt"])
def test_a_name_that_is_no_text_can_be_told_and_kept(tmp_path: Path, name: bytes) -> None:
    path = put(tmp_path / os.fsdecode(name), published.kodes())
    found = recognising.read(path)
    assert found.year == YEAR and found.name.isprintable() and "?" in found.name
    put(path, b"nichts")
    with pytest.raises(content.NotImportable) as refused:
        recognising.read(path)
    assert str(refused.value).isprintable()
    path.unlink()
    with pytest.raises(content.NotImportable) as refused:
        files.digest(path)
    assert str(refused.value).isprintable()


def test_too_much_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    zipped = published.zipped(tmp_path / "x.zip", {"a.txt": b"0" * 200_000, "b.txt": b"0" * 200_000})
    package = published.package(tmp_path / "x.tgz")
    plain = put(tmp_path / "x.txt", published.kodes() * 20)
    monkeypatch.setattr(files, "MOST_BYTES", 10_000)
    for path in (zipped, package, plain):
        with pytest.raises(content.NotImportable, match="is larger than"):
            recognising.read(path, YEAR)
    monkeypatch.undo()
    monkeypatch.setattr(files, "MOST_MEMBERS", 1)
    for path in (zipped, package):
        with pytest.raises(content.NotImportable, match="holds more than 1 files"):
            recognising.read(path, YEAR)


def test_a_damaged_archive_is_refused(tmp_path: Path) -> None:
    for path in (published.official(tmp_path / "x.zip"), published.package(tmp_path / "x.tgz")):
        whole = path.read_bytes()
        for end in (5, len(whole) // 2, len(whole) - 10):
            path.write_bytes(whole[:end])
            with pytest.raises(content.NotImportable):
                recognising.read(path, YEAR)


@pytest.fixture(scope="module")
def archives(tmp_path_factory: pytest.TempPathFactory) -> list[bytes]:
    folder = tmp_path_factory.mktemp("archives")
    return [published.official(folder / "x.zip").read_bytes(), published.package(folder / "x.tgz").read_bytes()]


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=150)
@given(which=st.integers(0, 1), start=st.integers(0, 20_000), put_in=st.binary(max_size=8))
def test_changed_archives_are_read_or_refused(
    tmp_path: Path, archives: list[bytes], which: int, start: int, put_in: bytes
) -> None:
    data = archives[which]
    start %= len(data)
    data = data[:start] + put_in + data[start + len(put_in) :]
    try:
        recognising.read(put(tmp_path / "x", data), YEAR)
    except content.NotImportable as error:
        assert "\n" not in str(error)
