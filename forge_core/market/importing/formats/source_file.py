"""A file as its user has it: on its own, gzipped, or members of a zip; looked at cheaply, unpacked when it is read."""

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

HEAD_BYTES = 64 * 1024  # read to know what a file is
_MAX_MEMBERS = 1_000
_MAX_UNPACKED = 16 * 2**30  # bytes of all members together
_RATIO_FREE = 64 * 2**20  # bytes that a member may unpack to, however small it was packed
_MAX_RATIO = 200  # of unpacked to packed bytes beyond that; real price tables reach 3 to 20
_CHUNK = 2**20
_CHECKSUM_BYTES = 4096
_MAGIC: tuple[tuple[bytes, Kind], ...] = ((b"PAR1", "parquet"), (b"ARROW1", "arrow"), (b"FEA1", "arrow"))
_UNREADABLE = (  # what zipfile raises for damaged or odd archives
    zipfile.BadZipFile,
    zlib.error,
    lzma.LZMAError,
    struct.error,
    EOFError,
    RuntimeError,  # NotImplementedError among them
    ValueError,
)
_CHECKSUM = re.compile(r"\s*([0-9a-fA-F]{64})(?:\s+\*?(\S.*?))?\s*")


@dataclass(frozen=True)
class Part:
    """One table of a file: the file itself, or a member of the zip or gzip it is.

    ``name`` is the member's (or file's) own name, ``head`` its first bytes, unpacked.
    """

    name: str
    head: bytes
    packed: bool
    _unpack: Callable[[], Path] = field(repr=False, compare=False)

    @cached_property
    def path(self) -> Path:
        """Where the part lies unpacked. Raises DataError if it cannot be unpacked or is damaged."""
        return self._unpack()

    @cached_property
    def kind(self) -> Kind:
        """What it is by its first bytes."""
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
        """The first lines of a text that are not blank, as far as ``head`` has them whole; [] if it is not UTF-8."""
        return [line for line in self._first_lines if line.strip()]

    @property
    def leading_blank_lines(self) -> int:
        """How many blank lines come before the first of ``lines``."""
        return next((number for number, line in enumerate(self._first_lines) if line.strip()), 0)


@dataclass(frozen=True)
class SourceFile:
    """A file to import. ``parts`` are its tables, in order of their names."""

    path: Path
    parts: tuple[Part, ...]

    @property
    def first(self) -> Part:
        """The first of its parts."""
        return self.parts[0]


def open_source_file(path: Path, workspace: Path, *, source: str = "") -> SourceFile:
    """Look at a file; what is packed in it is unpacked into ``workspace`` once it is read.

    A file ``<name>.CHECKSUM`` beside it (SHA-256, as Binance and sha256sum write it) must agree. Raises DataError,
    naming ``source`` (by default the path), for a file that is missing, a folder, empty, disagrees with its checksum,
    or is an archive that is damaged, encrypted, empty, or unpacks to far more than prices would.
    """
    source = source or str(path)
    if path.is_dir():
        raise DataError(f"{source}: {path} is a folder; name the files in it")
    if path.exists() and not path.is_file():
        raise DataError(f"{source}: {path} is a device, pipe or socket; name a regular file")
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
    """Return where the checksum of a file is looked for."""
    return path.with_name(f"{path.name}.CHECKSUM")


def _verify_checksum(path: Path, source: str) -> None:
    beside = checksum_file(path)
    if not beside.is_file():
        return
    with beside.open("rb") as file:
        match = _CHECKSUM.fullmatch(file.read(_CHECKSUM_BYTES).decode("utf-8", "replace"))
    if match is None:
        raise DataError(f"{source}: {beside.name} is not a line of a SHA-256 and a file name; delete or fetch it again")
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    if digest != match[1].lower():
        raise DataError(
            f"{source}: {path.name} is not what its maker wrote: its SHA-256 is {digest}, {beside.name} says "
            f"{match[1].lower()}; fetch both again"
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
                    f"{source}: {path.name} has {len(members):,} files in it, and at most {_MAX_MEMBERS:,} are read; "
                    "unpack it and import the files that hold bars"
                )
            if sum(member.file_size for member in members) > _MAX_UNPACKED:
                raise DataError(f"{source}: {path.name} unpacks to more than {_MAX_UNPACKED >> 30} GiB; split it")
            parts = []
            for number, member in enumerate(members):
                if member.flag_bits & 1:
                    raise DataError(f"{source}: {member.filename} in {path.name} is encrypted; unpack it first")
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
    """Unpack ``stream``, checksum included, to at most ``limit`` bytes; what is on disk afterwards is whole."""
    written = 0
    try:
        with target.open("wb") as out:
            while chunk := stream.read(_CHUNK):
                written += len(chunk)
                if written > limit:
                    raise DataError(
                        f"{source}: {what} unpacks to more than {limit:,} bytes, as no table of prices does"
                    )
                out.write(chunk)
    except BaseException:
        target.unlink(missing_ok=True)
        raise
    return target


def _check_ratio(unpacked: int, packed: int, what: str, source: str) -> None:
    if unpacked > max(_RATIO_FREE, _MAX_RATIO * packed):
        raise DataError(
            f"{source}: {what} would unpack from {packed:,} to {unpacked:,} bytes, as no table of prices does"
        )


def _damaged(path: Path, source: str, error: Exception) -> DataError:
    return DataError(f"{source}: {path.name} is damaged ({error}); it may be cut short: fetch it again")
