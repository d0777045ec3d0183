"""Cache of bitmaps of one size, addressed by slots of memory that is reused."""

import threading
from collections.abc import Hashable, Iterator, Sequence
from contextlib import contextmanager
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from forge_core.simd.memory import address

Integers = NDArray[np.int64]

_CHUNK = 64  # slots allocated together at most
_EVICTED = 16  # a full cache drops this part of its bitmaps, the least recently used
_FREE = -1  # slot of a bitmap that is not cached


class Bitmaps(NamedTuple):
    """Bitmaps in use: address of each, and positions of those that were not cached, to be filled by the caller."""

    addresses: Integers
    missing: list[int]


class BitmapCache:
    """Least-recently-used cache of bitmaps of ``words`` words by key, safe to share between threads.

    It holds ``max_bytes``, or what is in use if that is more.
    """

    def __init__(self, words: int, max_bytes: int) -> None:
        self._words = words
        self._capacity = max(1, max_bytes // (8 * words))
        self._memory: list[NDArray[np.uint64]] = []
        self._addresses = np.empty(0, np.int64)
        self._used = np.empty(0, np.int64)  # by how many callers each slot is in use
        self._last = np.empty(0, np.int64)  # and when it was last
        self._keys: list[Hashable] = []
        self._free: list[int] = []
        self._slots: dict[Hashable, int] = {}
        self._clock = 0
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self._slots)

    @property
    def nbytes(self) -> int:
        """Bytes allocated."""
        return sum(chunk.nbytes for chunk in self._memory)

    def clear(self) -> None:
        """Drop all bitmaps that are not in use; their memory is reused."""
        with self._lock:
            self._evict(len(self._slots))

    @contextmanager
    def borrow(self, keys: Sequence[Hashable]) -> Iterator[Bitmaps]:
        """Keep the bitmaps of distinct ``keys`` valid for the duration; missing ones are cached after it."""
        with self._lock:
            get = self._slots.get
            slots = np.array([get(key, _FREE) for key in keys], np.int64)
            missing = np.flatnonzero(slots == _FREE).tolist()
            self._clock += 1
            self._use(slots[slots != _FREE], 1)
            if missing:
                slots[missing] = taken = self._take(len(missing))
                self._use(taken, 1)
            found = Bitmaps(self._addresses[slots], missing)
        filled = False
        try:
            yield found
            filled = True
        finally:
            with self._lock:
                self._use(slots, -1)
                for position in missing:
                    key, slot = keys[position], int(slots[position])
                    if filled and key not in self._slots:
                        self._slots[key] = slot
                        self._keys[slot] = key
                    else:  # another thread was first
                        self._free.append(slot)

    def _use(self, slots: Integers, count: int) -> None:
        self._used[slots] += count
        self._last[slots] = self._clock

    def _take(self, count: int) -> Integers:
        """Return free slots, of evicted bitmaps if the cache is full."""
        while len(self._free) < count:
            room = self._capacity - len(self._keys)
            if room > 0:
                self._grow(min(_CHUNK, room))
            elif not self._evict(max(count, self._capacity // _EVICTED)):
                self._grow(count - len(self._free))
        taken = self._free[-count:]
        del self._free[-count:]
        return np.array(taken, np.int64)

    def _grow(self, slots: int) -> None:
        """Allocate memory for more bitmaps."""
        chunk = np.empty((slots, self._words), np.uint64)
        begin = len(self._keys)
        self._memory.append(chunk)
        self._addresses = np.append(self._addresses, address(chunk, np.uint64) + np.arange(slots) * chunk.strides[0])
        self._used, self._last = (np.append(array, np.zeros(slots, np.int64)) for array in (self._used, self._last))
        self._keys += [None] * slots
        self._free += range(begin + slots - 1, begin - 1, -1)

    def _evict(self, count: int) -> int:
        """Drop up to ``count`` bitmaps that are not in use; return how many."""
        cached = np.fromiter(self._slots.values(), np.int64, len(self._slots))
        idle = cached[self._used[cached] == 0]
        oldest = idle[np.argsort(self._last[idle], kind="stable")[:count]].tolist()
        for slot in oldest:
            del self._slots[self._keys[slot]]
            self._keys[slot] = None
        self._free += oldest
        return len(oldest)
