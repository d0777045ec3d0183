"""One array per ``.npy`` file, with a description of its content and a checksum.

Layout: the .npy header (version 1.0) and the data, as ``numpy.load`` reads them; extra numbers, if any; a JSON
description; a footer of 24 bytes: checksum of the data and the extra numbers, length of the description, magic. All
parts are in one file that is renamed into place, so that they are always complete and consistent.

The rename is not followed by fsync, which would take several times as long as writing. Data lost in a power failure
fail the checksum and are computed again.
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
    """A stored array is damaged or not the one expected; the message gives the difference."""


class NpyArray(NamedTuple):
    """The ``data`` of a file, and ``extra`` numbers stored after them (float64, often empty)."""

    data: Array
    extra: NDArray[np.float64]


NOTHING = np.zeros(0)


def write_array(path: Path, array: NpyArray, description: str) -> None:
    """Write an array (one dimension, 8 bytes per item) to ``path`` atomically; raises DataError or OSError.

    ``description`` is a JSON object in the form of ``files.canonical_json``.
    """
    values, extra = (np.ascontiguousarray(part) for part in array)
    text = description.encode()
    with replacing(path, durable=False) as temporary, temporary.open("wb", buffering=0) as file:
        for part in (
            _header(values.dtype.str, values.size, _lead(text)),
            values.data.cast("B") if values.size else b"",
            extra.data.cast("B") if extra.size else b"",
            text + _FOOTER.pack(_fingerprint(values, extra), len(text), _MAGIC),
        ):
            _write_all(file, part)


def open_array(
    path: Path, dtype: type, description: str, *, size: int | None = None, extra: int = 0, verify: bool
) -> NpyArray:
    """Map ``path`` read-only; the map lasts as long as the array, even if the file is deleted.

    Length, header and ``description`` are always compared, and the number of values if ``size`` is given; ``extra`` is
    the number of extra numbers. ``verify`` also reads the data and compares their checksum.
    Raises FileNotFoundError, and DamagedArray if the file is not exactly that array.
    """
    text = description.encode()
    with pa.memory_map(os.fspath(path)) as file:  # the map outlives the file object and keeps no file open
        buffer = file.read_buffer()
    mapping, length = memoryview(buffer).cast("B"), buffer.size
    item = np.dtype(dtype)
    lead = _lead(text)
    offset = len(_header(item.str, 0, lead))
    extra_bytes = extra * NOTHING.itemsize
    count, rest = divmod(length - offset - extra_bytes - len(text) - _FOOTER.size, item.itemsize)
    if count < 0 or rest or (size is not None and count != size):
        raise DamagedArray(f"{length} bytes are not the length of this array")
    end = offset + count * item.itemsize
    fingerprint, described, magic = _FOOTER.unpack(mapping[-_FOOTER.size :])
    if magic != _MAGIC or described != len(text) or mapping[end + extra_bytes : end + extra_bytes + described] != text:
        raise DamagedArray("its end does not describe this array")
    if mapping[:offset] != _header(item.str, count, lead):
        raise DamagedArray("its header is not that of this array")
    stored = NpyArray(np.frombuffer(buffer, item, count, offset), np.frombuffer(buffer, NOTHING.dtype, extra, end))
    if verify and _fingerprint(*stored) != fingerprint:
        raise DamagedArray("the hash of its values is wrong")
    return stored


def read_description(path: Path) -> dict[str, Any]:
    """Return the description of the array at ``path``; raises OSError, or DamagedArray if it has none."""
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
    """Return the padding before the data of an array described by ``text``, a multiple of the cache line in bytes.

    Files are mapped at page boundaries. With the same offset in every page, columns that are read together would evict
    each other from the cache, which selects the set of a line by its offset in the page.
    """
    return zlib.crc32(text) % (_PAGE // _LINE) * _LINE


@lru_cache(maxsize=256)
def _header(dtype: str, count: int, lead: int) -> bytes:
    """Return a .npy header of ``count`` values with ``lead`` more spaces than ``numpy.save`` writes."""
    buffer = io.BytesIO()
    np.lib.format.write_array_header_1_0(
        buffer,
        {"descr": dtype, "fortran_order": False, "shape": (count,)},
    )
    magic, text = buffer.getvalue()[:8], buffer.getvalue()[10:-1] + b" " * lead + b"\n"
    return magic + struct.pack("<H", len(text)) + text


def _write_all(file: io.RawIOBase, part: bytes | memoryview) -> None:
    """Write all of ``part``; a single call may write only a part of it, for example when the disk fills up."""
    rest = memoryview(part)
    while rest:
        rest = rest[file.write(rest) :]


def _fingerprint(values: Array, extra: Array) -> int:
    digest = xxhash.xxh3_64()
    for part in (values, extra):
        if part.size:
            digest.update(part.data)
    return digest.intdigest()
