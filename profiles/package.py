"""FHIR packages: the StructureDefinitions, ValueSets and CodeSystems of a folder or a .tgz.

Specification: https://confluence.hl7.org/display/FHIR/NPM+Package+Specification, https://hl7.org/fhir/R4/profiling.html.
Only JSON is read.  The elements of a profile stay compressed until `snapshot` compiles them: of the two packages
de.basisprofil.r4 and ISiK Basis (7 MB of profiles) less than 1 MB is held.
"""

import tarfile
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path, PurePosixPath
from typing import Any, Final, Generic, TypeVar

import msgspec

MAX_FILE: Final = 64 * 1024 * 1024  # bytes of one file
MAX_PACKAGE: Final = 1024 * 1024 * 1024  # bytes of all files, unpacked
MAX_FILES: Final = 20_000
FHIR_VERSIONS: Final = frozenset({"4.0.0", "4.0.1"})
#: Folders of a package whose resources are no part of its definitions.
_NOT_READ: Final = frozenset({"example", "examples", "openapi", "tests"})


class NotUsable(Exception):
    """The package cannot be used. The sentence says which file of it is at fault."""


@dataclass(frozen=True, slots=True)
class Profile:
    """A StructureDefinition with a snapshot: https://hl7.org/fhir/R4/structuredefinition.html."""

    url: str
    version: str
    title: str
    """Its title, else its name: what a person calls it."""
    type: str
    """The type that it constrains or defines: `Patient`, `Extension`, `Identifier`."""
    kind: str
    """resource, complex-type, primitive-type or logical."""
    derivation: str
    """constraint for a profile, specialization for a type of the standard."""
    snapshot: bytes

    def elements(self) -> list[dict[str, Any]]:
        """The ElementDefinitions of the snapshot, with Decimal for decimals."""
        return _elements.decode(zlib.decompress(self.snapshot))


@dataclass(frozen=True, slots=True)
class Unusable:
    """A StructureDefinition of the package that nothing can be checked against."""

    url: str
    reason: str


class Concept(msgspec.Struct, frozen=True, gc=False):
    """A code of a CodeSystem with those below it, or of a ValueSet."""

    code: str = ""
    concept: tuple["Concept", ...] = ()


class CodeSystem(msgspec.Struct, frozen=True):
    """https://hl7.org/fhir/R4/codesystem.html"""

    url: str
    version: str = ""
    content: str = ""
    concept: tuple[Concept, ...] = ()


class Include(msgspec.Struct, frozen=True):
    """One include or exclude of a ValueSet: https://hl7.org/fhir/R4/valueset.html#compositions."""

    system: str | None = None
    version: str | None = None
    concept: tuple[Concept, ...] = ()
    filter: tuple[msgspec.Raw, ...] = ()
    value_sets: tuple[str, ...] = msgspec.field(default=(), name="valueSet")


class Compose(msgspec.Struct, frozen=True):
    """What a ValueSet is composed of."""

    include: tuple[Include, ...] = ()
    exclude: tuple[Include, ...] = ()


class Contained(msgspec.Struct, frozen=True):
    """A code of an expansion."""

    system: str | None = None
    code: str | None = None
    contains: tuple["Contained", ...] = ()


class Expansion(msgspec.Struct, frozen=True):
    """The codes of a ValueSet as its publisher found them."""

    contains: tuple[Contained, ...] = ()


class ValueSet(msgspec.Struct, frozen=True):
    """https://hl7.org/fhir/R4/valueset.html"""

    url: str
    version: str = ""
    compose: Compose | None = None
    expansion: Expansion | None = None


@dataclass(frozen=True, slots=True)
class Package:
    """What one package defines."""

    name: str
    """`name#version` of its package.json, else the name of its folder or file."""
    profiles: tuple[Profile, ...]
    value_sets: tuple[ValueSet, ...]
    code_systems: tuple[CodeSystem, ...]
    unusable: tuple[Unusable, ...]
    """Its StructureDefinitions that are not among `profiles`, with the reason."""


class _Snapshot(msgspec.Struct):
    element: msgspec.Raw


class _Definition(msgspec.Struct, rename="camel"):
    url: str
    type: str
    name: str
    kind: str
    version: str = ""
    title: str = ""
    derivation: str = ""
    fhir_version: str = "4.0.1"
    snapshot: _Snapshot | None = None


class _Head(msgspec.Struct):
    resource_type: str | None = msgspec.field(default=None, name="resourceType")
    url: str = ""


class _Manifest(msgspec.Struct):
    name: str = ""
    version: str = ""


_elements: Final = msgspec.json.Decoder(list[dict[str, Any]], float_hook=Decimal)
_definition: Final = msgspec.json.Decoder(_Definition)
_head: Final = msgspec.json.Decoder(_Head)
_manifest: Final = msgspec.json.Decoder(_Manifest)
_value_set: Final = msgspec.json.Decoder(ValueSet)
_code_system: Final = msgspec.json.Decoder(CodeSystem)


def load(folder: Path) -> Package:
    """Read a package: a folder, with or without `package/` in it, or a .tgz. Raises NotUsable."""
    if folder.is_dir():
        return _package(folder.name, _folder(folder / "package" if (folder / "package").is_dir() else folder))
    if folder.is_file():
        return _package(folder.name, _archive(folder))
    raise NotUsable(f"{folder} is neither a folder nor a file.")


def _package(name: str, files: Iterable[tuple[str, bytes]]) -> Package:
    profiles: dict[str, Profile] = {}
    unusable: dict[str, Unusable] = {}
    value_sets: list[ValueSet] = []
    code_systems: list[CodeSystem] = []
    for path, content in files:
        content = content.removeprefix(b"\xef\xbb\xbf")
        try:
            head = _head.decode(content)
        except msgspec.ValidationError:
            continue  # JSON, but no resource
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise NotUsable(f"{path} of the package {name} is not JSON.") from error
        try:
            if head.resource_type == "StructureDefinition":
                found = _structure(content)
                if isinstance(found, Profile):
                    profiles[f"{found.url}|{found.version}"] = found
                else:
                    unusable[found.url] = found
            elif head.resource_type == "ValueSet":
                value_sets.append(_value_set.decode(content))
            elif head.resource_type == "CodeSystem":
                code_systems.append(_code_system.decode(content))
            elif path == "package.json":
                manifest = _manifest.decode(content)
                name = f"{manifest.name}#{manifest.version}" if manifest.name else name
        except msgspec.ValidationError as error:
            unusable[head.url or path] = Unusable(head.url or path, f"is no {head.resource_type} of R4: {error}")
    usable = {profile.url for profile in profiles.values()}
    left = tuple(item for url, item in unusable.items() if url not in usable)
    return Package(name, tuple(profiles.values()), tuple(value_sets), tuple(code_systems), left)


def _structure(content: bytes) -> Profile | Unusable:
    definition = _definition.decode(content)
    if definition.fhir_version not in FHIR_VERSIONS:
        return Unusable(definition.url, f"is for FHIR {definition.fhir_version}, not for R4")
    if definition.snapshot is None:
        return Unusable(definition.url, "has no snapshot; generate it and install the package again")
    elements = _elements.decode(definition.snapshot.element)
    if not _is_tree(elements):
        return Unusable(definition.url, "has a snapshot whose elements are no tree of ids")
    return Profile(
        url=definition.url,
        version=definition.version,
        title=definition.title or definition.name,
        type=definition.type,
        kind=definition.kind,
        derivation=definition.derivation,
        snapshot=zlib.compress(bytes(definition.snapshot.element), 1),
    )


def _is_tree(elements: list[dict[str, Any]]) -> bool:
    """Whether each element has an id, a path and a cardinality, and stands below its parent."""
    known: set[str] = set()
    for element in elements:
        name, path, low, high = (element.get(key) for key in ("id", "path", "min", "max"))
        if not isinstance(name, str) or not isinstance(path, str):
            return False
        above, _, last = name.rpartition(".")
        owner = f"{above}.{last.partition(':')[0]}"
        if known and (above not in known or (":" in last and owner not in known)):
            return False
        if not isinstance(low, int) or not isinstance(high, str) or not (high == "*" or high.isdecimal()):
            return False
        known.add(name)
    return bool(known)


def _folder(root: Path) -> Iterator[tuple[str, bytes]]:
    inside, total, count = root.resolve(), 0, 0
    for file in sorted(root.rglob("*.json")):
        name = PurePosixPath(file.relative_to(root).as_posix())
        if not _is_read(name) or not file.is_file():
            continue
        if not file.resolve().is_relative_to(inside):
            raise NotUsable(f"{name} of the package {root.name} is a link to outside the package.")
        size = file.stat().st_size
        total, count = total + size, count + 1
        _limit(str(name), size, total, count)
        yield str(name), file.read_bytes()


def _archive(file: Path) -> Iterator[tuple[str, bytes]]:
    """The files of a .tgz, read as a stream: nothing is unpacked to the disk."""
    total = count = 0
    try:
        with tarfile.open(file, "r|gz") as archive:
            for member in archive:
                name = PurePosixPath(member.name)
                total, count = total + member.size, count + 1
                _limit(member.name, member.size, total, count)
                if name.is_absolute() or ".." in name.parts:
                    raise NotUsable(f"{file.name} holds a file whose path leads out of the package.")
                if member.isdir():
                    continue
                if not member.isreg():
                    raise NotUsable(f"{file.name} holds a link or a device; a package has plain files only.")
                inner = name.relative_to("package") if name.parts[:1] == ("package",) else name
                content = archive.extractfile(member) if inner.suffix == ".json" and _is_read(inner) else None
                if content is not None:
                    yield str(inner), content.read()
    except (tarfile.TarError, EOFError, OSError, zlib.error) as error:
        raise NotUsable(f"{file.name} is no .tgz archive that can be read to its end.") from error


def _is_read(name: PurePosixPath) -> bool:
    return not name.name.startswith(".") and _NOT_READ.isdisjoint(part.lower() for part in name.parts[:-1])


def _limit(name: str, size: int, total: int, count: int) -> None:
    if size > MAX_FILE:
        raise NotUsable(f"{name} is larger than {MAX_FILE // 1024**2} MiB.")
    if total > MAX_PACKAGE:
        raise NotUsable(f"The package is larger than {MAX_PACKAGE // 1024**2} MiB at {name}.")
    if count > MAX_FILES:
        raise NotUsable(f"The package has more than {MAX_FILES} files.")


T = TypeVar("T", Profile, ValueSet, CodeSystem)


class Index(Generic[T]):
    """Definitions by canonical: https://hl7.org/fhir/R4/references.html#canonical.

    `url|1.2` finds the version 1.2, else the newest 1.2.x; a url without version finds the newest version.
    """

    def __init__(self, items: Iterable[T]) -> None:
        self._versions: dict[str, list[T]] = {}
        for item in items:
            self._versions.setdefault(item.url, []).append(item)
        for versions in self._versions.values():
            versions.sort(key=lambda item: _order(item.version))

    def __iter__(self) -> Iterator[T]:
        return (item for versions in self._versions.values() for item in versions)

    def find(self, canonical: str) -> T | None:
        """The definition that a canonical names, if it is there."""
        url, _, version = canonical.partition("|")
        versions = self._versions.get(url, [])
        if not version:
            return versions[-1] if versions else None
        exact = (item for item in versions if item.version == version)
        within = (item for item in reversed(versions) if item.version.startswith(f"{version}."))
        return next(exact, None) or next(within, None)


def _order(version: str) -> list[tuple[bool, int, str]]:
    """1.10.0 comes after 1.9.0, and a release after its candidates (1.0.0-rc)."""
    release, dash, candidate = version.partition("-")
    numbers = [(part.isdecimal(), int(part) if part.isdecimal() else 0, part) for part in release.split(".")]
    return [*numbers, (not dash, 0, candidate)]
