"""Source files: plain, gzipped or zipped, with cheap detection and lazy unpacking."""

import gzip
import hashlib
import lzma
import re
import struct
import zipfile
import zlib
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import IO, Literal

from forge_core.errors import DataError

Kind = Literal["parquet", "arrow", "json", "text"]

HEAD_BYTES = 64 * 1024  # bytes read for the detection
_MAX_MEMBERS = 1_000
_MAX_UNPACKED = 16 * 2**30  # bytes of all members together
_RATIO_FREE = 64 * 2**20  # bytes that a member may always unpack to
_MAX_RATIO = 200  # ratio of unpacked to packed bytes beyond that; real price tables have 3 to 20
_CHUNK = 2**20
_CHECKSUM_BYTES = 4096
_MAGIC: tuple[tuple[bytes, Kind], ...] = ((b"PAR1", "parquet"), (b"ARROW1", "arrow"), (b"FEA1", "arrow"))
_UNREADABLE = (  # errors of zipfile for damaged or unusual archives
    zipfile.BadZipFile,
    zlib.error,
    lzma.LZMAError,
    struct.error,
    EOFError,
    RuntimeError,  # including NotImplementedError
    ValueError,
)
_CHECKSUM = re.compile(r"\s*([0-9a-fA-F]{64})(?:\s+\*?(\S.*?))?\s*")


@dataclass(frozen=True)
class Part:
    """One table of a file: the file itself or a member of its zip or gzip.

    ``name``: name of the member or file. ``head``: its first bytes, unpacked.
    """

    name: str
    head: bytes
    packed: bool
    _unpack: Callable[[], Path] = field(repr=False, compare=False)

    @cached_property
    def path(self) -> Path:
        """Path of the unpacked part. Raises DataError if it cannot be unpacked or is damaged."""
        return self._unpack()

    @cached_property
    def kind(self) -> Kind:
        """Kind of content by its first bytes."""
        for magic, kind in _MAGIC:
            if self.head.startswith(magic):
                return kind
        return "json" if self.head.lstrip().startswith(b"[") else "text"

    @cached_property
    def _first_lines(self) -> list[str]:
        try:
            whole = len(self.head) < HEAD_BYTES or b"\n" not in self.head
            return self.head[: None if whole else self.head.rfind(b"\n")].decode("utf-8-sig").splitlines()
        except UnicodeDecodeError:
            return []

    @property
    def lines(self) -> list[str]:
        """The first non-blank lines that ``head`` has completely; [] if it is not UTF-8 text."""
        return [line for line in self._first_lines if line.strip()]

    @property
    def leading_blank_lines(self) -> int:
        """Number of blank lines before the first of ``lines``."""
        return next((number for number, line in enumerate(self._first_lines) if line.strip()), 0)


@dataclass(frozen=True)
class SourceFile:
    """A file to import; ``parts`` are its tables, sorted by name."""

    path: Path
    parts: tuple[Part, ...]

    @property
    def first(self) -> Part:
        """The first part."""
        return self.parts[0]


def open_source_file(path: Path, workspace: Path, *, source: str = "") -> SourceFile:
    """Open a file; packed members are unpacked into ``workspace`` when they are read.

    The SHA-256 in a file ``<name>.CHECKSUM`` next to it (as written by Binance or sha256sum) must match. Raises
    DataError with ``source`` (by default the path) for a missing file, a folder, an empty file, another checksum, or an
    archive that is damaged, encrypted, empty or unpacks to far more than prices would.
    """
    source = source or str(path)
    if path.is_dir():
        raise DataError(f"{source}: {path} is a folder: give the files in it")
    if path.exists() and not path.is_file():
        raise DataError(f"{source}: {path} is a device, pipe or socket: give a regular file")
    if not path.is_file():
        raise DataError(f"{source}: there is no file {path}")
    if path.stat().st_size == 0:
        raise DataError(f"{source}: {path.name} is empty")
    _verify_checksum(path, source)
    with path.open("rb") as file:
        head = file.read(HEAD_BYTES)
    if head.startswith(b"PK"):
        return SourceFile(path, _zip_parts(path, workspace, source))
    if head.startswith(b"\x1f\x8b"):
        return SourceFile(path, (_gzip_part(path, workspace, source),))
    return SourceFile(path, (Part(path.name, head, False, lambda: path),))


def checksum_file(path: Path) -> Path:
    """Return the path of the checksum of a file."""
    return path.with_name(f"{path.name}.CHECKSUM")


def _verify_checksum(path: Path, source: str) -> None:
    stated = checksum_file(path)
    if not stated.is_file():
        return
    with stated.open("rb") as file:
        match = _CHECKSUM.fullmatch(file.read(_CHECKSUM_BYTES).decode("utf-8", "replace"))
    if match is None:
        raise DataError(
            f"{source}: {stated.name} is not a line of a SHA-256 and a file name: delete it or download it again"
        )
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    if digest != match[1].lower():
        raise DataError(
            f"{source}: {path.name} has the SHA-256 {digest}, expected {match[1].lower()} ({stated.name}): "
            "download both again"
        )


def _zip_parts(path: Path, workspace: Path, source: str) -> tuple[Part, ...]:
    try:
        with zipfile.ZipFile(path) as archive:
            members = [
                member
                for member in sorted(archive.infolist(), key=lambda member: member.filename)
                if member.filename
                and not member.is_dir()
                and not re.search(r"(^|/)(\.[^./]|__MACOSX/)", member.filename)
            ]
            if not members:
                raise DataError(f"{source}: {path.name} has no files in it")
            if len(members) > _MAX_MEMBERS:
                raise DataError(
                    f"{source}: {path.name} has {len(members):,} files in it, expected at most {_MAX_MEMBERS:,}; "
                    "unpack it and import the files that hold bars"
                )
            if sum(member.file_size for member in members) > _MAX_UNPACKED:
                raise DataError(f"{source}: {path.name} unpacks to more than {_MAX_UNPACKED >> 30} GiB; split it")
            parts = []
            for number, member in enumerate(members):
                if member.flag_bits & 1:
                    raise DataError(f"{source}: {member.filename} in {path.name} is encrypted: unpack it first")
                _check_ratio(member.file_size, member.compress_size, f"{member.filename} in {path.name}", source)
                with archive.open(member) as stream:
                    head = stream.read(HEAD_BYTES)
                if not head:
                    raise DataError(f"{source}: {member.filename} in {path.name} is empty")
                target = workspace / f"{path.stem}.{number}{Path(member.filename).suffix}"
                parts.append(Part(Path(member.filename).name, head, True, _member(path, member, target, source)))
            return tuple(parts)
    except DataError:
        raise
    except (*_UNREADABLE, OSError) as error:
        raise _damaged(path, source, error) from error


def _member(path: Path, member: zipfile.ZipInfo, target: Path, source: str) -> Callable[[], Path]:
    def unpack() -> Path:
        try:
            with zipfile.ZipFile(path) as archive, archive.open(member) as stream:
                return _copy(stream, target, member.file_size, f"{member.filename} in {path.name}", source)
        except DataError:
            raise
        except _UNREADABLE as error:
            raise _damaged(path, source, error) from error

    return unpack


def _gzip_part(path: Path, workspace: Path, source: str) -> Part:
    def unpack() -> Path:
        packed = path.stat().st_size
        try:
            with gzip.open(path) as stream:
                limit = min(_MAX_UNPACKED, max(_RATIO_FREE, _MAX_RATIO * packed))
                return _copy(stream, workspace / path.stem, limit, path.name, source)
        except (gzip.BadGzipFile, zlib.error, EOFError) as error:
            raise _damaged(path, source, error) from error

    try:
        with gzip.open(path) as stream:
            head = stream.read(HEAD_BYTES)
    except (gzip.BadGzipFile, zlib.error, EOFError) as error:
        raise _damaged(path, source, error) from error
    if not head:
        raise DataError(f"{source}: {path.name} is empty")
    return Part(path.stem, head, True, unpack)


def _copy(stream: IO[bytes] | gzip.GzipFile, target: Path, limit: int, what: str, source: str) -> Path:
    """Unpack ``stream`` atomically to at most ``limit`` bytes, and check its checksum."""
    written = 0
    try:
        with target.open("wb") as out:
            while chunk := stream.read(_CHUNK):
                written += len(chunk)
                if written > limit:
                    raise DataError(
                        f"{source}: {what} unpacks to more than {limit:,} bytes, which is not a table of prices"
                    )
                out.write(chunk)
    except BaseException:
        target.unlink(missing_ok=True)
        raise
    return target


def _check_ratio(unpacked: int, packed: int, what: str, source: str) -> None:
    if unpacked > max(_RATIO_FREE, _MAX_RATIO * packed):
        raise DataError(
            f"{source}: {what} would unpack from {packed:,} to {unpacked:,} bytes, which is not a table of prices"
        )


def _damaged(path: Path, source: str, error: Exception) -> DataError:
    return DataError(f"{source}: {path.name} is damaged or truncated ({error}): download it again")
