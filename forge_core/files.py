"""Files written whole or not at all, and content hashes."""

import hashlib
import json
import os
import re
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from forge_core.errors import DataError

# In a Parquet footer the checksum is a value of the key-value metadata, hashed as if it were all zeros
_CHECKSUM = b"forge.checksum"
_DIGITS = 32
_BLANK = b"0" * _DIGITS
_PLACE = re.compile(rb"\x18\x0e" + _CHECKSUM + rb"\x18\x20([0-9a-f]{%d})\x00" % _DIGITS)  # as Thrift writes the pair


@contextmanager
def replacing(path: Path, *, durable: bool = True) -> Iterator[Path]:
    """Yield a temporary path beside ``path`` that takes its place when the block ends without an error.

    Durably, unless the file can be computed again and its reader notices when a power cut has damaged it.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(prefix=f".{path.name}.", suffix=".tmp", dir=path.parent)
    os.close(handle)
    temporary = Path(name)
    try:
        yield temporary
        if durable:
            with temporary.open("rb+") as file:
                os.fsync(file.fileno())
        os.chmod(temporary, 0o644)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    """Write ``text`` as UTF-8, whole or not at all."""
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_json(path: Path, value: Any) -> None:
    """Write ``value`` as readable JSON; NaN and infinity are refused."""
    write_text(path, json.dumps(value, indent=2, sort_keys=True, allow_nan=False) + "\n")


def read_json(path: Path) -> Any:
    """Read a JSON file, or raise DataError naming it and what to do."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise DataError(f"{path} is damaged ({error}); delete it and run the step that wrote it again") from error


def write_table(path: Path, table: pa.Table) -> None:
    """Write ``table`` as zstd Parquet with a checksum of the whole file in its footer, whole or not at all."""
    sink = pa.BufferOutputStream()
    with pq.ParquetWriter(sink, table.schema, compression="zstd") as writer:
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
        raise _damaged(path, "it has no checksum: cut short, or written by another version of Forge")
    blank = b"".join((content[: found.start(1)], _BLANK, content[found.end(1) :]))
    if _digest(blank) != found[1]:
        raise _damaged(path, "its checksum is wrong")
    return content


def _damaged(path: Path, fault: object) -> DataError:
    return DataError(f"{path} is damaged ({fault}); delete it and run the step that wrote it again")


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
    """Return the one JSON text of ``value`` (sorted keys, no spaces) that hashes are taken of."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)
