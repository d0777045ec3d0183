"""One array on disk: a plain ``.npy`` file that also says what it holds and proves that it is whole.

Layout: the .npy header (version 1.0) and the data, as ``numpy.load`` reads them; then what is stored beside them, if
anything is; then a JSON description; then a footer of 24 bytes: hash of the data and of what is beside them, length of
the description, magic. One file and one rename, so no part can be missing or belong to another.

A file is renamed into place without fsync: after a power cut the data may be lost, and the hash tells. It can always
be computed again, and fsync would cost several times what writing costs.
"""

import io
import json
import os
import struct
import zlib
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import xxhash
from numpy.typing import NDArray

from forge_core.files import replacing

Array = NDArray[Any]

_FOOTER = struct.Struct("<QQ8s")
_PAGE, _LINE = 4096, 64
_MAGIC = b"FORGE\x00\x00\x02"


class DamagedArray(Exception):
    """A stored array is not what it should be; the message says in what."""


class StoredArray(NamedTuple):
    """The ``data`` of a file, and what is stored ``beside`` them (float64, often empty)."""

    data: Array
    beside: NDArray[np.float64]


NOTHING = np.zeros(0)


def write_array(path: Path, array: StoredArray, description: str) -> None:
    """Write an array (one dimension, 8 bytes an item) to ``path``, whole or not at all; raises OSError.

    ``description`` is a JSON object as ``files.canonical_json`` writes it.
    """
    values, beside = (np.ascontiguousarray(part) for part in array)
    text = description.encode()
    with replacing(path, durable=False) as temporary, temporary.open("wb", buffering=0) as file:
        for part in (
            _header(values.dtype.str, values.size, _lead(text)),
            values.data.cast("B") if values.size else b"",
            beside.data.cast("B") if beside.size else b"",
            text + _FOOTER.pack(_fingerprint(values, beside), len(text), _MAGIC),
        ):
            _write_all(file, part)


def open_array(
    path: Path, dtype: type, description: str, *, size: int | None = None, beside: int = 0, verify: bool
) -> StoredArray:
    """Map ``path`` read-only; the map lasts as long as the array, even if the file is deleted meanwhile.

    Length, header and ``description`` are always compared, and the number of values where ``size`` gives it; ``beside``
    is how many numbers are stored beside them. ``verify`` also reads the data and compares their hash.
    Raises FileNotFoundError, and DamagedArray when the file is not exactly that array.
    """
    text = description.encode()
    with pa.memory_map(os.fspath(path)) as file:  # the map outlives the file object, and needs no open file
        buffer = file.read_buffer()
    mapping, length = memoryview(buffer).cast("B"), buffer.size
    item = np.dtype(dtype)
    lead = _lead(text)
    offset = len(_header(item.str, 0, lead))
    extra = beside * NOTHING.itemsize
    count, rest = divmod(length - offset - extra - len(text) - _FOOTER.size, item.itemsize)
    if count < 0 or rest or (size is not None and count != size):
        raise DamagedArray(f"{length} bytes are not the length of this array")
    end = offset + count * item.itemsize
    fingerprint, described, magic = _FOOTER.unpack(mapping[-_FOOTER.size :])
    if magic != _MAGIC or described != len(text) or mapping[end + extra : end + extra + described] != text:
        raise DamagedArray("its end does not describe this array")
    if mapping[:offset] != _header(item.str, count, lead):
        raise DamagedArray("its header is not that of this array")
    stored = StoredArray(np.frombuffer(buffer, item, count, offset), np.frombuffer(buffer, NOTHING.dtype, beside, end))
    if verify and _fingerprint(*stored) != fingerprint:
        raise DamagedArray("the hash of its values is wrong")
    return stored


def read_description(path: Path) -> dict[str, Any]:
    """Return what the array at ``path`` says it holds; raises OSError, or DamagedArray when it says nothing."""
    with path.open("rb") as file:
        size = os.fstat(file.fileno()).st_size
        file.seek(max(size - _FOOTER.size, 0))
        footer = file.read()
        if len(footer) != _FOOTER.size:
            raise DamagedArray("it is shorter than its footer")
        _, length, magic = _FOOTER.unpack(footer)
        if magic != _MAGIC or length > size - _FOOTER.size:
            raise DamagedArray("its footer is not one of a stored array")
        file.seek(size - _FOOTER.size - length)
        try:
            return dict(json.loads(file.read(length)))
        except ValueError as error:
            raise DamagedArray(f"its description cannot be read ({error})") from error


def _lead(text: bytes) -> int:
    """Return how many bytes to put before the data of an array described by ``text``, whole lines of a cache.

    Files are mapped at whole pages. Were their data all at the same place in a page, many columns read side by side
    would drive each other out of the cache, which finds a line by its place in a page.
    """
    return zlib.crc32(text) % (_PAGE // _LINE) * _LINE


@lru_cache(maxsize=256)
def _header(dtype: str, count: int, lead: int) -> bytes:
    """A .npy header of ``count`` values with ``lead`` more spaces than ``numpy.save`` writes."""
    buffer = io.BytesIO()
    np.lib.format.write_array_header_1_0(
        buffer,
        {"descr": dtype, "fortran_order": False, "shape": (count,)},
    )
    magic, text = buffer.getvalue()[:8], buffer.getvalue()[10:-1] + b" " * lead + b"\n"
    return magic + struct.pack("<H", len(text)) + text


def _write_all(file: io.RawIOBase, part: bytes | memoryview) -> None:
    """Write ``part``; one call may write less than asked, as when the disk fills up."""
    rest = memoryview(part)
    while rest:
        rest = rest[file.write(rest) :]


def _fingerprint(values: Array, beside: Array) -> int:
    digest = xxhash.xxh3_64()
    for part in (values, beside):
        if part.size:
            digest.update(part.data)
    return digest.intdigest()
