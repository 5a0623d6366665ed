"""The files themselves: a plain one, a zip, or the tar.gz of a FHIR package; within bounds, never unpacked to disk."""

from __future__ import annotations

import errno
import gzip
import hashlib
import io
import lzma
import stat
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO

from terminology.importers import content

MEGABYTE = 1024 * 1024
MOST_BYTES = 256 * MEGABYTE  # of a file, and of everything that an archive unpacks to; ClaML 2026 has about 15 MB
MOST_MEMBERS = 10_000

#: What the archive modules raise for bytes that are none, for an encrypted member, and for a compression they lack.
_DAMAGED = (
    zipfile.BadZipFile, tarfile.TarError, gzip.BadGzipFile, zlib.error, lzma.LZMAError, struct.error,
    EOFError, NotImplementedError, RuntimeError, ValueError,
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Member:
    """A file by its name, without folders, and its bytes."""

    name: str
    data: bytes


def digest(path: Path) -> str:
    """The SHA-256 of a file in hexadecimal; NotImportable where it cannot be read."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise _unreadable(path, error) from None


def members(path: Path) -> Iterator[Member]:
    """What the file holds: its members where it is an archive, else itself. NotImportable where it is damaged."""
    try:
        if path.stat().st_size > MOST_BYTES:
            raise _too_large(path)
        with path.open("rb") as file:
            head = file.read(4)
            file.seek(0)
            if head == b"PK\x03\x04":
                yield from _zipped(file, path)
            elif head[:2] == b"\x1f\x8b":
                yield from _tarred(file, path)
            else:
                yield Member(content.file_name(path), file.read())
    except _DAMAGED:
        raise _damaged(path) from None
    except OSError as error:
        raise _unreadable(path, error) from None


def _zipped(file: IO[bytes], path: Path) -> Iterator[Member]:
    left = MOST_BYTES
    with zipfile.ZipFile(file) as archive:
        infos = archive.infolist()
        if len(infos) > MOST_MEMBERS:
            raise _too_large(path)
        for info in infos:
            _check_name(info.filename, path)
            if info.is_dir():
                continue
            if stat.S_IFMT(info.external_attr >> 16) not in (0, stat.S_IFREG):
                raise _special(info.filename, path)
            with archive.open(info) as opened:
                data = opened.read(left + 1)
            left -= len(data)
            if left < 0:
                raise _too_large(path)
            yield Member(content.printable(PurePosixPath(info.filename).name), data)


def _tarred(file: IO[bytes], path: Path) -> Iterator[Member]:
    with gzip.GzipFile(fileobj=file) as unzipped:
        data = unzipped.read(MOST_BYTES + 1)
    if len(data) > MOST_BYTES:
        raise _too_large(path)
    left = MOST_BYTES
    with tarfile.open(fileobj=io.BytesIO(data), mode="r:") as archive:
        for number, info in enumerate(archive):
            if number >= MOST_MEMBERS:
                raise _too_large(path)
            _check_name(info.name, path)
            if info.isdir():
                continue
            opened = archive.extractfile(info) if info.isreg() and not info.issparse() else None
            if opened is None:
                raise _special(info.name, path)
            left -= info.size
            if left < 0:
                raise _too_large(path)
            yield Member(content.printable(PurePosixPath(info.name).name), opened.read())


def _check_name(name: str, path: Path) -> None:
    parts = PurePosixPath(name).parts
    if not parts or parts[0] == "/" or ".." in parts or "\\" in name:
        raise content.NotImportable(
            f"{content.file_name(path)} holds {content.shown(name)}, which is outside its folder: fetch it from BfArM."
        )


def _special(name: str, path: Path) -> content.NotImportable:
    """A link or a device, or a file with holes, which says itself how large it is."""
    return content.NotImportable(
        f"{content.file_name(path)} holds {content.shown(name)}, which is no plain file: fetch it again from BfArM."
    )


def _too_large(path: Path) -> content.NotImportable:
    return content.NotImportable(
        f"{content.file_name(path)} is larger than {MOST_BYTES // MEGABYTE} MB or holds more than {MOST_MEMBERS:,} "
        "files: no published catalogue is."
    )


def _unreadable(path: Path, error: OSError) -> content.NotImportable:
    if error.errno in (None, errno.EINVAL):  # raised by the archive modules, for what stands in the file
        return _damaged(path)
    return content.NotImportable(f"{content.printable(str(path))} cannot be read: {error.strerror}.")


def _damaged(path: Path) -> content.NotImportable:
    return content.NotImportable(f"{content.file_name(path)} is a damaged archive: fetch the file again.")
