"""Arrays by address.

Kernels take the bars and feature columns as addresses. Columns are separate arrays, often memory-mapped, and numba
cannot index a varying number of separate arrays without copying them. An array made from an address has no owner, so
that passing it costs no atomic reference count, which took most of the time of the kernel's inner calls; and read-only
and writable arrays share one compilation. The caller that takes an address must keep the array alive.

A record is one element of a structured dtype (``RecordLayout``), whose fields kernels read and write by name. It is
passed by address too; the module of a record has a function that returns the record at an address.

``NUMBA_BOUNDSCHECK=1`` is the checked build (``make test-checked``): an index outside an array raises IndexError. It
checks against the sizes passed here, which must therefore be the true sizes.
"""

import struct
from dataclasses import fields
from typing import Any

import numba
import numpy as np
from numba import carray, types  # type: ignore[attr-defined]
from numba.core import cgutils
from numba.extending import intrinsic
from numpy.typing import NDArray

from forge_core.simd.compiled import compiled

LINE = 8  # numbers of 8 bytes per cache line
_SETTINGS: Any = numba.config  # its attributes are set at run time, unknown to a type checker
CHECKED = bool(_SETTINGS.BOUNDSCHECK)


def address(array: NDArray[Any], dtype: Any) -> int:
    """Return the address of the data of a C-contiguous array of ``dtype``; raises ValueError for any other array."""
    if array.dtype != dtype or not array.flags.c_contiguous:
        raise ValueError(f"expected a contiguous {np.dtype(dtype)} array, got {array.dtype}, strides {array.strides}")
    return int(array.__array_interface__["data"][0])


class RecordLayout:
    """Layout of a record of integers and floats, 8 bytes each."""

    def __init__(self, **fields: type[int] | type[float]) -> None:
        self.names = tuple(fields)
        self.dtype = np.dtype([(name, np.int64 if kind is int else np.float64) for name, kind in fields.items()])
        self._struct = struct.Struct("".join("q" if kind is int else "d" for kind in fields.values()))

    def pack(self, **values: float) -> NDArray[np.void]:
        """Return an array of one record with ``values``, one per field."""
        if len(values) != len(self.names):
            raise TypeError(f"a record of {self.names} got values for {tuple(values)}; expected one per field")
        return np.frombuffer(bytearray(self._struct.pack(*map(values.__getitem__, self.names))), self.dtype)


def line_aligned(size: int, dtype: Any, *, offset: int = 0) -> NDArray[Any]:
    """Return an uninitialized array of ``size`` numbers of 8 bytes, aligned to a cache line at index ``offset``.

    Vectors that span two cache lines are read at half the speed.
    """
    block = np.empty(size + LINE, dtype)
    shift = -(block.ctypes.data // block.itemsize + offset) % LINE
    return block[shift : shift + size]


class PicklesFieldsOnly:
    """Base of dataclasses that cache addresses of their arrays: copies and pickles contain the fields only."""

    def __getstate__(self) -> dict[str, Any]:
        return {field.name: getattr(self, field.name) for field in fields(self)}  # type: ignore[arg-type]


@intrinsic
def _pointer(typing_context: Any, number: Any) -> Any:
    """Turn an integer address into a pointer."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.inttoptr(args[0], cgutils.voidptr_t)

    return types.voidptr(number), codegen


@compiled
def float64_at(number, size):
    """Return the ``size`` float64 values at an address."""
    return carray(_pointer(number), (size,), np.float64)


@compiled
def int64_at(number, size):
    """Return the ``size`` int64 values at an address."""
    return carray(_pointer(number), (size,), np.int64)


@compiled
def uint64_at(number, size):
    """Return the ``size`` uint64 values at an address."""
    return carray(_pointer(number), (size,), np.uint64)


@compiled
def int32_at(number, size):
    """Return the ``size`` int32 values at an address."""
    return carray(_pointer(number), (size,), np.int32)


@compiled
def uint16_at(number, size):
    """Return the ``size`` uint16 values at an address."""
    return carray(_pointer(number), (size,), np.uint16)


@compiled
def records_at(number, count, dtype):
    """Return the ``count`` records of a structured ``dtype`` at an address."""
    return carray(_pointer(number), (count,), dtype)


@compiled
def elements_at(number, first, count, size, itemsize):
    """Return the address of element ``first`` of the ``size`` elements at an address, to access ``count`` of them.

    Raises IndexError in the checked build unless elements ``first .. first + count - 1`` are all among the ``size``.
    """
    if CHECKED and (first < 0 or first + count > size):
        raise IndexError("elements are out of bounds")
    return number + first * itemsize


@compiled
def address_of(array):
    """Return the address of the data of an array."""
    return array.ctypes.data
