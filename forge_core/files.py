"""Files that are written whole or not at all and carry a checksum, and content hashes."""

import errno
import hashlib
import json
import os
import re
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import psutil
import pyarrow as pa
import pyarrow.parquet as pq

from forge_core.errors import DamagedFileError, DataError

_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_cleaned: set[Path] = set()  # folders in which this process has looked for abandoned files
_COMMENT = "# checksum of the lines above: "
_NO_CHECKSUM = "it has no checksum: cut short, or written by another version of Forge"
_WRONG_CHECKSUM = "its checksum is wrong"

# In a Parquet footer the checksum is a value of the key-value metadata, hashed as if it were all zeros
_CHECKSUM = b"forge.checksum"
_DIGITS = 32
_BLANK = b"0" * _DIGITS
_PLACE = re.compile(rb"\x18\x0e" + _CHECKSUM + rb"\x18\x20([0-9a-f]{%d})\x00" % _DIGITS)  # as Thrift writes the pair


@contextmanager
def replacing(path: Path, *, durable: bool = True) -> Iterator[Path]:
    """Yield a temporary path in the same folder, which replaces ``path`` when the block ends without an error.

    ``durable`` syncs it to disk first; False is for files that can be computed again and are checked when read. Raises
    DataError saying what to do when the disk is full or the folder cannot be written to.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _remove_abandoned(path.parent)
        handle, name = tempfile.mkstemp(prefix=f".{path.name}.{os.getpid()}-", suffix=".tmp", dir=path.parent)
    except OSError as error:
        raise _not_writable(path, error) from error
    os.close(handle)
    temporary = Path(name)
    try:
        yield temporary
        if durable:
            with temporary.open("rb+") as file:
                os.fsync(file.fileno())
        os.chmod(temporary, 0o644)
        temporary.replace(path)
    except OSError as error:
        if error.errno not in _FULL:
            raise
        raise _not_writable(path, error) from error
    finally:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)


def _remove_abandoned(folder: Path) -> None:
    """Delete temporary files of processes that were killed, the first time this process writes to ``folder``."""
    if folder in _cleaned:
        return
    _cleaned.add(folder)
    with os.scandir(folder) as entries:
        names = [entry.name for entry in entries if entry.name.startswith(".") and entry.name.endswith(".tmp")]
    for name in names:
        process = name.split(".")[-2].partition("-")[0]
        if process.isdecimal() and not psutil.pid_exists(int(process)):
            (folder / name).unlink(missing_ok=True)


def check_free_space(folder: Path, needed: int, purpose: str) -> None:
    """Raise DataError when the disk of ``folder`` (which need not exist yet) has less than ``needed`` bytes free."""
    existing = next((place for place in (folder, *folder.parents) if place.exists()), Path())
    free = shutil.disk_usage(existing).free
    if free < needed:
        raise DataError(
            f"{purpose} needs about {needed / 1e9:.1f} GB in {folder}, which has {free / 1e9:.1f} GB free; free some "
            "space, or name a folder on another disk in FORGE_HOME"
        )


def _not_writable(path: Path, error: OSError) -> DataError:
    remedy = "free some space" if error.errno in _FULL else "make the folder writable, or name another in FORGE_HOME"
    return DataError(
        f"{path} cannot be written ({error.strerror}); {remedy}, then run the same again: what is written is kept"
    )


def write_text(path: Path, text: str) -> None:
    """Write ``text`` as UTF-8, whole or not at all."""
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_signed_text(path: Path, text: str) -> None:
    """Write lines of text, then a comment (``#``) with their checksum."""
    write_text(path, f"{text}{_COMMENT}{_digest(text.encode()).decode()}\n")


def check_signed_text(path: Path, text: str) -> None:
    """Raise DataError where the last line is a checksum of ``text`` and the lines before it are not what was written.

    A file without such a line was written by hand and passes.
    """
    body, mark, checksum = text.rpartition(_COMMENT)
    if mark and checksum.strip() != _digest(body.encode()).decode():
        raise DataError(
            f"{path} was changed since it was written ({_WRONG_CHECKSUM}); import it again, or, if it was edited by "
            f"hand, delete its last line"
        )


def write_json(path: Path, value: Any) -> None:
    """Write ``value`` as readable JSON with a checksum of its content; NaN and infinity are refused.

    A mapping gets the key ``checksum``; anything else is the ``content`` of such a mapping.
    """
    flat = isinstance(value, Mapping) and not {"checksum", "content"} & set(value)
    body: dict[str, Any] = dict(value) if flat else {"content": value}
    signed = {**body, "checksum": _json_checksum(body)}
    write_text(path, json.dumps(signed, indent=2, sort_keys=True, allow_nan=False) + "\n")


def read_json(path: Path) -> Any:
    """Read a JSON file that ``write_json`` wrote.

    Raises DataError naming the file and what to do when its checksum is missing or wrong.
    """
    try:
        body = json.loads(path.read_text(encoding="utf-8"), parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as error:
        raise _damaged(path, error) from error
    if not isinstance(body, dict) or "checksum" not in body:
        raise _damaged(path, _NO_CHECKSUM)
    checksum = body.pop("checksum")
    if checksum != _json_checksum(body):
        raise _damaged(path, _WRONG_CHECKSUM)
    return body["content"] if set(body) == {"content"} else body


def _json_checksum(body: Mapping[str, Any]) -> str:
    return _digest(canonical_json(body).encode()).decode()


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not a number that Forge writes")


def write_table(path: Path, table: pa.Table) -> None:
    """Write ``table`` as zstd Parquet with a checksum of the whole file in its footer, whole or not at all.

    Only texts have a dictionary: numbers seldom repeat, and looking for one takes longer than compressing them.
    """
    sink = pa.BufferOutputStream()
    texts: list[str] = [field.name for field in table.schema if pa.types.is_string(field.type)]
    with pq.ParquetWriter(sink, table.schema, compression="zstd", use_dictionary=texts) as writer:
        writer.write_table(table)
        writer.add_key_value_metadata({_CHECKSUM: _BLANK})
    content = bytearray(sink.getvalue())
    found = _checksum_place(content)
    if found is None:
        raise ValueError(f"the columns of {path.name} hold what looks like a checksum")
    content[found.start(1) : found.end(1)] = _digest(content)
    with replacing(path) as temporary:
        temporary.write_bytes(content)


def read_table(path: Path, columns: list[str] | None = None) -> pa.Table:
    """Read a Parquet file that Forge wrote (or some of its ``columns``).

    Raises DataError naming the file and what to do when its checksum is missing or wrong.
    """
    content = read_checked(path)
    try:
        return pq.read_table(pa.BufferReader(content), columns=columns)
    except (pa.ArrowException, OSError) as error:
        raise _damaged(path, error) from error


def read_checked(path: Path) -> bytes:
    """Return the bytes of a Parquet file that Forge wrote, once they agree with the checksum in its footer.

    Raises DataError naming the file and what to do otherwise.
    """
    content = path.read_bytes()
    found = _checksum_place(content)
    if found is None:
        raise _damaged(path, _NO_CHECKSUM)
    blank = b"".join((content[: found.start(1)], _BLANK, content[found.end(1) :]))
    if _digest(blank) != found[1]:
        raise _damaged(path, _WRONG_CHECKSUM)
    return content


def _damaged(path: Path, fault: object) -> DamagedFileError:
    return DamagedFileError(path, str(fault), "delete it and run the step that wrote it again")


def _checksum_place(content: bytes | bytearray) -> re.Match[bytes] | None:
    """Return where a Parquet file's footer has its checksum."""
    footer = max(len(content) - 8 - int.from_bytes(content[-8:-4], "little"), 0)
    found = list(_PLACE.finditer(content, footer))
    return found[0] if len(found) == 1 and content[-4:] == b"PAR1" else None


def _digest(content: bytes | bytearray) -> bytes:
    return hashlib.sha256(content).hexdigest()[:_DIGITS].encode()


def content_hash(*parts: bytes | str, length: int = 16) -> str:
    """Return the first ``length`` hex digits of the SHA-256 of ``parts``, each framed by its own length."""
    digest = hashlib.sha256()
    for part in parts:
        data = part.encode() if isinstance(part, str) else part
        digest.update(len(data).to_bytes(8, "little"))
        digest.update(data)
    return digest.hexdigest()[:length]


def canonical_json(value: Any) -> str:
    """Return the canonical JSON text of ``value`` (sorted keys, no spaces), for hashes."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)
