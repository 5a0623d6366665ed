"""`profiles.package`: what is read of a folder and of a .tgz, what is listed as unusable, and what is refused."""

import io
import json
import tarfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from profiles import package
from tests.support import SHARED

PACKAGES = SHARED / "data" / "profiles"

ELEMENTS = [
    {"id": "Patient", "path": "Patient", "min": 0, "max": "*"},
    {"id": "Patient.name", "path": "Patient.name", "min": 1, "max": "*"},
]
PROFILE: dict[str, Any] = {
    "resourceType": "StructureDefinition",
    "url": "https://example.org/patient",
    "version": "1.0.0",
    "name": "TestPatient",
    "title": "Patient im Test",
    "status": "active",
    "fhirVersion": "4.0.1",
    "kind": "resource",
    "type": "Patient",
    "derivation": "constraint",
    "snapshot": {"element": ELEMENTS},
}
VALUE_SET: dict[str, Any] = {
    "resourceType": "ValueSet",
    "url": "https://example.org/vs",
    "compose": {"include": [{"system": "https://example.org/cs"}]},
}
CODE_SYSTEM: dict[str, Any] = {
    "resourceType": "CodeSystem",
    "url": "https://example.org/cs",
    "content": "complete",
    "concept": [{"code": "a", "concept": [{"code": "b"}]}],
}
FILES: dict[str, Any] = {
    "package.json": {"name": "org.example", "version": "1.2.3"},
    "StructureDefinition-patient.json": PROFILE,
    "vocabulary/ValueSet-vs.json": VALUE_SET,
    "vocabulary/CodeSystem-cs.json": CODE_SYSTEM,
    "examples/Patient-example.json": {"resourceType": "Patient"},
    "examples/StructureDefinition-other.json": {**PROFILE, "url": "https://example.org/other"},
    "SearchParameter-x.json": {"resourceType": "SearchParameter"},
}


def without(resource: Mapping[str, Any], *names: str, **changes: Any) -> dict[str, Any]:
    """The resource without some members and with others."""
    return {**{name: value for name, value in resource.items() if name not in names}, **changes}


def folder(at: Path, files: Mapping[str, Any]) -> Path:
    """A package folder; a value that is not bytes becomes JSON."""
    for name, content in files.items():
        file = at / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content if isinstance(content, bytes) else json.dumps(content).encode())
    return at


def archive(at: Path, files: Mapping[str, Any]) -> Path:
    """A .tgz as registries publish it: every file below package/."""
    with tarfile.open(at, "w:gz") as writer:
        for name, content in files.items():
            data = content if isinstance(content, bytes) else json.dumps(content).encode()
            member = tarfile.TarInfo(name)
            member.size = len(data)
            writer.addfile(member, io.BytesIO(data))
    return at


def check(found: package.Package) -> None:
    assert found.name == "org.example#1.2.3"
    assert [(profile.url, profile.version, profile.title, profile.type) for profile in found.profiles] == [
        ("https://example.org/patient", "1.0.0", "Patient im Test", "Patient")
    ]
    assert found.profiles[0].elements() == ELEMENTS
    assert [item.url for item in found.value_sets] == ["https://example.org/vs"]
    assert found.code_systems[0].concept[0].concept[0].code == "b"
    assert found.unusable == ()


def test_reads_a_folder_with_its_subfolders_but_no_examples(tmp_path: Path) -> None:
    check(package.load(folder(tmp_path, FILES)))


def test_reads_the_package_folder_of_an_unpacked_archive(tmp_path: Path) -> None:
    folder(tmp_path / "package", FILES)
    folder(tmp_path, {"not-of-the-package.json": PROFILE})
    check(package.load(tmp_path))


def test_reads_an_archive(tmp_path: Path) -> None:
    check(package.load(archive(tmp_path / "p.tgz", {f"package/{name}": item for name, item in FILES.items()})))


def test_reads_a_file_with_a_byte_order_mark(tmp_path: Path) -> None:
    content = b"\xef\xbb\xbf" + json.dumps(PROFILE).encode()
    assert len(package.load(folder(tmp_path, {"p.json": content})).profiles) == 1


def test_takes_json_that_is_no_resource_for_nothing(tmp_path: Path) -> None:
    assert package.load(folder(tmp_path, {"list.json": [1], "other.json": {"resourceType": 7}})).profiles == ()


@pytest.mark.parametrize(
    ("definition", "reason"),
    [
        (without(PROFILE, "snapshot"), "has no snapshot"),
        (without(PROFILE, fhirVersion="5.0.0"), "is for FHIR 5.0.0"),
        (without(PROFILE, "type"), "is no StructureDefinition of R4"),
        (without(PROFILE, snapshot={}), "is no StructureDefinition of R4"),
        (without(PROFILE, snapshot={"element": [{"path": "Patient"}]}), "no tree of ids"),
        (without(PROFILE, snapshot={"element": [ELEMENTS[0], {**ELEMENTS[1], "id": "Patient.a.b"}]}), "no tree of ids"),
        (without(PROFILE, snapshot={"element": [{**ELEMENTS[0], "max": "many"}]}), "no tree of ids"),
    ],
)
def test_lists_a_profile_that_cannot_be_used_with_the_reason(
    tmp_path: Path, definition: dict[str, Any], reason: str
) -> None:
    found = package.load(folder(tmp_path, {"p.json": definition}))
    assert found.profiles == ()
    assert [item.url for item in found.unusable] == ["https://example.org/patient"]
    assert reason in found.unusable[0].reason


def test_a_differential_beside_its_snapshot_is_no_fault(tmp_path: Path) -> None:
    files = {"p.json": without(PROFILE, "snapshot"), "generated-snapshots/p.json": PROFILE}
    found = package.load(folder(tmp_path, files))
    assert (len(found.profiles), found.unusable) == (1, ())


@pytest.mark.parametrize("content", [b"{", b"<xml/>", b"", b'{"resourceType": "Patient"'])
def test_refuses_a_file_that_is_not_json(tmp_path: Path, content: bytes) -> None:
    with pytest.raises(package.NotUsable, match=r"broken\.json of the package .* is not JSON\."):
        package.load(folder(tmp_path, {"broken.json": content}))


@pytest.mark.parametrize("name", ["../outside.json", "/etc/outside.json", "package/../../outside.json"])
def test_refuses_an_archive_whose_paths_lead_out_of_it(tmp_path: Path, name: str) -> None:
    with pytest.raises(package.NotUsable, match="leads out of the package"):
        package.load(archive(tmp_path / "p.tgz", {name: PROFILE}))


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.FIFOTYPE])
def test_refuses_an_archive_with_anything_but_plain_files(tmp_path: Path, kind: bytes) -> None:
    with tarfile.open(tmp_path / "p.tgz", "w:gz") as writer:
        member = tarfile.TarInfo("package/p.json")
        member.type, member.linkname = kind, "/etc/passwd"
        writer.addfile(member)
    with pytest.raises(package.NotUsable, match="plain files only"):
        package.load(tmp_path / "p.tgz")


def test_refuses_a_link_to_outside_a_folder(tmp_path: Path) -> None:
    folder(tmp_path, {"outside.json": PROFILE, "in/p.json": PROFILE})
    (tmp_path / "in" / "link.json").symlink_to(tmp_path / "outside.json")
    with pytest.raises(package.NotUsable, match=r"link\.json .* is a link to outside"):
        package.load(tmp_path / "in")


@pytest.mark.parametrize(
    ("limit", "text"),
    [("MAX_FILE", "is larger than"), ("MAX_PACKAGE", "package is larger than"), ("MAX_FILES", "more than")],
)
def test_refuses_what_is_too_large(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, limit: str, text: str) -> None:
    monkeypatch.setattr(package, limit, 2)
    packed = archive(tmp_path / "p.tgz", FILES)
    unpacked = folder(tmp_path / "p", FILES)
    for path in (packed, unpacked):
        with pytest.raises(package.NotUsable, match=text):
            package.load(path)


@pytest.mark.parametrize("content", [b"no archive", b"\x1f\x8b\x08\x00broken"])
def test_refuses_what_is_no_archive(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "p.tgz").write_bytes(content)
    with pytest.raises(package.NotUsable, match=r"is no \.tgz archive"):
        package.load(tmp_path / "p.tgz")


def test_refuses_an_archive_that_ends_too_early(tmp_path: Path) -> None:
    file = archive(tmp_path / "p.tgz", {"package/p.json": PROFILE})
    file.write_bytes(file.read_bytes()[:-40])
    with pytest.raises(package.NotUsable, match="read to its end"):
        package.load(file)


def test_refuses_what_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(package.NotUsable, match="neither a folder nor a file"):
        package.load(tmp_path / "nothing")


@pytest.mark.parametrize(
    ("canonical", "version"),
    [
        ("u", "1.10.0"),
        ("u|1.9.0", "1.9.0"),
        ("u|1.9", "1.9.0"),
        ("u|1", "1.10.0"),
        ("u|1.1", None),
        ("u|2", None),
        ("v", None),
    ],
)
def test_finds_a_definition_by_its_canonical(canonical: str, version: str | None) -> None:
    index = package.Index([package.ValueSet("u", name) for name in ("1.10.0-rc1", "1.9.0", "1.10.0")])
    found = index.find(canonical)
    assert (found and found.version) == version


@pytest.mark.skipif(not PACKAGES.is_dir(), reason="the published packages of ../shared are not here")
def test_every_published_package_loads_and_says_what_it_cannot_use() -> None:
    unusable = {}
    for path in sorted(PACKAGES.iterdir()):
        if path.is_dir():
            unusable.update({path.name: len(package.load(path).unusable)})
    assert {name: count for name, count in unusable.items() if count} == {
        "de.basisprofil.r4-1.6.0-differential": 76,
        "isik5-referenzvalidator-testfiles": 1,
    }
